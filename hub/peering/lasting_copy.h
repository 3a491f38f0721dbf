// Which copies stay: asked before another one is let go.
#pragma once

#include "hub/peering/members.h"

namespace umbra::hub {

/// Its holder has said that it holds it, is there, and neither leaves nor has left. (Being drained it is back soon.)
inline bool is_lasting_copy(Members& members, const storage::Holder& holder) {
  auto* member = holder.state == storage::Holder::State::holds ? members.find(holder.hub) : nullptr;
  bool is_there = member != nullptr && member->identity && member->identity->spool == holder.spool && !members.is_silent(*member);
  return is_there && (member->state == smtp::HubState::active || member->state == smtp::HubState::draining);
}

}  // namespace umbra::hub
