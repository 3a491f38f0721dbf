// The `umbra` command: runs a hub, checks its configuration, and asks a running one over its admin socket.
// Exit codes: 0 done; 1 a problem (said on standard error); 2 wrong usage; 3 no hub answers; 4 no such
// message; 5 a damaged spool.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/ids.h"
#include "hub/admin/client.h"
#include "hub/admin/drain_view.h"
#include "hub/admin/text_view.h"
#include "hub/admin/version.h"
#include "hub/commands/prestop.h"
#include "hub/config/config.h"
#include "hub/config/schema.h"
#include "hub/config/units.h"
#include "hub/headers_command.h"
#include "hub/hub.h"
#include "hub/metrics.h"
#include "hub/safety_net_command.h"
#include "hub/salvage_command.h"
#include "hub/suspension_command.h"
#include "hub/trace_command.h"
#include "hub/watch_command.h"

namespace umbra::hub {
namespace {

enum ExitCode : int { done = 0, problem = 1, usage = 2, unreachable = 3, not_found = 4 };

using Json = nlohmann::ordered_json;

struct Options {
  std::string config_file;
  std::string socket = "/run/umbra/admin.sock";
  std::string output = "text";
  std::string drain_on_stop = "0";
  std::string id;
  std::string state;
  std::string after;
  std::size_t limit = 100;
  bool schema = false;
  std::string directory;
  std::string to;
  std::string reason = "by the operator";
  bool only_here = false;
  bool safety_net = false;
};

/// 0, or the exit code after the problems were printed.
std::expected<Config, int> read_config(const std::string& file) {
  auto config = load_config(file);
  if (config) return std::move(*config);
  for (const auto& found : config.error()) std::fprintf(stderr, "%s\n", to_string(found).c_str());
  return std::unexpected(problem);
}

int run(const Options& options) {
  auto config = read_config(options.config_file);
  if (!config) return config.error();
  return run_hub(*config, {.drain_on_stop = parse_duration(options.drain_on_stop).value()});
}

int check(const Options& options) {
  if (options.schema) {
    std::cout << config_schema();
    return done;
  }
  if (options.config_file.empty()) {
    std::fprintf(stderr, "umbra check: FILE is required\n");
    return usage;
  }
  auto config = read_config(options.config_file);
  if (!config) return config.error();
  std::cout << options.config_file << ": valid\n";
  return done;
}

/// One request; the JSON of a good answer, or the exit code after the error was printed.
std::expected<Json, int> ask(const Options& options, const std::string& method, const std::string& target, unsigned also_good = 200) {
  auto answer = ask_hub_json(options.socket, method, target, also_good);
  if (answer) return std::move(*answer);
  std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
  return std::unexpected(answer.error().status == 0 ? unreachable : answer.error().status == 404 ? not_found : problem);
}

using View = std::function<std::string(const Json&)>;

int show(const Options& options, const std::expected<Json, int>& answer, const View& view) {
  if (!answer) return answer.error();
  std::cout << (options.output == "json" ? answer->dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                                         : view(*answer));
  std::cout.flush();
  return std::cout ? done : problem;
}

/// Asks page by page until `limit` rows of the list `name` are there.
std::expected<Json, int> ask_pages(const Options& options, const std::string& path, const std::string& name) {
  constexpr std::size_t page_rows = 500;
  Json all = {{name, Json::array()}, {"next", options.after.empty() ? Json(nullptr) : Json(options.after)}};
  while (all[name].size() < options.limit) {
    auto left = options.limit - all[name].size();
    auto target = path + "?limit=" + std::to_string(std::min(left, page_rows));
    if (!all["next"].is_null()) target += "&after=" + all["next"].get<std::string>();
    if (!options.state.empty()) target += "&state=" + options.state;
    auto page = ask(options, "GET", target);
    if (!page) return page;
    for (auto& row : (*page)[name]) all[name].push_back(std::move(row));
    all["next"] = (*page)["next"];
    if (all["next"].is_null()) break;
  }
  return all;
}

int act(const Options& options, const std::string& action) {
  auto answer = ask(options, "POST", "/v1/queue/" + options.id + "/" + action);
  return show(options, answer,
              [&](const Json& json) {
                auto remark = json.value("remark", std::string());
                return json["id"].get<std::string>() + ": " + action + " done" + (remark.empty() ? "" : "; " + remark) + "\n";
              });
}

CLI::Validator message_id() {
  return {[](const std::string& text) {
            return parse_message_id(text) ? std::string{} : "\"" + text + "\" is no message id";
          },
          "ID"};
}

CLI::Validator duration() {
  return {[](const std::string& text) {
            return parse_duration(text) ? std::string{} : "\"" + text + "\" is no time like 60s or 2min";
          },
          "TIME"};
}

/// The sub-command that was chosen leaves what to do in `chosen`.
void add_hub_commands(CLI::App& app, Options& options, std::function<int()>& chosen) {
  auto* run_command = app.add_subcommand("run", "Run a hub until SIGTERM");
  run_command->add_option("--config", options.config_file, "Configuration file (docs/configuration.md)")
      ->required();
  run_command->add_option("--drain-on-stop", options.drain_on_stop, "On SIGTERM drain for so long at most (60s, 2min), then stop. A second signal stops at once")
      ->envname("UMBRA_DRAIN_ON_STOP")
      ->check(duration())
      ->capture_default_str();
  run_command->callback([&] { chosen = [&] { return run(options); }; });

  auto* check_command = app.add_subcommand(
      "check", "Check a configuration file: every problem with file:line and what was expected");
  check_command->add_option("file", options.config_file, "Configuration file");
  check_command->add_flag("--schema", options.schema, "Print the JSON schema instead");
  check_command->callback([&] { chosen = [&] { return check(options); }; });

  auto* reference = app.add_subcommand("reference", "Print a reference page (Markdown)");
  reference->require_subcommand(1);
  reference->add_subcommand("configuration", "Every key of the configuration file")->callback([&] {
    chosen = [] { return std::cout << config_reference() ? done : problem; };
  });
  reference->add_subcommand("metrics", "Every metric")->callback([&] {
    chosen = [] { return std::cout << metrics_reference() ? done : problem; };
  });

  app.add_subcommand("version", "Print the version")->callback([&] {
    chosen = [] { return std::cout << "umbra " << version << "\n" ? done : problem; };
  });
}

void add_admin_options(CLI::App* command, Options& options) {
  command->add_option("--socket", options.socket, "Admin socket of the hub")
      ->envname("UMBRA_SOCKET")
      ->capture_default_str();
  command->add_option("--output", options.output, "text or json")
      ->check(CLI::IsMember(std::set<std::string>{"text", "json"}))
      ->capture_default_str();
}

void add_list_options(CLI::App* command, Options& options) {
  command->add_option("--limit", options.limit, "At most so many rows")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}))
      ->capture_default_str();
  command->add_option("--after", options.after, "Continue behind this row (the last listing says which)");
}

