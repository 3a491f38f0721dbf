#include "smtp/xclient.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/ids.h"
#include "smtp/address.h"
#include "smtp/dsn_parameters.h"

namespace umbra::smtp {
namespace {

constexpr std::size_t value_octets_max = 255;
constexpr std::array<std::string_view, 8> names = {"NAME", "ADDR",  "PORT",     "PROTO",
                                                   "HELO", "LOGIN", "DESTADDR", "DESTPORT"};
enum Attribute : std::size_t { name, addr, port, proto, helo, login, destaddr, destport };

std::unexpected<Reply> problem(std::string_view what) {
  return std::unexpected(Reply{501, "5.5.4", "XCLIENT: " + std::string(what)});
}

bool is_unavailable(std::string_view value) {
  return equals_ignoring_case(value, "[UNAVAILABLE]") || equals_ignoring_case(value, "[TEMPUNAVAIL]");
}

/// "192.0.2.1" or "IPV6:2001:db8::1"; an IPv4-mapped one as IPv4. Empty: neither.
std::string address_of(std::string_view value) {
  constexpr std::string_view prefix = "IPV6:";
  std::array<unsigned char, 16> octets{};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool is_ipv6 = equals_ignoring_case(value.substr(0, prefix.size()), prefix);
  if (is_ipv6) value.remove_prefix(prefix.size());
  if (::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, std::string(value).c_str(), octets.data()) != 1) return {};
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool is_mapped = is_ipv6 && std::equal(mapped.begin(), mapped.end(), octets.begin());
  const void* from = is_mapped ? octets.data() + mapped.size() : octets.data();
  return ::inet_ntop(is_ipv6 && !is_mapped ? AF_INET6 : AF_INET, from, text.data(), text.size()) == nullptr
             ? std::string{}
             : std::string(text.data());
}

std::optional<std::uint16_t> port_of(std::string_view value) {
  auto number = parse_number(value);
  if (!number || *number > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

/// One attribute into `said`; a phrase when its value is none of its kind.
std::optional<std::string_view> take(Attribute attribute, const std::string& value, XClient& said) {
  const bool is_known = !is_unavailable(value);
  switch (attribute) {
    case addr:
      if (!is_known) return "ADDR must be known: what a client may do hangs on it";
      said.address = address_of(value);
      if (said.address->empty()) return "ADDR is an IPv4 address, or IPV6: and an IPv6 address";
      break;
    case port:
      said.port = is_known ? port_of(value) : 0;
      if (!said.port) return "PORT is a number up to 65535";
      break;
    case proto:
      if (!equals_ignoring_case(value, "SMTP") && !equals_ignoring_case(value, "ESMTP"))
        return "PROTO is SMTP or ESMTP";
      said.is_extended = equals_ignoring_case(value, "ESMTP");
      break;
    case helo:
      if (is_known && !is_hello_name(value)) return "HELO is not a domain and not an address literal";
      said.helo = is_known ? value : std::string{};
      break;
    case name:
      if (is_known && !is_hello_name(value)) return "NAME is not a host name";
      said.name = is_known ? value : std::string{};
      break;
    case login:
      said.login = is_known ? value : std::string{};
      break;
    case destaddr:
      if (is_known && address_of(value).empty())
        return "DESTADDR is an IPv4 address, or IPV6: and an IPv6 address";
      break;
    case destport:
      if (is_known && !port_of(value)) return "DESTPORT is a number up to 65535";
      break;
  }
  return std::nullopt;
}

}  // namespace

std::expected<XClient, Reply> parse_xclient(std::string_view arguments) {
  XClient said;
  unsigned seen = 0;
  while (true) {
    while (arguments.starts_with(' ')) arguments.remove_prefix(1);
    if (arguments.empty()) break;
    auto word = arguments.substr(0, arguments.find(' '));
    arguments.remove_prefix(word.size());
    auto equals = word.find('=');
    if (equals == std::string_view::npos) return problem("syntax: XCLIENT attribute=value ...");
    auto found = std::ranges::find_if(
        names, [&](std::string_view known) { return equals_ignoring_case(known, word.substr(0, equals)); });
    if (found == names.end()) return problem("attribute not known");
    const auto attribute = static_cast<Attribute>(found - names.begin());
    if (seen & (1U << attribute)) return problem("attribute given twice");
    seen |= 1U << attribute;
    auto value = parse_xtext(word.substr(equals + 1));
    if (!value || value->empty() || value->size() > value_octets_max ||
        !std::ranges::all_of(*value, [](char c) { return c > 32 && c < 127; }))
      return problem("a value is xtext of printable characters, at most 255");
    if (auto why = take(attribute, *value, said)) return problem(*why);
  }
  if (seen == 0) return problem("syntax: XCLIENT attribute=value ...");
  return said;
}

}  // namespace umbra::smtp
