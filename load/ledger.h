// The `umbra-load ledger` command: reads ledger files and prints what LedgerCheck finds.
#pragma once

#include <string>
#include <vector>

namespace umbra::load {

struct LedgerCommand {
  std::vector<std::string> sources;
  std::vector<std::string> sinks;
  bool json = false;
  std::size_t named_max = 20;
};

/// Exit code: 0 nothing lost and nothing unexpected; 1 something was; 2 a file could not be read.
int run_ledger(const LedgerCommand& command);

}  // namespace umbra::load
