#include "hub/commands/manual.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "hub/commands/completion.h"

namespace umbra::hub {
namespace {

/// What the tree of commands does not say. By page.
const std::map<std::string, std::string>& prose() {
  static const std::map<std::string, std::string> texts = {
      {"umbra",
       "Umbra is a relay mail server. A message is answered 250 when it is durable on two hubs, and the "
       "second copy stays until every next hop has confirmed "
       "its recipients. This program is the hub (umbra run) and what operators use to look at one and to "
       "command it.\n\n"
       "Commands that need a hub ask it over its admin socket. Any hub of a cluster answers for all of them "
       "where that makes sense (trace, queue search, top, "
       "config versions); a hub that does not answer is named, never left out.\n\n"
       "With --output json the answer is what the hub said, for scripts. Tables for people are no wider than "
       "the terminal, or COLUMNS; what does not fit ends in "
       "an ellipsis, and nothing is cut where the output is no terminal. Colours are shown on a terminal "
       "only, and never with NO_COLOR."},
      {"umbra-queue",
       "A search looks at all of the queue, in portions that do not keep the hub from its mail; the "
       "conditions hold together. It may end with a key for --after "
       "when there is more. Hubs that did not answer are named, and the exit code is 1 then.\n\n"
       "An action takes a message id of the hub that is asked, or --all-matching with conditions: then it is "
       "done to every message that fits, of all hubs of the cluster, "
       "or with --here of the one that is asked. Without --yes it is only said how many that would be. Each "
       "hub says what it has done; one that did not answer is named, "
       "and the exit code is 1 then: it may have done some of it.\n\n"
       "reroute sends what is left of a message to another next hop than its routes say, at once, and so "
       "that it lasts: over a restart, and with a hub that takes the "
       "message over. --to takes a host or an address as routes do, mx: and a domain whose mail exchangers "
       "are asked for, route: and the name of a route that has hosts, "
       "or config for what the routes say. A host that is merely named gets TLS where it offers it; mail "
       "whose route asks for encryption is not sent there.\n\n"
       "delete discards mail that was acknowledged: it is neither delivered nor bounced, and nobody is told. "
       "It is written to the event log and the tracking log, "
       "and counted (umbra_messages_deleted_total). Hubs that hold a copy are told that the message is done, "
       "so that no take-over brings it back; a hub that is "
       "cut off hears it when it is back, and may deliver the message if it takes this hub over before."},
      {"umbra-top",
       "A line for each hub. IN/s, OUT/s and BNC/s are messages accepted, and recipients delivered and "
       "bounced, in a second; UNPROT are messages with fewer copies than "
       "their policy asks for, OWED the notices that other hubs have yet to get."},
      {"umbra-config",
       "The version of a configuration is a hash of the text of its file: hubs with the same file show the "
       "same version. After a reload it is the version that is "
       "in force, but for the keys that need a restart."},
      {"umbra-completion",
       "For bash: source <(umbra completion bash). For zsh: source <(umbra completion zsh), after compinit. "
       "For fish: umbra completion fish | source."},
  };
  return texts;
}

/// For roff: no word of the text means anything to it.
std::string escaped(std::string_view text) {
  std::string out;
  bool is_line_start = true;
  for (char c : text) {
    if (is_line_start && (c == '.' || c == '\'')) out += "\\&";
    is_line_start = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '~' || c == '^')
      out += c == '~' ? "\\(ti" : "\\(ha";
    else
      out += c;
  }
  return out;
}

std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto part = text.substr(0, text.find("\n\n"));
    text.remove_prefix(std::min(part.size() + 2, text.size()));
    out += ".PP\n" + escaped(part) + "\n";
  }
  return out;
}

/// "ID", "FILE"; in brackets where it may be left out.
std::string operands(const CLI::App& command) {
  std::string out;
  for (const auto* option : command.get_options()) {
    if (!option->get_positional()) continue;
    auto name = option->get_name(true);
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    out += option->get_required() ? " " + name : " [" + name + "]";
  }
  return out;
}

