// `umbra watch`: the operator's side. Prints what is said in SMTP sessions of a hub, while it is said, until
// the span is over, the hub stops, or the reader has had enough.
#pragma once

#include <string>
#include <string_view>

namespace umbra::hub {

struct WatchCommand {
  std::string socket = "/run/umbra/admin.sock";
  std::string output = "text";  ///< text, json
  std::string client;
  std::string listener;
  std::string next_hop;
  std::string address;
  std::string direction;  ///< in, out; empty: both
  std::string span;       ///< how long; empty: without an end
};

/// Exit codes: 0, 1 (refused, or the hub went away), 2 (wrong use), 3 (no answer).
int run_watch(const WatchCommand& command);

/// A line of the answer (JSON) for people; never an octet that a terminal acts upon.
std::string watch_line(std::string_view json);

}  // namespace umbra::hub
