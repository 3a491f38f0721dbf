// A hand-over of which the giver does not know how it ended: the connection broke, or one of the two hubs
// died. Who owns the message? Pure: answers in, decision out. docs/xshadow.md section 12 gives the rules and
// their reasons.
#pragma once

#include <optional>
#include <span>

#include "cluster/ownership.h"

namespace umbra::cluster {

struct HandOverDecision {
  enum class What : std::uint8_t {
    wait,    ///< nothing is known yet: ask again
    own,     ///< the receiver does not have it, and never will from this offer: ours, as before
    follow,  ///< `hub` owns it under `generation`: keep it as that hub's shadow
    finish   ///< it is done: `hub` said so
  };
  What what = What::wait;
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  Generation generation;
};

struct Receiver {
  std::string hub;
  SpoolId spool;
  Epoch epoch;           ///< of its run that was offered the message, or of the one that answers
  bool is_gone = false;  ///< silent for longer than its lease, or its spool was replaced; and it was fenced
  std::optional<Answer> answer;  ///< to XBACK: from then on it refuses the offer
};

/// `own`: the generation in the giver's spool; the receiver was offered the next one. `others`: what the
/// other hubs answered, asked only when they may know more (the giver was restarted meanwhile, or the
/// receiver is gone).
HandOverDecision decide_hand_over(Generation own, const Receiver& receiver, std::span<const Answer> others);

}  // namespace umbra::cluster
