#include "smtp/line_mender.h"

#include <utility>

#include "smtp/header_field.h"

namespace umbra::smtp {
namespace {

bool is_blank(char octet) {
  return octet == ' ' || octet == '\t';
}
bool continues_utf8(char octet) {
  return (static_cast<unsigned char>(octet) & 0xc0) == 0x80;
}

/// The last place of `line` where a word begins behind a blank and behind another word: a field may be folded
/// before that blank. 0: none.
std::size_t place_to_fold(std::string_view line) {
  for (std::size_t i = line.size() - 1; i > 1; --i) {
    if (is_blank(line[i]) || !is_blank(line[i - 1])) continue;
    return line.substr(0, i - 1).find_first_not_of(" \t") == std::string_view::npos ? 0 : i - 1;
  }
  return 0;
}

/// `at` (less than the size), or up to five octets before, where no character of UTF-8 and no octet in
/// quoted-printable goes on.
std::size_t between_characters(std::string_view line, std::size_t at) {
  for (int back = 0; back < 3 && at > 8 && continues_utf8(line[at]); ++back) --at;
  if (at > 8 && line[at - 1] == '=') return at - 1;
  if (at > 8 && line[at - 2] == '=') return at - 2;
  return at;
}

/// Where a line of the text is broken so that at most `fits` octets are before it. Never 0.
std::size_t place_to_break(std::string_view line, std::size_t fits) {
  auto blank = line.find_last_of(" \t", fits - 1);
  return blank != std::string_view::npos ? blank + 1 : between_characters(line, fits);
}

}  // namespace

void LineMender::begin() {
  line_.clear();
  after_cr_ = has_field_ = is_continued_ = false;
  in_header_ = true;
}

void LineMender::feed(std::string_view octets, std::string& out) {
  if (!mending_.line_ends) {
    for (char octet : octets) take(octet, out);
    return;
  }
  for (char octet : octets) {
    if (octet == '\r') {
      after_cr_ = true;
    } else if (octet == '\n') {
      after_cr_ = false;
      take('\r', out);
      take('\n', out);
    } else {
      if (std::exchange(after_cr_, false)) take(' ', out);
      take(octet, out);
    }
  }
}

void LineMender::finish(std::string& out) {
  if (!is_blank_rest()) out += line_;
  line_.clear();
}

void LineMender::take(char octet, std::string& out) {
  if (!mending_.long_lines) return out.push_back(octet);
  if (is_blank(octet) && is_blank_rest()) return;
  line_.push_back(octet);
  if (octet == '\n' && line_.size() > 1 && line_[line_.size() - 2] == '\r') return end_line(out);
  // A CR right behind what just fits may be half of its line end.
  const std::size_t room = octet == '\r' ? line_octets_max_ : line_octets_max_ - 2;
  if (line_.size() > room) break_line(out);
}

/// Nothing but blanks is left of a field that was folded. As a line of its own some would take it for the end
/// of the header.
bool LineMender::is_blank_rest() const {
  auto line = std::string_view(line_).substr(0, line_.find_last_not_of("\r\n") + 1);
  return is_continued_ && in_header_ && line.find_first_not_of(" \t") == std::string_view::npos;
}

void LineMender::look_at_line() {
  if (!in_header_ || is_continued_) return;
  std::string_view line = line_;
  if (line.ends_with("\r\n")) line.remove_suffix(2);
  in_header_ = is_header_line(line, has_field_);
  has_field_ = true;
}

void LineMender::end_line(std::string& out) {
  look_at_line();
  if (!is_blank_rest()) out += line_;
  is_continued_ = false;
  line_.clear();
}

void LineMender::break_line(std::string& out) {
  look_at_line();
  is_continued_ = true;
  const std::string_view line = line_;
  const auto fits = line_octets_max_ - 2;
  const auto fold = in_header_ ? place_to_fold(line) : 0;
  const auto at = fold > 0 ? fold : in_header_ ? between_characters(line, fits) : place_to_break(line, fits);
  out.append(line.substr(0, at)).append("\r\n");
  line_.erase(0, at);
  if (in_header_ && fold == 0) line_.insert(0, 1, ' ');
}

}  // namespace umbra::smtp
