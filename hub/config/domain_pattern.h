// "example.com", "*.example.com" (any domain below it) or "*" (every domain), as lists of domains have them
// in the configuration.
#pragma once

#include <string_view>

#include "smtp/address.h"

namespace umbra::hub {

/// Domains compare without case.
inline bool covers(std::string_view pattern, std::string_view domain) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return smtp::equals_ignoring_case(pattern, domain);
  pattern.remove_prefix(1);
  return domain.size() > pattern.size() &&
         smtp::equals_ignoring_case(domain.substr(domain.size() - pattern.size()), pattern);
}

}  // namespace umbra::hub
