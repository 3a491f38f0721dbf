// JSON that another hub has said: hostile until it has passed here. Whoever puts a peer's words into an
// answer of this hub takes them from here; what is in them is still to be looked at.
#pragma once

#include <optional>
#include <string>

#include "hub/admin/report.h"

namespace umbra::hub {

/// What reads, copies or writes JSON goes into it call by call: what nests without a bound would take the
/// whole stack.
inline constexpr int heard_depth_max = 32;

/// An object within which values nest so deep at most. Nothing: the text is none.
std::optional<Json> parse_heard(const std::string& text);

}  // namespace umbra::hub
