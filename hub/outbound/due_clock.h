// The time by which mail is due, ages and expires: the wall clock, but for one that is set back, or far
// ahead. Times in the spool were written by the clock as it was: an hour back, and everything that waits for
// its next attempt would wait an hour more; three days ahead, and every message would expire at once, unless
// every retry came first. Then this clock goes on as it was, until the wall clock is right again. What steps
// forward by no more than the longest wait of the ladder is followed at once (attempts come early), small
// differences always. What a hub writes by it and compares with it is of one clock so, whatever the wall
// says. One per hub, home thread. Over a restart nothing is known of a step: the wall clock is taken at its
// word.
#pragma once

#include <chrono>

#include "base/clock.h"

namespace umbra::hub {

class DueClock {
 public:
  WallTime now() {
    auto monotonic =
        std::chrono::duration_cast<WallClock::duration>(MonotonicClock::now().time_since_epoch());
    auto ahead = WallClock::now().time_since_epoch() - monotonic;
    if (!is_set_ || (ahead >= ahead_ - step_ && ahead <= ahead_ + leap_)) ahead_ = ahead;
    is_set_ = true;
    return WallTime{monotonic + ahead_};
  }

 private:
  static constexpr WallClock::duration step_ = std::chrono::seconds(5);
  static constexpr WallClock::duration leap_ = std::chrono::minutes(10);
  WallClock::duration ahead_{};
  bool is_set_ = false;
};

}  // namespace umbra::hub
