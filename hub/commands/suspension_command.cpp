#include "hub/commands/suspension_command.h"

#include <CLI/CLI.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

#include <cstdio>

#include "hub/admin/client.h"
#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

int ask_and_show(const SuspensionCommand& command, const std::string& method, const std::string& target) {
  auto answer = ask_hub_json(command.socket, method, target);
  if (!answer) {
    std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
    return answer.error().status == 0 ? unreachable : answer.error().status == 404 ? not_found : problem;
  }
  auto text = command.output == "json"
                  ? answer->dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"
                  : suspensions_view(*answer, WallClock::now());
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? done : problem;
}

std::string encoded(const std::string& text) {
  return boost::urls::encode({text.data(), text.size()}, boost::urls::unreserved_chars);
}

/// "?what=...&name=..."; empty after saying what is wrong.
std::string named(const SuspensionCommand& command) {
  if (command.name.empty() != command.all) {
    std::fprintf(stderr, "umbra: say a NAME, or --all\n");
    return {};
  }
  return "?what=" + command.what + "&name=" + encoded(command.all ? "*" : command.name);
}

}  // namespace

int run_suspend(const SuspensionCommand& command) {
  auto query = named(command);
  if (query.empty()) return usage;
  if (!command.span.empty()) {
    auto span = parse_duration(command.span);
    if (!span || *span < std::chrono::seconds(1)) {
      std::fprintf(stderr, "umbra: \"%s\" is no span of time: say 90s, 30min, 2h\n", command.span.c_str());
      return usage;
    }
    query += "&seconds=" + std::to_string(std::chrono::ceil<std::chrono::seconds>(*span).count());
  }
  if (!command.reason.empty()) query += "&reason=" + encoded(command.reason);
  return ask_and_show(command, "POST", "/v1/suspend" + query);
}

int run_resume(const SuspensionCommand& command) {
  auto query = named(command);
  return query.empty() ? static_cast<int>(usage) : ask_and_show(command, "POST", "/v1/resume" + query);
}

int run_suspensions(const SuspensionCommand& command) {
  return ask_and_show(command, "GET", "/v1/suspensions");
}

void add_suspension_commands(CLI::App& app, Chosen& chosen) {
  auto suspension = std::make_shared<SuspensionCommand>();
  auto add = [&](CLI::App& parent, const char* name, const char* help) {
    auto* command = parent.add_subcommand(name, help);
    add_admin_options(command, suspension->socket, suspension->output);
    return command;
  };
  auto* suspend = app.add_subcommand("suspend",
                                     "Take no mail by a listener, or deliver none to a destination or a "
                                     "domain, or of a sender, until it is resumed; lasts over a restart");
  suspend->require_subcommand(1);
  auto* resume = app.get_subcommand("resume");
  const std::pair<const char*, const char*> kinds[] = {
      {"listener", "Its clients get 421 4.3.2 and keep their mail"},
      {"delivery", "Mail for this destination waits here, and does not age"},
      {"domain", "Mail for recipients of this domain waits here, wherever it goes"},
      {"sender", "Mail of this sender waits here"}};
  for (const auto& [what, help] : kinds) {
    auto* one = add(*suspend, what, help);
    auto* back = add(*resume, what, "Resume it");
    for (auto* command : {one, back}) {
      const std::string kind = what;
      command->add_option("name", suspension->name,
                          kind == "listener"   ? "Its name"
                          : kind == "delivery" ? "The destination, as `umbra queue show` names it"
                          : kind == "domain"   ? "example.com"
                                               : "user@example.com, @example.com or <>");
      if (kind == "listener" || kind == "delivery")
        command->add_flag("--all", suspension->all, "All of them");
    }
    one->add_option("--for", suspension->span, "How long (90s, 30min, 2h); without it until it is resumed");
    one->add_option("--reason", suspension->reason, "Shown with it");
    auto choose = [suspension, &chosen, meant = std::string(what)](int (*run)(const SuspensionCommand&)) {
      suspension->what = meant;
      chosen = [suspension, run] { return run(*suspension); };
    };
    one->callback([choose] { choose(run_suspend); });
    back->callback([choose] { choose(run_resume); });
  }
  add(app, "suspensions", "What is suspended")->callback([&chosen, suspension] {
    chosen = [suspension] { return run_suspensions(*suspension); };
  });
}

}  // namespace umbra::hub
