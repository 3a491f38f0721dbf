// Mail addresses as SMTP writes them: RFC 5321 section 4.1.2 (Path, Mailbox, Domain, address-literal) with
// the UTF-8 forms of RFC 6531 section 3.3 where the caller allows them. Pure functions over views; no
// allocation. Limits (RFC 5321 4.5.3.1): local part 64 octets, domain 255, label 63, path 256 with its angle
// brackets.
#pragma once

#include <expected>
#include <string_view>

namespace umbra::smtp {

/// Whether octets above 127 may stand in an address; they must then be valid UTF-8 (RFC 3629).
enum class Utf8 : bool { forbidden, allowed };

struct Path {
  std::string_view
      mailbox;  ///< "local@domain" as given; empty for "<>"; "postmaster" may stand without a domain
  std::size_t octets = 0;  ///< of the whole path in the text, angle brackets included
  bool is_ascii = true;
};

/// Reads a path at the beginning of `text`: "<" [source route ":"] mailbox ">". A source route is checked and
/// dropped (RFC 5321 appendix C). "<>" is given as an empty mailbox; the caller says whether that is allowed.
/// The error is a phrase for the reply.
std::expected<Path, std::string_view> parse_path(std::string_view text, Utf8 utf8);

/// local "@" (domain | address literal), and nothing else; within the limits.
bool is_mailbox(std::string_view text, Utf8 utf8);
bool is_domain(std::string_view text, Utf8 utf8);
/// "[192.0.2.1]" or "[IPv6:2001:db8::1]".
bool is_address_literal(std::string_view text);
/// What a client may call itself in HELO and EHLO: a domain (an underscore is tolerated, old software uses
/// it) or an address literal.
bool is_hello_name(std::string_view text);
/// Well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);

/// What stands after the last "@" (a domain never holds one); empty when there is none.
std::string_view domain_of(std::string_view mailbox);
/// "postmaster" in any case, without a domain (RFC 5321 section 4.5.1).
bool is_bare_postmaster(std::string_view mailbox);
/// ASCII letters compare without case.
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace umbra::smtp
