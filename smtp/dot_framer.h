// Where a body sent by DATA ends, and nothing else (RFC 5321 section 4.5.2): only CRLF.CRLF does, and only
// after CRLF does a line begin whose first dot was stuffed. Bare CRs and LFs pass through as they are: they
// begin no line and end no message, whatever is done about them later. Called by BodyDecoder where messages
// are mended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace umbra::smtp {

class DotFramer {
 public:
  void begin() { place_ = Place::line_start; }
  /// Removes from the front of `input` what belongs to the body and appends the octets of the message in it
  /// to `out`.
  void feed(std::string_view& input, std::string& out);
  [[nodiscard]] bool ended() const { return place_ == Place::ended; }

 private:
  enum class Place : std::uint8_t { line_start, dot, dot_cr, in_line, cr, ended };
  Place place_ = Place::line_start;
};

}  // namespace umbra::smtp
