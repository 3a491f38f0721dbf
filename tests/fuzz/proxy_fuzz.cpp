// What stands in front of a connection (PROXY protocol) and XCLIENT's attributes, from hostile octets: no
// crash, the same however it is split, nothing taken behind the header, and whatever address is believed is
// one. The first octet chooses the split.
#include <arpa/inet.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/proxy_header.h"
#include "smtp/xclient.h"

namespace {

using namespace umbra::smtp;
using State = ProxyHeaderReader::State;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_address(const std::string& text) {
  std::array<unsigned char, 16> octets{};
  return ::inet_pton(AF_INET, text.c_str(), octets.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), octets.data()) == 1;
}

struct Seen {
  State state = State::more;
  std::string client;
  bool is_local = false;
  std::size_t left = 0;
  bool operator==(const Seen&) const = default;
};

Seen read(std::string_view text, std::size_t piece_octets) {
  ProxyHeaderReader reader;
  Seen seen;
  while (!text.empty() && seen.state == State::more) {
    auto piece = text.substr(0, piece_octets);
    text.remove_prefix(piece.size());
    seen.state = reader.feed(piece);
    require(piece.empty() || seen.state != State::more);
    if (seen.state == State::done) seen.left = piece.size() + text.size();
  }
  if (seen.state != State::done) return seen;
  seen.client = reader.header().client;
  seen.is_local = reader.header().is_local;
  require(seen.is_local ? seen.client.empty() : is_address(seen.client));
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  require(read(text, text.size() + 1) == read(text, data[0] % 32 + 1U));
  if (auto said = parse_xclient(text)) {
    require(!said->address || is_address(*said->address));
    for (const auto* value : {&said->helo, &said->name, &said->login})
      if (*value) require((*value)->size() <= 255 && (*value)->find_first_of("\r\n ") == std::string::npos);
  }
  return 0;
}
