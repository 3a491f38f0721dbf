#include "hub/peering/hand_over_record.h"

#include <algorithm>
#include <limits>

#include "base/octets.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {
namespace {

using storage::Holder;
using storage::RecipientOutcome;

constexpr std::uint64_t format_version = 1;
constexpr std::uint64_t list_max =
    100'000;  // as many as an envelope has recipients at most: memory for no more
constexpr std::uint64_t flag_held = 1;
constexpr std::uint64_t flag_history = 2;
constexpr std::uint64_t flag_next_hop = 4;
constexpr std::size_t destination_octets_max = 1024;
constexpr std::size_t detail_octets_max = 512;

std::uint64_t to_number(WallTime t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}
WallTime to_time(std::uint64_t n) {
  return WallTime{WallTime::duration{static_cast<std::int64_t>(n)}};
}

bool has_line_end(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

std::string encode(const HandOverRecord& record) {
  std::string out;
  put_number(out, format_version);
  put_string(out, encode(record.envelope));
  put_number(out, (record.is_held ? flag_held : 0) | (record.history.empty() ? 0 : flag_history) |
                      (record.next_hop.empty() ? 0 : flag_next_hop));
  put_number(out, to_number(record.alarm_at));
  put_number(out, record.queue.size());
  for (const auto& entry : record.queue) {
    put_string(out, entry.destination);
    put_number(out, to_number(entry.due));
    put_number(out, entry.attempts);
  }
  put_number(out, record.progress.size());
  for (const auto& outcome : record.progress) {
    put_number(out, outcome.index);
    put_number(out, static_cast<std::uint64_t>(outcome.state));
    put_string(out, outcome.detail);
  }
  put_number(out, record.holders.size());
  for (const auto& holder : record.holders) {
    put_string(out, holder.hub);
    put_number(out, holder.spool.value);
    put_number(out, static_cast<std::uint64_t>(holder.state));
  }
  if (!record.history.empty()) {
    put_number(out, record.history.size());
    for (const auto& owner : record.history) {
      put_number(out, owner.generation.value);
      put_number(out, static_cast<std::uint64_t>(owner.how));
      put_string(out, owner.hub);
      put_number(out, owner.spool.value);
      put_number(out, to_number(owner.since));
      put_number(out, owner.attempts);
    }
    put_string(out, record.last_error);
  }
  if (!record.next_hop.empty()) put_string(out, record.next_hop);
  return out;
}

Result<HandOverRecord> decode_hand_over(std::string_view octets) {
  auto bad = [](const char* why) { return failure(std::errc::bad_message, std::string("XHAND: ") + why); };
  OctetReader in(octets);
  if (in.number() != format_version) return bad("unknown format version");
  HandOverRecord record;
  auto envelope = decode_envelope(in.string());
  if (!envelope) return std::unexpected(envelope.error());
  record.envelope = std::move(*envelope);
  auto flags = in.number();
  if (flags > (flag_held | flag_history | flag_next_hop)) return bad("unknown flags");
  record.is_held = (flags & flag_held) != 0;
  record.alarm_at = to_time(in.number());
  auto count = in.number();
  if (count > list_max) return bad("a list that is too long");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    storage::QueueEntry entry;
    entry.destination = in.string();
    entry.due = to_time(in.number());
    auto attempts = in.number();
    if (entry.destination.size() > destination_octets_max || has_line_end(entry.destination) ||
        attempts > std::numeric_limits<std::uint32_t>::max())
      return bad("a queue entry");
    entry.attempts = static_cast<std::uint32_t>(attempts);
    record.queue.push_back(std::move(entry));
  }
  count = in.number();
  if (count > list_max) return bad("a list that is too long");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    auto index = in.number();
    auto state = in.number();
    auto detail = in.string();
    if (index >= record.envelope.recipients.size() || detail.size() > detail_octets_max ||
        state > static_cast<std::uint64_t>(RecipientOutcome::State::expanded_elsewhere))
      return bad("a recipient that is not there");
    record.progress.push_back({static_cast<std::uint32_t>(index), static_cast<RecipientOutcome::State>(state),
                               std::string(detail)});
  }
  count = in.number();
  if (count > list_max) return bad("a list that is too long");
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    Holder holder;
    holder.hub = in.string();
    holder.spool.value = in.number();
    auto state = in.number();
    if (!in.ok()) break;
    if (!smtp::is_hub_name(holder.hub) || state > static_cast<std::uint64_t>(Holder::State::former_owner))
      return bad("a holder");
    holder.state = static_cast<Holder::State>(state);
    record.holders.push_back(std::move(holder));
  }
  if (in.ok() && (flags & flag_history) != 0) {
    count = in.number();
    if (count == 0 || count > owner_records_max) return bad("a history of no or too many owners");
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
      OwnerRecord owner;
      auto generation = in.number();
      auto how = in.number();
      owner.hub = in.string();
      owner.spool.value = in.number();
      owner.since = to_time(in.number());
      auto attempts = in.number();
      if (!in.ok()) break;
      if (generation == 0 || generation > std::numeric_limits<std::uint32_t>::max() ||
          attempts > std::numeric_limits<std::uint32_t>::max() ||
          how > static_cast<std::uint64_t>(OwnerRecord::How::handed_over) || !smtp::is_hub_name(owner.hub))
        return bad("an owner");
      owner.generation.value = static_cast<std::uint32_t>(generation);
      owner.how = static_cast<OwnerRecord::How>(how);
      owner.attempts = static_cast<std::uint32_t>(attempts);
      record.history.push_back(std::move(owner));
    }
    record.last_error = in.string();
    if (record.last_error.size() > detail_octets_max || has_line_end(record.last_error))
      return bad("a last error");
  }
  if (in.ok() && (flags & flag_next_hop) != 0) {
    record.next_hop = in.string();
    if (record.next_hop.empty() || record.next_hop.size() > next_hop_octets_max ||
        has_line_end(record.next_hop))
      return bad("a next hop");
  }
  if (!in.at_end()) return bad(in.ok() ? "trailing octets" : "cut short");
  return record;
}

}  // namespace umbra::hub
