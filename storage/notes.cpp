#include "storage/notes.h"

#include <algorithm>

namespace umbra::storage {

MessageNote note_of(const StoredMessage& message) {
  MessageNote note;
  note.number = message.noted;
  note.is_held = message.state == MessageState::held || message.state == MessageState::handing_over_held;
  note.alarm_at = message.alarm_at;
  for (const auto& entry : message.queue)
    if (entry.attempts != 0 && note.attempts.size() < noted_destinations_max)
      note.attempts.emplace_back(entry.destination, entry.attempts);
  note.last_error = message.last_error;
  note.history = message.history;
  note.next_hop = message.next_hop;
  if (!note.history.empty())
    for (const auto& entry : message.queue)
      note.history.back().attempts = std::max(note.history.back().attempts, entry.attempts);
  return note;
}

void Notes::owe(RowId row, const Holder& holder) {
  if (holder.spool.value == 0 || holder.state == Holder::State::receiver) return;
  owe_.run(holder.spool.value, row.value);
}

bool Notes::is_owed(RowId row, SpoolId holder) {
  auto rows = one_.rows(holder.value, row.value);
  return rows.next();
}

std::vector<RowId> Notes::list(SpoolId holder, RowId after, std::size_t limit) {
  std::vector<RowId> result;
  auto rows = list_.rows(holder.value, after.value, std::uint64_t{limit});
  while (rows.next()) result.push_back(RowId{rows.number(0)});
  return result;
}

}  // namespace umbra::storage
