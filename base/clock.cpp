#include "base/clock.h"

namespace umbra {
namespace {
thread_local TimeSource* current_source = nullptr;
}

void set_time_source(TimeSource* source) noexcept {
  current_source = source;
}
TimeSource* time_source() noexcept {
  return current_source;
}

MonotonicTime MonotonicClock::now() noexcept {
  if (current_source != nullptr) return current_source->monotonic();
  return MonotonicTime{
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

WallTime WallClock::now() noexcept {
  if (current_source != nullptr) return current_source->wall();
  return WallTime{std::chrono::duration_cast<duration>(std::chrono::system_clock::now().time_since_epoch())};
}

}  // namespace umbra
