// Why mail is refused, as metrics tell it: two closed lists, where in the session and for what reason.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "smtp/reply.h"

namespace umbra::hub {

enum class RejectionStage : std::uint8_t {
  connect,
  mail,
  rcpt,
  message
};  ///< message: at its beginning or end
inline constexpr std::array<std::string_view, 4> rejection_stages = {"connect", "mail", "rcpt", "message"};

enum class RejectionReason : std::uint8_t {
  relay_denied,
  no_service,  ///< no listener of the address is for this client
  proxy,       ///< no good header of the PROXY protocol
  connections,
  throttled,
  pressure,
  closing,  ///< the hub is drained or stops
  suspended,
  storage,
  not_redundant,
  content_filter,
  size,
  loop,
  bare_line_end,
  nul,
  line_length,
  other
};
inline constexpr std::array<std::string_view, 17> rejection_reasons = {
    "relay_denied", "no_service",    "proxy",   "connections",   "throttled",      "pressure",
    "closing",      "suspended",     "storage", "not_redundant", "content_filter", "size",
    "loop",         "bare_line_end", "nul",     "line_length",   "other"};
static_assert(rejection_reasons.size() == static_cast<std::size_t>(RejectionReason::other) + 1);

/// What the reply to a message says of itself: by its status (RFC 3463), and by its text where the status has
/// no finer word.
RejectionReason reason_of(const smtp::Reply& reply);

struct Rejections {
  std::array<std::array<std::uint64_t, rejection_reasons.size()>, rejection_stages.size()> counts{};
  void add(RejectionStage stage, RejectionReason reason) {
    ++counts[static_cast<std::size_t>(stage)][static_cast<std::size_t>(reason)];
  }
};

}  // namespace umbra::hub
