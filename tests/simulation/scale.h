// What a cluster of so many hubs costs each of them: the same mail per hub, nothing goes wrong, and what goes
// over the wire between hubs is counted. It is there to see what grows with the number of hubs.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "hub/config/config.h"

namespace umbra::simulation {

/// Per hub and second, over the measured time.
struct ScaleResult {
  int hubs = 0;
  double messages = 0;         ///< accepted
  double beats = 0;            ///< sent
  double discards = 0;         ///< sent
  double shadows = 0;          ///< stored
  double octets = 0;           ///< sent to other hubs
  double octets_of_beats = 0;  ///< of these: what an idle cluster of this size sends
  double sessions = 0;         ///< open ones, in either direction, per hub (not per second)
  bool ok = false;             ///< every message was delivered once
};

ScaleResult measure_scale(int hubs, hub::OwnershipMode ownership, Duration span);

}  // namespace umbra::simulation
