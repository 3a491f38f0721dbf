#include "storage/holds.h"

namespace umbra::storage {

WallClock::duration Holds::span(RowId row, WallTime now) {
  auto rows = span_.rows(row.value, to_column(now));
  return WallClock::duration(rows.next() ? rows.number(0) : 0);
}

}  // namespace umbra::storage
