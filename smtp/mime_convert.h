// 8-bit mail for a next hop without 8BITMIME (RFC 6152 section 3, RFC 2045): the body becomes
// quoted-printable or base64, whichever is shorter. Used where a route says `eight_bit: convert`.
//
// Converted is a message whose header is ASCII and whose body is one part: of any type but multipart and
// message, with Content-Transfer-Encoding 8bit (or none given). Everything else is refused, with a phrase
// that says why: octets above 127 in the header (that is SMTPUTF8's business), multipart and message types
// (each part would have to be encoded, and signatures would break), `binary` and unknown encodings. A message
// without MIME-Version gets the fields MIME-Version, Content-Type: text/plain; charset=unknown-8bit (RFC
// 1428) and Content-Transfer-Encoding.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace umbra::smtp {

/// A message that is 7-bit already is given back as it is.
std::expected<std::string, std::string_view> to_seven_bit(std::string_view message);

/// RFC 2045 section 6.7 for text with CRLF line ends: lines of at most 76 characters, a final soft break
/// never.
std::string to_quoted_printable(std::string_view text);
/// RFC 2045 section 6.8: lines of 76 characters, each with CRLF.
std::string to_base64(std::string_view octets);

}  // namespace umbra::smtp
