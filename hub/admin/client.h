// The operator's side of the admin API: one request over the Unix socket, answered or given up in time.
// Blocks; for the `umbra` commands only.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

struct AdminAnswer {
  unsigned status = 0;
  std::string body;
};

/// Fails when no hub answers at `socket` within `timeout`.
Result<AdminAnswer> ask_hub(const std::string& socket, const std::string& method, const std::string& target,
                            Duration timeout = std::chrono::seconds(60));

}  // namespace umbra::hub
