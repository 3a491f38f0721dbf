// Makes lines of what old applications send: `bare_line_ends: normalize` and `long_lines: normalize` of a
// listener. Octets of a message in (its end is known already: DotFramer), octets out; called by BodyDecoder.
// Any split of the input gives the same output.
//
// Line ends. A bare LF, and CRs right before an LF, become one CRLF. Any other run of CRs becomes one blank:
// no system that is left ends lines by CR, and a CR in a text that an application was given must not begin a
// header field.
//
// Long lines. A line of the header is folded where a word begins (RFC 5322 section 2.2.3), or by CRLF and a
// blank where there is no blank. Any other line is broken behind a blank, or where it gets too long: not
// within a character of UTF-8, nor right behind the "=" or "=X" of an octet in quoted-printable. A break is a
// line end where none was, and base64, HTML and text are read the same with it. Nothing is encoded anew:
// 8-bit octets pass as they are. Memory: one line, of at most the limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace umbra::smtp {

struct Mending {
  bool line_ends = false;
  bool long_lines = false;
  [[nodiscard]] bool is_any() const { return line_ends || long_lines; }
};

class LineMender {
 public:
  /// `line_octets_max` is with CRLF, at least 16.
  LineMender(Mending mending, std::size_t line_octets_max)
      : mending_(mending), line_octets_max_(line_octets_max) {}

  void begin();
  /// Appends to `out`.
  void feed(std::string_view octets, std::string& out);
  /// The message is complete.
  void finish(std::string& out);

 private:
  void take(char octet, std::string& out);
  void end_line(std::string& out);
  void break_line(std::string& out);
  /// Is the line that begins with what is held one of the header?
  void look_at_line();
  [[nodiscard]] bool is_blank_rest() const;

  Mending mending_;
  std::size_t line_octets_max_;
  std::string line_;       // of long_lines: the beginning of a line, whose end has not come
  bool after_cr_ = false;  // CRs have come that are not given out
  bool in_header_ = true;
  bool has_field_ = false;     // a field has come
  bool is_continued_ = false;  // what is held goes on a line that was broken
};

}  // namespace umbra::smtp
