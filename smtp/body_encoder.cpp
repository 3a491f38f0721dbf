#include "smtp/body_encoder.h"

#include <algorithm>
#include <cstring>

namespace umbra::smtp {

void BodyEncoder::encode(std::string_view octets, std::string& out) {
  if (octets.empty()) return;
  is_empty_ = false;
  if (has_pending_cr_) {
    has_pending_cr_ = false;
    if (octets.front() == '\n') {
      out.append("\r\n");
      octets.remove_prefix(1);
      is_at_line_start_ = true;
    } else {
      out.push_back(' ');
      is_at_line_start_ = false;
    }
  }
  const char* at = octets.data();
  const char* end = at + octets.size();
  const char* copied = at;  // [copied, at) is clean and not appended yet
  while (at != end) {
    if (is_at_line_start_ && dot_stuffing_ && *at == '.') {
      out.append(copied, at);
      out.push_back('.');
      copied = at;
    }
    const auto* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    const char* line_end = newline != nullptr ? newline : end;
    const auto* cr = static_cast<const char*>(std::memchr(at, '\r', static_cast<std::size_t>(line_end - at)));
    if (newline != nullptr && cr == newline - 1 && cr != nullptr) {
      is_at_line_start_ = true;
      at = newline + 1;
    } else if (newline == nullptr && cr == nullptr) {
      is_at_line_start_ = false;
      at = end;
    } else {
      out.append(copied, at);
      encode_line({at, line_end}, newline != nullptr, out);
      at = newline != nullptr ? newline + 1 : end;
      copied = at;
    }
  }
  out.append(copied, at);
}

// A line that is not simply text and CRLF.
void BodyEncoder::encode_line(std::string_view line, bool has_end, std::string& out) {
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
    has_pending_cr_ = !has_end;
  }
  std::size_t start = out.size();
  out.append(line);
  std::replace(out.begin() + static_cast<std::ptrdiff_t>(start), out.end(), '\r', ' ');
  if (!line.empty()) is_at_line_start_ = false;
  if (has_end) {
    out.append("\r\n");
    is_at_line_start_ = true;
  }
}

void BodyEncoder::finish(std::string& out) {
  if (has_pending_cr_ || (!is_at_line_start_ && !is_empty_)) out.append("\r\n");
  has_pending_cr_ = false;
  is_at_line_start_ = true;
}

}  // namespace umbra::smtp
