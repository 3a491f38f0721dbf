#include "smtp/header_search.h"

#include <algorithm>

namespace umbra::smtp {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// What is behind the colon, if `line` begins a field of this name.
bool begins(std::string_view line, std::string_view name, std::string_view& rest) {
  if (line.size() <= name.size() || lower(line.front()) != lower(name.front())) return false;
  if (!std::ranges::equal(line.substr(0, name.size()), name, {}, lower, lower)) return false;
  rest = line.substr(name.size());
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  if (!rest.starts_with(':')) return false;
  rest.remove_prefix(1);
  return true;
}

/// The line ends of a folded field go (RFC 5322 section 2.2.3).
std::string unfolded(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  std::string value;
  for (char c : text.substr(0, 2 * header_search_octets_max))
    if (c != '\r' && c != '\n' && value.size() < header_search_octets_max) value += c;
  return value;
}

}  // namespace

void find_fields(std::string_view front, std::initializer_list<WantedField> wanted) {
  auto left = wanted.size();
  std::size_t at = 0;
  while (at < front.size() && left > 0) {
    auto end = std::min(front.find('\n', at), front.size());
    const auto line = front.substr(at, end - at);
    if (line.empty() || line == "\r") return;
    for (const auto& field : wanted) {
      std::string_view rest;
      if (!field.value->empty() || !begins(line, field.name, rest)) continue;
      const auto from = static_cast<std::size_t>(rest.data() - front.data());
      while (end + 1 < front.size() && (front[end + 1] == ' ' || front[end + 1] == '\t'))
        end = std::min(front.find('\n', end + 1), front.size());
      *field.value = unfolded(front.substr(from, end - from));
      --left;
      break;
    }
    at = end + 1;
  }
}

}  // namespace umbra::smtp
