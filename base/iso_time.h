// Times as text for fields and records that people and programs read: ISO 8601 in UTC (RFC 3339).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace umbra {

/// "2026-11-27T23:10:00.123Z". Before 1970 and after 9999: the nearest time that can be written.
std::string iso_time(WallTime time);
/// The same with microseconds: "2026-11-27T23:10:00.123456Z".
std::string iso_time_microseconds(WallTime time);

/// The same, with any number of digits of a second or none (what is below a microsecond is cut off), and "Z"
/// or a zone offset "+hh:mm" behind it. Hostile until parsed.
std::optional<WallTime> parse_iso_time(std::string_view text);

}  // namespace umbra
