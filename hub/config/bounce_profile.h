// The bounce profiles that routes name: those of the file, and two that need not be written.
#pragma once

#include <string_view>

#include "hub/config/config.h"

namespace umbra::hub {

/// One of the file, else "exchange" (what `delivery` is by default) or "esa" (the defaults of that appliance:
/// the waits min(60 * 2^n, 3600) s, 100 retries or 72 hours, no warning). nullptr: there is none of that
/// name.
const BounceProfileConfig* find_bounce_profile(const Config& config, std::string_view name);

/// That of the mail that goes by a route: what the route names, else that of `delivery`. Without a route: the
/// same.
const BounceProfileConfig& bounce_profile_of(const Config& config, const RouteConfig* route);

}  // namespace umbra::hub
