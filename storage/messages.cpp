#include "storage/messages.h"

#include <algorithm>

#include "storage/encoding.h"

namespace umbra::storage {
namespace {

/// Above this an envelope has a row of its own, so that changing the status of a message does not rewrite it.
constexpr std::size_t envelope_inline_max = 1024;
constexpr std::size_t detail_octets_max = 512;

int protection_column(bool is_protected, const std::vector<Holder>& holders) {
  if (!is_protected) return 0;
  bool held =
      std::ranges::any_of(holders, [](const Holder& holder) { return holder.state == Holder::State::holds; });
  return held ? 2 : 1;
}

void count(const MessageRow& message, std::int64_t sign, Counts& counts) {
  counts.messages += sign;
  if (message.state == MessageState::held || message.state == MessageState::handing_over_held)
    counts.held += sign;
  if (!message.is_protected) counts.unprotected += sign;
}

std::optional<std::uint64_t> held_by_column(const std::vector<Holder>& holders) {
  const auto* first = first_holder(holders);
  return first == nullptr ? std::nullopt : std::optional(first->spool.value);
}

bool is_held(const MessageRow& message) {
  return message.state == MessageState::held || message.state == MessageState::handing_over_held;
}

/// Something that a holder has to know to go on where this hub was.
bool is_note_changed(const MessageRow& before, const MessageRow& after) {
  if (is_held(before) != is_held(after) || before.alarm_at != after.alarm_at ||
      before.next_hop != after.next_hop)
    return true;
  return std::ranges::any_of(after.queue, [&](const QueueEntry& entry) {
    auto earlier = std::ranges::find(before.queue, entry.destination, &QueueEntry::destination);
    return entry.attempts > (earlier == before.queue.end() ? 0 : earlier->attempts);
  });
}

/// Of next_hop: NULL where there is none, which is nearly always.
std::optional<std::string_view> next_hop_column(const std::string& next_hop) {
  return next_hop.empty() ? std::nullopt : std::optional<std::string_view>(next_hop);
}

bool same_entries(const MessageRow& a, const MessageRow& b) {
  return a.state == b.state && a.queue == b.queue;
}

}  // namespace

const Holder* first_holder(const std::vector<Holder>& holders) {
  auto copy = std::ranges::find(holders, Holder::State::holds, &Holder::state);
  if (copy != holders.end()) return &*copy;
  return holders.empty() ? nullptr : &holders.front();
}

std::optional<Holder> take_receiver(std::vector<Holder>& holders) {
  auto at = std::ranges::find(holders, Holder::State::receiver, &Holder::state);
  if (at == holders.end()) return std::nullopt;
  auto receiver = std::move(*at);
  holders.erase(at);
  return receiver;
}

std::uint32_t copies_held(std::span<const Holder> holders) {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (holders[i].state != Holder::State::holds) continue;
    // Two spools of one hub are one hub: the older one is about to be taken off.
    bool is_counted = std::ranges::any_of(holders.first(i), [&](const Holder& other) {
      return other.state == Holder::State::holds && other.hub == holders[i].hub;
    });
    if (!is_counted) ++count;
  }
  return count;
}

void Messages::name_further_holders(RowId row, const std::vector<Holder>& holders) {
  const auto* first = first_holder(holders);
  for (const auto& holder : holders)
    if (&holder != first && holder.spool != first->spool)
      add_further_holder_.run(holder.spool.value, row.value, holder.state == Holder::State::holds);
}

void Messages::remove_further_holders(RowId row, const std::vector<Holder>& holders) {
  if (holders.size() < 2) return;
  for (const auto& holder : holders) remove_further_holder_.run(holder.spool.value, row.value);
}

void Messages::enqueue(const MessageRow& message) {
  if (message.state != MessageState::queued) return;
  for (const auto& entry : message.queue) queue_.add(message.row, entry);
}

void Messages::dequeue(const MessageRow& message) {
  if (message.state != MessageState::queued) return;
  for (const auto& entry : message.queue) queue_.remove(message.row, entry);
}

