// The query of an admin request: "after=5&limit=10". The values of the keys that there are need no
// percent-encoding, so none is understood.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace umbra::hub {

struct QueryPart {
  std::string_view key;
  std::string_view value;               ///< empty where there is no "="
  std::optional<std::uint64_t> number;  ///< the value as one
};

/// Views into `query`.
inline std::vector<QueryPart> split_query(std::string_view query) {
  std::vector<QueryPart> parts;
  while (!query.empty()) {
    auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    auto equals = part.find('=');
    auto value = equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
    parts.push_back({part.substr(0, equals), value, parse_number(value)});
  }
  return parts;
}

}  // namespace umbra::hub
