// XCONFIG: what a hub tells the others of its configuration (docs/xshadow.md section 17). Lines of a key and
// a value: what is not that is refused as a whole, keys that are not known are the receiver's to pass over.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace umbra::smtp {

inline constexpr std::string_view configuration_capability = "XCONFIG";
inline constexpr std::size_t configuration_octets_max = 16U << 10;
inline constexpr std::size_t configuration_lines_max = 32;
inline constexpr std::size_t configuration_key_octets_max = 32;
inline constexpr std::size_t configuration_value_octets_max = 256;

using ConfigurationValues = std::map<std::string, std::string, std::less<>>;

/// Lower-case letters and "_".
bool is_configuration_key(std::string_view text);
/// Visible ASCII, no space: it goes into logs and onto terminals.
bool is_configuration_value(std::string_view text);

std::string format_configuration(const ConfigurationValues& values);
/// The lines behind the command; nothing when one of them is wrong, a key comes twice, or there are too many.
std::optional<ConfigurationValues> parse_configuration(std::string_view lines);

}  // namespace umbra::smtp
