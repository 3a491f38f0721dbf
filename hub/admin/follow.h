// The operator's side of an answer of the admin API that goes on: one request over the Unix socket, line
// after line as they come. Blocks; for `umbra watch` only.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>

#include "hub/admin/client.h"

namespace umbra::hub {

/// Until the hub ends the answer, or `take_line` returns false; a line is without its line end. The error: no
/// hub answered (status 0), it refused, or it went away in the middle (status 200).
std::expected<void, AdminRefusal> follow_hub(const std::string& socket, const std::string& target,
                                             const std::function<bool(std::string_view)>& take_line);

}  // namespace umbra::hub
