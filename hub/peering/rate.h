// A rate: so many per second, a second's worth at once, and a large one makes the next ones wait. Pure: `now`
// is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace umbra::hub {

class Rate {
 public:
  explicit Rate(std::uint64_t per_second)
      : per_second_(static_cast<double>(per_second)), left_(per_second_) {}

  /// Other than before: what was left of a second's worth stays, as far as it fits.
  void set(std::uint64_t per_second) {
    per_second_ = static_cast<double>(per_second);
    left_ = std::min(left_, per_second_);
  }
  /// How long until something may be taken; zero: now.
  [[nodiscard]] Duration wait(MonotonicTime now) {
    refill(now);
    if (left_ > 0) return Duration{0};
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>((1 - left_) / per_second_)) +
           Duration{1};
  }
  void take(std::uint64_t amount) { left_ -= static_cast<double>(amount); }

 private:
  void refill(MonotonicTime now) {
    if (last_ != MonotonicTime::min())
      left_ = std::min(per_second_, left_ + std::chrono::duration<double>(now - last_).count() * per_second_);
    last_ = now;
  }
  double per_second_;
  double left_;
  MonotonicTime last_ = MonotonicTime::min();
};

}  // namespace umbra::hub
