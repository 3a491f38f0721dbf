// The `umbra` command: runs a hub, checks its configuration, and asks a running one over its admin socket.
// Exit codes: 0 done; 1 a problem (said on standard error); 2 wrong usage; 3 no hub answers; 4 no such
// message; 5 a damaged spool. What it can do: hub/commands/.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "hub/commands/commands.h"
#include "hub/commands/exit_code.h"

namespace umbra::hub {
namespace {

int command_line(int argc, char** argv) {
  Chosen chosen;
  CLI::App app;
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
