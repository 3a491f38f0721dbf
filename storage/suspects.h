// Messages that were being delivered when the process ended without a word, and how often. Rows are made at
// the start after such an end, in the transaction that begins its epoch, so that no end is counted twice;
// they go with the first attempt that comes to an outcome. By message id, not by row: the count stays when
// the message changes hands.
#pragma once

#include <vector>

#include "storage/database.h"
#include "storage/spool.h"

namespace umbra::storage {

class Suspects {
 public:
  explicit Suspects(Database& database) : database_(database) {}

  /// One more end.
  void count(MessageId id) { count_.run(id.spool.value, id.number); }
  /// Another hub has counted: the higher one holds.
  void at_least(MessageId id, std::uint32_t crashes) { at_least_.run(id.spool.value, id.number, crashes); }
  void forget(MessageId id) { forget_.run(id.spool.value, id.number); }
  std::vector<Suspect> list(std::size_t limit);

 private:
  Database& database_;
  Statement count_{database_,
                   "INSERT INTO suspects VALUES(?, ?, 1) ON CONFLICT DO UPDATE SET crashes = crashes + 1"};
  Statement at_least_{database_,
                      "INSERT INTO suspects VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET crashes = max(crashes, "
                      "excluded.crashes)"};
  Statement forget_{database_, "DELETE FROM suspects WHERE origin_spool = ? AND origin_number = ?"};
  Statement list_{database_,
                  "SELECT origin_spool, origin_number, crashes FROM suspects ORDER BY origin_spool, "
                  "origin_number LIMIT ?"};
};

}  // namespace umbra::storage
