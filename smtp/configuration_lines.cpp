#include "smtp/configuration_lines.h"

#include <algorithm>

namespace umbra::smtp {

bool is_configuration_key(std::string_view text) {
  return !text.empty() && text.size() <= configuration_key_octets_max &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool is_configuration_value(std::string_view text) {
  return !text.empty() && text.size() <= configuration_value_octets_max &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string format_configuration(const ConfigurationValues& values) {
  std::string lines;
  for (const auto& [key, value] : values) lines.append(key).append(" ").append(value).append("\r\n");
  return "XCONFIG " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::optional<ConfigurationValues> parse_configuration(std::string_view lines) {
  ConfigurationValues values;
  while (!lines.empty()) {
    auto end = lines.find("\r\n");
    if (end == std::string_view::npos || values.size() == configuration_lines_max) return std::nullopt;
    auto line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    auto space = line.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    auto key = line.substr(0, space);
    auto value = line.substr(space + 1);
    if (!is_configuration_key(key) || !is_configuration_value(value)) return std::nullopt;
    if (!values.emplace(key, value).second) return std::nullopt;
  }
  return values;
}

}  // namespace umbra::smtp
