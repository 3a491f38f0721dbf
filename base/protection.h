// How many copies a message must have on other hubs, and where: what its receive connector asked for. It goes
// with the message (base/envelope.h), so that every later owner knows when the message is unprotected.
#pragma once

#include <cstdint>

namespace umbra {

/// Zones are names that operators give to what may fail as a whole (a rack, a room, a site).
enum class ZonePreference : std::uint8_t {
  prefer_other_zone,  ///< another zone than the owner's if one can be reached
  only_other_zone,    ///< a copy in the owner's zone does not count as protection: none is made there
  any
};

struct Protection {
  static constexpr std::uint8_t copies_max = 7;

  std::uint8_t copies = 1;  ///< besides the owner's own; 0: none are asked for
  ZonePreference zones = ZonePreference::prefer_other_zone;
  bool operator==(const Protection&) const = default;
};

}  // namespace umbra
