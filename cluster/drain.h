// Pause, drain and leave as one state machine: which state follows from what is left, and what ends it. Pure:
// a view of the hub in, the next state out. hub/drain does what the states say.
//
//   active -> unready -> closing -> paused | handing_over -> drained | left | incomplete
//   undrain: back to active
//
//   unready       readiness says no, mail is still taken: load balancers look before clients are turned away
//   closing       the other hubs were told, then clients get 421 4.3.2 between two transactions
//   handing_over  mail goes to other hubs
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace umbra::cluster {

enum class DrainVerb : std::uint8_t {
  pause,  ///< take no mail; deliver what is here
  drain,  ///< be safe to stop for a while: identity and disk stay
  leave   ///< hand everything over: the disk may go
};
std::string_view to_string(DrainVerb verb);
std::optional<DrainVerb> parse_drain_verb(std::string_view text);

enum class DrainState : std::uint8_t {
  active,
  unready,
  closing,
  handing_over,
  paused,
  drained,
  incomplete,
  left
};
std::string_view to_string(DrainState state);

struct DrainOrder {
  DrainVerb verb = DrainVerb::drain;
  Duration return_within = std::chrono::seconds{300};  ///< drain: holders do not take over before
  Duration deadline = std::chrono::seconds{180};       ///< then it ends as incomplete
  Duration unready_wait = std::chrono::seconds{5};
  std::uint64_t rate = 2000;    ///< messages handed over per second, at most
  std::vector<std::string> to;  ///< only to these hubs; empty: to any
};

/// What is left, at one moment.
struct DrainView {
  MonotonicTime now{};
  std::uint64_t sessions = 0;  ///< of clients
  std::uint64_t queue = 0;     ///< messages owned here
  std::uint64_t due = 0;       ///< of these, what is to be tried now; and what is being handed over
  std::uint64_t unprotected =
      0;  ///< of these, without another copy that is known to be there: what only silent hubs hold counts
  std::uint64_t shadows = 0;  ///< held for other hubs
  std::uint64_t shadows_nobody_else_can_hold = 0;
  std::uint64_t outbox =
      0;  ///< drain: owed to hubs that can be reached; leave: owed to anybody who is not gone for good
  std::size_t targets = 0;  ///< hubs that may be handed mail
};

class Drain {
 public:
  [[nodiscard]] DrainState state() const { return state_; }
  [[nodiscard]] const DrainOrder& order() const { return order_; }
  [[nodiscard]] MonotonicTime began() const { return began_; }
  [[nodiscard]] MonotonicTime entered() const { return entered_; }  ///< the present state
  /// Why it is incomplete.
  [[nodiscard]] const std::string& why() const { return why_; }

  [[nodiscard]] bool is_over() const {
    return state_ == DrainState::paused || state_ == DrainState::drained ||
           state_ == DrainState::incomplete || state_ == DrainState::left;
  }
  [[nodiscard]] bool is_ready() const { return state_ == DrainState::active; }
  /// Clients are let in.
  [[nodiscard]] bool takes_mail() const {
    return state_ == DrainState::active || state_ == DrainState::unready;
  }
  /// The other hubs know, and place no copies here.
  [[nodiscard]] bool is_announced() const { return !takes_mail() && order_.verb != DrainVerb::pause; }

  /// Nothing, or why not.
  std::optional<std::string> begin(DrainOrder order, MonotonicTime now);
  void cancel(MonotonicTime now);
  /// True when the state is another one now.
  bool step(const DrainView& view);
  /// What still has to go for this order.
  [[nodiscard]] std::uint64_t remaining(const DrainView& view) const;

 private:
  void enter(DrainState state, MonotonicTime now);
  bool end_incomplete(std::string why, MonotonicTime now);

  DrainState state_ = DrainState::active;
  DrainOrder order_;
  MonotonicTime began_{};
  MonotonicTime entered_{};
  std::optional<MonotonicTime> without_targets_since_;
  std::string why_;
};

/// What a script learns from the exit code: 0 drained or left (or paused), 3 work is left but each message
/// has another copy, 4 work is left and some of it has none, 6 cancelled. (5, refused, is said before
/// anything begins.)
int exit_code(DrainState state, std::uint64_t unprotected);

}  // namespace umbra::cluster
