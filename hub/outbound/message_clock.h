// What the clock alone brings for a message, by the bounce profiles of its destinations: the warning of a
// delay, and the end. A message expires as a whole (Envelope::expires_at) when the longest of its profiles
// says so; recipients of a shorter one, by as much earlier. Pure.
#pragma once

#include <vector>

#include "hub/outbound/router.h"
#include "hub/suspension/suspensions.h"

namespace umbra::hub {

/// When a message that is accepted at `accepted_at` expires: by the longest profile of its destinations.
WallTime expiry_of(const Config& config, const Router& router, const Envelope& envelope,
                   WallTime accepted_at);

/// When a new message must be looked at even if nothing is tried: its first warning or end. `envelope` has
/// its times.
WallTime first_alarm_of(const Config& config, const Router& router, const Envelope& envelope);

/// What is due of a message whose alarm rings, by index of its recipients.
struct DueByClock {
  std::vector<bool> expired;
  std::vector<bool> delayed;  ///< to be warned of; of a null sender none
  bool has_expired = false;
  bool has_delayed = false;
  bool is_all = true;               ///< every pending recipient has expired
  WallTime next = WallTime::max();  ///< when the rest is due
};
/// Warnings before `message.alarm_at` were given already. Mail does not age while its delivery is suspended
/// (`suspensions`; null: never), nor on hold
/// (`held_for`: how long it was).
DueByClock due_by_clock(const Config& config, const Router& router, const Suspensions* suspensions,
                        const storage::StoredMessage& message, Duration held_for, WallTime now);

}  // namespace umbra::hub
