// How short of something a hub is, in three words: felt by hub/pressure, told to other hubs by smtp/, weighed
// by cluster/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace umbra {

enum class PressureLevel : std::uint8_t { normal, medium, high };

inline constexpr std::array<std::string_view, 3> pressure_level_names{"normal", "medium", "high"};

constexpr std::string_view to_string(PressureLevel level) {
  return pressure_level_names[static_cast<std::size_t>(level)];
}

constexpr std::optional<PressureLevel> parse_pressure_level(std::string_view name) {
  for (std::size_t i = 0; i < pressure_level_names.size(); ++i)
    if (pressure_level_names[i] == name) return static_cast<PressureLevel>(i);
  return std::nullopt;
}

}  // namespace umbra
