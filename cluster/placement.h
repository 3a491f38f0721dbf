// Which hub is offered a copy: of those that can take one, the message's next hop; else the one that suits
// the zones best; of these, the companions (companions.h), and the one with least copies under way; among
// equals, in turn. A hub whose own clients may not send so large a message comes last, the next hop too. A
// hub under pressure is spared while there is another: at high whatever the zones say, at medium one that
// suits the zones as well.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/pressure_level.h"
#include "base/protection.h"

namespace umbra::cluster {

struct Candidate {
  std::string hub;
  bool is_reachable = false;  ///< an authenticated session is open and its promise is fresh
  bool is_refusing = false;   ///< it has just said that it cannot take copies (disk full)
  std::size_t under_way = 0;
  std::string zone = {};     ///< empty: not said, which is a zone like any other
  bool is_next_hop = false;  ///< the message goes there next: a copy there is the body it needs
  bool is_companion = true;  ///< false: of a large cluster, one with which copies are exchanged only where no
                             ///< companion can take them
  bool is_too_small = false;  ///< its operator wants no message of that size: only where there is no other
  PressureLevel pressure = PressureLevel::normal;  ///< as it has told
};

/// Where a copy may go. The default: anywhere.
struct ZoneWish {
  ZonePreference preference = ZonePreference::any;
  std::string own;                 ///< the owner's
  std::vector<std::string> taken;  ///< of the copies that there are, or are being made
};

class Placement {
 public:
  /// Index into `candidates`; nothing when none of them can take a copy. `excluded` are hub names.
  std::optional<std::size_t> choose(std::span<const Candidate> candidates,
                                    std::span<const std::string> excluded, const ZoneWish& wish = {});

 private:
  std::size_t turn_ = 0;
};

}  // namespace umbra::cluster
