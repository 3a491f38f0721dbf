// The commands of SMTP as values: RFC 5321 section 4.1.1, with the parameters of SIZE (RFC 1870), 8BITMIME
// (RFC 6152), SMTPUTF8 (RFC 6531), DSN (RFC 3461, RFC 6533), CHUNKING (RFC 3030), STARTTLS (RFC 3207) and
// AUTH (RFC 4954). parse_command() in command_parser.h makes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/envelope.h"
#include "smtp/extensions.h"
#include "smtp/reply.h"
#include "smtp/xclient.h"

namespace umbra::smtp {

struct Hello {
  bool is_extended = false;  ///< EHLO
  std::string name;
};
struct MailFrom {
  std::string sender;                  ///< empty: the null sender
  std::uint64_t announced_octets = 0;  ///< SIZE=; 0: not said
  bool body_8bit = false;              ///< BODY=8BITMIME
  bool smtputf8 = false;
  DsnReturn dsn_return = DsnReturn::unset;
  std::string envelope_id;  ///< ENVID=, xtext kept
  bool has_parameters = false;
};
struct RcptTo {
  Recipient recipient;  ///< address "postmaster" may stand without a domain
  bool has_parameters = false;
};
struct Data {};
struct Bdat {
  std::uint64_t octets = 0;
  bool is_last = false;
};
struct Rset {};
struct Noop {};
struct Vrfy {};
struct Help {};
struct Quit {};
struct StartTls {};
struct Auth {
  std::string mechanism;               ///< in capitals
  std::optional<std::string> initial;  ///< the initial response, decoded
};
// And XClient (smtp/xclient.h), which is no RFC's.

using Command =
    std::variant<Hello, MailFrom, RcptTo, Data, Bdat, Rset, Noop, Vrfy, Help, Quit, StartTls, Auth, XClient>;

/// A line that is no command of ours.
struct CommandProblem {
  Reply reply;
  std::uint64_t chunk_octets =
      0;  ///< a bad BDAT whose size could be read: so many octets follow and mean nothing
  bool must_close =
      false;  ///< what follows cannot be told from commands (BDAT without a size), or it is no SMTP
};

/// What the parser must know of the session.
struct CommandContext {
  std::uint64_t message_octets_max = 0;  ///< SIZE= above it: 552 5.3.4
  bool has_auth = false;                 ///< AUTH is offered here: MAIL may have AUTH= (RFC 4954 section 5)
  bool smtputf8 = false;                 ///< said in this transaction's MAIL: RCPT may use UTF-8
  Extensions extensions = {};            ///< a parameter of one that is off: 555 5.5.4
  bool xclient = false;                  ///< this client may say it
};

}  // namespace umbra::smtp
