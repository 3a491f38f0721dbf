// `umbra run` and `umbra reference`: the daemon, and the pages that the program writes itself.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>

#include "hub/commands/commands.h"
#include "hub/commands/exit_code.h"
#include "hub/commands/manual.h"
#include "hub/config/config.h"
#include "hub/config/schema.h"
#include "hub/config/units.h"
#include "hub/hub.h"
#include "hub/metrics.h"

namespace umbra::hub {
namespace {

int run(const std::string& file, const std::string& drain_on_stop) {
  auto config = load_config(file);
  if (config) return run_hub(*config, {.drain_on_stop = parse_duration(drain_on_stop).value()});
  for (const auto& found : config.error()) std::fprintf(stderr, "%s\n", to_string(found).c_str());
  return problem;
}

int print_manual(const CLI::App& app, const std::string& name) {
  if (name.empty()) {
    for (const auto& one : manual_names(app)) std::cout << one << "\n";
    return done;
  }
  auto page = manual_page(app, name);
  if (page.empty()) {
    std::fprintf(stderr, "umbra: there is no manual page %s\n", name.c_str());
    return usage;
  }
  return std::cout << page ? done : problem;
}

CLI::Validator duration() {
  return {[](const std::string& text) {
            return parse_duration(text) ? std::string{} : "\"" + text + "\" is no time like 60s or 2min";
          },
          "TIME"};
}

}  // namespace

void add_hub_commands(CLI::App& app, Chosen& chosen) {
  auto file = std::make_shared<std::string>();
  auto drain_on_stop = std::make_shared<std::string>("0");
  auto page = std::make_shared<std::string>();
  auto* run_command = app.add_subcommand("run", "Run a hub until SIGTERM");
  run_command->add_option("--config", *file, "Configuration file (docs/configuration.md)")->required();
  run_command
      ->add_option(
          "--drain-on-stop", *drain_on_stop,
          "On SIGTERM drain for so long at most (60s, 2min), then stop. A second signal stops at once")
      ->envname("UMBRA_DRAIN_ON_STOP")
      ->check(duration())
      ->capture_default_str();
  run_command->callback([&chosen, file, drain_on_stop] {
    chosen = [file, drain_on_stop] { return run(*file, *drain_on_stop); };
  });

  auto* reference = app.add_subcommand("reference", "Print a reference page");
  reference->require_subcommand(1);
  auto add = [&](const char* name, const char* help, std::function<std::string()> text) {
    reference->add_subcommand(name, help)->callback([&chosen, text = std::move(text)] {
      chosen = [text] { return std::cout << text() ? done : problem; };
    });
  };
  add("configuration", "Every key of the configuration file (Markdown)",
      [] { return std::string(config_reference()); });
  add("metrics", "Every metric (Markdown)", [] { return std::string(metrics_reference()); });
  add("commands", "Every command, and the exit codes (Markdown)", [&app] { return commands_reference(app); });
  auto* manual = reference->add_subcommand("man", "A manual page (man); without a name, their names");
  manual->add_option("page", *page, "umbra, umbra-queue, ...");
  manual->callback([&chosen, &app, page] { chosen = [&app, page] { return print_manual(app, *page); }; });
}

}  // namespace umbra::hub