void add_queue_commands(CLI::App& app, Options& options, std::function<int()>& chosen) {
  auto* queue = app.add_subcommand("queue", "Look at and change what is in delivery");
  queue->require_subcommand(1);
  auto* list = queue->add_subcommand("list", "List messages");
  add_admin_options(list, options);
  add_list_options(list, options);
  list->add_option("--state", options.state, "Only queued or held ones")
      ->check(CLI::IsMember(std::set<std::string>{"queued", "held"}));
  list->callback([&] {
    chosen = [&] {
      return show(options, ask_pages(options, "/v1/queue", "messages"),
                  [](const Json& json) { return queue_view(json, WallClock::now()); });
    };
  });
  auto* one = queue->add_subcommand("show", "Show one message with its copies and recipients");
  add_admin_options(one, options);
  one->add_option("id", options.id, "Message id, as in the log")->required()->check(message_id());
  one->callback([&] {
    chosen = [&] { return show(options, ask(options, "GET", "/v1/queue/" + options.id), message_view); };
  });

  const std::pair<const char*, const char*> actions[] = {{"retry", "Try a message now"},
                                                         {"hold", "Keep a message from being delivered"},
                                                         {"release", "Let a held message go on"},
                                                         {"bounce", "Give a message up and tell its sender"}};
  for (const auto& [name, help] : actions) {
    auto* command = queue->add_subcommand(name, help);
    add_admin_options(command, options);
    command->add_option("id", options.id, "Message id, as in the log")->required()->check(message_id());
    command->callback([&options, &chosen, action = std::string(name)] {
      chosen = [&options, action] { return act(options, action); };
    });
  }
}

