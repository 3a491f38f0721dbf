// Which lines belong to the header section of a message, as far as one that takes whatever comes may say (RFC
// 5322 section 2.2).
#pragma once

#include <algorithm>
#include <string_view>

namespace umbra::smtp {

/// The name of the field that begins with `line`; empty: it begins none.
inline std::string_view field_name(std::string_view line) {
  auto colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  auto name = line.substr(0, colon);
  while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);
  return std::ranges::all_of(name, [](char c) { return c > 32 && c < 127; }) ? name : std::string_view{};
}

/// A line without its end, behind fields or (`has_field` is false) on top: it goes on with the header. "From
/// " on top is what a mailbox file leaves behind; any other line that is no field begins the text.
inline bool is_header_line(std::string_view line, bool has_field) {
  if (line.empty()) return false;
  if (line.front() == ' ' || line.front() == '\t') return has_field;
  return !field_name(line).empty() || (!has_field && line.starts_with("From "));
}

}  // namespace umbra::smtp
