#include "hub/pressure/level.h"

#include <algorithm>

namespace umbra::hub {

PressureLevel next_level(PressureLevel now, double value, const PressureMarks& marks) {
  if (!marks.are_watched()) return PressureLevel::normal;
  if (value >= marks.high || (now == PressureLevel::high && value >= marks.leave_high))
    return PressureLevel::high;
  if (value >= marks.medium || (now != PressureLevel::normal && value >= marks.leave_medium))
    return PressureLevel::medium;
  return PressureLevel::normal;
}

PressureMarks disk_marks(std::uint64_t size_octets, std::uint64_t reserve_octets) {
  if (size_octets == 0) return {};
  const auto size = static_cast<double>(size_octets);
  const double reserve = std::min(static_cast<double>(reserve_octets), size / 10);
  const auto with_free = [&](double reserves) { return 100 * (size - reserves * reserve) / size; };
  return {.medium = with_free(2),
          .high = with_free(1),
          .leave_high = with_free(1.5),
          .leave_medium = with_free(3)};
}

void PressureRamp::look(PressureLevel level, std::uint32_t patience) {
  if (level == PressureLevel::normal) {
    looks_ = 0;
    refuses_ = false;
    delay_ = delay_ <= start ? Duration{} : delay_ - step;
    return;
  }
  ++looks_;
  delay_ = delay_ == Duration{} ? start : std::min(delay_ + step, most);
  refuses_ = refuses_ || (delay_ == most && looks_ >= patience);
}

}  // namespace umbra::hub