void add_admin_commands(CLI::App& app, Options& options, std::function<int()>& chosen) {
  auto* status = app.add_subcommand("status", "What a hub is doing, and what it knows of the others");
  add_admin_options(status, options);
  status->callback([&] {
    chosen = [&] {
      return show(options, ask(options, "GET", "/v1/status"),
                  [](const Json& json) { return status_view(json, WallClock::now()); });
    };
  });
  auto* peers = app.add_subcommand("peers", "The other hubs of the cluster");
  add_admin_options(peers, options);
  peers->callback(
      [&] { chosen = [&] { return show(options, ask(options, "GET", "/v1/peers"), peers_view); }; });

  auto* reload = app.add_subcommand("reload", "Read the configuration file, certificates and keys anew; what is wrong is refused, and the former stays in force");
  add_admin_options(reload, options);
  reload->callback([&] {
    chosen = [&] {
      // A refusal (409) is an answer of the same kind.
      auto answer = ask(options, "POST", "/v1/reload", 409);
      int shown = show(options, answer, reload_view);
      if (!answer || shown != done) return shown;
      const auto& configuration = (*answer)["configuration"];
      if (configuration["result"] == "refused") {
        std::fprintf(stderr, "umbra: %s\n", (*answer)["error"].get<std::string>().c_str());
        return static_cast<int>(problem);
      }
      bool is_refused = std::ranges::any_of((*answer)["certificates"], [](const Json& one) { return one["result"] != "loaded"; });
      return is_refused ? static_cast<int>(problem) : static_cast<int>(done);
    };
  });

  add_queue_commands(app, options, chosen);

  auto* shadow = app.add_subcommand("shadow", "Look at what is held for other hubs");
  shadow->require_subcommand(1);
  auto* list = shadow->add_subcommand("list", "List shadow messages");
  add_admin_options(list, options);
  add_list_options(list, options);
  list->callback([&] {
    chosen = [&] {
      return show(options, ask_pages(options, "/v1/shadows", "shadows"),
                  [](const Json& json) { return shadows_view(json, WallClock::now()); });
    };
  });
}

void add_spool_commands(CLI::App& app, Options& options, std::function<int()>& chosen) {
  auto* spool = app.add_subcommand("spool", "Look at, salvage and move away the files of a spool, without a hub");
  spool->require_subcommand(1);
  auto* check_command = spool->add_subcommand("check", "Read all of a spool: is it whole? Exit code 5: it is damaged");
  check_command->add_option("directory", options.directory, "The spool, or one that was set aside")->required();
  check_command->add_option("--output", options.output, "text or json")->check(CLI::IsMember(std::set<std::string>{"text", "json"}));
  check_command->callback([&] {
    chosen = [&] { return check_spool({options.directory, options.output == "json"}, std::cout, std::cerr); };
  });
  auto* export_command = spool->add_subcommand(
      "export", "Write what is readable of a spool as RFC 5322 files and envelopes (JSON). Exit code 5: not all of it was");
  export_command->add_option("directory", options.directory, "The spool, or one that was set aside")->required();
  export_command->add_option("--to", options.to, "Folder for the files")->required();
  export_command->add_flag("--only-here", options.only_here, "Only messages of which no other hub said that it holds a copy");
  export_command->add_flag("--safety-net", options.safety_net, "Also what was delivered and is kept: NAME.delivered.eml");
  export_command->callback([&] {
    chosen = [&] {
      return export_spool({options.directory, options.to, options.only_here, options.safety_net}, std::cout, std::cerr);
    };
  });
  auto* aside_command = spool->add_subcommand("set-aside", "Move a spool's files into a folder beside it; the hub starts empty");
  aside_command->add_option("directory", options.directory, "The spool of a hub that is not running")->required();
  aside_command->add_option("--reason", options.reason, "Kept with it")->capture_default_str();
  aside_command->callback(
      [&] { chosen = [&] { return set_spool_aside(options.directory, options.reason, std::cout, std::cerr); }; });
}

