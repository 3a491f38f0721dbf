// The values of the DSN parameters of MAIL and RCPT (RFC 3461 section 4; utf-8 addresses by RFC 6533 section
// 3). They are kept as given, so here they are only checked, decoding included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace umbra::smtp {

/// RFC 3461 section 4: "+XX" (upper-case hexadecimal) stands for an octet. Nothing: not xtext.
std::optional<std::string> parse_xtext(std::string_view text);

/// ENVID: xtext of at most 100 characters that decodes to printable ASCII.
bool is_envelope_id(std::string_view value);

/// NOTIFY as NotifyBits; nothing: not NEVER and not a list of SUCCESS, FAILURE, DELAY.
std::optional<std::uint8_t> parse_notify(std::string_view value);

/// ORCPT: "address-type;xtext", at most 500 characters; with type utf-8 also RFC 6533's forms ("\x{20AC}",
/// and UTF-8 itself where `smtputf8` was said).
bool is_original_recipient(std::string_view value, bool smtputf8);

}  // namespace umbra::smtp
