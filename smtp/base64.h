// Base 64 as SASL uses it in SMTP (RFC 4648 section 4, RFC 4954 section 4): one canonical spelling of each
// string of octets, everything else is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace umbra::smtp {

std::string encode_base64(std::string_view octets);
/// Nothing: other characters, blanks, missing or superfluous padding, or bits behind the last octet that are
/// not zero.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace umbra::smtp
