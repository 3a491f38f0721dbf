#include "hub/pressure/state.h"

#include "hub/config/config.h"

namespace umbra::hub {

std::string_view to_string(Resource resource) {
  static_assert(pressure_marks_keys.size() == resources_count);
  return pressure_marks_keys[static_cast<std::size_t>(resource)].name;
}

std::string PressureState::cause() const {
  std::string names;
  if (level == PressureLevel::normal) return names;
  for (const auto& one : resources)
    if (one.level == level) names.append(names.empty() ? "" : ", ").append(to_string(one.resource));
  return names;
}

}  // namespace umbra::hub
