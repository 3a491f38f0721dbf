// The only two places that tell the time. In production they read the kernel's clocks; a simulation or a test
// replaces them for its thread with a TimeSource of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace umbra {

using Duration = std::chrono::nanoseconds;

/// Never steps, may pause; for deadlines and leases.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};

/// Unix time; for what outlives a process (due times, expiry, Received headers).
struct WallClock {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock>;
  static constexpr bool is_steady = false;
  static time_point now() noexcept;
};

using MonotonicTime = MonotonicClock::time_point;
using WallTime = WallClock::time_point;

/// Timers kept by a simulation itself: equal deadlines fire in the order they were set, and no system call is
/// made.
class VirtualTimers {
 public:
  virtual ~VirtualTimers() = default;
  /// Calls back once: with true when the time has come, with false when it was cancelled (from within
  /// cancel(), so the callback only posts). The number is never 0.
  virtual std::uint64_t start(MonotonicTime when, std::move_only_function<void(bool)> callback) = 0;
  /// Does nothing when the callback is already on its way.
  virtual void cancel(std::uint64_t timer) noexcept = 0;
};

class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual MonotonicTime monotonic() noexcept = 0;
  virtual WallTime wall() noexcept = 0;
  /// Somebody set a timer for this instant: virtual time may jump to the earliest one.
  virtual void note_deadline(MonotonicTime) noexcept {}
  /// Where hub/net/task.h puts its timers; nullptr: they stay with Asio, and note_deadline() tells of them.
  virtual VirtualTimers* timers() noexcept { return nullptr; }
};

/// For the calling thread; nullptr = the kernel's clocks.
void set_time_source(TimeSource* source) noexcept;
TimeSource* time_source() noexcept;

}  // namespace umbra
