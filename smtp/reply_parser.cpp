#include "smtp/reply_parser.h"

#include <algorithm>
#include <utility>

namespace umbra::smtp {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// One to three digits at the front of `text`, taken off it.
bool skip_number(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  if (n < 1 || n > 3) return false;
  text.remove_prefix(n);
  return true;
}

// The length of an enhanced code of class `first` at the front of `text` (followed by a blank or the end),
// else 0.
std::size_t enhanced_length(std::string_view text, char first) {
  if (text.size() < 5 || text[0] != first || text[1] != '.') return 0;
  std::string_view rest = text.substr(2);
  if (!skip_number(rest) || rest.empty() || rest.front() != '.') return 0;
  rest.remove_prefix(1);
  if (!skip_number(rest)) return 0;
  if (!rest.empty() && rest.front() != ' ') return 0;
  return text.size() - rest.size();
}

void append_printable(std::string& out, std::string_view text) {
  for (char c : text) {
    auto octet = static_cast<unsigned char>(c);
    out.push_back(octet == '\t' ? ' ' : (octet < 0x20 || octet == 0x7f) ? '?' : c);
  }
}

}  // namespace

bool is_enhanced_code(std::string_view text) {
  if (text.empty() || (text[0] != '2' && text[0] != '4' && text[0] != '5')) return false;
  return enhanced_length(text, text[0]) == text.size();
}

ReplyParser::Step ReplyParser::feed(std::string_view octets) {
  if (is_over_) return {Status::malformed, 0};
  std::size_t consumed = 0;
  while (consumed < octets.size()) {
    std::string_view rest = octets.substr(consumed);
    std::size_t end = rest.find('\n');
    std::size_t taken = end == std::string_view::npos ? rest.size() : end + 1;
    octets_ += taken;
    if (octets_ > reply_octets_max) return {malformed("reply longer than 64 KB"), consumed};
    consumed += taken;
    if (end == std::string_view::npos) {
      partial_.append(rest);
      break;
    }
    std::string_view line = rest.substr(0, end);
    if (!partial_.empty()) {
      partial_.append(line);
      line = partial_;
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    Status status = take_line(line);
    partial_.clear();
    if (status != Status::incomplete) return {status, consumed};
  }
  return {Status::incomplete, consumed};
}

ReplyParser::Status ReplyParser::take_line(std::string_view line) {
  if (line.size() < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]))
    return malformed("reply line without a code");
  bool is_last = line.size() == 3 || line[3] == ' ';
  if (!is_last && line[3] != '-') return malformed("reply code followed by neither blank nor hyphen");
  int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (lines_ != 0 && code != reply_.code) return malformed("reply with different codes");
  if (++lines_ > reply_lines_max) return malformed("reply of too many lines");
  std::string_view text = line.size() > 4 ? line.substr(4) : std::string_view{};
  if (std::size_t length = enhanced_length(text, line[0]); length != 0 && line[0] != '3') {
    if (lines_ == 1) reply_.enhanced = text.substr(0, length);
    if (text.substr(0, length) == reply_.enhanced) text.remove_prefix(std::min(length + 1, text.size()));
  }
  reply_.code = code;
  if (lines_ > 1) reply_.text.push_back('\n');
  append_printable(reply_.text, text);
  return is_last ? Status::complete : Status::incomplete;
}

ReplyParser::Status ReplyParser::malformed(std::string why) {
  problem_ = std::move(why);
  is_over_ = true;
  partial_.clear();
  return Status::malformed;
}

Reply ReplyParser::take() {
  octets_ = 0;
  lines_ = 0;
  return std::exchange(reply_, Reply{});
}

}  // namespace umbra::smtp
