// What the `umbra` commands print for people: the API's JSON as short tables. Everything that came from the
// network is made harmless for a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "hub/admin/table.h"

namespace umbra::hub {

/// Control characters (an escape sequence in an address) become "?".
std::string without_controls(std::string text);

/// `now` is for ages ("3 min").
std::string status_view(const nlohmann::ordered_json& status, WallTime now, const Screen& screen = {});
std::string suspensions_view(const nlohmann::ordered_json& answer, WallTime now);
std::string peers_view(const nlohmann::ordered_json& answer, const Screen& screen = {});
std::string queue_view(const nlohmann::ordered_json& answer, WallTime now, const Screen& screen = {});
std::string message_view(const nlohmann::ordered_json& message, const Screen& screen = {});
/// What came of a reload.
std::string reload_view(const nlohmann::ordered_json& answer, const Screen& screen = {});
std::string shadows_view(const nlohmann::ordered_json& answer, WallTime now, const Screen& screen = {});

}  // namespace umbra::hub
