// The operator's side of pause, drain and leave: gives the order, follows it, and ends with an exit code a
// script can use.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"

namespace umbra::hub {

struct DrainCommand {
  std::string socket;
  std::string output = "text";
  std::string verb;  ///< pause, drain, leave
  std::string return_within = "300s";
  std::string deadline = "180s";
  std::string unready_wait = "5s";
  std::uint64_t rate = 2000;
  std::string to;
  bool is_prestop = false;  ///< run_prestop() instead
  bool dry_run = false;
  bool detach = false;
};

/// Exit codes: 0 done, 1 a problem, no answer of the hub for 5 s included, 2 wrong usage, 3 deadline or no
/// target but every message has another copy, 4 some have none, 5 refused, 6 cancelled.
int run_drain(const DrainCommand& command);
int run_undrain(const DrainCommand& command);
int run_drain_status(const DrainCommand& command);

/// One line of progress.
std::string drain_line(const nlohmann::ordered_json& report);

}  // namespace umbra::hub
