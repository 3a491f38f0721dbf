// What is asked of a trace: which messages, and when. The same words in the query of the admin API (GET
// /v1/trace) and between hubs.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace umbra::hub {

inline constexpr std::size_t traced_messages_max = 100;

/// All conditions that are there have to hold. By id alone, or by at least one of the others, the time
/// included.
struct TraceQuestion {
  std::vector<MessageId> ids = {};
  std::string sender = {};      ///< an address, `@domain`, or `<>`
  std::string recipient = {};   ///< an address or `@domain`
  std::string message_id = {};  ///< of the header field, with or without angle brackets
  WallTime since{};
  WallTime until = WallTime::max();
  std::size_t limit = 20;  ///< messages, the newest
  bool is_cluster = true;  ///< not only what this hub knows
  [[nodiscard]] bool is_of_time(WallTime time) const { return time >= since && time <= until; }
};

/// "id=ID,ID&sender=TEXT&recipient=TEXT&message-id=TEXT&since=MICROSECONDS&until=MICROSECONDS&limit=N&scope=hub|cluster",
/// texts percent-encoded. The error says what was expected.
std::expected<TraceQuestion, std::string> parse_trace_question(std::string_view query);
/// Path and query of the same question; at most smtp::query_octets_max octets.
std::string trace_target(const TraceQuestion& question);

}  // namespace umbra::hub
