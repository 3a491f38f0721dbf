// `umbra version`: the release, the commit that it was built from, and the libraries that it runs with.
#include <openssl/crypto.h>

#include <CLI/CLI.hpp>
#include <boost/version.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "hub/admin/version.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "storage/library_version.h"

// hub/CMakeLists.txt says it, where the sources are a checkout or UMBRA_COMMIT is set.
#ifndef UMBRA_COMMIT
#define UMBRA_COMMIT "unknown"
#endif

namespace umbra::hub {
namespace {

std::string boost_version() {
  return std::to_string(BOOST_VERSION / 100000) + "." + std::to_string(BOOST_VERSION / 100 % 1000) + "." + std::to_string(BOOST_VERSION % 100);
}

int show_version(const std::string& output) {
  const Json all = {{"version", version}, {"commit", UMBRA_COMMIT}, {"sqlite", storage::sqlite_version()}, {"boost", boost_version()}, {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)}};
  if (output == "json") {
    std::cout << all.dump(2) << "\n";
  } else {
    std::cout << "umbra " << version << "\n";
    for (const auto& [name, value] : all.items())
      if (name != "version") std::cout << name << std::string(8 - name.size(), ' ') << value.get<std::string>() << "\n";
  }
  return std::cout.flush() ? done : problem;
}

}  // namespace

void add_version_command(CLI::App& app, Chosen& chosen) {
  auto output = std::make_shared<std::string>("text");
  auto* command = app.add_subcommand("version", "Print the version, the commit it was built from, and the libraries it runs with");
  add_output_option(command, *output);
  command->callback([&chosen, output] { chosen = [output] { return show_version(*output); }; });
}

}  // namespace umbra::hub
