// The operator's side of the admin API: one request over the Unix socket, answered or given up in time.
// Blocks; for the `umbra` commands only.
#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
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

/// Why there is no good answer, in words, and the status that came: 0 where no hub answered, 200 where it was
/// no JSON.
struct AdminRefusal {
  unsigned status = 0;
  std::string why;
};
/// The object that a hub answered with 200, or with `also_good`.
std::expected<nlohmann::ordered_json, AdminRefusal> ask_hub_json(const std::string& socket,
                                                                 const std::string& method,
                                                                 const std::string& target,
                                                                 unsigned also_good = 200);

}  // namespace umbra::hub