void Messages::insert(const NewMessage& message, Entered how, Counts& counts) {
  bool own = message.id.spool == own_ && message.id.number == static_cast<std::uint64_t>(message.row.value);
  std::optional<std::uint64_t> origin_spool;
  std::optional<std::uint64_t> origin_number;
  if (!own) {
    origin_spool = message.id.spool.value;
    origin_number = message.id.number;
  }
  auto recipients = static_cast<std::uint32_t>(message.envelope.recipients.size());
  std::uint32_t done = 0;
  if (!message.progress.empty()) {
    done = static_cast<std::uint32_t>(record(message.row, message.progress, recipients).size());
  }
  auto envelope = encode_sealed(message.envelope);
  bool is_large = envelope.size() > envelope_inline_max;
  std::optional<Blob> envelope_inline;
  if (!is_large) envelope_inline = Blob{envelope};
  // With an owner before this one there is a history to be told.
  std::uint32_t noted = message.history.empty() && message.next_hop.empty() ? 0 : 1;
  std::string owners = message.history.empty() ? std::string() : encode_history(message.history);
  std::optional<Blob> history;
  if (!message.history.empty()) history = Blob{owners};
  insert_.run(message.row.value, origin_spool, origin_number, message.generation.value,
              static_cast<int>(MessageState::queued),
              protection_column(message.is_protected, message.holders), message.size,
              to_column(message.alarm_at), recipients, done, Blob{encode_holders(message.holders)},
              Blob{encode_queue(message.queue)}, message.last_error, envelope_inline,
              message.envelope.protection.copies, held_by_column(message.holders), noted, history,
              next_hop_column(message.next_hop));
  if (message.holders.size() > 1) name_further_holders(message.row, message.holders);
  if (is_large) insert_envelope_.run(message.row.value, Blob{envelope});
  for (const auto& entry : message.queue) queue_.add(message.row, entry);
  ++counts.messages;
  counts.ledger.note(how);
  if (!message.is_protected) ++counts.unprotected;
}

void Messages::update(const MessageRow& before, const MessageRow& after, Counts& counts) {
  bool is_new_note = is_note_changed(before, after);
  auto noted = before.noted + (is_new_note ? 1U : 0U);
  if (!same_entries(before, after)) {
    dequeue(before);
    enqueue(after);
  }
  std::string forks = after.forks.empty() ? std::string() : encode_numbers(after.forks);
  std::optional<Blob> forks_column;
  if (!forks.empty()) forks_column = Blob{forks};
  update_.run(after.row.value, after.generation.value, static_cast<int>(after.state),
              protection_column(after.is_protected, after.holders), to_column(after.alarm_at), after.done,
              Blob{encode_holders(after.holders)}, Blob{encode_queue(after.queue)}, forks_column,
              after.last_error, held_by_column(after.holders), noted, next_hop_column(after.next_hop));
  if (noted != 0) {
    if (before.holders != after.holders)
      for (const auto& holder : before.holders)
        if (std::ranges::find(after.holders, holder.spool, &Holder::spool) == after.holders.end())
          notes_.remove(after.row, holder.spool);
    for (const auto& holder : after.holders)
      if (is_new_note || std::ranges::find(before.holders, holder) == before.holders.end())
        notes_.owe(after.row, holder);
  }
  if (before.holders != after.holders) {
    remove_further_holders(before.row, before.holders);
    if (after.holders.size() > 1) name_further_holders(after.row, after.holders);
  }
  if (!is_held(before) && is_held(after)) holds_.begin(after.row, WallClock::now());
  if (is_held(before) && !is_held(after)) holds_.end(after.row, WallClock::now());
  count(before, -1, counts);
  count(after, 1, counts);
}

void Messages::remove(const MessageRow& message, Left how, Counts& counts) {
  counts.ledger.note(how);
  dequeue(message);
  remove_.run(message.row.value);
  remove_envelope_.run(message.row.value);
  remove_progress_.run(message.row.value);
  remove_further_holders(message.row, message.holders);
  if (message.noted == 0) return count(message, -1, counts);
  for (const auto& holder : message.holders) notes_.remove(message.row, holder.spool);
  holds_.remove(message.row);  // holders are told of a hold, so it is noted
  count(message, -1, counts);
}

std::vector<OwedNote> Messages::notes_owed(SpoolId to, RowId after, std::size_t limit) {
  std::vector<OwedNote> result;
  for (auto row : notes_.list(to, after, limit)) {
    auto message = load(row);
    if (!message) break;  // a failure stuck: a row of untold goes with its message
    result.push_back({row, message->id, message->generation, note_of(*message)});
  }
  return result;
}

std::vector<Holder> Messages::not_told(RowId row) {
  std::vector<Holder> result;
  auto message = find_row(row);
  if (message && message->noted != 0)
    for (const auto& holder : message->holders)
      if (notes_.is_owed(row, holder.spool)) result.push_back(holder);
  return result;
}

