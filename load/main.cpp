// umbra-load: load, a sink and the proof that nothing was lost between them. See docs/umbra-load.md.
#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include "load/hostile.h"
#include "load/ledger.h"
#include "load/sink.h"
#include "load/source.h"

namespace {

using namespace umbra::load;

/// Ten thousand sessions need as many descriptors; the soft limit is often 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void add_source(CLI::App& app, SourceCommand& source) {
  auto* cli = app.add_subcommand("source", "Send numbered messages and write down what became of each");
  cli->add_option("--to", source.targets, "HOST:PORT[,HOST:PORT...]: one or more targets, used in turn")
      ->required()
      ->delimiter(',');
  cli->add_option("--sessions", source.sessions, "Connections at once")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();
  cli->add_option("--messages", source.messages, "Messages in all")
      ->check(CLI::Range(1, 99'999'999))
      ->capture_default_str();
  cli->add_option("--rate", source.rate, "Messages per second in all; 0: as fast as they are taken")
      ->check(CLI::NonNegativeNumber);
  cli->add_option("--size", source.size, "Octets per message, header included")
      ->check(CLI::Range(400, 1 << 30))
      ->capture_default_str();
  cli->add_option("--recipients", source.recipients, "Recipients per message")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  cli->add_flag("--fresh-connections", source.fresh_connections, "A connection for every message");
  cli->add_flag("--pipelining,!--no-pipelining", source.pipelining, "Use PIPELINING where offered (default)");
  cli->add_flag("--chunking", source.chunking, "Send with BDAT instead of DATA");
  cli->add_flag("--verify", source.verify, "Announce a checksum of every body for the sink to check");
  cli->add_flag("--token-in-recipient", source.token_in_recipient,
                "Recipients load-N.TOKEN@ instead of load-N@");
  cli->add_option("--from", source.from, "Sender; empty: the null sender")->capture_default_str();
  cli->add_option("--to-domain", source.to_domain, "Domain of the recipients")->capture_default_str();
  cli->add_option("--to-user", source.to_user, "Recipients are USER-0@, USER-1@, ...; letters and digits")
      ->capture_default_str();
  cli->add_option("--helo", source.helo, "Name in EHLO")->capture_default_str();
  cli->add_option("--mail-parameters", source.mail_parameters, "Appended to MAIL FROM, e.g. \"RET=HDRS\"");
  cli->add_option("--rcpt-parameters", source.rcpt_parameters, "Appended to RCPT TO, e.g. \"NOTIFY=NEVER\"");
  cli->add_option("--ledger", source.ledger, "Append what happened to every message to this file");
  cli->add_option("--json", source.json, "Write the result to this file; -: standard output");
  cli->add_option("--timeout-ms", source.timeout_ms, "For connecting and for every reply")
      ->capture_default_str();
  cli->add_option("--give-up-ms", source.give_up_ms, "No new attempt later than this after a message's first")
      ->capture_default_str();
  cli->add_flag("--quiet", source.quiet, "No progress line");
}

