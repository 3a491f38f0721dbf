#include "hub/peering/ended_runs.h"

#include <algorithm>

#include "smtp/shadow_capabilities.h"

namespace umbra::hub {
namespace {

constexpr Duration tell_timeout = 2s;

}  // namespace

std::vector<smtp::KnownEpoch> EndedRuns::known(const Spools& spools) const {
  std::vector<smtp::KnownEpoch> over;
  for (const auto& member : members_.all()) {
    if (!member->identity) continue;
    const auto& now = *member->identity;
    // What only this hub has ended is not over: others may hear it still.
    bool lives = !member->is_fenced && member->live_epoch == now.epoch;
    if (lives || ownership_.is_out(*member, now.spool))
      over.push_back({member->name(), now.spool, now.epoch});
  }
  for (const auto& [hub, spool] : spools)
    if (const auto* member = members_.find(hub);
        member != nullptr && member->identity && member->identity->spool != spool)
      over.push_back({hub, spool, every_run});
  return over;
}

Task<EndedRuns::Told> EndedRuns::tell(const std::vector<smtp::KnownEpoch>& over) {
  Told told;
  for (const auto& member : members_.all()) {
    if (!member->control->is_open() || !member->identity) continue;
    auto spool = member->identity->spool;
    if (member->control->offers(smtp::over_capability)) {
      bool is_told = true;
      for (std::size_t from = 0; is_told && from < over.size(); from += smtp::shadow_batch_max) {
        auto first = over.begin() + static_cast<std::ptrdiff_t>(from);
        auto last =
            over.begin() + static_cast<std::ptrdiff_t>(std::min(over.size(), from + smtp::shadow_batch_max));
        auto outcome = co_await member->control->call(smtp::format_over({first, last}), tell_timeout);
        is_told = outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250;
        if (is_told)
          for (const auto& run : smtp::parse_epochs(outcome.reply.text)) told.alive.insert(run.hub);
      }
      if (!is_told || !member->identity) continue;
    }
    if (member->identity->spool == spool) told.hubs.insert(member->name());
  }
  co_return told;
}

}  // namespace umbra::hub
