// How much of something came within the last minute, in constant memory: the present minute is counted, and the one before it by the
// part of it that is not past yet. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace umbra::hub {

class RateWindow {
 public:
  static constexpr Duration span = std::chrono::minutes(1);

  /// One more, at most `limit` (not 0) within a minute. Nothing: it is counted. Else it is not, and this is how long to wait until
  /// it would be.
  std::optional<Duration> take(MonotonicTime now, std::uint32_t limit) {
    roll(now);
    const double passed = std::chrono::duration<double>(now - began_) / std::chrono::duration<double>(span);
    if (before_ * (1 - passed) + present_ + 1 <= limit) {
      ++present_;
      return std::nullopt;
    }
    // The part of a full minute at which `count` of it leave room for one more.
    const auto room_at = [](double count, double room) { return count <= room ? 0 : 1 - room / count; };
    const double until = present_ + 1 <= limit ? room_at(before_, limit - 1.0 - present_) : 1 + room_at(present_, limit - 1.0);
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(span) * (until - passed));
  }

 private:
  void roll(MonotonicTime now) {
    if (now < began_ + span) return;
    const bool is_next = now < began_ + 2 * span;
    before_ = is_next ? present_ : 0;
    began_ = is_next ? began_ + span : now;
    present_ = 0;
  }

  MonotonicTime began_ = MonotonicTime{};
  std::uint32_t present_ = 0;
  std::uint32_t before_ = 0;
};

}  // namespace umbra::hub
