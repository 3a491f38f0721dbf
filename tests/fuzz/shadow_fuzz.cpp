// XSHADOW commands from hostile octets: no crash, bounded, and the same commands whatever the split.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/envelope.h"
#include "smtp/shadow_capabilities.h"
#include "smtp/shadow_verbs.h"

namespace {

struct Seen {
  std::size_t commands = 0;
  std::size_t octets = 0;
  bool failed = false;
  bool operator==(const Seen&) const = default;
};

Seen read(std::string_view wire, std::size_t piece) {
  umbra::smtp::ShadowParser parser;
  Seen seen;
  for (std::size_t at = 0; at < wire.size() && !seen.failed; at += piece) {
    parser.feed(wire.substr(at, piece));
    for (;;) {
      auto command = parser.next();
      if (!command) {
        if (command.error().what.size() < 11) std::abort();
        seen.failed = true;
        break;
      }
      if (!*command) break;
      ++seen.commands;
      seen.octets +=
          (*command)->octets.size() + (*command)->copy.body.size() + (*command)->copy.envelope.size();
      if (!(*command)->copy.envelope.empty()) (void)umbra::decode_envelope((*command)->copy.envelope);
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view wire(reinterpret_cast<const char*>(data), size);
  if (read(wire, wire.size() + 1) != read(wire, 3)) std::abort();
  (void)umbra::smtp::parse_answer(wire);
  (void)umbra::smtp::parse_discard(wire);
  (void)umbra::smtp::parse_challenge(wire);
  (void)umbra::smtp::parse_keywords(wire);
  (void)umbra::decode_envelope(wire);
  return 0;
}
