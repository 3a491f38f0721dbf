// The small notations of the configuration file: durations, sizes, endpoints, names. Pure functions over
// text; an error is a phrase that says what was expected, to stand behind the offending value. Also the way
// back, for the reference page.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "hub/net/stream.h"

namespace umbra::hub {

template <class T>
using Parsed = std::expected<T, std::string>;

/// "500ms", "10s", "5min", "2h", "1d"; a bare number is refused (of what?), "0" is zero.
Parsed<Duration> parse_duration(std::string_view text);
/// The shortest exact form: "48h" is "2d".
std::string format_duration(Duration value);

/// Octets: "50MB" (decimal), "256KiB" (binary), "1024". Units B, KB, MB, GB, TB and KiB, MiB, GiB, TiB.
Parsed<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t octets);

/// "127.0.0.1:25", "[::1]:25", "mail.example.com:25". `default_port` 0: the port must be given.
Parsed<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port = 0);
bool is_address_literal(std::string_view host);
/// An address literal that only this machine reaches.
bool is_loopback(std::string_view host);

/// A host or domain name: labels of letters, digits, "-" and "_", at most 253 octets.
bool is_domain_name(std::string_view text);
/// What hubs, listeners and routes are called: letters, digits, ".", "-", "_", from a letter or digit, at
/// most 64.
bool is_plain_name(std::string_view text);

}  // namespace umbra::hub
