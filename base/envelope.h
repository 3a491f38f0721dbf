// The envelope of a message (RFC 5321 section 2.3.1, RFC 3461): what MAIL FROM and RCPT TO said, and how it
// came in. Immutable once accepted. One binary form serves the spool and XSHADOW (docs/xshadow.md,
// "Envelope").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/protection.h"
#include "base/result.h"

namespace umbra {

/// RFC 3461 NOTIFY, as bits. 0: the parameter was not given (then failure and delay are reported).
enum NotifyBits : std::uint8_t {
  notify_unset = 0,
  notify_never = 1,
  notify_success = 2,
  notify_failure = 4,
  notify_delay = 8
};

/// RFC 3461 RET.
enum class DsnReturn : std::uint8_t { unset = 0, full = 1, headers = 2 };

struct Recipient {
  std::string address;             ///< local@domain, as given, without <>; domain may be an address literal
  std::string original_recipient;  ///< ORCPT value as given ("rfc822;...", xtext kept), or empty
  std::uint8_t notify = notify_unset;
  bool operator==(const Recipient&) const = default;
};

struct Envelope {
  std::string sender;  ///< reverse-path without <>; empty: the null sender
  std::vector<Recipient> recipients;
  std::string envelope_id;  ///< ENVID as given (xtext kept), or empty
  DsnReturn dsn_return = DsnReturn::unset;
  bool body_8bit = false;  ///< BODY=8BITMIME was said
  bool smtputf8 = false;   ///< SMTPUTF8 was said
  bool resent = false;     ///< sent again from a safety net: not kept there a second time
  WallTime accepted_at{};  ///< end of data, or when the DSN was made
  WallTime expires_at{};
  std::string client_address;  ///< who gave it to us, e.g. "192.0.2.1"; empty for our own DSNs
  std::string client_helo;
  Protection protection;  ///< how many copies it must have elsewhere
  std::vector<std::string> trail =
      {};  ///< hubs that handed it on to their next hop, in order: none of them is given it again
  std::vector<std::string> waits_for =
      {};  ///< content filters that it has to pass yet, in order: until then it is held
  bool operator==(const Envelope&) const = default;
};

std::string encode(const Envelope& envelope);
/// Hostile until parsed: every length is checked, trailing octets are an error, at most 100,000 recipients.
Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace umbra
