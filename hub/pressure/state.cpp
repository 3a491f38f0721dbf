#include "hub/pressure/state.h"

#include <array>

namespace umbra::hub {

std::string_view to_string(Resource resource) {
  constexpr std::array<std::string_view, resources_count> names = {"disk",           "log_disk",       "inodes",        "wal",   "waiting_writes",
                                                                   "commit_latency", "process_memory", "system_memory", "queue", "descriptors"};
  return names[static_cast<std::size_t>(resource)];
}

std::string PressureState::cause() const {
  std::string names;
  if (level == PressureLevel::normal) return names;
  for (const auto& one : resources)
    if (one.level == level) names.append(names.empty() ? "" : ", ").append(to_string(one.resource));
  return names;
}

}  // namespace umbra::hub