void add_drain_commands(CLI::App& app, DrainCommand& drain, std::function<int()>& chosen) {
  auto add = [&](CLI::App& parent, const char* name, const char* help) {
    auto* command = parent.add_subcommand(name, help);
    command->add_option("--socket", drain.socket, "Admin socket of the hub")->envname("UMBRA_SOCKET");
    command->add_option("--output", drain.output, "text or json (a line per second)")
        ->check(CLI::IsMember(std::set<std::string>{"text", "json"}))
        ->capture_default_str();
    return command;
  };
  auto order = [&](const char* name, const char* help) {
    auto* command = add(app, name, help);
    command->add_flag("--detach", drain.detach, "Begin, and do not wait for the end");
    command->add_option("--unready-wait", drain.unready_wait, "How long mail is still taken after readiness has turned")->capture_default_str();
    return command;
  };
  auto hand_over = [&](CLI::App* command) {
    command->add_option("--deadline", drain.deadline, "End as incomplete after this")->capture_default_str();
    command->add_option("--rate", drain.rate, "Messages handed over per second, at most")->check(CLI::Range(1, 1'000'000))->capture_default_str();
    command->add_option("--to", drain.to, "Only to these hubs (names, separated by commas)");
    command->add_flag("--dry-run", drain.dry_run, "Only say what there is, and what would lose its last copy");
  };
  auto run = [&drain, &chosen](const char* verb) {
    drain.verb = verb;
    chosen = [&drain] { return run_drain(drain); };
  };
  auto* pause = order("pause", "Take no mail; deliver what is here");
  pause->callback([run] { run("pause"); });
  auto* drained = order("drain", "Be safe to stop for a while: what is due is delivered or handed over, the rest stays on the disk");
  drained->add_option("--return-within", drain.return_within, "Other hubs do not take over before this")->capture_default_str();
  hand_over(drained);
  drained->require_subcommand(0, 1);
  add(*drained, "status", "What a drain, leave or pause is doing")->callback([&] { chosen = [&] { return run_drain_status(drain); }; });
  drained->add_flag("--prestop", drain.is_prestop,
                    "As a pod's preStop hook: leave when the StatefulSet is scaled down past this pod, else drain; exit code 0 in any case");
  drained->callback([&drain, &chosen, run, drained] {
    if (!drained->get_subcommands().empty()) return;
    if (!drain.is_prestop) return run("drain");
    chosen = [&drain] { return run_prestop(drain.socket); };
  });
  auto* leave = order("leave", "Hand everything over: the disk may go");
  hand_over(leave);
  leave->callback([run] { run("leave"); });
  add(app, "undrain", "Be active again")->callback([&] { chosen = [&] { return run_undrain(drain); }; });
  auto* resume = add(app, "resume", "Be active again; or resume what was suspended");
  resume->require_subcommand(0, 1);
  resume->callback([&chosen, &drain, resume] {
    if (resume->get_subcommands().empty()) chosen = [&] { return run_undrain(drain); };
  });
}

