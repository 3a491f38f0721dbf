#include "cluster/majority.h"

#include <algorithm>
#include <cstdio>

namespace umbra::cluster {

std::string agreement_of(std::string_view mode, std::vector<std::string> names) {
  std::ranges::sort(names);
  // FNV-1a: it tells lists apart that differ by mistake, and no more is asked of it.
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  auto add = [&hash](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    hash = (hash ^ 0xffU) * 0x100000001b3ULL;
  };
  add(mode);
  for (const auto& name : names) add(name);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

namespace {
Vote no(std::string_view why) {
  return {false, Epoch{0}, why};
}
}  // namespace

Vote decide_vote(const Voter& voter, SpoolId spool, Epoch over_below) {
  if (!voter.agrees) return no("another list of hubs or another mode of ownership");
  if (!voter.is_admitted) return no("this spool does not take part yet");
  if (voter.remembered && voter.remembered->spool != spool) return no("another spool of that hub is known");
  if (!voter.is_silent) return no("it was heard within a lease");
  auto lowest = voter.remembered ? voter.remembered->epoch : Epoch{0};
  // The run that the voter knows ends too: it may have heard of a later one than the asker has. After its own
  // restart the voter does not know whether the lowest epoch it accepts has ever run: that one ends as well.
  bool ends_lowest = voter.remembered && !voter.is_fenced && (voter.live == lowest || voter.live.value == 0);
  if (ends_lowest) lowest.value += 1;
  return {true, std::max(lowest, over_below), {}};
}

}  // namespace umbra::cluster