void add_sink(CLI::App& app, SinkCommand& sink) {
  auto* cli = app.add_subcommand("sink", "Take mail and record every delivery");
  auto odds = CLI::Range(0.0, 1.0);
  cli->add_option("--listen", sink.listen, "HOST:PORT")->required();
  cli->add_option("--ledger", sink.ledger, "Append every delivery to this file");
  cli->add_option("--delay", sink.delay_ms, "Milliseconds before the reply to the end of data")
      ->check(CLI::Range(0, 3'600'000));
  cli->add_option("--odds-4xx", sink.dialog.odds_4xx,
                  "Odds per message of a 4xx at MAIL, RCPT, DATA or the end of data")
      ->check(odds);
  cli->add_option("--odds-5xx", sink.dialog.odds_5xx, "Odds per message of a 5xx at RCPT or the end of data")
      ->check(odds);
  cli->add_option("--odds-disconnect", sink.dialog.odds_disconnect,
                  "Odds per message of a disconnect without a reply")
      ->check(odds);
  cli->add_option(
         "--withhold-final", sink.dialog.withhold,
         "Take messages but say nothing, then disconnect: odds below 1, or the first so many messages")
      ->check(CLI::NonNegativeNumber);
  cli->add_option("--withhold-ms", sink.withhold_ms, "How long such a connection stays open")
      ->capture_default_str();
  cli->add_option("--seed", sink.seed, "For the odds")->capture_default_str();
  cli->add_option("--exit-after", sink.exit_after, "End after so many messages; 0: on SIGINT or SIGTERM");
  cli->add_option("--json", sink.json, "Write the counts to this file, four times a second and at the end");
  cli->add_option("--host-name", sink.dialog.host_name, "Name in the greeting")->capture_default_str();
  cli->add_option("--size-max", sink.dialog.size_max, "Announced with SIZE")->capture_default_str();
  cli->add_flag("--pipelining,!--no-pipelining", sink.dialog.pipelining, "Offer PIPELINING (default)");
  cli->add_flag("--8bitmime,!--no-8bitmime", sink.dialog.eight_bit, "Offer 8BITMIME (default)");
  cli->add_flag("--chunking,!--no-chunking", sink.dialog.chunking, "Offer CHUNKING (default)");
  cli->add_flag("--smtputf8,!--no-smtputf8", sink.dialog.smtputf8, "Offer SMTPUTF8 (default)");
  cli->add_flag("--quiet", sink.quiet, "No progress line");
}

void add_hostile(CLI::App& app, HostileCommand& hostile) {
  auto* cli = app.add_subcommand("hostile", "Many bad clients of one kind: no mail, only trouble");
  cli->add_option("--to", hostile.target, "HOST:PORT")->required();
  cli->add_option("--kind", hostile.kind, "What they do")->required()->check(CLI::IsMember(hostile_kinds()));
  cli->add_option("--verb", hostile.verb, "What a flood says")
      ->check(CLI::IsMember({"NOOP", "RSET", "EHLO"}))
      ->capture_default_str();
  cli->add_option("--connections", hostile.connections, "Connections at once")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();
  cli->add_option("--sources", hostile.sources,
                  "Loopback addresses they come from, 127.77.0.1 and so on; 0: as the kernel has it")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  cli->add_option("--drip-ms", hostile.drip_ms, "Between two octets of the slow ones")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  cli->add_option("--recipients", hostile.recipients, "Named in one transaction")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  cli->add_option("--rate", hostile.rate, "Connections per second of all; 0: as fast as they come about")
      ->check(CLI::NonNegativeNumber);
  cli->add_option("--seconds", hostile.seconds, "Then it ends; 0: on SIGINT or SIGTERM")
      ->check(CLI::NonNegativeNumber);
  cli->add_option("--json", hostile.json,
                  "Write the counts to this file, four times a second and at the end");
}

void add_ledger(CLI::App& app, LedgerCommand& ledger) {
  auto* cli = app.add_subcommand("ledger", "Match what was acknowledged against what was delivered");
  cli->add_option("--source", ledger.sources, "Ledger files of sources")->required();
  cli->add_option("--sink", ledger.sinks, "Ledger files of sinks")->required();
  cli->add_flag("--json", ledger.json, "Print JSON");
  cli->add_option("--named", ledger.named_max, "How many lost and duplicated messages to name")
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("SMTP load, sink and ledger for Umbra", "umbra-load");
  app.require_subcommand(1);
  SourceCommand source;
  SinkCommand sink;
  LedgerCommand ledger;
  HostileCommand hostile;
  add_source(app, source);
  add_sink(app, sink);
  add_ledger(app, ledger);
  add_hostile(app, hostile);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  raise_descriptor_limit();
  sink.dialog.delays = sink.delay_ms > 0;
  if (app.got_subcommand("source")) return run_source(source);
  if (app.got_subcommand("sink")) return run_sink(sink);
  if (app.got_subcommand("hostile")) return run_hostile(hostile);
  return run_ledger(ledger);
}
