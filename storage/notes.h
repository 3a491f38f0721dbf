// Which holders have yet to be told what of which message: one row per holder and message, whatever has
// changed and how often. The note itself is made from the message when it is told, so the latest one is told,
// once. A message is told of from the first change on that its envelope does not say: held or released, sent
// another way, an alarm that rang, an attempt, an owner before this one. One instance per connection, inside
// Messages.
#pragma once

#include <vector>

#include "storage/database.h"
#include "storage/spool.h"

namespace umbra::storage {

class Notes {
 public:
  explicit Notes(Database& database) : database_(database) {}

  /// Nothing is owed to a spool without an id, or to a hub that is being handed the message.
  void owe(RowId row, const Holder& holder);
  void remove(RowId row, SpoolId holder) { remove_.run(holder.value, row.value); }
  void forget_spool(SpoolId holder) { forget_.run(holder.value); }
  bool is_owed(RowId row, SpoolId holder);
  std::vector<RowId> list(SpoolId holder, RowId after, std::size_t limit);

 private:
  Database& database_;
  Statement owe_{database_, "INSERT OR IGNORE INTO untold VALUES(?, ?)"};
  Statement remove_{database_, "DELETE FROM untold WHERE spool = ? AND row = ?"};
  Statement forget_{database_, "DELETE FROM untold WHERE spool = ?"};
  Statement one_{database_, "SELECT 1 FROM untold WHERE spool = ? AND row = ?"};
  Statement list_{database_, "SELECT row FROM untold WHERE spool = ? AND row > ? ORDER BY row LIMIT ?"};
};

}  // namespace umbra::storage
