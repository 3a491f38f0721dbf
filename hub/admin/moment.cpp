#include "hub/admin/moment.h"

#include <ctime>

#include "base/iso_time.h"
#include "hub/config/units.h"

namespace umbra::hub {

std::optional<WallTime> parse_moment(const std::string& text) {
  if (auto time = parse_iso_time(text)) return time;
  for (const char* form :
       {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return WallTime(std::chrono::seconds(::timegm(&parts)));
  }
  auto ago = parse_duration(text);
  if (!ago) return std::nullopt;
  return WallClock::now() - std::chrono::duration_cast<WallClock::duration>(*ago);
}

}  // namespace umbra::hub