void add_suspension_commands(CLI::App& app, SuspensionCommand& suspension, std::function<int()>& chosen) {
  auto add = [&](CLI::App& parent, const char* name, const char* help) {
    auto* command = parent.add_subcommand(name, help);
    command->add_option("--socket", suspension.socket, "Admin socket of the hub")->envname("UMBRA_SOCKET");
    command->add_option("--output", suspension.output, "text or json")->check(CLI::IsMember(std::set<std::string>{"text", "json"}))->capture_default_str();
    return command;
  };
  auto* suspend = app.add_subcommand("suspend", "Take no mail by a listener, or deliver none to a destination or a domain, or of a sender, until it is resumed; lasts over a restart");
  suspend->require_subcommand(1);
  auto* resume = app.get_subcommand("resume");
  const std::pair<const char*, const char*> kinds[] = {{"listener", "Its clients get 421 4.3.2 and keep their mail"},
                                                       {"delivery", "Mail for this destination waits here, and does not age"},
                                                       {"domain", "Mail for recipients of this domain waits here, wherever it goes"},
                                                       {"sender", "Mail of this sender waits here"}};
  for (const auto& [what, help] : kinds) {
    auto* one = add(*suspend, what, help);
    auto* back = add(*resume, what, "Resume it");
    for (auto* command : {one, back}) {
      const std::string kind = what;
      command->add_option("name", suspension.name,
                          kind == "listener"   ? "Its name"
                          : kind == "delivery" ? "The destination, as `umbra queue show` names it"
                          : kind == "domain"   ? "example.com"
                                               : "user@example.com, @example.com or <>");
      if (kind == "listener" || kind == "delivery") command->add_flag("--all", suspension.all, "All of them");
    }
    one->add_option("--for", suspension.span, "How long (90s, 30min, 2h); without it until it is resumed");
    one->add_option("--reason", suspension.reason, "Shown with it");
    auto choose = [&suspension, &chosen, meant = std::string(what)](int (*run)(const SuspensionCommand&)) {
      suspension.what = meant;
      chosen = [&suspension, run] { return run(suspension); };
    };
    one->callback([choose] { choose(run_suspend); });
    back->callback([choose] { choose(run_resume); });
  }
  add(app, "suspensions", "What is suspended")->callback([&] { chosen = [&] { return run_suspensions(suspension); }; });
}

void add_safety_net_commands(CLI::App& app, SafetyNetCommand& net, std::function<int()>& chosen) {
  auto* safety_net = app.add_subcommand("safety-net", "Look at delivered mail that is kept, and send it again");
  safety_net->require_subcommand(1);
  auto add = [&](const char* name, const char* help, int (*run)(const SafetyNetCommand&)) {
    auto* command = safety_net->add_subcommand(name, help);
    command->add_option("--socket", net.socket, "Admin socket of the hub")->envname("UMBRA_SOCKET");
    command->add_option("--output", net.output, "text or json")->check(CLI::IsMember(std::set<std::string>{"text", "json"}))->capture_default_str();
    command->callback([&net, &chosen, run] { chosen = [&net, run] { return run(net); }; });
    return command;
  };
  auto add_filter = [&](CLI::App* command) {
    command->add_option("--from", net.from, "Delivered since: 2026-11-27T02:00:00Z (UTC), or how long ago: 2h");
    command->add_option("--to", net.until, "Delivered until; the same. Default: now");
    command->add_option("--next-hop", net.next_hop, "Only what this host, address, route or domain got");
    command->add_option("--sender", net.sender, "Only of this sender; @example.com: of that domain; <>: notifications");
    command->add_option("--recipient", net.recipient, "Only to this recipient; @example.com: of that domain");
  };
  auto* list = add("list", "What is kept, oldest first", run_safety_net_list);
  add_filter(list);
  list->add_option("--limit", net.limit, "At most so many")->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}))->capture_default_str();
  list->add_option("--after", net.after, "Continue behind this (the last listing says it)");
  auto* resend = add("resend", "Send it again, without reports to its senders. Exit code 5: refused", run_safety_net_resend);
  add_filter(resend);
  resend->add_option("--request", net.request, "A name: the same request again is not done twice. Default: one is made");
  resend->add_flag("--include-shadows", net.include_shadows, "Also what hubs delivered that are silent now");
  resend->add_flag("--unprotected", net.accept_unprotected, "Do not wait for a hub that can take a copy");
  resend->add_flag("--dry-run", net.dry_run, "Only say how much it is");
  resend->add_flag("--detach", net.detach, "Begin, and do not wait for the end");
  add("status", "Requests to send again, the newest first", run_safety_net_status)->add_option("--request", net.request, "Only this one");
  add("cancel", "End a request; what was sent again stays sent", run_safety_net_cancel)->add_option("request", net.request, "Its name")->required();
}

