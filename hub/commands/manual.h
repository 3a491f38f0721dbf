// Manual pages (man(7)), made from the tree of commands and the prose in manual.cpp. Kept in docs/man; a test
// compares.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace umbra::hub {

/// "umbra", and "umbra-NAME" for each command at the top.
std::vector<std::string> manual_names(const CLI::App& app);
/// Empty: there is no such page.
std::string manual_page(const CLI::App& app, const std::string& name);

struct ExitCodeText {
  int code;
  const char* meaning;
  const char* where;  ///< which commands; empty: all
};
/// The one table of exit codes: umbra.1 and docs/commands.md.
const std::vector<ExitCodeText>& exit_codes();
/// docs/commands.md: every command, and the exit codes.
std::string commands_reference(const CLI::App& app);

}  // namespace umbra::hub
