// The `umbra-load sink` command: a fast SMTP sink that records every delivery. One thread; ends on SIGINT or
// SIGTERM, or after a number of messages.
#pragma once

#include <cstdint>
#include <string>

#include "load/sink_dialog.h"

namespace umbra::load {

struct SinkCommand {
  std::string listen;
  std::string ledger;  ///< file; empty: none
  std::string json;    ///< file, written anew four times a second and at the end; empty: none; "-": standard
                       ///< output, at the end
  SinkOptions dialog;
  std::uint32_t delay_ms = 0;        ///< before the reply to the end of data
  std::uint32_t withhold_ms = 1000;  ///< how long a withheld reply keeps the connection open
  std::uint64_t exit_after = 0;      ///< messages; 0: never
  std::uint64_t seed = 1;
  bool quiet = false;
};

/// Exit code: 0, or 2 when it could not listen.
int run_sink(const SinkCommand& command);

}  // namespace umbra::load
