#include "hub/config/units.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <limits>
#include <utility>

#include "base/ids.h"

namespace umbra::hub {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> duration_units = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1}}};  // milliseconds

constexpr std::array<Unit, 10> size_units = {{{"TiB", 1ULL << 40},
                                              {"GiB", 1ULL << 30},
                                              {"MiB", 1ULL << 20},
                                              {"KiB", 1ULL << 10},
                                              {"TB", 1'000'000'000'000},
                                              {"GB", 1'000'000'000},
                                              {"MB", 1'000'000},
                                              {"KB", 1'000},
                                              {"kB", 1'000},
                                              {"B", 1}}};

/// Splits "50MB" into 50 and "MB"; the number must be there and fit.
std::optional<std::pair<std::uint64_t, std::string_view>> split(std::string_view text) {
  auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  auto number = parse_number(text.substr(0, digits));
  if (!number) return std::nullopt;
  auto unit = text.substr(digits);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  return std::pair{*number, unit};
}

template <std::size_t N>
std::optional<std::uint64_t> scaled(std::uint64_t number, std::string_view unit,
                                    const std::array<Unit, N>& units, std::uint64_t largest) {
  for (const auto& known : units) {
    if (known.name != unit) continue;
    if (number > largest / known.factor) return std::nullopt;
    return number * known.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string shortest(std::uint64_t value, const std::array<Unit, N>& units, std::string_view zero) {
  if (value == 0) return std::string(zero);
  for (const auto& unit : units) {
    if (value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
  }
  return std::to_string(value);
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) {
  static const std::string expected = "expected a duration such as 500ms, 10s, 5min, 2h or 1d";
  auto parts = split(text);
  if (!parts) return std::unexpected(expected);
  if (parts->first == 0 && parts->second.empty()) return Duration{0};
  // A hundred years: beyond it, arithmetic with nanoseconds would overflow.
  auto milliseconds = scaled(parts->first, parts->second, duration_units, 36'500ULL * 86'400'000);
  if (!milliseconds) return std::unexpected(expected);
  return std::chrono::milliseconds(*milliseconds);
}

std::string format_duration(Duration value) {
  auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
  return shortest(static_cast<std::uint64_t>(std::max<std::int64_t>(milliseconds, 0)), duration_units, "0");
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  static const std::string expected = "expected a size such as 65536, 256KiB, 50MB or 1GiB";
  auto parts = split(text);
  if (!parts) return std::unexpected(expected);
  if (parts->second.empty()) return parts->first;
  auto octets = scaled(parts->first, parts->second, size_units, std::numeric_limits<std::int64_t>::max());
  if (!octets) return std::unexpected(expected);
  return *octets;
}

std::string format_size(std::uint64_t octets) {
  constexpr std::array<Unit, 4> binary = {{size_units[0], size_units[1], size_units[2], size_units[3]}};
  return shortest(octets, binary, "0");
}

bool is_address_literal(std::string_view host) {
  boost::system::error_code error;
  asio::ip::make_address(std::string(host), error);
  return !error;
}

Parsed<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  std::string expected = default_port == 0
                             ? "expected host:port, such as 127.0.0.1:25 or [::1]:25"
                             : "expected a host with or without :port, such as mail.example.com or [::1]:25";
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    auto end = text.find(']');
    if (end == std::string_view::npos) return std::unexpected(expected);
    host = text.substr(1, end - 1);
    auto rest = text.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return std::unexpected(expected);
    if (!rest.empty()) port = rest.substr(1);
    if (!is_address_literal(host) || host.find(':') == std::string_view::npos)
      return std::unexpected(expected);
    if (!rest.empty() && port.empty()) return std::unexpected(expected);
  } else if (auto colon = text.find(':'); colon != std::string_view::npos) {
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return std::unexpected("an IPv6 address stands in brackets, such as [::1]:25");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return std::unexpected(expected);
  }
  if (!is_address_literal(host) && !is_domain_name(host)) return std::unexpected(expected);

  Endpoint endpoint{std::string(host), default_port};
  if (port.empty()) {
    if (default_port == 0) return std::unexpected(expected);
    return endpoint;
  }
  auto number = parse_number(port);
  if (!number || *number > 65535) return std::unexpected("expected a port from 0 to 65535");
  endpoint.port = static_cast<std::uint16_t>(*number);
  return endpoint;
}

bool is_loopback(std::string_view host) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

bool is_domain_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    auto dot = text.find('.');
    auto label = text.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_'; }))
      return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_plain_name(std::string_view text) {
  if (text.empty() || text.size() > 64 || !is_letter_or_digit(text.front())) return false;
  return std::ranges::all_of(
      text, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_'; });
}

}  // namespace umbra::hub
