#include "load/ledger.h"

#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

#include "load/ledger_check.h"
#include "load/progress.h"

namespace umbra::load {

namespace {

nlohmann::ordered_json units_json(const std::vector<NamedUnit>& units) {
  auto out = nlohmann::ordered_json::array();
  for (const auto& unit : units) {
    out.push_back({{"token", unit.token},
                   {"recipient", unit.recipient},
                   {"acknowledgement", unit.acknowledgement},
                   {"deliveries", unit.deliveries},
                   {"resent", unit.resent}});
  }
  return out;
}

void print_json(const LedgerReport& report) {
  const auto& counts = report.counts;
  nlohmann::ordered_json out = {
      {"ok", report.ok()},
      {"attempted", counts.attempted},
      {"acknowledged", counts.acknowledged},
      {"delivered", counts.delivered},
      {"lost", counts.lost},
      {"unexpected", counts.unexpected},
      {"duplicated", counts.duplicated},
      {"duplicated_resent", counts.duplicated_resent},
      {"duplicated_unexplained", counts.duplicated_unexplained},
      {"duplicate_deliveries", counts.duplicate_deliveries},
      {"recovered", counts.recovered},
      {"undecided", counts.undecided},
      {"rejected_by_sink", counts.rejected_by_sink},
      {"withheld", counts.withheld},
      {"messages_acknowledged", counts.messages_acknowledged},
      {"without_token", counts.without_token},
      {"unreadable_lines", counts.unreadable_lines},
      {"first_lost", units_json(report.lost)},
      {"first_duplicated", units_json(report.duplicated)},
      {"first_unexpected", report.unexpected},
  };
  std::printf("%s\n", out.dump(2).c_str());
}

void print_text(const LedgerReport& report) {
  const auto& counts = report.counts;
  auto row = [](const char* name, std::uint64_t number, const char* meaning) {
    std::printf("  %-14s %12s  %s\n", name, with_commas(number).c_str(), meaning);
  };
  std::printf("Ledger (one unit is one message to one recipient)\n");
  row("attempted", counts.attempted, "tried by a source");
  row("acknowledged", counts.acknowledged, "answered 2xx at the end of data");
  row("delivered", counts.delivered, "taken by a sink");
  row("lost", counts.lost, "acknowledged and not delivered");
  row("unexpected", counts.unexpected, "delivered and never tried");
  row("duplicated", counts.duplicated, "delivered more than once");
  if (counts.duplicated > 0) {
    row("  resent", counts.duplicated_resent, "the source tried again after a lost reply");
    row("  unexplained", counts.duplicated_unexplained, "the source tried once; see the hubs' logs");
  }
  row("recovered", counts.recovered, "delivered though never acknowledged");
  row("undecided", counts.undecided, "reply lost, never acknowledged");
  if (counts.rejected_by_sink > 0) row("rejected", counts.rejected_by_sink, "refused by the sink with 5xx");
  if (counts.withheld > 0) row("withheld", counts.withheld, "taken by the sink without a reply");
  if (counts.without_token > 0) row("other mail", counts.without_token, "delivered without a token");
  if (counts.unreadable_lines > 0) row("unreadable", counts.unreadable_lines, "ledger lines skipped");
  for (const auto& unit : report.lost) {
    std::printf("  lost: %s recipient %u (%s)\n", unit.token.c_str(), unit.recipient,
                unit.acknowledgement.c_str());
  }
  for (const auto& unit : report.duplicated) {
    std::printf("  duplicated: %s recipient %u, %u times%s (%s)\n", unit.token.c_str(), unit.recipient,
                unit.deliveries, unit.resent ? ", resent by the source" : "", unit.acknowledgement.c_str());
  }
  for (const auto& unit : report.unexpected) std::printf("  unexpected: %s\n", unit.c_str());
  std::printf("%s\n", report.ok() ? "OK: nothing acknowledged was lost" : "FAILED");
}

}  // namespace

int run_ledger(const LedgerCommand& command) {
  LedgerCheck check;
  for (const auto& [files, source] : {std::pair{&command.sources, true}, std::pair{&command.sinks, false}}) {
    for (const auto& name : *files) {
      std::ifstream in(name);
      if (!in) {
        std::fprintf(stderr, "umbra-load ledger: cannot read %s\n", name.c_str());
        return 2;
      }
      for (std::string line; std::getline(in, line);)
        source ? check.add_source_line(line) : check.add_sink_line(line);
      if (in.bad()) {
        std::fprintf(stderr, "umbra-load ledger: error while reading %s\n", name.c_str());
        return 2;
      }
    }
  }
  auto report = check.report(command.named_max);
  command.json ? print_json(report) : print_text(report);
  return report.ok() ? 0 : 1;
}

}  // namespace umbra::load
