// What a hub is short of, as an operator sees it. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "hub/pressure/level.h"

namespace umbra::hub {

enum class Resource : std::uint8_t {
  disk,            ///< percent of the spool's file system used, marks for the mail
  log_disk,        ///< the same, marks for the write-ahead log
  inodes,          ///< percent used
  wal,             ///< octets of the write-ahead log
  waiting_writes,  ///< operations that no commit has taken yet
  commit_latency,  ///< milliseconds that the last commit took
  process_memory,  ///< percent of what the process may use (its cgroup's limit, or the machine's memory)
  system_memory,   ///< percent in use
  queue,           ///< messages
  descriptors      ///< percent of the file descriptors the process may open
};
inline constexpr std::size_t resources_count = 10;
std::string_view to_string(Resource resource);

/// One resource as of the last look.
struct ResourceState {
  Resource resource{};
  PressureLevel level = PressureLevel::normal;
  WallTime since{};
  std::optional<double> value = {};  ///< none: it cannot be told here
  PressureMarks marks = {};
};

struct PressureState {
  PressureLevel level = PressureLevel::normal;  ///< the highest of all resources
  WallTime since{};
  std::vector<ResourceState> resources = {};
  /// Those at this level, "disk, wal"; empty at normal.
  [[nodiscard]] std::string cause() const;
};

}  // namespace umbra::hub
