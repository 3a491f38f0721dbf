#include "storage/queue.h"

#include <algorithm>

#include "storage/encoding.h"

namespace umbra::storage {

void Queue::add(RowId row, const QueueEntry& entry) {
  add_.run(entry.destination, to_column(entry.due), row.value, entry.attempts);
}

void Queue::remove(RowId row, const QueueEntry& entry) {
  remove_.run(entry.destination, to_column(entry.due), row.value);
}

std::vector<std::pair<std::string, WallTime>> Queue::by_destination() {
  std::vector<std::pair<std::string, WallTime>> result;
  auto take = [&result](Statement::Rows rows) {
    if (!rows.next()) return false;
    result.emplace_back(std::string(rows.octets(0)), time_from_column(rows.number(1)));
    return true;
  };
  if (!take(first_.rows())) return result;
  while (take(next_.rows(result.back().first))) {
  }
  return result;
}

std::vector<DueMessage> Queue::due(const std::string& destination, WallTime until, std::size_t limit,
                                   std::span<const RowId> skip) {
  std::vector<DueMessage> result;
  auto rows = due_.rows(destination, to_column(until));
  while (result.size() < limit && rows.next()) {
    RowId row{rows.number(0)};
    if (std::ranges::binary_search(skip, row)) continue;
    result.push_back(
        {row, {destination, time_from_column(rows.number(1)), static_cast<std::uint32_t>(rows.number(2))}});
  }
  return result;
}

std::vector<DueMessage> Queue::due_behind(const DueMessage& place, WallTime until, std::size_t limit) {
  const auto& destination = place.entry.destination;
  std::vector<DueMessage> result;
  auto rows = due_behind_.rows(destination, to_column(place.entry.due), place.row.value, to_column(until),
                               std::uint64_t{limit});
  while (rows.next())
    result.push_back(
        {RowId{rows.number(0)},
         {destination, time_from_column(rows.number(1)), static_cast<std::uint32_t>(rows.number(2))}});
  return result;
}

std::uint64_t Queue::due_count(const std::string& destination, WallTime until) {
  auto rows = due_count_.rows(destination, to_column(until));
  return rows.next() ? rows.unsigned_number(0) : 0;
}

}  // namespace umbra::storage
