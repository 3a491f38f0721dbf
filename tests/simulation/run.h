// One run: a cluster, clients and next hops made from a seed; faults; heal; run to quiet; check.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/cluster.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/scenario.h"

namespace umbra::simulation {

struct RunResult {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0;  ///< of the trace
  std::vector<std::string> failures;
  LedgerCounts counts;
  std::vector<std::string> duplicates;
  Cluster::Counts cluster;
  std::uint64_t faults = 0;
  Duration virtual_time{};
  Duration took_to_quiet{};
  std::uint64_t events = 0;
  std::vector<std::string> last_lines;
  [[nodiscard]] bool ok() const { return failures.empty(); }
};

RunResult run(const Choices& choices);
/// What is printed of a failed run: seed, counts, failures, the end of the trace, and the command that does
/// it again.
std::string report(const RunResult& result, const std::string& command);
std::string to_string(const LedgerCounts& counts);

}  // namespace umbra::simulation
