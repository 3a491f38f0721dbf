// Whether a content filter is asked at all. After failures_max failures on end it is not, so that no message
// waits for a filter that is down; after `retry_after` one message at a time tries whether it is back. Pure:
// the time is passed in.
#pragma once

#include "base/clock.h"

namespace umbra::hub {

class CircuitBreaker {
 public:
  static constexpr unsigned failures_max = 3;

  /// Whether ask() would say true.
  [[nodiscard]] bool may_be_asked(MonotonicTime now) const {
    return !is_open() || (!is_probing_ && now >= next_probe_);
  }
  /// True: ask, then say how it was by succeeded(), failed() or given_up(). False: it is down.
  bool ask(MonotonicTime now) {
    if (!may_be_asked(now)) return false;
    is_probing_ = is_open();
    return true;
  }
  void succeeded() {
    failures_ = 0;
    is_probing_ = false;
  }
  void failed(MonotonicTime now, Duration retry_after) {
    // A conversation that began before the filter was found down says nothing new about it.
    if (is_open() && !is_probing_) return;
    is_probing_ = false;
    if (failures_ < failures_max) ++failures_;
    next_probe_ = now + retry_after;
  }
  /// Neither: the hub gave it up.
  void given_up() { is_probing_ = false; }

  [[nodiscard]] bool is_open() const { return failures_ >= failures_max; }

 private:
  unsigned failures_ = 0;
  bool is_probing_ = false;
  MonotonicTime next_probe_ = MonotonicTime::min();
};

}  // namespace umbra::hub
