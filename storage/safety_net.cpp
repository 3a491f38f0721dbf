// The safety net's part of SpoolWriter: what is kept of a message or a shadow that ends, and the changes of
// what is kept.
#include <algorithm>

#include "storage/writer.h"

namespace umbra::storage {
namespace {

/// Pages given back to the file system at once while the disk is short: about as much as a step of the
/// checkpoints.
constexpr const char* give_pages_back = "PRAGMA incremental_vacuum(2048)";

}  // namespace

std::optional<KeptMessage> SpoolWriter::to_keep(const MessageRow& message, SpoolId except,
                                                const std::vector<RecipientOutcome>& last) {
  auto stored = messages_.load(message.row);
  // What was sent from the net is there already; what waited for its filters is not what was delivered.
  if (!stored || stored->envelope.resent || !stored->envelope.waits_for.empty()) return std::nullopt;
  KeptMessage kept;
  for (const auto& outcome : last.empty() ? stored->progress : last)
    if (outcome.state == RecipientOutcome::State::delivered)
      kept.delivered.push_back({outcome.index, outcome.next_hop, outcome.detail});
  // Another hub said that it is done: it knows to whom it was delivered, and keeps it as its own.
  if (except.value != 0)
    kept.delivered.clear();
  else if (kept.delivered.empty())
    return std::nullopt;
  kept.row = message.row;
  kept.ended_at = WallClock::now();
  kept.id = message.id;
  kept.generation = message.generation;
  kept.size = message.size;
  kept.envelope = std::move(stored->envelope);
  // Nothing of it was delivered here: whoever did that keeps it as its own.
  kept.is_shadow =
      std::ranges::all_of(kept.delivered, [](const KeptRecipient& r) { return r.next_hop.empty(); });
  if (kept.is_shadow) {
    for (const auto& holder : message.holders) {
      bool is_it = except.value != 0 ? holder.spool == except : holder.state == Holder::State::former_owner;
      if (!is_it) continue;
      kept.owner_spool = holder.spool;
      kept.owner_hub = holder.hub;
      break;
    }
    if (kept.owner_spool.value == 0) kept.owner_spool = except;
  }
  return kept;
}

void SpoolWriter::keep_or_remove(const std::optional<KeptMessage>& kept, RowId row, std::uint64_t size) {
  if (!kept || !kept_.keep(*kept, counts, bodies_)) bodies_.remove(row, size);
}

void SpoolWriter::end_shadow(const Shadow& shadow, SpoolId from) {
  if (!kept_.is_on()) return remove_shadow(shadow, from);
  auto stored = shadows_.load(shadow.id);
  if (!stored || stored->envelope.resent || !stored->envelope.waits_for.empty())
    return remove_shadow(shadow, from);
  pass_on(shadow, {}, from);
  KeptMessage kept;
  kept.row = shadow.row;
  kept.ended_at = WallClock::now();
  kept.is_shadow = true;
  kept.id = shadow.id;
  kept.generation = shadow.generation;
  kept.owner_spool = shadow.owner_spool;
  kept.owner_hub = shadow.owner_hub;
  kept.size = shadow.size;
  kept.envelope = std::move(stored->envelope);
  shadows_.remove(shadow.row, counts);
  keep_or_remove(kept, shadow.row, shadow.size);
}

Result<bool> SpoolWriter::finish_shadow(MessageId id, Generation up_to) {
  auto shadow = shadows_.find_row(id);
  bool is_meant = shadow && shadow->generation <= up_to;
  if (is_meant) end_shadow(*shadow, SpoolId{});
  if (!database_.ok()) return std::unexpected(*database_.error());
  return is_meant;
}

Result<std::size_t> SpoolWriter::trim_kept(WallTime ended_before, std::size_t rows_max) {
  auto gone = kept_.trim(ended_before, rows_max, counts, bodies_);
  if (!database_.ok()) return std::unexpected(*database_.error());
  return gone;
}

Result<std::size_t> SpoolWriter::give_way(std::size_t rows_max) {
  kept_.set_giving_way(true);
  auto gone = kept_.give_way(rows_max, counts, bodies_);
  database_.execute(give_pages_back);
  wants_checkpoint_ = true;
  if (!database_.ok()) return std::unexpected(*database_.error());
  return gone;
}

Result<void> SpoolWriter::keep_again() {
  kept_.set_giving_way(false);
  return database_.outcome();
}

Result<void> SpoolWriter::put_resend(const Resend& resend) {
  kept_.put(resend);
  return database_.outcome();
}

}  // namespace umbra::storage
