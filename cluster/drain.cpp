#include "cluster/drain.h"

#include <algorithm>
#include <array>

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;

/// Clients that neither end nor send anything are not waited for any longer; their sessions end by their own
/// deadlines.
constexpr Duration closing_wait = 12s;
/// A hub that restarts is back after less.
constexpr Duration targets_wait = 2s;

constexpr std::array<std::string_view, 3> verbs = {"pause", "drain", "leave"};
constexpr std::array<std::string_view, 8> states = {"active", "unready", "closing",    "handing_over",
                                                    "paused", "drained", "incomplete", "left"};

}  // namespace

std::string_view to_string(DrainVerb verb) {
  return verbs[static_cast<std::size_t>(verb)];
}
std::string_view to_string(DrainState state) {
  return states[static_cast<std::size_t>(state)];
}

std::optional<DrainVerb> parse_drain_verb(std::string_view text) {
  for (std::size_t i = 0; i < verbs.size(); ++i)
    if (verbs[i] == text) return static_cast<DrainVerb>(i);
  return std::nullopt;
}

void Drain::enter(DrainState state, MonotonicTime now) {
  state_ = state;
  entered_ = now;
}

std::optional<std::string> Drain::begin(DrainOrder order, MonotonicTime now) {
  if (state_ == DrainState::left) return "this hub has left; start it anew, or undrain it";
  bool is_under_way = state_ != DrainState::active && !is_over();
  if (is_under_way && order.verb != order_.verb)
    return "a " + std::string(to_string(order_.verb)) + " is under way: undrain first";
  if (is_under_way) {  // the same again: with the new limits, from where it is
    order_ = std::move(order);
    began_ = now;
    return std::nullopt;
  }
  bool is_closed = is_over();
  order_ = std::move(order);
  began_ = now;
  why_.clear();
  without_targets_since_.reset();
  // Closed already: nobody has to be given time again.
  enter(is_closed ? DrainState::closing : DrainState::unready, now);
  return std::nullopt;
}

void Drain::cancel(MonotonicTime now) {
  why_.clear();
  enter(DrainState::active, now);
}

bool Drain::end_incomplete(std::string why, MonotonicTime now) {
  why_ = std::move(why);
  enter(DrainState::incomplete, now);
  return true;
}

std::uint64_t Drain::remaining(const DrainView& view) const {
  switch (order_.verb) {
    case DrainVerb::pause:
      return view.sessions;
    case DrainVerb::drain:
      return std::max(view.due, view.unprotected) + view.outbox;
    case DrainVerb::leave:
      return view.queue + view.shadows + view.outbox;
  }
  return 0;
}

bool Drain::step(const DrainView& view) {
  switch (state_) {
    case DrainState::unready:
      if (view.now < entered_ + order_.unready_wait) return false;
      enter(DrainState::closing, view.now);
      return true;
    case DrainState::closing:
      if (view.sessions != 0 && view.now < entered_ + closing_wait) return false;
      enter(order_.verb == DrainVerb::pause ? DrainState::paused : DrainState::handing_over, view.now);
      return true;
    case DrainState::handing_over:
      break;
    default:
      return false;
  }
  // A client whose message is still being made safe: it is mail of this hub in a moment.
  if (remaining(view) == 0 && view.sessions == 0) {
    enter(order_.verb == DrainVerb::leave ? DrainState::left : DrainState::drained, view.now);
    return true;
  }
  if (view.now >= began_ + order_.deadline) return end_incomplete("the deadline has passed", view.now);
  if (view.targets != 0) {
    without_targets_since_.reset();
  } else {
    if (!without_targets_since_) without_targets_since_ = view.now;
    if (view.now >= *without_targets_since_ + targets_wait)
      return end_incomplete("no other hub is active: the mail stays here", view.now);
  }
  bool is_only_holder = order_.verb == DrainVerb::leave && view.queue == 0 && view.outbox == 0 &&
                        view.shadows != 0 && view.shadows_nobody_else_can_hold == view.shadows;
  if (is_only_holder)
    return end_incomplete(
        "no other hub can hold the copies that are held here: this hub stays their holder until it is gone",
        view.now);
  return false;
}

int exit_code(DrainState state, std::uint64_t unprotected) {
  switch (state) {
    case DrainState::drained:
    case DrainState::left:
    case DrainState::paused:
      return 0;
    case DrainState::active:
      return 6;
    default:
      return unprotected == 0 ? 3 : 4;
  }
}

}  // namespace umbra::cluster