std::vector<std::uint32_t> Messages::record(RowId row, std::span<const RecipientOutcome> outcomes,
                                            std::uint32_t recipients) {
  using State = RecipientOutcome::State;
  std::vector<std::uint32_t> ended;
  for (const auto& outcome : outcomes) {
    if (outcome.index >= recipients) continue;  // told by another hub, perhaps; there is no such recipient
    auto before = State::pending;
    {
      auto rows = recipient_state_.rows(row.value, outcome.index);
      if (rows.next()) before = static_cast<State>(rows.number(0));
    }
    if (before != State::pending) continue;  // what has ended stays as it ended
    std::optional<std::string_view> next_hop;
    if (!outcome.next_hop.empty()) next_hop = outcome.next_hop;
    set_progress_.run(row.value, outcome.index, static_cast<int>(outcome.state),
                      std::string_view(outcome.detail).substr(0, detail_octets_max), next_hop);
    if (outcome.state != State::pending) ended.push_back(outcome.index);
  }
  std::ranges::sort(ended);
  return ended;
}

std::optional<MessageRow> Messages::find_row(RowId row) {
  auto rows = row_.rows(row.value);
  return rows.next() ? read(rows) : std::nullopt;
}

std::optional<MessageRow> Messages::read(const Statement::Rows& rows) {
  MessageRow message;
  message.row = RowId{rows.number(0)};
  message.id = rows.is_null(1) ? MessageId{own_, rows.unsigned_number(0)}
                               : MessageId{SpoolId{rows.unsigned_number(1)}, rows.unsigned_number(2)};
  message.generation.value = static_cast<std::uint32_t>(rows.number(3));
  message.state = static_cast<MessageState>(rows.number(4));
  message.is_protected = rows.number(5) != 0;
  message.size = rows.unsigned_number(6);
  message.alarm_at = time_from_column(rows.number(7));
  message.recipients = static_cast<std::uint32_t>(rows.number(8));
  message.done = static_cast<std::uint32_t>(rows.number(9));
  auto holders = decode_holders(rows.octets(10));
  auto queue = decode_queue(rows.octets(11));
  if (!rows.is_null(12)) {
    auto forks = decode_numbers(rows.octets(12));
    if (forks) message.forks = std::move(*forks);
  }
  message.last_error = rows.octets(13);
  message.copies = static_cast<std::uint32_t>(rows.number(14));
  message.noted = static_cast<std::uint32_t>(rows.number(15));
  if (!rows.is_null(16)) message.next_hop = rows.octets(16);
  if (!holders || !queue) {
    database_.fail(SQLITE_CORRUPT, "message row");
    return std::nullopt;
  }
  message.holders = std::move(*holders);
  message.queue = std::move(*queue);
  return message;
}

std::optional<StoredMessage> Messages::load(RowId row) {
  StoredMessage message;
  {
    auto rows = row_and_envelope_.rows(row.value);
    if (!rows.next()) return std::nullopt;
    auto found = read(rows);
    if (!found) return std::nullopt;
    message.row = found->row;
    message.id = found->id;
    message.generation = found->generation;
    message.state = found->state;
    message.size = found->size;
    message.holders = std::move(found->holders);
    message.receiver = take_receiver(message.holders);
    message.is_protected = found->is_protected;
    message.alarm_at = found->alarm_at;
    message.queue = std::move(found->queue);
    message.last_error = std::move(found->last_error);
    message.noted = found->noted;
    message.next_hop = std::move(found->next_hop);
    if (!rows.is_null(18)) {
      auto history = decode_history(rows.octets(18));
      if (!history) {
        database_.fail(SQLITE_CORRUPT, "history");
        return std::nullopt;
      }
      message.history = std::move(*history);
    }
    auto envelope = decode_sealed(rows.octets(17));
    if (!envelope) {
      database_.fail(SQLITE_CORRUPT, "envelope");
      return std::nullopt;
    }
    message.envelope = std::move(*envelope);
  }
  auto rows = progress_.rows(row.value);
  while (rows.next()) {
    message.progress.push_back({static_cast<std::uint32_t>(rows.number(0)),
                                static_cast<RecipientOutcome::State>(rows.number(1)),
                                std::string(rows.octets(2)), std::string(rows.octets(3))});
  }
  return message;
}

std::optional<RowId> Messages::find(MessageId id) {
  if (id.spool == own_) {
    auto rows = is_own_.rows(id.number);
    if (rows.next()) return RowId{rows.number(0)};
  }
  auto rows = by_origin_.rows(id.spool.value, id.number);
  if (rows.next()) return RowId{rows.number(0)};
  return std::nullopt;
}

