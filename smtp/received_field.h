// A Received field of whatever mail system (RFC 5321 section 4.4, RFC 5322 sections 3.3, 3.6.7 and 4.3), read
// as well as it can be: what is not there or not understood stays empty. Called by smtp/hops.h. Hostile
// input: nothing here fails, recurses or grows beyond the input.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace umbra::smtp {

struct Received {
  std::string from;          ///< what the client called itself
  std::string from_address;  ///< the address literal in the comment behind it, without brackets: "192.0.2.1",
                             ///< "IPv6:2001:db8::1"
  std::string by;
  std::string with;
  std::string id;
  std::string recipient;  ///< "for", without angle brackets
  std::string date;       ///< the text behind the last ";", comments left out
  std::optional<WallTime> time;
  bool operator==(const Received&) const = default;
};

/// `value`: what stands behind the colon, folds included.
Received parse_received(std::string_view value);

/// RFC 5322 date-time, the obsolete forms too: years of two digits, zones by name (unknown ones and military
/// letters are -0000), no seconds, comments. A zone must be there.
std::optional<WallTime> parse_date_time(std::string_view text);

}  // namespace umbra::smtp
