// For how long messages were on hold: they do not age meanwhile (hub/outbound/message_clock.h). One row for
// each message that is or was on hold here.
#pragma once

#include "base/clock.h"
#include "storage/database.h"
#include "storage/spool.h"

namespace umbra::storage {

class Holds {
 public:
  explicit Holds(Database& database) : database_(database) {}

  void begin(RowId row, WallTime now) { begin_.run(row.value, to_column(now)); }
  void end(RowId row, WallTime now) { end_.run(row.value, to_column(now)); }
  void remove(RowId row) { remove_.run(row.value); }
  /// All its times on hold together, up to `now`.
  WallClock::duration span(RowId row, WallTime now);

 private:
  static std::int64_t to_column(WallTime time) { return time.time_since_epoch().count(); }

  Database& database_;
  Statement begin_{database_, "INSERT INTO holds VALUES(?1, ?2, 0) ON CONFLICT DO UPDATE SET since = ?2"};
  Statement end_{database_,
                 "UPDATE holds SET before = before + max(?2 - since, 0), since = NULL WHERE row = ?1 AND "
                 "since IS NOT NULL"};
  Statement remove_{database_, "DELETE FROM holds WHERE row = ?"};
  Statement span_{database_, "SELECT before + coalesce(max(?2 - since, 0), 0) FROM holds WHERE row = ?1"};
};

}  // namespace umbra::storage
