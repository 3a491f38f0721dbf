// Who wants to know what is said in a session, line by line: the protocol log and `umbra watch`
// (hub/logs/session_record.h). A session without an observer pays a comparison of a pointer.
//
// Lines are told where they are understood, not where octets pass: only the parser knows which octets are a
// command, which are part of a message (DATA, BDAT) and which are a secret (AUTH), and it is behind TLS and
// before pipelining. So a line that was told is never a piece of a message and never holds a secret.
#pragma once

#include <string_view>

namespace umbra::smtp {

class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  /// The other side said this line; it is without its line end. `context`: what it was the end of, or why it
  /// is not shown.
  virtual void heard(std::string_view line, std::string_view context) = 0;
  /// This line is in the session's output, likewise.
  virtual void said(std::string_view line, std::string_view context) = 0;
};

}  // namespace umbra::smtp
