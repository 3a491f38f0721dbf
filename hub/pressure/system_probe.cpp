#include "hub/pressure/system_probe.h"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>

#include "hub/pressure/own_process.h"

namespace umbra::hub {
namespace {

std::optional<std::uint64_t> number_in(const std::string& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // not there, or "max"
}

/// "<name>:   <kilobytes> kB"
std::optional<std::uint64_t> meminfo(const std::string& file, std::string_view name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    auto from = line.find_first_of("0123456789", name.size());
    std::uint64_t kilobytes = 0;
    if (from == std::string::npos ||
        std::from_chars(line.data() + from, line.data() + line.size(), kilobytes).ec != std::errc{})
      return std::nullopt;
    return kilobytes * 1024;
  }
  return std::nullopt;
}

/// The lowest limit of the groups that the process is in, and of those above.
std::optional<std::uint64_t> memory_limit(const std::string& root) {
  std::optional<std::uint64_t> lowest;
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    auto first = line.find(':');
    auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    bool is_v2 = controllers == ",,";
    if (!is_v2 && !controllers.contains(",memory,")) continue;
    std::filesystem::path top = root + (is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    auto group = top / std::filesystem::path(line.substr(second + 1)).relative_path();
    while (true) {
      if (auto limit = number_in((group / (is_v2 ? "memory.max" : "memory.limit_in_bytes")).string()))
        lowest = std::min(lowest.value_or(*limit), *limit);
      if (group == top || !group.has_relative_path()) break;
      group = group.parent_path();
    }
  }
  return lowest;
}

double percent(double part, double whole) {
  return 100 * part / whole;
}

}  // namespace

SystemProbe::SystemProbe(std::string directory, std::string root)
    : directory_(std::move(directory)), root_(std::move(root)), memory_limit_(memory_limit(root_)) {}

Reading SystemProbe::read() {
  Reading reading;
  read_disk(reading);
  read_memory(reading);
  read_descriptors(reading);
  return reading;
}

void SystemProbe::read_disk(Reading& reading) const {
  struct statvfs disk{};
  if (::statvfs(directory_.c_str(), &disk) != 0 || disk.f_blocks == 0) return;
  reading.disk_octets = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
  reading[Resource::disk] = reading[Resource::log_disk] =
      100 - percent(static_cast<double>(disk.f_bavail), static_cast<double>(disk.f_blocks));
  if (disk.f_files != 0)
    reading[Resource::inodes] =
        100 - percent(static_cast<double>(disk.f_favail), static_cast<double>(disk.f_files));
}

void SystemProbe::read_memory(Reading& reading) const {
  auto total = meminfo(root_ + "/proc/meminfo", "MemTotal:");
  auto available = meminfo(root_ + "/proc/meminfo", "MemAvailable:");
  if (total && available && *total != 0)
    reading[Resource::system_memory] =
        100 - percent(static_cast<double>(*available), static_cast<double>(*total));
  const auto resident = resident_octets(root_);
  auto most = std::min(total.value_or(std::numeric_limits<std::uint64_t>::max()),
                       memory_limit_.value_or(std::numeric_limits<std::uint64_t>::max()));
  if (!resident || most == 0 || most == std::numeric_limits<std::uint64_t>::max()) return;
  reading[Resource::process_memory] = percent(static_cast<double>(*resident), static_cast<double>(most));
}

void SystemProbe::read_descriptors(Reading& reading) const {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == 0) return;
  if (const auto open = open_descriptors(root_))
    reading[Resource::descriptors] = percent(static_cast<double>(*open), static_cast<double>(limit.rlim_cur));
}

}  // namespace umbra::hub
