// What this process uses, from /proc: for back pressure and for metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace umbra::hub {

/// Resident memory. `root`: where /proc is (tests); nothing: it cannot be read.
std::optional<std::uint64_t> resident_octets(const std::string& root = {});
/// File descriptors that are open, the one with which they are counted included.
std::optional<std::uint64_t> open_descriptors(const std::string& root = {});
/// How many may be (the soft limit).
std::uint64_t descriptors_max();

}  // namespace umbra::hub
