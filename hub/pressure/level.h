// Back pressure: how short of something a hub is, in three levels with hysteresis, and how long new mail is
// kept waiting for it. Pure: readings in, levels and delays out. Used by BackPressure.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/pressure_level.h"

namespace umbra::hub {

/// The four transitions of one resource, in its own unit: at `medium` and `high` a level begins, below
/// `leave_high` and `leave_medium` it ends. medium <= leave_high <= high, and leave_medium <= medium; `high`
/// 0: this resource is not watched.
struct PressureMarks {
  double medium = 0;
  double high = 0;
  double leave_high = 0;
  double leave_medium = 0;
  [[nodiscard]] bool are_watched() const { return high > 0; }
  bool operator==(const PressureMarks&) const = default;
};

/// The level after a reading of `value`.
PressureLevel next_level(PressureLevel now, double value, const PressureMarks& marks);

/// The marks of a disk of which `reserve` octets are to stay free, in percent used: high when less than that
/// is free, medium when less than twice; high ends with one and a half of it free, medium with three times.
/// The reserve is at most a tenth of the disk, so that small volumes work too.
PressureMarks disk_marks(std::uint64_t size_octets, std::uint64_t reserve_octets);

/// How long a MAIL is kept waiting at medium pressure: 10 s, with each look 5 s more, up to 55 s; back the
/// same way. Who has been kept waiting for `patience` looks in vain, the pressure being what it was, is
/// refused.
class PressureRamp {
 public:
  static constexpr Duration start = std::chrono::seconds(10);
  static constexpr Duration step = std::chrono::seconds(5);
  static constexpr Duration most = std::chrono::seconds(55);

  /// One look at the resources has found `level` as the highest.
  void look(PressureLevel level, std::uint32_t patience);
  [[nodiscard]] Duration delay() const { return delay_; }
  [[nodiscard]] bool refuses() const { return refuses_; }

 private:
  Duration delay_{};
  std::uint32_t looks_ = 0;  // at medium or above, one after the other
  bool refuses_ = false;
};

}  // namespace umbra::hub
