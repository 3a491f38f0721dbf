// Looks fields up in the header section of a message (RFC 5322 section 2.2), for logs: takes whatever comes,
// in one pass over the header.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace umbra::smtp {

struct WantedField {
  std::string_view name;  ///< compared without regard to case
  std::string* value;     ///< becomes the first one's, unfolded, without blanks at its ends, cut at
                          ///< header_search_octets_max
};

inline constexpr std::size_t header_search_octets_max = 998;

/// `front`: the message, or its first octets. What is not there stays as it is.
void find_fields(std::string_view front, std::initializer_list<WantedField> wanted);

}  // namespace umbra::smtp
