// The `umbra-load hostile` command: many bad clients on one thread, all of one kind, from many loopback
// addresses. They send no mail; a `source` beside them measures what an honest client notices.
// scripts/bench_hostile and tests/end_to_end/test_hostile.py use it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace umbra::load {

struct HostileCommand {
  std::string target;
  std::string kind;                 ///< one of hostile_kinds()
  std::string verb = "NOOP";        ///< what a flood says
  std::uint32_t connections = 100;  ///< kept open; whoever is closed comes again
  std::uint32_t sources =
      64;  ///< loopback addresses they come from, 127.77.0.1 and so on; 0: the kernel chooses
  std::uint32_t drip_ms = 10'000;  ///< between two octets of the slow ones
  std::uint32_t recipients = 10'000;
  double rate = 0;     ///< connections per second of all; 0: as fast as they come about
  double seconds = 0;  ///< then it ends; 0: on SIGINT or SIGTERM
  std::string json;    ///< its counts, written anew four times a second and at the end
};

/// The kinds, for --help and its check.
const std::vector<std::string>& hostile_kinds();

/// Exit code: 0; 2 when it could not run.
int run_hostile(const HostileCommand& command);

}  // namespace umbra::load
