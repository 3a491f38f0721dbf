// `umbra config check | diff | versions | reload`: a file by itself, the file of a hub beside what is in
// force there, and which version of it is in force on each hub of the cluster. `umbra check` and `umbra
// reload` are the same by their names of before.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/commands/views.h"
#include "hub/config/config.h"
#include "hub/config/schema.h"

namespace umbra::hub {
namespace {

struct CheckOptions {
  std::string config_file;
  bool schema = false;
};

int check(const CheckOptions& options) {
  if (options.schema) {
    std::cout << config_schema();
    return done;
  }
  if (options.config_file.empty()) {
    std::fprintf(stderr, "umbra check: FILE is required\n");
    return usage;
  }
  auto config = load_config(options.config_file);
  if (!config) {
    for (const auto& found : config.error()) std::fprintf(stderr, "%s\n", to_string(found).c_str());
    return problem;
  }
  std::cout << options.config_file << ": valid, version " << config->version << "\n";
  return done;
}

int diff(const AdminOptions& options) {
  auto answer = ask(options, "GET", "/v1/configuration/diff");
  const int code = show(options, answer, config_diff_view);
  return !answer || code != done ? code : (*answer)["result"] == "refused" ? problem : done;
}

int versions(const AdminOptions& options) {
  return show(options, ask(options, "GET", "/v1/cluster/configuration"), [](const Json& json) {
    return config_versions_view(json, WallClock::now(), Screen::of_output());
  });
}

int reload(const AdminOptions& options) {
  // A refusal (409) is an answer of the same kind.
  auto answer = ask(options, "POST", "/v1/reload", 409);
  if (answer) {
    // What the other hubs have in force now: reloaded or not, an operator wants to see it beside this.
    if (auto others = ask(options, "GET", "/v1/cluster/configuration")) (*answer)["hubs"] = (*others)["hubs"];
  }
  int shown = show(options, answer, [](const Json& json) {
    const auto screen = Screen::of_output();
    auto text = reload_view(json, screen);
    return json.contains("hubs") ? text + "\n" + config_versions_view(json, WallClock::now(), screen) : text;
  });
  if (!answer || shown != done) return shown;
  if ((*answer)["configuration"]["result"] == "refused") {
    std::fprintf(stderr, "umbra: %s\n", (*answer)["error"].get<std::string>().c_str());
    return problem;
  }
  bool is_refused = std::ranges::any_of((*answer)["certificates"],
                                        [](const Json& one) { return one["result"] != "loaded"; });
  return is_refused ? problem : done;
}

}  // namespace

void add_config_commands(CLI::App& app, Chosen& chosen) {
  auto file = std::make_shared<CheckOptions>();
  auto options = std::make_shared<AdminOptions>();
  auto* config = app.add_subcommand(
      "config", "The configuration: check a file, compare it with what is in force, put it in force");
  config->require_subcommand(1);
  for (auto* parent : {config, &app}) {
    auto* command = parent->add_subcommand(
        "check", "Check a configuration file: every problem with file:line and what was expected");
    command->add_option("file", file->config_file, "Configuration file");
    command->add_flag("--schema", file->schema, "Print the JSON schema instead");
    command->callback([&chosen, file] { chosen = [file] { return check(*file); }; });
  }
  auto add = [&](CLI::App& parent, const char* name, const char* help, int (*run)(const AdminOptions&)) {
    auto* command = parent.add_subcommand(name, help);
    add_admin_options(command, *options);
    command->callback([&chosen, options, run] { chosen = [options, run] { return run(*options); }; });
  };
  add(*config, "diff",
      "What the hub's configuration file says beside what is in force: changed by a reload, or only by a "
      "restart. Changes nothing. Exit code 1: the file would be refused",
      diff);
  add(*config, "versions",
      "Which version of its file (a hash of the text) is in force on each hub of the cluster", versions);
  for (auto* parent : {config, &app})
    add(*parent, "reload",
        "Read the configuration file, certificates and keys anew; what is wrong is refused, and the former "
        "stays in force",
        reload);
}

}  // namespace umbra::hub
