// `umbra trace`: where is a message, where was it, which copies are there? Asks one hub, which asks the
// others.
#pragma once

#include <string>
#include <vector>

namespace umbra::hub {

struct TraceCommand {
  std::string socket = "/run/umbra/admin.sock";
  std::string output = "text";  ///< text, json
  std::vector<std::string> ids = {};
  std::string sender;
  std::string recipient;
  std::string message_id;
  std::string since;  ///< a moment, or how long ago
  std::string until;
  std::size_t limit = 20;
  bool only_here = false;  ///< what this hub knows alone
};

/// Exit codes: 0, 1 (the hub's trouble), 2 (wrong use), 3 (no answer), 4 (nobody knows such a message).
int run_trace(const TraceCommand& command);

}  // namespace umbra::hub
