// A latency histogram with fixed bounds, in seconds: an array of counters, as Prometheus wants them. One
// thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace umbra {

/// What happens inside a hub or between hubs: half a millisecond to a minute.
inline constexpr std::array<double, 14> short_waits = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,    0.25,  0.5,    1,     2.5,  10,    60};
/// How long mail takes: a millisecond to two days.
inline constexpr std::array<double, 12> long_waits = {0.001, 0.01, 0.1, 0.5,  1,     5,
                                                      30,    60,   600, 3600, 86400, 172800};

template <const auto& Bounds>
struct HistogramOf {
  static constexpr const auto& bounds = Bounds;
  std::array<std::uint64_t, Bounds.size() + 1> counts{};
  double sum = 0;
  /// What a clock that was set back makes negative counts as nothing.
  void observe(double seconds) {
    if (seconds < 0) seconds = 0;
    std::size_t i = 0;
    while (i < Bounds.size() && seconds > Bounds[i]) ++i;
    ++counts[i];
    sum += seconds;
  }
  template <class Rep, class Period>
  void observe(std::chrono::duration<Rep, Period> span) {
    observe(std::chrono::duration<double>(span).count());
  }
};
using Histogram = HistogramOf<short_waits>;
using LongHistogram = HistogramOf<long_waits>;

}  // namespace umbra
