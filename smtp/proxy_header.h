// The header of the PROXY protocol, versions 1 (text) and 2 (binary): what a proxy says in front of a
// connection of the client whose connection it is. Octets in, one header out; no socket and no clock. Strict,
// since rights hang on the address: one blank between words, no leading zeros, TCP over IPv4 or IPv6 only.
// Bounded: 107 octets for version 1, and of version 2 only the addresses are kept; what stands behind them
// (TLVs) is skipped. Any split of the input gives the same. Called by hub/inbound/entrance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace umbra::smtp {

struct ProxyHeader {
  bool is_local = false;  ///< LOCAL, UNKNOWN or UNSPEC: the connection is the proxy's own (a health check)
  std::string client;     ///< an address literal; of an IPv4-mapped one the IPv4 address
  std::uint16_t client_port = 0;
};

class ProxyHeaderReader {
 public:
  enum class State : std::uint8_t { more, done, bad };
  /// Removes from the front of `input` what belongs to the header, and nothing behind it. Not called any more
  /// after done or bad.
  State feed(std::string_view& input);
  /// After done.
  [[nodiscard]] const ProxyHeader& header() const { return header_; }
  /// After bad: a phrase for the log.
  [[nodiscard]] std::string_view fault() const { return fault_; }

 private:
  State feed_text(std::string_view& input);
  State feed_binary(std::string_view& input);
  State take_text();
  State take_fixed();
  State take_addresses();
  State bad(std::string_view why);

  ProxyHeader header_;
  std::string_view fault_;
  std::string kept_;
  bool is_binary_ = false;
  bool is_version_known_ = false;
  std::size_t wanted_ = 0;  ///< octets of version 2 to be kept
  std::size_t skip_ = 0;    ///< octets of version 2 behind them
};

}  // namespace umbra::smtp
