// `umbra version`: the release, the commit that it was built from, and the libraries that it runs with.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "hub/admin/build.h"
#include "hub/admin/version.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"

namespace umbra::hub {
namespace {

int show_version(const std::string& output) {
  const auto build = this_build();
  const Json all = {{"version", version},
                    {"commit", build.commit},
                    {"sqlite", build.sqlite},
                    {"boost", build.boost},
                    {"openssl", build.openssl}};
  if (output == "json") {
    std::cout << all.dump(2) << "\n";
  } else {
    std::cout << "umbra " << version << "\n";
    for (const auto& [name, value] : all.items())
      if (name != "version")
        std::cout << name << std::string(8 - name.size(), ' ') << value.get<std::string>() << "\n";
  }
  return std::cout.flush() ? done : problem;
}

}  // namespace

void add_version_command(CLI::App& app, Chosen& chosen) {
  auto output = std::make_shared<std::string>("text");
  auto* command = app.add_subcommand(
      "version", "Print the version, the commit it was built from, and the libraries it runs with");
  add_output_option(command, *output);
  command->callback([&chosen, output] { chosen = [output] { return show_version(*output); }; });
}

}  // namespace umbra::hub
