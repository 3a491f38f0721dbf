// The due queue: which message to try next, by destination and time. Only messages in state queued are in it.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/database.h"
#include "storage/spool.h"

namespace umbra::storage {

class Queue {
 public:
  explicit Queue(Database& database) : database_(database) {}

  void add(RowId row, const QueueEntry& entry);
  void remove(RowId row, const QueueEntry& entry);

  /// Earliest due time per destination, by name: one look per destination, however many entries it has.
  std::vector<std::pair<std::string, WallTime>> by_destination();
  std::vector<DueMessage> due(const std::string& destination, WallTime until, std::size_t limit,
                              std::span<const RowId> skip);
  std::vector<DueMessage> due_behind(const DueMessage& place, WallTime until, std::size_t limit);
  std::uint64_t due_count(const std::string& destination, WallTime until);

 private:
  Database& database_;
  Statement add_{database_, "INSERT OR IGNORE INTO due VALUES(?, ?, ?, ?)"};
  Statement remove_{database_, "DELETE FROM due WHERE destination = ? AND due = ? AND row = ?"};
  Statement first_{database_, "SELECT destination, due FROM due ORDER BY destination, due LIMIT 1"};
  Statement next_{database_,
                  "SELECT destination, due FROM due WHERE destination > ? ORDER BY destination, due LIMIT 1"};
  Statement due_{database_,
                 "SELECT row, due, attempts FROM due WHERE destination = ? AND due <= ? ORDER BY due, row"};
  Statement due_behind_{
      database_,
      "SELECT row, due, attempts FROM due WHERE destination = ? AND (due, row) > (?, ?) AND due <= ? "
      "ORDER BY due, row LIMIT ?"};
  Statement due_count_{database_, "SELECT count(*) FROM due WHERE destination = ? AND due <= ?"};
};

}  // namespace umbra::storage
