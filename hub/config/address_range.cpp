// AddressRange: "192.0.2.0/24", "2001:db8::/32", "10.0.0.5-10.0.0.9", or a single address. Bits beyond the
// prefix must be zero: 10.0.0.1/8 is more often a slip than meant, and relay rights hang on it.
#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "base/ids.h"
#include "hub/config/config.h"

namespace umbra::hub {
namespace {

struct Bits {
  AddressRange::Octets octets{};
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

bool is_mapped(const AddressRange::Octets& octets) {
  return octets[10] == 0xff && octets[11] == 0xff &&
         std::all_of(octets.begin(), octets.begin() + 10, [](auto octet) { return octet == 0; });
}

/// `first` with ones behind the first `prefix` bits; nothing where a one stands there already.
std::optional<AddressRange::Octets> last_of(AddressRange::Octets first, std::size_t prefix) {
  for (std::size_t i = prefix; i < 128; ++i) {
    const auto bit = static_cast<std::uint8_t>(0x80U >> (i % 8));
    if ((first[i / 8] & bit) != 0) return std::nullopt;
    first[i / 8] |= bit;
  }
  return first;
}

}  // namespace

bool AddressRange::is_ipv4() const {
  return is_mapped(first) && is_mapped(last);
}

AddressRange::Octets AddressRange::extent() const {
  Octets difference{};
  int borrow = 0;
  for (std::size_t i = difference.size(); i-- > 0;) {
    const int digit = last[i] - first[i] - borrow;
    borrow = digit < 0 ? 1 : 0;
    difference[i] = static_cast<std::uint8_t>(digit + 256 * borrow);
  }
  return difference;
}

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  const auto end = text.find_first_of("/-");
  if (text.find('%') != std::string_view::npos) return std::nullopt;
  const auto from = address_bits(text.substr(0, end));
  if (!from) return std::nullopt;
  AddressRange range{std::string(text), from->octets, from->octets};
  if (end == std::string_view::npos) return range;
  const auto rest = text.substr(end + 1);
  if (text[end] == '-') {
    const auto to = address_bits(rest);
    if (!to || to->is_v4 != from->is_v4 || to->octets < from->octets) return std::nullopt;
    range.last = to->octets;
    return range;
  }
  const auto length = parse_number(rest);
  if (!length || *length > (from->is_v4 ? 32U : 128U)) return std::nullopt;
  const auto last = last_of(range.first, static_cast<std::size_t>(*length) + (from->is_v4 ? 96 : 0));
  if (!last) return std::nullopt;
  range.last = *last;
  return range;
}

bool AddressRange::contains(std::string_view address) const {
  const auto other = address_bits(address);
  // "::/0" means every IPv6 client; IPv4 clients are named by IPv4 ranges (0.0.0.0/0) or by mapped ones.
  return other && is_mapped(other->octets) == is_ipv4() && first <= other->octets && other->octets <= last;
}

}  // namespace umbra::hub
