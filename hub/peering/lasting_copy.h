// Which copies stay: asked before another one is let go.
#pragma once

#include "hub/peering/members.h"

namespace umbra::hub {

/// Its holder has said that it holds it, is there, and neither leaves nor has left. (Being drained it is back
/// soon.) There is who was heard within a lease, or has answered: when machines are slow, one of the two
/// directions may be late.
inline bool is_lasting_copy(Members& members, const storage::Holder& holder) {
  auto* member = holder.state == storage::Holder::State::holds ? members.find(holder.hub) : nullptr;
  if (member == nullptr || !member->identity || member->identity->spool != holder.spool) return false;
  bool is_there = !members.is_silent(*member) || members.promise_is_fresh(holder);
  return is_there && (member->state == smtp::HubState::active || member->state == smtp::HubState::draining);
}

}  // namespace umbra::hub
