// `umbra run`, `umbra check`, `umbra reference` and `umbra version`: those that ask no hub.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <expected>
#include <iostream>

#include "hub/admin/version.h"
#include "hub/commands/commands.h"
#include "hub/commands/exit_code.h"
#include "hub/config/config.h"
#include "hub/config/schema.h"
#include "hub/hub.h"
#include "hub/metrics.h"

namespace umbra::hub {
namespace {

struct Options {
  std::string config_file;
  bool schema = false;
};

/// 0, or the exit code after the problems were printed.
std::expected<Config, int> read_config(const std::string& file) {
  auto config = load_config(file);
  if (config) return std::move(*config);
  for (const auto& found : config.error()) std::fprintf(stderr, "%s\n", to_string(found).c_str());
  return std::unexpected(problem);
}

int run(const Options& options) {
  auto config = read_config(options.config_file);
  return config ? run_hub(*config) : config.error();
}

int check(const Options& options) {
  if (options.schema) {
    std::cout << config_schema();
    return done;
  }
  if (options.config_file.empty()) {
    std::fprintf(stderr, "umbra check: FILE is required\n");
    return usage;
  }
  auto config = read_config(options.config_file);
  if (!config) return config.error();
  std::cout << options.config_file << ": valid\n";
  return done;
}

}  // namespace

void add_hub_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  auto* run_command = app.add_subcommand("run", "Run a hub until SIGTERM");
  run_command->add_option("--config", options->config_file, "Configuration file (docs/configuration.md)")
      ->required();
  run_command->callback([&chosen, options] { chosen = [options] { return run(*options); }; });

  auto* check_command = app.add_subcommand(
      "check", "Check a configuration file: every problem with file:line and what was expected");
  check_command->add_option("file", options->config_file, "Configuration file");
  check_command->add_flag("--schema", options->schema, "Print the JSON schema instead");
  check_command->callback([&chosen, options] { chosen = [options] { return check(*options); }; });

  auto* reference = app.add_subcommand("reference", "Print a reference page (Markdown)");
  reference->require_subcommand(1);
  reference->add_subcommand("configuration", "Every key of the configuration file")->callback([&chosen] {
    chosen = [] { return std::cout << config_reference() ? done : problem; };
  });
  reference->add_subcommand("metrics", "Every metric")->callback([&chosen] {
    chosen = [] { return std::cout << metrics_reference() ? done : problem; };
  });

  app.add_subcommand("version", "Print the version")->callback([&chosen] {
    chosen = [] { return std::cout << "umbra " << version << "\n" ? done : problem; };
  });
}

}  // namespace umbra::hub
