#include "hub/commands/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <set>

#include "hub/commands/commands.h"
#include "hub/commands/exit_code.h"

namespace umbra::hub {
namespace {

/// "TEXT:{json,text}" -> json, text.
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  auto open = type.find('{');
  auto close = type.find('}', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return choices;
  for (std::string_view rest = std::string_view(type).substr(open + 1, close - open - 1); !rest.empty();) {
    auto one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    choices.emplace_back(one);
  }
  return choices;
}

void walk(const CLI::App& app, const std::string& path, std::vector<CommandNode>& nodes) {
  CommandNode node;
  node.path = path;
  node.help = app.get_description();
  const auto below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* one : below) node.commands.emplace_back(one->get_name(), one->get_description());
  for (const auto* option : app.get_options()) {
    if (option->get_positional()) {
      const auto name = option->get_name(true);
      node.takes_file = node.takes_file || name.starts_with("file") || name.starts_with("directory");
      continue;
    }
    const bool takes_value = option->get_items_expected_max() > 0;
    auto choices = takes_value ? choices_of(option->get_type_name()) : std::vector<std::string>{};
    for (const auto& name : option->get_lnames())
      node.options.push_back({"--" + name, option->get_description(), takes_value, choices});
    for (const auto& name : option->get_snames())
      node.options.push_back({"-" + name, option->get_description(), takes_value, choices});
  }
  nodes.push_back(std::move(node));
  for (const auto* one : below) walk(*one, path + " " + one->get_name(), nodes);
}

std::string words(const CommandNode& node) {
  std::string all;
  for (const auto& [name, help] : node.commands) all += (all.empty() ? "" : " ") + name;
  for (const auto& option : node.options) all += (all.empty() ? "" : " ") + option.name;
  return all;
}

std::string joined(const std::vector<std::string>& list, const char* between) {
  std::string all;
  for (const auto& one : list) all += (all.empty() ? "" : between) + one;
  return all;
}

/// Between single quotes, where nothing but these means anything; without the characters in `out`.
std::string quoted(std::string text, const char* out = "") {
  std::erase_if(text, [out](char c) { return std::string_view(out).contains(c); });
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// The part that bash and zsh have in common: follows the words to the command that is meant.
std::string follow(const std::vector<CommandNode>& nodes, const char* first, const char* end,
                   const char* word) {
  std::string names;
  for (const auto& node : nodes)
    if (node.path != "umbra") names += (names.empty() ? "" : "|") + std::string("\"") + node.path + "\"";
  return std::string("  local node=umbra i\n  for ((i = ") + first + "; i < " + end +
         "; i++)); do\n    case \"$node " + word + "\" in\n      " + names + ") node=\"$node " + word +
         "\" ;;\n    esac\n  done\n";
}

enum class Shell : std::uint8_t { bash, zsh, fish };

int print(const CLI::App& app, Shell shell) {
  std::cout << (shell == Shell::bash  ? bash_completion(app)
                : shell == Shell::zsh ? zsh_completion(app)
                                      : fish_completion(app));
  return std::cout.flush() ? done : problem;
}

}  // namespace

std::vector<CommandNode> command_tree(const CLI::App& app) {
  std::vector<CommandNode> nodes;
  walk(app, "umbra", nodes);
  return nodes;
}

std::string bash_completion(const CLI::App& app) {
  const auto nodes = command_tree(app);
  std::string out =
      "# bash completion of umbra, made by `umbra completion bash`: source it, or put it into "
      "/usr/share/bash-completion/completions/umbra.\n"
      "_umbra() {\n  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n  "
      "COMPREPLY=()\n";
  out += follow(nodes, "1", "COMP_CWORD", "${COMP_WORDS[i]}");
  out += "  case \"$node $before\" in\n";
  std::vector<std::string> others;
  for (const auto& node : nodes)
    for (const auto& option : node.options) {
      if (!option.takes_value) continue;
      if (option.choices.empty())
        others.push_back("\"" + node.path + " " + option.name + "\"");
      else
        out += "    \"" + node.path + " " + option.name + "\") COMPREPLY=($(compgen -W '" +
               joined(option.choices, " ") + "' -- \"$current\")); return ;;\n";
    }
  out += "    " + joined(others, "|") +
         ") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n  esac\n  case \"$node\" in\n";
  for (const auto& node : nodes)
    out += "    \"" + node.path + "\") words='" + words(node) + "'" +
           (node.takes_file ? "; COMPREPLY=($(compgen -f -- \"$current\"))" : "") + " ;;\n";
  out += "  esac\n  COMPREPLY+=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -F _umbra umbra\n";
  return out;
}

std::string zsh_completion(const CLI::App& app) {
  const auto nodes = command_tree(app);
  std::string out =
      "#compdef umbra\n# zsh completion of umbra, made by `umbra completion zsh`: source it after compinit, "
      "or put it into a folder of $fpath as _umbra.\n_umbra() {\n";
  out += follow(nodes, "2", "CURRENT", "${words[i]}");
  out += "  case \"$node ${words[CURRENT-1]}\" in\n";
  std::vector<std::string> others;
  for (const auto& node : nodes)
    for (const auto& option : node.options) {
      if (!option.takes_value) continue;
      if (option.choices.empty())
        others.push_back("\"" + node.path + " " + option.name + "\"");
      else
        out += "    \"" + node.path + " " + option.name + "\") compadd -- " + joined(option.choices, " ") +
               "; return ;;\n";
    }
  out += "    " + joined(others, "|") +
         ") _files; return ;;\n  esac\n  local -a commands options\n  case \"$node\" in\n";
  for (const auto& node : nodes) {
    out += "    \"" + node.path + "\")\n";
    if (!node.commands.empty()) {
      out += "      commands=(";
      for (const auto& [name, help] : node.commands) out += quoted(name + ":" + help, "`") + " ";
      out += ")\n";
    }
    out += "      options=(";
    for (const auto& option : node.options) out += quoted(option.name + ":" + option.help, "`") + " ";
    out += ")\n";
    if (node.takes_file) out += "      _files\n";
    out += "      ;;\n";
  }
  out +=
      "  esac\n  (( ${#commands} )) && _describe command commands\n  _describe option options\n}\n"
      "if [ \"${funcstack[1]}\" = _umbra ]; then _umbra \"$@\"; else compdef _umbra umbra; fi\n";
  return out;
}

std::string fish_completion(const CLI::App& app) {
  const auto nodes = command_tree(app);
  std::string out =
      "# fish completion of umbra, made by `umbra completion fish`: source it, or put it into "
      "~/.config/fish/completions/umbra.fish.\n"
      "function __umbra_at\n  set -l words (commandline -opc)\n  set -l node umbra\n  for word in "
      "$words[2..-1]\n    if contains -- \"$node $word\"";
  for (const auto& node : nodes)
    if (node.path != "umbra") out += " " + quoted(node.path);
  out +=
      "\n      set node \"$node $word\"\n    end\n  end\n  test \"$node\" = \"$argv[1]\"\nend\ncomplete -c "
      "umbra -f\n";
  for (const auto& node : nodes) {
    const auto condition = "complete -c umbra -n " + quoted("__umbra_at \"" + node.path + "\"");
    for (const auto& [name, help] : node.commands)
      out += condition + " -a " + name + " -d " + quoted(help) + "\n";
    for (const auto& option : node.options) {
      const bool is_long = option.name.starts_with("--");
      out += condition + (is_long ? " -l " + option.name.substr(2) : " -s " + option.name.substr(1));
      if (option.takes_value)
        out += option.choices.empty() ? " -r -F" : " -x -a " + quoted(joined(option.choices, " "));
      out += " -d " + quoted(option.help) + "\n";
    }
    if (node.takes_file) out += condition + " -F\n";
  }
  return out;
}

void add_completion_command(CLI::App& app, Chosen& chosen) {
  auto* completion = app.add_subcommand("completion", "Print a completion script for a shell");
  completion->require_subcommand(1);
  const std::pair<const char*, Shell> shells[] = {
      {"bash", Shell::bash}, {"zsh", Shell::zsh}, {"fish", Shell::fish}};
  for (const auto& [name, shell] : shells)
    completion->add_subcommand(name, std::string("For ") + name)->callback([&app, &chosen, shell] {
      chosen = [&app, shell] { return print(app, shell); };
    });
}

}  // namespace umbra::hub
