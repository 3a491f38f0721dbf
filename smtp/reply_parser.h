// Reads the replies of a next hop (RFC 5321 section 4.2): a push parser for hostile octets. Called by
// SendSession, and by whoever else talks SMTP as a client. Success is a whole reply; what cannot be a reply
// is `malformed`, after which the session is over.
//
// Tolerated: a bare LF as line end, text after the code without a blank missing ("250"), control characters
// in the text (shown as '?'). Not tolerated: another code within one reply, codes outside 200..599, more than
// 64 KB or 500 lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "smtp/reply.h"

namespace umbra::smtp {

class ReplyParser {
 public:
  static constexpr std::size_t reply_octets_max = 64U << 10;
  static constexpr std::size_t reply_lines_max = 500;

  enum class Status : unsigned char { incomplete, complete, malformed };
  struct Step {
    Status status;
    std::size_t consumed;  ///< octets of the input that belong to this reply
  };

  /// Takes octets up to the end of one reply. After `complete`: take() gives it, feed() again with the rest.
  /// After `malformed`: problem() says why; nothing more can be read.
  Step feed(std::string_view octets);
  Reply take();
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// Part of a reply has been read.
  [[nodiscard]] bool is_within_reply() const { return octets_ != 0; }

 private:
  Status take_line(std::string_view line);
  Status malformed(std::string why);

  Reply reply_;
  std::string partial_;  // a line whose end has not come yet
  std::string problem_;
  std::size_t octets_ = 0;
  std::size_t lines_ = 0;
  bool is_over_ = false;
};

/// True for "2.1.5" and the like: class 2, 4 or 5, subject and detail of one to three digits (RFC 3463
/// section 2).
bool is_enhanced_code(std::string_view text);

}  // namespace umbra::smtp
