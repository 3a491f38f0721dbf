#include "base/ids.h"

#include <array>
#include <charconv>

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

// Several times for each message: printf would cost ten times as much.
void append_hex(std::string& text, std::uint64_t value, std::size_t digits_min) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const auto count = static_cast<std::size_t>(end - digits.data());
  if (count < digits_min) text.append(digits_min - count, '0');
  text.append(digits.data(), count);
}

}  // namespace

std::string to_string(SpoolId id) {
  std::string text;
  append_hex(text, id.value, 16);
  return text;
}

std::string to_string(MessageId id) {
  std::string text;
  text.reserve(33);
  append_hex(text, id.spool.value, 16);
  text += '-';
  append_hex(text, id.number, 1);
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
