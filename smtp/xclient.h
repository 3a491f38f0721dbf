// XCLIENT, as Postfix documents it: a client that the operator trusts says for whom it speaks. Attributes are
// "NAME=value" in any order, each once, with values in xtext (RFC 3461 section 4). Called by parse_command()
// and ReceiveSession.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/reply.h"

namespace umbra::smtp {

/// What was said; nothing: it stays as it is. [UNAVAILABLE] and [TEMPUNAVAIL] come as an empty text.
struct XClient {
  std::optional<std::string> address;  ///< ADDR: an address literal without brackets, never empty: nothing
                                       ///< can be decided about a client from nowhere
  std::optional<std::uint16_t> port;
  std::optional<std::string> name;   ///< NAME: its host name, as the DNS has it
  std::optional<std::string> helo;   ///< HELO: what it called itself
  std::optional<bool> is_extended;   ///< PROTO: ESMTP
  std::optional<std::string> login;  ///< LOGIN: as whom it has logged on
  // DESTADDR and DESTPORT are checked and not kept: which listener serves a client hangs on where it comes
  // from.
};

inline constexpr std::string_view xclient_attributes = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

/// What stands behind the verb. The error is 501 5.5.4.
std::expected<XClient, Reply> parse_xclient(std::string_view arguments);

}  // namespace umbra::smtp
