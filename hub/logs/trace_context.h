// The ids of OpenTelemetry (W3C Trace Context) for what happens to a message, so that the logs of a cluster
// can be joined with the traces of the systems around it. Nothing is made up or sent: a message id has 128
// bits, and is the trace id as it is. A span is what one hub does with one message. Both are the same in
// every line of every run.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace umbra::hub {

struct TraceContext {
  std::array<char, 48> digits;
  [[nodiscard]] std::string_view trace() const {
    return {digits.data(), 32};
  }  ///< the spool's id, then the number, 16 digits each
  [[nodiscard]] std::string_view span() const { return {digits.data() + 32, 16}; }
};

/// FNV-1a.
constexpr std::uint64_t hash_of_hub(std::string_view hub) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : hub) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

/// Neither id is all zeros: a spool's id never is 0.
inline TraceContext trace_context(MessageId id, std::uint64_t hub_hash) {
  TraceContext context;
  auto write = [&](std::size_t at, std::uint64_t value) {
    for (std::size_t i = 16; i-- > 0; value >>= 4U) context.digits[at + i] = "0123456789abcdef"[value & 15U];
  };
  const auto span = hub_hash ^ (id.number * 0x9e3779b97f4a7c15ULL) ^ id.spool.value;
  write(0, id.spool.value);
  write(16, id.number);
  write(32, span == 0 ? 1 : span);
  return context;
}

}  // namespace umbra::hub
