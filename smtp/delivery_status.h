// Delivery status notifications as text: a multipart/report (RFC 6522) of an explanation, a
// message/delivery-status (RFC 3464) and the returned headers or message. For addresses with octets above 127
// the forms of RFC 6533. Pure: called by hub/outbound/notifier, which decides who gets one and puts it into
// the spool.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/envelope.h"

namespace umbra::smtp {

struct DsnRecipient {
  enum class Action : std::uint8_t { failed, delayed, relayed, delivered };  // worst first
  Recipient recipient;
  Action action = Action::failed;
  std::string status;          ///< "5.1.1" (RFC 3463)
  std::string remote_mta;      ///< host name; empty when no next hop said anything
  std::string diagnostic;      ///< the next hop's reply on one line, or our own reason
  bool is_smtp_reply = false;  ///< the diagnostic is a reply of the remote MTA
};

struct DsnText {
  std::string reporting_mta;  ///< our host name
  std::string message_id;     ///< left side of the DSN's Message-ID; unique
  std::string original_id;    ///< our id of the original, for the explanation
  std::string boundary;       ///< must not occur in what is returned; letters and digits
  WallTime now{};
  WallTime arrival{};
  std::optional<WallTime> will_retry_until;  ///< of delayed recipients
  std::string to;           ///< to whom it goes: the sender of the original, or who gets it instead
  std::string envelope_id;  ///< ENVID as given (xtext), or empty
  std::vector<DsnRecipient> recipients;
  std::string returned;   ///< header of the original with its last CRLF, or the whole of it; empty: nothing
  bool is_full = false;   ///< `returned` is the whole message
  bool is_plain = false;  ///< text alone, for people: no multipart/report
};

struct DsnMessage {
  std::string text;
  bool is_8bit = false;   ///< has octets above 127
  bool smtputf8 = false;  ///< has such octets in its header: needs SMTPUTF8
};
DsnMessage make_dsn(const DsnText& dsn);

/// The header of a message: up to and with the CRLF of its last header line; all of it when no empty line is
/// found.
std::string_view header_of(std::string_view message);

}  // namespace umbra::smtp
