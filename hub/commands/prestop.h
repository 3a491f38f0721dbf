// `umbra drain --prestop`: what a pod's preStop hook runs before the hub gets SIGTERM.
#pragma once

#include <string>

namespace umbra::hub {

/// Where a pod stands in its StatefulSet: `name` is the pod's ("umbra-2"), `set` the object of GET
/// .../statefulsets/NAME as JSON. True: the set wants fewer pods than would have this one, and some. False:
/// it stays, the whole set goes, or that cannot be told.
bool is_scaled_away(const std::string& name, const std::string& set);

/// Leaves where the StatefulSet is scaled down past this pod, drains in every other case; joins an order that
/// is under way already. Ends at UMBRA_PRESTOP_DEADLINE (default 180s) at the latest, and always with exit
/// code 0: a hook that fails or loops gets its pod killed in the middle of what it was for. The last line
/// says what came of it, also in UMBRA_TERMINATION_LOG (default /dev/termination-log, where there is one).
///
/// Environment: UMBRA_HUB_NAME (the pod's name), UMBRA_STATEFULSET and UMBRA_NAMESPACE to ask the API server
/// by, as the pod's service account; without them, or without an answer within 5 s, it drains.
int run_prestop(const std::string& socket);

}  // namespace umbra::hub
