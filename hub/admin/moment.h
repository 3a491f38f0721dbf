// A moment as an operator writes it on a command line.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"

namespace umbra::hub {

/// "2026-11-27T02:00:00Z", with a fraction or a zone too, "2026-11-27 02:00" (UTC), "2026-11-27", "2h" (ago).
std::optional<WallTime> parse_moment(const std::string& text);

}  // namespace umbra::hub
