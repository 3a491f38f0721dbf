// A message body on its way out (RFC 5321 section 4.5.2): dot-stuffing for DATA, and the last guard of line
// ends: no bare CR or LF leaves a hub, whatever a spool or another hub contained. (What clients send with
// bare CR or LF is refused on the way in, so that this changes nothing in mail that was accepted.)
#pragma once

#include <string>
#include <string_view>

namespace umbra::smtp {

class BodyEncoder {
 public:
  /// `dot_stuffing`: for DATA; without for BDAT.
  explicit BodyEncoder(bool dot_stuffing) : dot_stuffing_(dot_stuffing) {}

  /// Appends the next octets of the body to `out`; they may be cut anywhere. A bare LF becomes CRLF, a bare
  /// CR a blank.
  void encode(std::string_view octets, std::string& out);
  /// The body has ended: completes its last line. The final dot is the session's.
  void finish(std::string& out);

 private:
  void encode_line(std::string_view line, bool has_end, std::string& out);

  bool dot_stuffing_;
  bool is_at_line_start_ = true;
  bool has_pending_cr_ = false;  // a CR at the very end of what came so far
  bool is_empty_ = true;
};

}  // namespace umbra::smtp
