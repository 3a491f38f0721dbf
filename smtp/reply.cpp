#include "smtp/reply.h"

namespace umbra::smtp {
namespace {

/// A line end inside a reply's text would forge a reply of its own: it becomes a blank.
void append_text(std::string& out, std::string_view text) {
  for (char c : text) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

}  // namespace

std::string to_wire(const Reply& reply) {
  std::string out;
  const std::string code = std::to_string(reply.code);
  std::string_view rest = reply.text;
  out.reserve(rest.size() + 16);
  while (true) {
    const auto end = rest.find('\n');
    const bool is_last = end == std::string_view::npos;
    out.append(code).push_back(is_last ? ' ' : '-');
    if (!reply.enhanced.empty()) {
      append_text(out, reply.enhanced);
      out.push_back(' ');
    }
    append_text(out, rest.substr(0, end));
    out.append("\r\n");
    if (is_last) return out;
    rest.remove_prefix(end + 1);
  }
}

std::string to_line(const Reply& reply) {
  std::string out = std::to_string(reply.code);
  if (!reply.enhanced.empty()) out.append(" ").append(reply.enhanced);
  if (!reply.text.empty()) out.push_back(' ');
  append_text(out, reply.text);
  return out;
}

}  // namespace umbra::smtp
