#include "hub/admin/heard.h"

namespace umbra::hub {

std::optional<Json> parse_heard(const std::string& text) {
  bool is_deep = false;
  // What lies deeper is left out while it is read, so that no deep value is ever built.
  auto take = [&is_deep](int depth, Json::parse_event_t, Json&) {
    is_deep = is_deep || depth > heard_depth_max;
    return depth <= heard_depth_max;
  };
  auto parsed = Json::parse(text, take, false);
  if (is_deep || !parsed.is_object()) return std::nullopt;
  return parsed;
}

}  // namespace umbra::hub
