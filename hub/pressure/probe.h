// What a hub can be short of, as PressureWatch reads it every two seconds. The machine's own figures come
// from SystemProbe; a test gives others.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "hub/pressure/state.h"

namespace umbra::hub {

/// Nothing: it cannot be told here.
struct Reading {
  std::array<std::optional<double>, resources_count> values;
  std::uint64_t disk_octets = 0;  ///< size of the spool's file system
  [[nodiscard]] std::optional<double>& operator[](Resource r) { return values[static_cast<std::size_t>(r)]; }
  [[nodiscard]] const std::optional<double>& operator[](Resource r) const {
    return values[static_cast<std::size_t>(r)];
  }
};

class PressureProbe {
 public:
  virtual ~PressureProbe() = default;
  /// What the machine says. The spool's own figures are filled in by the watch.
  virtual Reading read() = 0;
};

}  // namespace umbra::hub
