// The time by which mail is due: the wall clock, but for a wall clock that is set back. Due times were written by the clock as it
// was: an hour back, and everything that waits for its next attempt would wait an hour more. What steps forward is followed
// at once (attempts come early), small differences always. One per hub, home thread. Over a restart nothing is known of a
// step: then mail that was put off before it waits until the wall clock says so.
#pragma once

#include <chrono>

#include "base/clock.h"

namespace umbra::hub {

class DueClock {
 public:
  WallTime now() {
    auto monotonic = std::chrono::duration_cast<WallClock::duration>(MonotonicClock::now().time_since_epoch());
    auto ahead = WallClock::now().time_since_epoch() - monotonic;
    if (!is_set_ || ahead >= ahead_ - step_) ahead_ = ahead;
    is_set_ = true;
    return WallTime{monotonic + ahead_};
  }

 private:
  static constexpr WallClock::duration step_ = std::chrono::seconds(5);
  WallClock::duration ahead_{};
  bool is_set_ = false;
};

}  // namespace umbra::hub
