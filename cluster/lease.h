// Leases: how a holder knows that an owner is alive, and how an owner knows that no holder has taken over.
// Both count on their own monotonic clock. The owner counts a promise from when it asked, the holder from
// when it heard: so the one who relies on it stops believing first.
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace umbra::cluster {

/// The owner's side: a holder's promise not to take over before a time.
class Promise {
 public:
  /// `asked_at`: when the beat left; `lease`: what the holder granted. A tenth is kept back for clocks that
  /// drift.
  void granted(MonotonicTime asked_at, Duration lease) {
    until_ = std::max(until_, asked_at + lease - lease / 10);
    if (lease > Duration{0}) asked_at_ = std::max(asked_at_, asked_at);
  }
  void broken() { until_ = asked_at_ = MonotonicTime::min(); }
  [[nodiscard]] bool is_fresh(MonotonicTime now) const { return now < until_; }
  /// Fresh, and given not longer than `span` ago. Who has just been cut off still has a lease, but what it
  /// finishes now it can tell nobody, and is finished again by whoever takes over.
  [[nodiscard]] bool is_recent(MonotonicTime now, Duration span) const {
    return is_fresh(now) && now - span < asked_at_;
  }

 private:
  MonotonicTime asked_at_ = MonotonicTime::min();
  MonotonicTime until_ = MonotonicTime::min();
};

/// The holder's side: watches one owner. Silence counts from the last word heard, and never from before
/// `begin`.
class Watch {
 public:
  /// A hub that has just started takes nothing over before its restart grace has passed.
  void begin(MonotonicTime now, Duration grace) { silent_from_ = now + grace; }
  void heard(MonotonicTime now, Duration lease) {
    heard_at_ = now;
    silent_from_ = std::max(silent_from_, now + lease);
  }
  /// It has come back from where it said it would be for long: from now on as usual.
  void back(MonotonicTime now, Duration lease) {
    heard_at_ = now;
    silent_from_ = now + lease;
  }
  /// This process itself stood still, or was not there: what it did not hear meanwhile says nothing.
  void paused(MonotonicTime now, Duration patience) { silent_from_ = std::max(silent_from_, now + patience); }
  [[nodiscard]] bool is_silent(MonotonicTime now) const { return now >= silent_from_; }
  [[nodiscard]] MonotonicTime silent_from() const { return silent_from_; }
  /// Its last word; nothing: none yet.
  [[nodiscard]] std::optional<MonotonicTime> heard_at() const { return heard_at_; }

 private:
  std::optional<MonotonicTime> heard_at_;
  MonotonicTime silent_from_ = MonotonicTime::max();
};

/// Notices that the process stood still (SIGSTOP, a stalled machine): ticks come every `period`; a gap of
/// more than four is a pause.
class PauseDetector {
 public:
  explicit PauseDetector(Duration period) : period_(period) {}
  /// True when the time since the last tick says that the process stood still.
  bool tick(MonotonicTime now) {
    bool paused = last_ != MonotonicTime::min() && now - last_ > 4 * period_;
    last_ = now;
    return paused;
  }

 private:
  Duration period_;
  MonotonicTime last_ = MonotonicTime::min();
};

}  // namespace umbra::cluster
