// `umbra safety-net list | resend | status | cancel`: the operator's side of the safety net.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace umbra::hub {

struct SafetyNetCommand {
  std::string socket;
  std::string output = "text";
  std::string from;   ///< a time (RFC 3339, UTC) or how long ago ("2h"); empty: the oldest
  std::string until;  ///< the same; empty: now
  std::string sender;
  std::string recipient;
  std::string next_hop;
  std::string request;  ///< empty: one is made
  std::size_t limit = 100;
  std::string after;
  bool include_shadows = false;
  bool accept_unprotected = false;
  bool dry_run = false;
  bool detach = false;
};

int run_safety_net_list(const SafetyNetCommand& command);
/// Waits for its end unless `detach`. 0: all of it was sent again; 1: a problem, or some of it was not there
/// any more; 5: refused.
int run_safety_net_resend(const SafetyNetCommand& command);
int run_safety_net_status(const SafetyNetCommand& command);
int run_safety_net_cancel(const SafetyNetCommand& command);

/// For tests: one listing as a table; one request as a line.
std::string kept_view(const nlohmann::ordered_json& answer);
std::string resend_line(const nlohmann::ordered_json& resend);

}  // namespace umbra::hub
