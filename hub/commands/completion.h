// Completion scripts for shells, made from the tree of commands: what a script knows is what the program
// takes.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace umbra::hub {

/// One command of the tree, with what may follow it.
struct CommandNode {
  struct Option {
    std::string name;  ///< "--limit"
    std::string help;
    bool takes_value = false;
    std::vector<std::string> choices;  ///< of the value; empty: anything
  };
  std::string path;  ///< "umbra queue search"
  std::string help;
  std::vector<std::pair<std::string, std::string>> commands;  ///< below it: name and help
  std::vector<Option> options;
  bool takes_file = false;  ///< as an operand
};
/// The root first, then each with what is below it.
std::vector<CommandNode> command_tree(const CLI::App& app);

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

}  // namespace umbra::hub
