// The Received field that every hub puts on top of a message (RFC 5321 section 4.4), and how a hub knows its
// own again: that is its loop detection. Called by hub/inbound/session (writes) and BodyDecoder (recognises).
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"

namespace umbra::smtp {

struct Trace {
  std::string_view client_name;     ///< what it called itself in HELO or EHLO
  std::string_view client_address;  ///< "192.0.2.1", "2001:db8::1"
  std::string_view host_name;       ///< ours
  bool is_extended = true;          ///< EHLO: ESMTP
  bool smtputf8 = false;            ///< UTF8SMTP (RFC 6531 section 4.3)
  std::string_view tls_cipher =
      {};  ///< IANA's name; empty: not encrypted. ESMTPS (RFC 3848), "tls" (RFC 8314 section 4.3)
  bool is_authenticated = false;  ///< the client has logged on: ESMTPA, ESMTPSA (RFC 3848)
  MessageId id;
  std::string_view
      recipient;  ///< only when the message has a single one, else empty: nobody learns of the others
  WallTime time{};
};

/// The whole field, folded, with its last CRLF.
std::string received_field(const Trace& trace);

/// Puts a comment into a field that received_field() made. Of `remark` only what may stand in a comment is
/// kept, at most 200 octets.
void add_remark(std::string& field, std::string_view remark);

/// `field` is a Received field as it came, folds included: did a hub of this host name write it?
bool is_own_received_field(std::string_view field, std::string_view host_name);

/// RFC 5322 section 3.3, in UTC: "Tue, 02 Jan 2024 03:04:05 +0000".
std::string date_time(WallTime time);

}  // namespace umbra::smtp
