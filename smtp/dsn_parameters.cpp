#include "smtp/dsn_parameters.h"

#include <algorithm>

#include "base/envelope.h"
#include "smtp/address.h"

namespace umbra::smtp {
namespace {

constexpr std::size_t envelope_id_octets_max = 100;
constexpr std::size_t original_recipient_octets_max = 500;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 32 && c < 127; });
}

/// RFC 5322 atom characters that an address type may hold; types in use are letters, digits and "-".
bool is_address_type(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

/// Octets of "\x{HEXPOINT}" at the beginning of `text` (RFC 6533 section 3: 2 to 6 digits, no leading zero
/// beyond two digits, a code point that exists and is no surrogate); 0: not that.
std::size_t measure_embedded_point(std::string_view text) {
  if (!text.starts_with("\\x{")) return 0;
  const auto digits = text.substr(3, text.find('}') == std::string_view::npos ? 0 : text.find('}') - 3);
  if (digits.size() < 2 || digits.size() > 6 || (digits.size() > 2 && digits.front() == '0')) return 0;
  unsigned point = 0;
  for (char c : digits) {
    if (hex_value(c) < 0) return 0;
    point = point * 16 + static_cast<unsigned>(hex_value(c));
  }
  if (point == 0 || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return 0;
  return digits.size() + 4;
}

bool is_utf8_address(std::string_view text, bool smtputf8) {
  if (text.empty() || (!smtputf8 && !is_ascii(text)) || !is_utf8(text)) return false;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    if (c == '\\') {
      auto octets = measure_embedded_point(text);
      if (octets == 0) return false;
      text.remove_prefix(octets);
    } else if (c <= 32 || c == '+' || c == '=' || c == 127) {
      return false;
    } else {
      text.remove_prefix(1);
    }
  }
  return true;
}

}  // namespace

std::optional<std::string> parse_xtext(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '+') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else if (c < 33 || c > 126 || c == '=') {
      return std::nullopt;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

bool is_envelope_id(std::string_view value) {
  if (value.empty() || value.size() > envelope_id_octets_max) return false;
  auto decoded = parse_xtext(value);
  return decoded && is_printable(*decoded);
}

std::optional<std::uint8_t> parse_notify(std::string_view value) {
  if (equals_ignoring_case(value, "NEVER")) return notify_never;
  unsigned bits = 0;
  while (true) {
    auto comma = value.find(',');
    auto word = value.substr(0, comma);
    if (equals_ignoring_case(word, "SUCCESS")) {
      bits |= notify_success;
    } else if (equals_ignoring_case(word, "FAILURE")) {
      bits |= notify_failure;
    } else if (equals_ignoring_case(word, "DELAY")) {
      bits |= notify_delay;
    } else {
      return std::nullopt;
    }
    if (comma == std::string_view::npos) return static_cast<std::uint8_t>(bits);
    value.remove_prefix(comma + 1);
  }
}

bool is_original_recipient(std::string_view value, bool smtputf8) {
  if (value.size() > original_recipient_octets_max) return false;
  auto semicolon = value.find(';');
  if (semicolon == std::string_view::npos || !is_address_type(value.substr(0, semicolon))) return false;
  auto address = value.substr(semicolon + 1);
  if (equals_ignoring_case(value.substr(0, semicolon), "utf-8")) {
    if (is_utf8_address(address, smtputf8)) return true;
    if (address.contains('\\')) return false;
  }
  if (address.empty()) return false;
  auto decoded = parse_xtext(address);
  return decoded && is_printable(*decoded);
}

}  // namespace umbra::smtp
