// What this server offers in EHLO (RFC 5321 section 4.1.1.1), one keyword per line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace umbra::smtp {

/// Those that can be switched off. What is off is not announced, and a command or parameter that belongs to
/// it gets 502 or 555; but for PIPELINING, which a client needs nobody's word for to do damage with: the
/// replies are the same.
struct Extensions {
  bool pipelining = true;      ///< RFC 2920
  bool size = true;            ///< RFC 1870; a message that is too large is refused all the same
  bool eight_bit_mime = true;  ///< RFC 6152
  bool smtputf8 = true;        ///< RFC 6531
  bool chunking = true;        ///< RFC 3030
  bool dsn = true;             ///< RFC 3461
};

struct Offer {
  Extensions extensions;
  std::uint64_t message_octets_max = 0;  ///< stands behind SIZE
  bool starttls = false;
  bool xclient = false;
  std::string auth_mechanisms = {};  ///< separated by blanks; empty: no AUTH
};

/// Lines separated by '\n', ready for Reply::text.
std::string extension_lines(const Offer& offer);

}  // namespace umbra::smtp
