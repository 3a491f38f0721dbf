// Record logs: files of records with a fixed list of fields, for people and their tools (docs/logs.md). This
// is what those who make records see.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/clock.h"

namespace umbra::hub {

/// One kind of record log. Never blocks and never fails: what does not fit is dropped and counted. Any
/// thread.
class RecordLog {
 public:
  virtual ~RecordLog() = default;
  /// False: nobody keeps it; the caller need not make the record.
  [[nodiscard]] virtual bool is_enabled() const = 0;
  /// `values` are those of the kind's fields in order, without the first one, date-time, which is `time`.
  virtual void write(WallTime time, std::initializer_list<std::string_view> values) = 0;
};

}  // namespace umbra::hub
