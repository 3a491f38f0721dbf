// `umbra suspend`, `umbra resume listener|delivery`, `umbra suspensions`: the operator's side. Prints what is
// suspended afterwards.
#pragma once

#include <string>

namespace umbra::hub {

struct SuspensionCommand {
  std::string socket = "/run/umbra/admin.sock";
  std::string output = "text";  ///< text, json
  std::string what;             ///< listener, delivery
  std::string name;
  bool all = false;
  std::string span;  ///< how long; empty: until it is resumed
  std::string reason;
};

/// Exit codes: 0, 1 (refused, or the hub's trouble), 2 (wrong use), 3 (no answer), 4 (there is none of that
/// name, or it is not suspended).
int run_suspend(const SuspensionCommand& command);
int run_resume(const SuspensionCommand& command);
int run_suspensions(const SuspensionCommand& command);

}  // namespace umbra::hub
