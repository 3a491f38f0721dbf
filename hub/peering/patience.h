// Whether it is worth waiting for a hub to which a copy could go: it would take one, but for its promise,
// which is late. That passes in a moment (a hub that is busy for a second, a session that is being opened
// again), and is no reason for a 451 while there is time left.
#pragma once

#include <algorithm>
#include <vector>

#include "hub/peering/members.h"

namespace umbra::hub {

inline constexpr Duration patience_pause = std::chrono::milliseconds{50};

/// `but`: those that hold it already, or were tried. Nor is it worth while for a hub in a zone where the copy
/// may not be.
inline bool is_a_copy_worth_waiting_for(const Members& members, const Config& config,
                                        const Protection& protection,
                                        const std::vector<storage::Holder>& but) {
  auto now = MonotonicClock::now();
  auto own_zone = config.cluster.own_zone(config.hub_name);
  return std::ranges::any_of(members.all(), [&](const auto& member) {
    bool is_out = std::ranges::any_of(but, [&](const auto& holder) {
      return holder.hub == member->name() && holder.state == storage::Holder::State::holds;
    });
    bool is_too_near = protection.zones == ZonePreference::only_other_zone && member->zone == own_zone;
    return !is_out && !is_too_near && member->data->is_open() && member->identity &&
           !member->promise.is_fresh(now) && !member->is_refused && member->state == smtp::HubState::active &&
           now >= member->refuses_copies_until;
  });
}

}  // namespace umbra::hub
