// The header of any message, as `umbra headers` reads it: no crash, bounded, and a hop field that is read is
// written and read again alike.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "smtp/hops.h"

namespace {

using namespace umbra::smtp;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets{reinterpret_cast<const char*>(data), size};
  const auto read = read_hops(octets, {"hub-1.example"});
  require(read.hops.size() <= hops_max);
  for (const auto& one : read.hops) {
    if (!one.hop) continue;
    const auto field = hop_field(*one.hop);
    const auto again = parse_hop_field(std::string_view(field).substr(field.find(':') + 1));
    require(again.has_value());
    require(hop_field(*again) == field);
  }
  (void)parse_hop_field(octets);
  (void)parse_received(octets);
  (void)parse_date_time(octets);
  return 0;
}
