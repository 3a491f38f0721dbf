// A deadline that is moved often and passes rarely: moving it later costs a comparison, because its one timer
// looks again when it fires early. Like Watchdog of hub/net/stream.h, but the owner decides what happens (a
// session says 421 before it closes).
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "hub/net/task.h"

namespace umbra::hub {

class Deadline {
 public:
  /// `passed` is called on the io thread each time a deadline passes; never after the Deadline is gone.
  Deadline(asio::io_context& io, std::move_only_function<void()> passed)
      : state_(std::make_shared<State>(io, std::move(passed))) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() {
    state_->passed = nullptr;
    state_->timer.cancel();
  }

  void set(MonotonicTime when) {
    state_->when = when;
    if (when < state_->armed_for) State::arm(state_);
  }
  void clear() { state_->when = MonotonicTime::max(); }

 private:
  struct State {
    State(asio::io_context& io, std::move_only_function<void()> p) : timer(io), passed(std::move(p)) {}
    Timer timer;
    std::move_only_function<void()> passed;  // empty once the Deadline is gone
    MonotonicTime when = MonotonicTime::max();
    MonotonicTime armed_for = MonotonicTime::max();

    static void arm(const std::shared_ptr<State>& state) {
      state->armed_for = state->when;
      state->timer.call_at(state->when, [state](bool came) {
        if (!came || !state->passed) return;
        state->armed_for = MonotonicTime::max();
        if (state->when == MonotonicTime::max()) return;
        if (MonotonicClock::now() < state->when) return arm(state);
        state->when = MonotonicTime::max();
        state->passed();
      });
    }
  };
  std::shared_ptr<State> state_;
};

}  // namespace umbra::hub
