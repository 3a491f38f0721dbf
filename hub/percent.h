// Percent-coding of the values in queries and paths (RFC 3986 section 2.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace umbra::hub {

/// Everything but letters, digits and `.-_@`.
std::string percent_encoded(std::string_view text);
/// Nothing: not in that form. A "+" is a plus.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace umbra::hub
