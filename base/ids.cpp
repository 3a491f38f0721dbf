#include "base/ids.h"

#include <charconv>
#include <cstdio>

namespace umbra {
namespace {

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  for (char c : text)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string to_string(SpoolId id) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(id.value));
  return text;
}

std::string to_string(MessageId id) {
  char text[40];
  std::snprintf(text, sizeof text, "%016llx-%llx", static_cast<unsigned long long>(id.spool.value),
                static_cast<unsigned long long>(id.number));
  return text;
}

std::optional<SpoolId> parse_spool_id(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  auto value = parse_hex(text);
  if (!value || *value == 0) return std::nullopt;
  return SpoolId{*value};
}

std::optional<MessageId> parse_message_id(std::string_view text) {
  if (text.size() < 18 || text[16] != '-') return std::nullopt;
  auto spool = parse_spool_id(text.substr(0, 16));
  auto number = parse_hex(text.substr(17));
  if (!spool || !number || text[17] == '0') return std::nullopt;
  return MessageId{*spool, *number};
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (text.empty() || text.size() > 20 || text[0] < '0' || text[0] > '9') return std::nullopt;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace umbra
