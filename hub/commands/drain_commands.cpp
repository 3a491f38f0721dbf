// `umbra pause | drain | leave | undrain | resume`. What they do: hub/admin/drain_view.h.
#include <CLI/CLI.hpp>
#include <memory>

#include "hub/admin/drain_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/commands/prestop.h"

namespace umbra::hub {

void add_drain_commands(CLI::App& app, Chosen& chosen) {
  auto drain = std::make_shared<DrainCommand>();
  auto add = [&](CLI::App& parent, const char* name, const char* help) {
    auto* command = parent.add_subcommand(name, help);
    add_socket_option(command, drain->socket);
    command->add_option("--output", drain->output, "text or json (a line per second)")
        ->check(CLI::IsMember(std::set<std::string>{"text", "json"}))
        ->capture_default_str();
    return command;
  };
  auto order = [&](const char* name, const char* help) {
    auto* command = add(app, name, help);
    command->add_flag("--detach", drain->detach, "Begin, and do not wait for the end");
    command
        ->add_option("--unready-wait", drain->unready_wait,
                     "How long mail is still taken after readiness has turned")
        ->capture_default_str();
    return command;
  };
  auto hand_over = [&](CLI::App* command) {
    command->add_option("--deadline", drain->deadline, "End as incomplete after this")->capture_default_str();
    command->add_option("--rate", drain->rate, "Messages handed over per second, at most")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    command->add_option("--to", drain->to, "Only to these hubs (names, separated by commas)");
    command->add_flag("--dry-run", drain->dry_run,
                      "Only say what there is, and what would lose its last copy");
  };
  auto run = [drain, &chosen](const char* verb) {
    drain->verb = verb;
    chosen = [drain] { return run_drain(*drain); };
  };
  auto* pause = order("pause", "Take no mail; deliver what is here");
  pause->callback([run] { run("pause"); });
  auto* drained = order(
      "drain",
      "Be safe to stop for a while: what is due is delivered or handed over, the rest stays on the disk");
  drained->add_option("--return-within", drain->return_within, "Other hubs do not take over before this")
      ->capture_default_str();
  hand_over(drained);
  drained->require_subcommand(0, 1);
  add(*drained, "status", "What a drain, leave or pause is doing")->callback([&chosen, drain] {
    chosen = [drain] { return run_drain_status(*drain); };
  });
  drained->add_flag("--prestop", drain->is_prestop,
                    "As a pod's preStop hook: leave when the StatefulSet is scaled down past this pod, else "
                    "drain; exit code 0 in any case");
  drained->callback([drain, &chosen, run, drained] {
    if (!drained->get_subcommands().empty()) return;
    if (!drain->is_prestop) return run("drain");
    chosen = [drain] { return run_prestop(drain->socket); };
  });
  auto* leave = order("leave", "Hand everything over: the disk may go");
  hand_over(leave);
  leave->callback([run] { run("leave"); });
  add(app, "undrain", "Be active again")->callback([&chosen, drain] {
    chosen = [drain] { return run_undrain(*drain); };
  });
  auto* resume = add(app, "resume", "Be active again; or resume what was suspended");
  resume->require_subcommand(0, 1);
  resume->callback([&chosen, drain, resume] {
    if (resume->get_subcommands().empty()) chosen = [drain] { return run_undrain(*drain); };
  });
}

}  // namespace umbra::hub