void add_trace_commands(CLI::App& app, TraceCommand& trace, HeadersCommand& headers, std::function<int()>& chosen) {
  auto formats = CLI::IsMember(std::set<std::string>{"text", "json"});
  auto* command = app.add_subcommand("trace", "Where is a message, where was it, which copies are there: across the cluster, from spools and tracking logs");
  command->add_option("--socket", trace.socket, "Admin socket of the hub that is asked, and asks the others")->envname("UMBRA_SOCKET");
  command->add_option("--output", trace.output, "text or json")->check(formats)->capture_default_str();
  command->add_option("id", trace.ids, "Message ids, as in the log, the reply to the final dot, or Umbra-Hop");
  command->add_option("--sender", trace.sender, "Of this sender; @example.com: of that domain; <>: notifications");
  command->add_option("--recipient", trace.recipient, "To this recipient; @example.com: of that domain");
  command->add_option("--message-id", trace.message_id, "The Message-ID of its header");
  command->add_option("--since", trace.since, "With something said of it since: 2026-11-27T02:00:00Z (UTC), or how long ago: 2h");
  command->add_option("--until", trace.until, "The same, until");
  command->add_option("--limit", trace.limit, "At most so many messages, the newest")->check(CLI::Range(1, 100))->capture_default_str();
  command->add_flag("--here", trace.only_here, "Only what this hub knows");
  command->callback([&trace, &chosen] { chosen = [&trace] { return run_trace(trace); }; });

  auto* read = app.add_subcommand("headers", "Read the header of a delivered message: its way, the delay of each hop, and what hubs waited for");
  read->add_option("file", headers.file, "The message (RFC 5322); -: standard input")->required();
  read->add_option("--own", headers.own, "A host whose fields are believed too, below those of the first hub; may be said again")->type_name("HOST");
  read->add_option("--output", headers.output, "text or json")->check(formats)->capture_default_str();
  read->callback([&headers, &chosen] { chosen = [&headers] { return run_headers(headers, std::cout, std::cerr); }; });
}

void add_watch_command(CLI::App& app, WatchCommand& watch, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("watch", "Show what is said in SMTP sessions, while it is said. Without options all of them; until Ctrl-C");
  command->add_option("--socket", watch.socket, "Admin socket of the hub")->envname("UMBRA_SOCKET");
  command->add_option("--output", watch.output, "text, or json (a line per record)")->check(CLI::IsMember(std::set<std::string>{"text", "json"}))->capture_default_str();
  command->add_option("--client", watch.client, "Only clients of this address, network or range");
  command->add_option("--listener", watch.listener, "Only clients of this listener");
  command->add_option("--next-hop", watch.next_hop, "Only connections to this host, address or route");
  command->add_option("--address", watch.address, "Only sessions whose MAIL or RCPT names it, from their beginning; @example.com: of that domain");
  command->add_option("--direction", watch.direction, "in: from clients. out: to next hops. Default: both, or what the other options are about")
      ->check(CLI::IsMember(std::set<std::string>{"in", "out"}));
  command->add_option("--for", watch.span, "How long (90s, 30min, 2h)");
  command->callback([&watch, &chosen] { chosen = [&watch] { return run_watch(watch); }; });
}

int command_line(int argc, char** argv) {
  Options options;
  std::function<int()> chosen;
  CLI::App app{"Umbra: a clustered SMTP relay that keeps every acknowledged message on two machines.",
               "umbra"};
  app.footer("Exit codes: 0 done, 1 a problem, 2 wrong usage, 3 no hub answers, 4 no such message, 5 a damaged spool.");
  app.set_version_flag("--version", std::string("umbra ") + version);
  app.require_subcommand(1);
  add_hub_commands(app, options, chosen);
  add_admin_commands(app, options, chosen);
  DrainCommand drain;
  drain.socket = options.socket;
  add_drain_commands(app, drain, chosen);
  SuspensionCommand suspension;
  suspension.socket = options.socket;
  add_suspension_commands(app, suspension, chosen);
  WatchCommand watch;
  watch.socket = options.socket;
  add_watch_command(app, watch, chosen);
  SafetyNetCommand net;
  net.socket = options.socket;
  add_safety_net_commands(app, net, chosen);
  TraceCommand trace;
  trace.socket = options.socket;
  HeadersCommand headers;
  add_trace_commands(app, trace, headers, chosen);
  add_spool_commands(app, options, chosen);
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
