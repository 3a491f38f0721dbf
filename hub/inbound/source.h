// What clients are counted by: an IPv4 address, or the /64 of an IPv6 one, which is what one customer has at
// the least.
#pragma once

#include <string>
#include <string_view>

#include "hub/config/config.h"

namespace umbra::hub {

/// A key for maps; the same for all ways to write an address. What is no address is its own source.
inline std::string source_of(std::string_view address) {
  auto range = AddressRange::parse(address.substr(0, address.find('%')));
  if (!range) return std::string(address);
  return {reinterpret_cast<const char*>(range->first.data()), range->is_ipv4() ? 16U : 8U};
}

}  // namespace umbra::hub
