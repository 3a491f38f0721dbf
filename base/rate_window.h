// How much of something came within the last minute, in constant memory: the present minute is counted, and
// the one before it by the part of it that is not past yet. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace umbra {

class RateWindow {
 public:
  static constexpr Duration span = std::chrono::minutes(1);

  /// `count` more at once (more than `limit` counts as that), at most `limit` (not 0) within a minute.
  /// Nothing: they are counted. Else they are not, and this is how long to wait until they would be.
  std::optional<Duration> take(MonotonicTime now, std::uint32_t limit, std::uint32_t count = 1) {
    count = std::min(count, limit);
    roll(now);
    const double passed = std::chrono::duration<double>(now - began_) / std::chrono::duration<double>(span);
    if (before_ * (1 - passed) + present_ + count <= limit) {
      present_ += count;
      return std::nullopt;
    }
    // The part of a full minute at which so many of it leave that much room.
    const auto room_at = [](double counted, double room) { return counted <= room ? 0 : 1 - room / counted; };
    const double left = limit - count;
    const double until =
        present_ + count <= limit ? room_at(before_, left - present_) : 1 + room_at(present_, left);
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(span) * (until - passed));
  }

  /// From when on nothing is counted any more.
  [[nodiscard]] MonotonicTime empty_at() const {
    return present_ == 0 && before_ == 0 ? MonotonicTime::min() : began_ + 2 * span;
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

}  // namespace umbra
