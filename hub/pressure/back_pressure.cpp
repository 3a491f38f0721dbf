#include "hub/pressure/back_pressure.h"

#include <algorithm>

#include "hub/config/domain_pattern.h"

namespace umbra::hub {
namespace {

constexpr std::uint64_t mail_reserve_octets = 500'000'000;
constexpr std::uint64_t checkpoint_octets =
    64ULL << 20;  // storage/group_commit: from here on a checkpoint waits for readers
constexpr std::uint64_t log_reserve_octets = std::min<std::uint64_t>(5'000'000'000, 3 * checkpoint_octets);

bool is_disk(Resource resource) {
  return resource == Resource::disk || resource == Resource::log_disk;
}

PressureMarks marks_of(const PressureConfig& config, Resource resource, std::uint64_t disk_octets) {
  const auto& given = config.*pressure_marks_keys[static_cast<std::size_t>(resource)].marks;
  if (given.high == 0 && is_disk(resource))
    return disk_marks(disk_octets, resource == Resource::disk ? mail_reserve_octets : log_reserve_octets);
  return {static_cast<double>(given.medium), static_cast<double>(given.high),
          static_cast<double>(given.leave_high), static_cast<double>(given.leave_medium)};
}

}  // namespace

BackPressure::BackPressure(const PressureConfig& config, EventLog& log) : config_(config), log_(log) {
  state_.since = WallClock::now();
  for (std::size_t i = 0; i < resources_count; ++i)
    state_.resources.push_back({.resource = static_cast<Resource>(i), .since = state_.since});
}

void BackPressure::take(const Reading& reading) {
  auto highest = PressureLevel::normal;
  auto now = WallClock::now();
  for (auto& one : state_.resources) {
    one.marks = marks_of(config_, one.resource, reading.disk_octets);
    one.value = reading[one.resource];
    auto level = one.value ? next_level(one.level, *one.value, one.marks) : PressureLevel::normal;
    if (level != one.level) {
      log_.line(level > one.level ? LogLevel::warning : LogLevel::info, "pressure",
                {{"resource", to_string(one.resource)},
                 {"level", to_string(level)},
                 {"before", to_string(one.level)},
                 {"value", static_cast<std::int64_t>(one.value.value_or(0))},
                 {"medium", static_cast<std::int64_t>(one.marks.medium)},
                 {"high", static_cast<std::int64_t>(one.marks.high)}});
      one.level = level;
      one.since = now;
    }
    highest = std::max(highest, level);
  }
  if (highest != state_.level) state_.since = now;
  state_.level = highest;
  ramp_.look(highest, config_.history_depth);
}

std::optional<smtp::Reply> BackPressure::refuse(bool is_trusted) const {
  if (state_.level == PressureLevel::high || (ramp_.refuses() && !is_trusted))
    return smtp::Reply{452, "4.3.1", "Insufficient system resources"};
  return std::nullopt;
}

bool BackPressure::trusts(std::string_view client, std::string_view sender, bool may_relay) const {
  if (std::ranges::any_of(config_.trusted_networks,
                          [&](const AddressRange& r) { return r.contains(client); }))
    return true;
  auto at = sender.rfind('@');
  if (!may_relay || at == std::string_view::npos) return false;
  auto domain = sender.substr(at + 1);
  return std::ranges::any_of(config_.trusted_domains,
                             [&](const std::string& named) { return covers(named, domain); });
}

}  // namespace umbra::hub
