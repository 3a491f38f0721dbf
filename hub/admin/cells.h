// Single values of the API's answers as people read them: cells of tables. For the umbra commands' views.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"

namespace umbra::hub {

/// Text of a value, harmless for a terminal; "-" for null.
std::string plain(const nlohmann::ordered_json& value);
/// "90 s", "12 min", "3 h", "5 d".
std::string span_text(std::int64_t seconds);
/// From an RFC 3339 time to `now`, or the other way round; "-" for what is no time.
std::string age(const nlohmann::ordered_json& value, WallTime now, bool ahead = false);
/// Octets: "4.1 KB".
std::string size_text(const nlohmann::ordered_json& octets);

}  // namespace umbra::hub