/// "TEXT:{json,text}" -> "json|text"; "UINT:INT in [1 - 100]" -> "NUMBER".
std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return {};
  const auto type = option.get_type_name();
  if (auto open = type.find('{'), close = type.find('}');
      open != std::string::npos && close != std::string::npos) {
    auto choices = type.substr(open + 1, close - open - 1);
    std::ranges::replace(choices, ',', '|');
    return choices;
  }
  return type.starts_with("UINT") || type.starts_with("INT") ? "NUMBER" : "TEXT";
}

struct OptionText {
  std::string names;
  std::string help;
};

std::vector<OptionText> options_of(const CLI::App& command) {
  std::vector<OptionText> list;
  for (const auto* option : command.get_options()) {
    if (option->get_positional()) continue;
    OptionText text;
    for (const auto& name : option->get_snames()) text.names += (text.names.empty() ? "-" : ", -") + name;
    for (const auto& name : option->get_lnames()) text.names += (text.names.empty() ? "--" : ", --") + name;
    if (auto value = value_of(*option); !value.empty()) text.names += " " + value;
    text.help = option->get_description();
    if (auto initial = option->get_default_str(); !initial.empty() && initial != "\"\"" && initial != "false")
      text.help += " (default: " + initial + ")";
    if (!option->get_envname().empty()) text.help += " [" + option->get_envname() + "]";
    list.push_back(std::move(text));
  }
  return list;
}

std::vector<const CLI::App*> below(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

bool is_common(const std::string& names) {
  return names.contains("--help");
}

void describe(const CLI::App& command, const std::string& path, std::string& out) {
  const auto all = below(command);
  if (all.empty() || command.get_require_subcommand_min() == 0) {
    out += ".SS " + escaped(path + operands(command)) + "\n" + escaped(command.get_description()) + "\n";
    for (const auto& option : options_of(command))
      if (!is_common(option.names))
        out += ".TP\n.B " + escaped(option.names) + "\n" + escaped(option.help.empty() ? "-" : option.help) +
               "\n";
  }
  for (const auto* one : all) describe(*one, path + " " + one->get_name(), out);
}

std::string exit_status() {
  std::string out = ".SH EXIT STATUS\n";
  for (const auto& [code, meaning, where] : exit_codes()) {
    out += ".TP\n.B " + std::to_string(code) + "\n" + escaped(meaning);
    if (*where != '\0') out += escaped(std::string(" (") + where + ")");
    out += "\n";
  }
  return out;
}

const CLI::App* find(const CLI::App& app, const std::string& name) {
  for (const auto* one : below(app))
    if (name == "umbra-" + one->get_name()) return one;
  return nullptr;
}

void list_commands(const CLI::App& command, const std::string& path, std::string& out) {
  const auto all = below(command);
  if (all.empty() || command.get_require_subcommand_min() == 0) {
    auto help = command.get_description();
    out += "\n## `" + path + operands(command) + "`\n\n" + help + (help.ends_with('.') ? "\n" : ".\n");
    std::string rows;
    for (const auto& option : options_of(command)) {
      if (is_common(option.names)) continue;
      auto text = option.help;
      auto names = option.names;
      for (auto* cell : {&text, &names})
        for (auto at = cell->find('|'); at != std::string::npos; at = cell->find('|', at + 2))
          cell->insert(at, "\\");
      rows += "| `" + names + "` | " + text + " |\n";
    }
    if (!rows.empty()) out += "\n| option | meaning |\n|---|---|\n" + rows;
  }
  for (const auto* one : all) list_commands(*one, path + " " + one->get_name(), out);
}

}  // namespace

const std::vector<ExitCodeText>& exit_codes() {
  static const std::vector<ExitCodeText> codes = {
      {0, "Done.", ""},
      {1,
       "A problem, said on standard error: refused by the hub, a file that is wrong, a hub of the cluster "
       "that did not answer.",
       ""},
      {2, "Wrong usage: nothing was asked or done.", ""},
      {3, "No hub answers at the socket.", "all but pause, drain and leave"},
      {3,
       "The deadline has passed, or there was nobody to hand mail to; every message that is left has another "
       "copy.",
       "drain, leave"},
      {4, "No such message, and nothing that fits.", "queue, trace"},
      {4, "There is nothing of that name, or it is not suspended.", "suspend, resume"},
      {4, "As 3, and some messages that are left have no other copy.", "drain, leave"},
      {5, "The spool is damaged.", "spool check, spool export"},
      {5, "Refused: the hub cannot do that now.", "pause, drain, leave, safety-net resend"},
      {6, "Cancelled by another order.", "pause, drain, leave"},
  };
  return codes;
}

