#include "storage/reader.h"

namespace umbra::storage {

Result<std::optional<StoredMessage>> SpoolReader::message(RowId row) {
  return ask([&] { return messages_.load(row); });
}

Result<WallClock::duration> SpoolReader::held_for(RowId row, WallTime now) {
  const auto span = messages_.holds().span(row, now);
  if (!database_.ok()) return std::unexpected(*database_.error());
  return span;
}

Result<std::optional<RowId>> SpoolReader::find_message(MessageId id) {
  return ask([&] { return messages_.find(id); });
}

Result<std::string> SpoolReader::chunk(RowId body, std::uint32_t number) {
  return ask([&] { return bodies_.chunk(body, number); });
}

Result<std::vector<std::pair<std::string, WallTime>>> SpoolReader::due_by_destination() {
  return ask([&] { return messages_.queue().by_destination(); });
}

Result<std::vector<DueMessage>> SpoolReader::due(const std::string& destination, WallTime until,
                                                 std::size_t limit, std::span<const RowId> skip) {
  return ask([&] { return messages_.queue().due(destination, until, limit, skip); });
}

Result<std::vector<DueMessage>> SpoolReader::due_behind(const DueMessage& place, WallTime until,
                                                        std::size_t limit) {
  return ask([&] { return messages_.queue().due_behind(place, until, limit); });
}

Result<std::uint64_t> SpoolReader::due_count(const std::string& destination, WallTime until) {
  return ask([&] { return messages_.queue().due_count(destination, until); });
}

Result<std::vector<RowId>> SpoolReader::alarms(WallTime until, std::size_t limit) {
  return ask([&] { return messages_.alarms(until, limit); });
}

Result<std::vector<RowId>> SpoolReader::held(RowId after, std::size_t limit) {
  return ask([&] { return messages_.held(after, limit); });
}

Result<std::vector<RowId>> SpoolReader::unprotected(RowId after, std::size_t limit) {
  return ask([&] { return messages_.unprotected(after, limit); });
}

Result<std::vector<CopyElsewhere>> SpoolReader::copies_missing(std::span<const SpoolId> heard, RowId after,
                                                               std::size_t limit) {
  return ask([&] { return messages_.copies_missing(heard, after, limit); });
}

Result<std::vector<RowId>> SpoolReader::handing_over(RowId after, std::size_t limit) {
  return ask([&] { return messages_.handing_over(after, limit); });
}

Result<std::uint64_t> SpoolReader::handing_over_count() {
  return ask([&] { return messages_.handing_over_count(); });
}

Result<std::vector<RowId>> SpoolReader::messages(RowId after, RowId before, std::size_t limit) {
  return ask([&] { return messages_.list(after, before, limit); });
}

Result<std::vector<RowId>> SpoolReader::messages_held_by(SpoolId spool, RowId after, std::size_t limit) {
  return ask([&] { return messages_.held_by(spool, after, limit); });
}

Result<std::uint64_t> SpoolReader::copies_on(SpoolId spool) {
  return ask([&] { return messages_.copies_on(spool); });
}

Result<std::vector<Shadow>> SpoolReader::shadows(RowId after, std::size_t limit) {
  return ask([&] { return shadows_.list(after, limit); });
}

Result<std::vector<Shadow>> SpoolReader::shadows_of(SpoolId owner, RowId after, std::size_t limit) {
  return ask([&] { return shadows_.list_of(owner, after, limit); });
}

Result<std::vector<std::pair<std::string, SpoolId>>> SpoolReader::shadow_owners() {
  return ask([&] { return shadows_.owners(); });
}

Result<std::optional<Shadow>> SpoolReader::shadow(MessageId id) {
  return ask([&] { return shadows_.load(id); });
}

Result<Knowledge> SpoolReader::lookup(MessageId id) {
  return ask([&] { return known(id); });
}

Knowledge SpoolReader::known(MessageId id) {
  Knowledge knowledge;
  if (auto row = messages_.find(id)) {
    if (auto message = messages_.find_row(*row)) {
      knowledge.kind =
          is_handing_over(message->state) ? Knowledge::Kind::handing_over : Knowledge::Kind::live;
      knowledge.row = *row;
      knowledge.generation = message->generation;
      knowledge.holders = std::move(message->holders);
      return knowledge;
    }
  }
  if (auto shadow = shadows_.find_row(id)) {
    return {Knowledge::Kind::held_for_other,
            shadow->row,
            shadow->generation,
            shadow->owner_hub,
            shadow->owner_spool,
            {}};
  }
  if (auto generation = discards_.done(id)) {
    // Who holds a copy would drop it, told "done": while a notification has no copy of its own, that copy
    // stands for it. Until then the end is on its way, like that of a message that goes elsewhere.
    bool is_held_back = discards_.is_held_back(id);
    knowledge.kind = is_held_back ? Knowledge::Kind::handing_over : Knowledge::Kind::done;
    if (!is_held_back) knowledge.generation = *generation;
  } else if (auto over = discards_.superseded(id)) {
    // Another hub has it. "Unknown" would make an owner of one that had it up to that generation and was not
    // told yet.
    knowledge.kind = Knowledge::Kind::handing_over;
    knowledge.generation = *over;
  }
  return knowledge;
}

Result<std::vector<OutboxItem>> SpoolReader::outbox(SpoolId to, std::uint64_t after_key, std::size_t limit) {
  return ask([&] { return discards_.list(to, after_key, limit); });
}

Result<std::vector<std::pair<std::string, SpoolId>>> SpoolReader::outbox_spools() {
  return ask([&] { return discards_.spools(); });
}

Result<std::vector<PeerMemory>> SpoolReader::peers() {
  return ask([&] { return discards_.peers(); });
}

Result<std::vector<OwedNote>> SpoolReader::notes_owed(SpoolId to, RowId after, std::size_t limit) {
  return ask([&] { return messages_.notes_owed(to, after, limit); });
}

Result<std::vector<Holder>> SpoolReader::not_told(RowId row) {
  return ask([&] { return messages_.not_told(row); });
}

Result<std::vector<Suspect>> SpoolReader::suspects(std::size_t limit) {
  return ask([&] { return suspects_.list(limit); });
}

Result<std::string> SpoolReader::note(const std::string& name) {
  return ask([&] { return discards_.note(name); });
}

Result<Balance> SpoolReader::balance() {
  auto seen = ask([&] {
    std::pair<Sequence, Balance> result;
    std::uint64_t held = 0;
    if (auto rows = sequence_.rows(); rows.next()) {
      result.first.value = rows.unsigned_number(0);
      held = rows.unsigned_number(1);
    }
    const auto counts = messages_.row_counts();
    result.second.queued = counts.all(held);
    result.second.handing_over = counts.handing_over;
    result.second.oldest = messages_.oldest();
    return result;
  });
  if (!seen) return std::unexpected(seen.error());
  auto& [sequence, balance] = *seen;
  auto ledger = ledgers_.at(sequence);
  if (!ledger)
    return failure(std::errc::resource_unavailable_try_again, "balance: that commit is too long ago");
  balance.ledger = *ledger;
  return std::move(balance);
}

Result<QueueCounts> SpoolReader::counts() {
  return ask([&] {
    QueueCounts counts;
    auto rows = counts_.rows();
    if (!rows.next()) return counts;
    counts.messages = rows.unsigned_number(0);
    counts.held = rows.unsigned_number(1);
    counts.unprotected = rows.unsigned_number(2);
    counts.shadows = rows.unsigned_number(3);
    counts.outbox = rows.unsigned_number(4);
    counts.kept = rows.unsigned_number(5);
    counts.kept_octets = rows.unsigned_number(6);
    if (counts.kept > 0) counts.kept_oldest = kept_.oldest();
    return counts;
  });
}

Result<std::vector<KeptMessage>> SpoolReader::kept(WallTime from, RowId after, WallTime until,
                                                   std::size_t limit) {
  return ask([&] { return kept_.list(from, after, until, limit); });
}

Result<std::optional<KeptMessage>> SpoolReader::kept(RowId row) {
  return ask([&] { return kept_.load(row); });
}

Result<std::optional<Resend>> SpoolReader::resend(const std::string& request) {
  return ask([&] { return kept_.resend(request); });
}

Result<std::vector<Resend>> SpoolReader::resends(std::size_t limit) {
  return ask([&] { return kept_.resends(limit); });
}

}  // namespace umbra::storage
