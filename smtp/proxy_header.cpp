#include "smtp/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/ids.h"

namespace umbra::smtp {
namespace {

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::string_view text_begin = "PROXY ";
constexpr std::size_t text_octets_max = 107;  // with CRLF
constexpr std::size_t fixed_octets = 16;

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(family, address, text.data(), text.size()) == nullptr ? std::string{}
                                                                           : std::string(text.data());
}

/// 16 octets of IPv6 as hub/net/tcp would say them.
std::string text_of_ipv6(const unsigned char* octets) {
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(mapped.begin(), mapped.end(), octets)) return text_of(AF_INET, octets + mapped.size());
  return text_of(AF_INET6, octets);
}

/// An address of version 1; nothing: it is none.
std::optional<std::string> parse_address(std::string_view word, bool is_ipv6) {
  std::array<unsigned char, 16> octets{};
  if (::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, std::string(word).c_str(), octets.data()) != 1)
    return std::nullopt;
  return is_ipv6 ? text_of_ipv6(octets.data()) : text_of(AF_INET, octets.data());
}

std::optional<std::uint16_t> parse_port(std::string_view word) {
  if (word.size() > 1 && word.front() == '0') return std::nullopt;
  auto number = parse_number(word);
  if (!number || *number > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

/// Up to the next blank, which is removed too.
std::string_view take_word(std::string_view& rest) {
  auto blank = rest.find(' ');
  auto word = rest.substr(0, blank);
  rest.remove_prefix(blank == std::string_view::npos ? rest.size() : blank + 1);
  return word;
}

}  // namespace

ProxyHeaderReader::State ProxyHeaderReader::bad(std::string_view why) {
  fault_ = why;
  return State::bad;
}

ProxyHeaderReader::State ProxyHeaderReader::feed(std::string_view& input) {
  while (!is_version_known_) {
    if (input.empty()) return State::more;
    kept_.push_back(input.front());
    input.remove_prefix(1);
    if (text_begin.starts_with(kept_)) {
      is_version_known_ = kept_.size() == text_begin.size();
    } else if (signature.starts_with(kept_)) {
      is_version_known_ = is_binary_ = kept_.size() == signature.size();
    } else {
      return bad("no header of the PROXY protocol");
    }
  }
  if (is_binary_ && wanted_ == 0) wanted_ = fixed_octets;
  return is_binary_ ? feed_binary(input) : feed_text(input);
}

ProxyHeaderReader::State ProxyHeaderReader::feed_text(std::string_view& input) {
  const auto line_feed = input.find('\n');
  const auto piece = input.substr(0, line_feed == std::string_view::npos ? line_feed : line_feed + 1);
  if (kept_.size() + piece.size() > text_octets_max) return bad("version 1: more than 107 octets");
  kept_.append(piece);
  input.remove_prefix(piece.size());
  if (line_feed == std::string_view::npos)
    return kept_.size() == text_octets_max ? bad("version 1: more than 107 octets") : State::more;
  if (!kept_.ends_with("\r\n")) return bad("version 1: LF without CR");
  return take_text();
}

ProxyHeaderReader::State ProxyHeaderReader::take_text() {
  auto rest = std::string_view(kept_).substr(text_begin.size());
  rest.remove_suffix(2);
  const auto family = take_word(rest);
  if (family == "UNKNOWN") {
    header_.is_local = true;
    return State::done;
  }
  if (family != "TCP4" && family != "TCP6") return bad("version 1: neither TCP4 nor TCP6 nor UNKNOWN");
  if (std::ranges::count(rest, ' ') != 3 || rest.contains('\0'))
    return bad("version 1: not two addresses and two ports");
  const bool is_ipv6 = family == "TCP6";
  const auto client = parse_address(take_word(rest), is_ipv6);
  const auto here = parse_address(take_word(rest), is_ipv6);
  const auto client_port = parse_port(take_word(rest));
  const auto port = parse_port(rest);
  if (!client || !here) return bad("version 1: not an address of its family");
  if (!client_port || !port) return bad("version 1: not a port");
  header_.client = *client;
  header_.client_port = *client_port;
  return State::done;
}

ProxyHeaderReader::State ProxyHeaderReader::feed_binary(std::string_view& input) {
  while (kept_.size() < wanted_) {
    if (input.empty()) return State::more;
    const auto piece = input.substr(0, wanted_ - kept_.size());
    kept_.append(piece);
    input.remove_prefix(piece.size());
    if (kept_.size() < wanted_) return State::more;
    const auto state = wanted_ == fixed_octets ? take_fixed() : take_addresses();
    if (state == State::bad) return state;
  }
  const auto skipped = std::min(skip_, input.size());
  input.remove_prefix(skipped);
  skip_ -= skipped;
  return skip_ == 0 ? State::done : State::more;
}

ProxyHeaderReader::State ProxyHeaderReader::take_fixed() {
  const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(kept_[at]); };
  const auto command = octet(12);
  const auto family = octet(13);
  skip_ = static_cast<std::size_t>(octet(14)) << 8U | octet(15);
  if (command >> 4U != 2) return bad("version 2: another version");
  if ((command & 0xfU) > 1) return bad("version 2: neither LOCAL nor PROXY");
  if ((command & 0xfU) == 0 || family == 0) {
    header_.is_local = true;
    return State::more;
  }
  if (family != 0x11 && family != 0x21) return bad("version 2: neither TCP over IPv4 nor over IPv6");
  const std::size_t addresses = family == 0x11 ? 12 : 36;
  if (skip_ < addresses) return bad("version 2: shorter than its addresses");
  skip_ -= addresses;
  wanted_ += addresses;
  return State::more;
}

ProxyHeaderReader::State ProxyHeaderReader::take_addresses() {
  const auto* octets = reinterpret_cast<const unsigned char*>(kept_.data()) + fixed_octets;
  const bool is_ipv6 = wanted_ - fixed_octets == 36;
  const auto* port = octets + (is_ipv6 ? 32 : 8);
  header_.client = is_ipv6 ? text_of_ipv6(octets) : text_of(AF_INET, octets);
  header_.client_port = static_cast<std::uint16_t>(port[0] << 8U | port[1]);
  return State::more;
}

}  // namespace umbra::smtp
