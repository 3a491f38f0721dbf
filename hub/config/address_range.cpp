// AddressRange: "192.0.2.0/24", "2001:db8::/32", or a single address. Bits beyond the prefix must be
// zero: 10.0.0.1/8 is more often a slip than meant, and relay rights hang on it.
#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "base/ids.h"
#include "hub/config/config.h"

namespace umbra::hub {
namespace {

struct Bits {
  std::array<std::uint8_t, 16> octets{};
  bool is_v4 = false;  ///< written as IPv4: prefix lengths count from bit 96
};

std::optional<Bits> address_bits(std::string_view text) {
  // A scope ("fe80::1%eth0") does not take part in a range.
  boost::system::error_code error;
  auto address = asio::ip::make_address(std::string(text.substr(0, text.find('%'))), error);
  if (error) return std::nullopt;
  Bits bits;
  if (address.is_v4()) {
    auto v4 = address.to_v4().to_bytes();
    bits.octets[10] = bits.octets[11] = 0xff;
    std::ranges::copy(v4, bits.octets.begin() + 12);
    bits.is_v4 = true;
  } else {
    std::ranges::copy(address.to_v6().to_bytes(), bits.octets.begin());
  }
  return bits;
}

/// The bit at `index`, from the most significant one of the first octet.
bool bit(const std::array<std::uint8_t, 16>& octets, int index) {
  return ((octets[static_cast<std::size_t>(index) / 8] >> (7 - index % 8)) & 1) != 0;
}

bool is_mapped(const std::array<std::uint8_t, 16>& octets) {
  return octets[10] == 0xff && octets[11] == 0xff && std::all_of(octets.begin(), octets.begin() + 10, [](auto octet) { return octet == 0; });
}

}  // namespace

bool AddressRange::is_ipv4() const { return prefix >= 96 && is_mapped(bits); }

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  auto slash = text.find('/');
  auto address = text.substr(0, slash);
  if (address.find('%') != std::string_view::npos) return std::nullopt;
  auto bits = address_bits(address);
  if (!bits) return std::nullopt;

  AddressRange range;
  range.text = std::string(text);
  range.bits = bits->octets;
  range.prefix = 128;
  if (slash != std::string_view::npos) {
    auto length = parse_number(text.substr(slash + 1));
    if (!length || *length > (bits->is_v4 ? 32U : 128U)) return std::nullopt;
    range.prefix = static_cast<int>(*length) + (bits->is_v4 ? 96 : 0);
  }
  for (int i = range.prefix; i < 128; ++i) {
    if (bit(range.bits, i)) return std::nullopt;
  }
  return range;
}

bool AddressRange::contains(std::string_view address) const {
  auto other = address_bits(address);
  if (!other) return false;
  // "::/0" means every IPv6 client; IPv4 clients are named by IPv4 ranges (0.0.0.0/0) or by mapped ones.
  if (prefix < 96 && is_mapped(other->octets)) return false;
  auto whole = static_cast<std::size_t>(prefix) / 8;
  for (std::size_t i = 0; i < whole; ++i) {
    if (bits[i] != other->octets[i]) return false;
  }
  for (int i = static_cast<int>(whole) * 8; i < prefix; ++i) {
    if (bit(bits, i) != bit(other->octets, i)) return false;
  }
  return true;
}

}  // namespace umbra::hub