std::vector<std::string> manual_names(const CLI::App& app) {
  std::vector<std::string> names = {"umbra"};
  for (const auto* one : below(app)) names.push_back("umbra-" + one->get_name());
  return names;
}

std::string manual_page(const CLI::App& app, const std::string& name) {
  const bool is_root = name == "umbra";
  const auto* command = is_root ? &app : find(app, name);
  if (command == nullptr) return {};
  const auto path = is_root ? name : "umbra " + command->get_name();
  auto title = name;
  std::ranges::transform(title, title.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  std::string out =
      ".\\\" Made by `umbra reference man " + name + "`.\n.TH " + escaped(title) +
      " 1 \"\" \"Umbra\" \"Umbra\"\n.SH NAME\n" + escaped(name) + " \\- " +
      escaped(command->get_description()) + "\n.SH SYNOPSIS\n.B " + escaped(path) + "\n" +
      escaped(is_root || !below(*command).empty() ? "COMMAND [OPTIONS]" : "[OPTIONS]" + operands(*command)) +
      "\n";
  out += ".SH DESCRIPTION\n";
  auto text = prose().find(name);
  out +=
      text != prose().end()
          ? paragraphs(text->second)
          : paragraphs(command->get_description() + (command->get_description().ends_with('.') ? "" : "."));
  if (is_root) {
    out += ".SH COMMANDS\n";
    for (const auto* one : below(app))
      out +=
          ".TP\n.BR umbra\\-" + escaped(one->get_name()) + " (1)\n" + escaped(one->get_description()) + "\n";
  } else {
    out += below(*command).empty() ? ".SH OPTIONS\n" : ".SH COMMANDS\n";
    describe(*command, path, out);
  }
  out += exit_status();
  out +=
      ".SH ENVIRONMENT\n.TP\n.B UMBRA_SOCKET\nThe admin socket, where \\-\\-socket does not say it.\n.TP\n.B "
      "COLUMNS\nThe width of tables.\n"
      ".TP\n.B NO_COLOR\nNo colours, when it is not empty.\n";
  if (is_root) out += ".SH FILES\n.TP\n.B /run/umbra/admin.sock\nThe admin socket.\n";
  out += ".SH SEE ALSO\n";
  if (is_root) {
    std::string pages;
    for (const auto* one : below(app))
      pages += (pages.empty() ? ".BR umbra\\-" : ",\n.BR umbra\\-") + escaped(one->get_name()) + " (1)";
    // A comma belongs to the words before it.
    for (auto at = pages.find(",\n"); at != std::string::npos; at = pages.find(",\n", at))
      pages.replace(at, 2, " ,\n"), at += 3;
    out += pages + "\n";
  } else {
    out += ".BR umbra (1)\n";
  }
  return out;
}

std::string commands_reference(const CLI::App& app) {
  std::string out =
      "# Commands\n\nWritten by `umbra reference commands`; the same as manual pages: `man umbra`, "
      "[docs/man](man).\n\n" +
      prose().at("umbra") + "\n\n## Exit codes\n\n| code | meaning | of |\n|---|---|---|\n";
  for (const auto& [code, meaning, where] : exit_codes())
    out += "| " + std::to_string(code) + " | " + meaning + " | " + (*where == '\0' ? "all" : where) + " |\n";
  for (const auto* one : below(app)) {
    list_commands(*one, "umbra " + one->get_name(), out);
    if (auto text = prose().find("umbra-" + one->get_name()); text != prose().end())
      out += "\n" + text->second + "\n";
  }
  return out;
}

}  // namespace umbra::hub