std::vector<RowId> Messages::rows_of(Statement::Rows rows) {
  std::vector<RowId> result;
  while (rows.next()) result.push_back(RowId{rows.number(0)});
  return result;
}

std::vector<RowId> Messages::alarms(WallTime until, std::size_t limit) {
  return rows_of(alarms_.rows(to_column(until), std::uint64_t{limit}));
}

std::vector<RowId> Messages::held(RowId after, std::size_t limit) {
  return rows_of(held_.rows(after.value, std::uint64_t{limit}));
}

std::vector<RowId> Messages::unprotected(RowId after, std::size_t limit) {
  return rows_of(unprotected_.rows(after.value, std::uint64_t{limit}));
}

std::vector<RowId> Messages::handing_over(RowId after, std::size_t limit) {
  return rows_of(handing_over_.rows(after.value, std::uint64_t{limit}));
}

std::uint64_t Messages::handing_over_count() {
  auto rows = handing_over_count_.rows();
  return rows.next() ? rows.unsigned_number(0) : 0;
}

Messages::RowCounts Messages::row_counts() {
  RowCounts counts;
  if (auto rows = queued_count_.rows(); rows.next()) counts.queued = rows.unsigned_number(0);
  if (auto rows = handing_over_states_.rows(); rows.next()) {
    counts.handing_over = rows.unsigned_number(0);
    counts.handing_over_held = rows.unsigned_number(1);
  }
  return counts;
}

std::optional<RowId> Messages::oldest() {
  auto rows = oldest_.rows();
  return rows.next() ? std::optional(RowId{rows.number(0)}) : std::nullopt;
}

bool Messages::has_delivered(RowId row) {
  return delivered_.rows(row.value).next();
}

std::vector<RowId> Messages::list(RowId after, RowId before, std::size_t limit) {
  return rows_of(list_.rows(after.value, before.value, std::uint64_t{limit}));
}

std::vector<RowId> Messages::held_by(SpoolId spool, RowId after, std::size_t limit) {
  std::vector<RowId> result;
  for (int protection = 0; protection <= 2; ++protection) {
    auto part = rows_of(held_by_.rows(spool.value, protection, after.value, std::uint64_t{limit}));
    result.insert(result.end(), part.begin(), part.end());
  }
  auto further = rows_of(further_held_by_.rows(spool.value, after.value, std::uint64_t{limit}));
  result.insert(result.end(), further.begin(), further.end());
  std::ranges::sort(result);
  auto repeated = std::ranges::unique(result);
  result.erase(repeated.begin(), repeated.end());
  if (result.size() > limit) result.resize(limit);
  return result;
}

std::uint64_t Messages::copies_on(SpoolId spool) {
  std::uint64_t count = 0;
  for (auto* statement : {&copies_on_, &further_copies_on_}) {
    auto rows = statement->rows(spool.value);
    if (rows.next()) count += rows.unsigned_number(0);
  }
  return count;
}

// Costs a look for each.
std::vector<SpoolId> Messages::first_holders() {
  std::vector<SpoolId> result;
  auto at = INT64_MIN;
  for (;;) {
    auto rows = next_first_holder_.rows(at);
    if (!rows.next()) return result;
    at = rows.number(0);
    result.push_back(SpoolId{rows.unsigned_number(0)});
  }
}

std::vector<CopyElsewhere> Messages::copies_missing(std::span<const SpoolId> heard, RowId after,
                                                    std::size_t limit) {
  auto is_heard = [&](SpoolId spool) { return std::ranges::find(heard, spool) != heard.end(); };
  auto rows = unprotected(after, limit);
  for (auto spool : first_holders()) {
    if (is_heard(spool)) continue;
    auto part = rows_of(held_by_.rows(spool.value, 2, after.value, std::uint64_t{limit}));
    rows.insert(rows.end(), part.begin(), part.end());
  }
  std::ranges::sort(rows);
  if (rows.size() > limit) rows.resize(limit);
  std::vector<CopyElsewhere> result;
  for (auto row : rows) {
    auto message = find_row(row);
    if (!message) break;  // a failure stuck
    bool is_there = std::ranges::any_of(message->holders, [&](const auto& h) {
      return h.state == Holder::State::holds && is_heard(h.spool);
    });
    result.push_back({row, message->id, message->state, std::move(message->queue), !is_there});
  }
  return result;
}

}  // namespace umbra::storage
