// The `umbra` command: runs a hub, checks its configuration, and asks a running one over its admin socket.
// Exit codes: 0 done; 1 a problem (said on standard error); 2 wrong usage; 3 no hub answers; 4 no such
// message; 5 a damaged spool. What it can do: hub/commands/.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "hub/admin/version.h"
#include "hub/commands/commands.h"
#include "hub/commands/exit_code.h"

namespace umbra::hub {
namespace {

int command_line(int argc, char** argv) {
  Chosen chosen;
  CLI::App app{"Umbra: a clustered SMTP relay that keeps every acknowledged message on two machines.",
               "umbra"};
  app.footer("Exit codes: 0 done, 1 a problem, 2 wrong usage, 3 no hub answers, 4 no such message, 5 a damaged spool.");
  app.set_version_flag("--version", std::string("umbra ") + version);
  app.require_subcommand(1);
  add_commands(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? done : usage;
  }
  return chosen();
}

}  // namespace
}  // namespace umbra::hub

int main(int argc, char** argv) {
  try {
    return umbra::hub::command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "umbra: %s\n", error.what());
    return 1;
  }
}
