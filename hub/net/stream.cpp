#include "hub/net/stream.h"

namespace umbra::hub {

std::string to_string(const Endpoint& endpoint) {
  bool is_ipv6 = endpoint.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

struct Watchdog::State {
  State(asio::io_context& io, Stream& s) : timer(io), stream(&s) {}
  Timer timer;
  Stream* stream;  // null once the Watchdog is gone
  MonotonicTime deadline = MonotonicTime::max();
  MonotonicTime armed_for = MonotonicTime::max();
  bool fired = false;

  static void arm(const std::shared_ptr<State>& state) {
    state->armed_for = state->deadline;
    state->timer.call_at(state->deadline, [state](bool came) {
      if (!came || state->stream == nullptr) return;
      state->armed_for = MonotonicTime::max();
      if (MonotonicClock::now() < state->deadline) {
        if (state->deadline != MonotonicTime::max()) arm(state);
        return;
      }
      state->fired = true;
      state->stream->close();
    });
  }
};

Watchdog::Watchdog(asio::io_context& io, Stream& stream) : state_(std::make_shared<State>(io, stream)) {}

Watchdog::~Watchdog() {
  state_->stream = nullptr;
  state_->timer.cancel();
}

void Watchdog::expires_at(MonotonicTime deadline) {
  state_->deadline = deadline;
  if (deadline < state_->armed_for) State::arm(state_);
}

bool Watchdog::fired() const {
  return state_->fired;
}

}  // namespace umbra::hub
