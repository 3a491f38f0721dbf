#include "smtp/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace umbra::smtp {
namespace {

constexpr std::size_t local_octets_max = 64;
constexpr std::size_t domain_octets_max = 255;
constexpr std::size_t label_octets_max = 63;
constexpr std::size_t path_octets_max = 256;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_high(char c) {
  return static_cast<unsigned char>(c) > 127;
}

/// RFC 5322 atext.
bool is_atext(char c) {
  return is_letter_or_digit(c) || (c != '\0' && std::strchr("!#$%&'*+-/=?^_`{|}~", c) != nullptr);
}

/// Octets of the dot-string or quoted-string at the beginning of `text`; 0: neither.
std::size_t measure_local_part(std::string_view text, Utf8 utf8) {
  auto high_is_fine = [utf8](char c) { return is_high(c) && utf8 == Utf8::allowed; };
  if (text.empty()) return 0;
  if (text.front() != '"') {
    std::size_t i = 0;
    bool after_atom = false;
    for (; i < text.size(); ++i) {
      char c = text[i];
      if (is_atext(c) || high_is_fine(c)) {
        after_atom = true;
      } else if (c == '.' && after_atom) {
        after_atom = false;
      } else {
        break;
      }
    }
    return after_atom ? i : 0;
  }
  for (std::size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') return i + 1;
    if (c == '\\') {
      ++i;
      if (i == text.size() || text[i] < 32 || text[i] > 126) return 0;
    } else if ((c < 32 || c > 126) && !high_is_fine(c)) {
      return 0;
    }
  }
  return 0;
}

/// Octets of the domain or address literal at the beginning of `text`, not yet checked.
std::size_t measure_domain(std::string_view text) {
  if (text.starts_with('[')) {
    auto end = text.find(']');
    return end == std::string_view::npos ? 0 : end + 1;
  }
  std::size_t i = 0;
  while (i < text.size() &&
         (is_letter_or_digit(text[i]) || text[i] == '-' || text[i] == '.' || is_high(text[i])))
    ++i;
  return i;
}

bool is_domain_or_literal(std::string_view text, Utf8 utf8) {
  return text.starts_with('[') ? is_address_literal(text) : is_domain(text, utf8);
}

bool has_domain_labels(std::string_view text, bool high_allowed, bool underscore_allowed) {
  if (text.empty() || text.size() > domain_octets_max) return false;
  while (true) {
    auto dot = text.find('.');
    auto label = text.substr(0, dot);
    if (label.empty() || label.size() > label_octets_max || label.front() == '-' || label.back() == '-')
      return false;
    for (char c : label)
      if (!is_letter_or_digit(c) && c != '-' && !(high_allowed && is_high(c)) &&
          !(underscore_allowed && c == '_'))
        return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

/// Checks "@a,@b:" at the beginning; its octets, or 0 when it is not a source route.
std::size_t measure_source_route(std::string_view text, Utf8 utf8) {
  std::size_t i = 0;
  while (i < text.size() && text[i] == '@') {
    ++i;
    auto octets = measure_domain(text.substr(i));
    if (!is_domain_or_literal(text.substr(i, octets), utf8)) return 0;
    i += octets;
    if (i == text.size()) return 0;
    if (text[i] == ':') return i + 1;
    if (text[i] != ',') return 0;
    ++i;
  }
  return 0;
}

}  // namespace

std::expected<Path, std::string_view> parse_path(std::string_view text, Utf8 utf8) {
  auto bad = [](std::string_view why) { return std::unexpected(why); };
  if (!text.starts_with('<')) return bad("the address must stand in angle brackets");
  if (text.starts_with("<>")) return Path{{}, 2, true};
  std::size_t at = 1;
  if (text.substr(at).starts_with('@')) {
    auto route = measure_source_route(text.substr(at), utf8);
    if (route == 0) return bad("bad source route");
    at += route;
  }
  const auto mailbox_begin = at;
  auto local = measure_local_part(text.substr(at), utf8);
  if (local == 0) return bad("bad local part");
  if (local > local_octets_max) return bad("local part over 64 octets");
  at += local;
  if (at < text.size() && text[at] == '@') {
    ++at;
    auto octets = measure_domain(text.substr(at));
    auto domain = text.substr(at, octets);
    if (domain.size() > domain_octets_max) return bad("domain over 255 octets");
    if (!is_domain_or_literal(domain, utf8)) return bad("bad domain");
    at += octets;
  } else if (mailbox_begin != 1 || !is_bare_postmaster(text.substr(mailbox_begin, local))) {
    return bad("no domain");
  }
  if (at == text.size() || text[at] != '>') return bad("no closing angle bracket after the address");
  Path path{text.substr(mailbox_begin, at - mailbox_begin), at + 1, true};
  if (path.octets > path_octets_max) return bad("path over 256 octets");
  path.is_ascii = is_ascii(text.substr(0, path.octets));
  if (!path.is_ascii && !is_utf8(text.substr(0, path.octets))) return bad("address is not UTF-8");
  return path;
}

bool is_mailbox(std::string_view text, Utf8 utf8) {
  auto local = measure_local_part(text, utf8);
  if (local == 0 || local > local_octets_max || local == text.size() || text[local] != '@') return false;
  if (!is_domain_or_literal(text.substr(local + 1), utf8)) return false;
  return is_ascii(text) || is_utf8(text);
}

bool is_domain(std::string_view text, Utf8 utf8) {
  return has_domain_labels(text, utf8 == Utf8::allowed, false) && (is_ascii(text) || is_utf8(text));
}

bool is_address_literal(std::string_view text) {
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  constexpr std::string_view ipv6_tag = "IPv6:";
  const bool is_ipv6 =
      text.size() > ipv6_tag.size() && equals_ignoring_case(text.substr(0, ipv6_tag.size()), ipv6_tag);
  if (is_ipv6) text.remove_prefix(ipv6_tag.size());
  std::array<char, 64> terminated{};
  std::array<unsigned char, 16> parsed{};
  if (text.size() >= terminated.size() || text.contains('\0')) return false;
  std::ranges::copy(text, terminated.begin());
  return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, terminated.data(), parsed.data()) == 1;
}

bool is_hello_name(std::string_view text) {
  return text.starts_with('[') ? is_address_literal(text) : has_domain_labels(text, false, true);
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    auto octet = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    const unsigned first = octet(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    // RFC 3629 section 4: the range of the second octet excludes overlong forms and surrogates.
    unsigned low = 0x80;
    unsigned high = 0xbf;
    std::size_t more = 0;
    if (first >= 0xc2 && first <= 0xdf) {
      more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) low = 0xa0;
      if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) low = 0x90;
      if (first == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (octet(i + 1) < low || octet(i + 1) > high) return false;
    for (std::size_t k = 2; k <= more; ++k)
      if (octet(i + k) < 0x80 || octet(i + k) > 0xbf) return false;
    i += 1 + more;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text) all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
  return all < 0x80;
}

std::string_view domain_of(std::string_view mailbox) {
  auto at = mailbox.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : mailbox.substr(at + 1);
}

bool is_bare_postmaster(std::string_view mailbox) {
  return equals_ignoring_case(mailbox, "postmaster");
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(a, b, [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace umbra::smtp
