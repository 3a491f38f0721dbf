#include "hub/commands/safety_net_command.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <expected>
#include <optional>

#include "base/random.h"
#include "hub/admin/client.h"
#include "hub/admin/moment.h"
#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/config/units.h"
#include "hub/percent.h"
#include "hub/safety_net/filter.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr int look_every_ms = 200;
constexpr std::size_t page_rows = 500;

std::expected<Json, int> ask(const SafetyNetCommand& command, const std::string& method,
                             const std::string& target) {
  auto answer = ask_hub_json(command.socket, method, target);
  if (answer) return std::move(*answer);
  std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
  return std::unexpected(answer.error().status == 0     ? unreachable
                         : answer.error().status == 409 ? refused
                                                        : problem);
}

std::expected<std::string, int> filter_of(const SafetyNetCommand& command) {
  KeptFilter filter;
  for (auto [text, into] :
       {std::pair(&command.from, &filter.from), std::pair(&command.until, &filter.until)}) {
    if (text->empty()) continue;
    auto moment = parse_moment(*text);
    if (!moment) {
      std::fprintf(stderr, "umbra: \"%s\" is no time: say 2026-11-27T02:00:00Z (UTC), or how long ago: 2h\n",
                   text->c_str());
      return std::unexpected(usage);
    }
    *into = *moment;
  }
  filter.sender = command.sender;
  filter.recipient = command.recipient;
  filter.next_hop = command.next_hop;
  filter.include_shadows = command.include_shadows;
  filter.accept_unprotected = command.accept_unprotected;
  return to_query(filter);
}

void print_json(const Json& json) {
  std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

int end_of(const Json& resend) {
  return resend["failed"].get<std::uint64_t>() == 0 ? done : problem;
}

int follow(const SafetyNetCommand& command, Json resend) {
  const bool is_tty = command.output == "text" && ::isatty(STDOUT_FILENO) == 1;
  const auto name = resend["request"].get<std::string>();
  while (resend["state"] == "running") {
    if (is_tty) {
      std::printf("\r\033[K%s", resend_line(resend).c_str());
      std::fflush(stdout);
    }
    (void)::poll(nullptr, 0, look_every_ms);
    auto next = ask(command, "GET", "/v1/safety-net/requests/" + name);
    if (!next) return next.error();
    resend = std::move(*next);
  }
  if (command.output == "json")
    print_json(resend);
  else
    std::printf("%s%s\n", is_tty ? "\r\033[K" : "", resend_line(resend).c_str());
  return resend["state"] == "done" ? end_of(resend) : static_cast<int>(problem);
}

}  // namespace

std::string resend_line(const Json& resend) {
  auto line = fmt::format("request {}: {}, {} looked at, {} sent again ({} octets)",
                          resend["request"].get<std::string>(), resend["state"].get<std::string>(),
                          resend["looked_at"].get<std::uint64_t>(), resend["resent"].get<std::uint64_t>(),
                          resend["octets"].get<std::uint64_t>());
  if (auto left = resend["shadows_left_out"].get<std::uint64_t>(); left > 0)
    line += fmt::format(", {} left to the hubs that delivered them", left);
  if (auto failed = resend["failed"].get<std::uint64_t>(); failed > 0)
    line += fmt::format(", {} not kept any more", failed);
  if (auto why = resend["waits_for"].get<std::string>(); !why.empty())
    line += "; waits: " + without_controls(why);
  return line;
}

std::string kept_view(const Json& answer) {
  std::string out;
  for (const auto& message : answer["messages"]) {
    auto sender = message["sender"].get<std::string>();
    out +=
        fmt::format("{}  {}  {}  {} octets  from {}\n", message["id"].get<std::string>(),
                    message["ended_at"].get<std::string>(),
                    message["role"] == "shadow" ? "shadow of " + message["owner"].get<std::string>()
                                                : std::string("primary"),
                    message["size"].get<std::uint64_t>(), sender.empty() ? "<>" : without_controls(sender));
    for (const auto& recipient : message["recipients"])
      out += fmt::format("    {}{}\n", without_controls(recipient["address"].get<std::string>()),
                         recipient["next_hop"].is_null()
                             ? std::string()
                             : "  " + without_controls(recipient["next_hop"].get<std::string>()));
  }
  if (out.empty()) out = "nothing of that is kept\n";
  if (!answer["next"].is_null())
    out += fmt::format("... there are more; continue with --after {}\n", answer["next"].get<std::string>());
  return out;
}

int run_safety_net_list(const SafetyNetCommand& command) {
  auto filter = filter_of(command);
  if (!filter) return filter.error();
  Json all = {{"messages", Json::array()},
              {"next", command.after.empty() ? Json(nullptr) : Json(command.after)}};
  while (all["messages"].size() < command.limit) {
    auto target = fmt::format("/v1/safety-net?{}&limit={}", *filter,
                              std::min(command.limit - all["messages"].size(), page_rows));
    if (!all["next"].is_null()) target += "&after=" + all["next"].get<std::string>();
    auto page = ask(command, "GET", target);
    if (!page) return page.error();
    for (auto& message : (*page)["messages"]) all["messages"].push_back(std::move(message));
    all["next"] = (*page)["next"];
    if (all["next"].is_null()) break;
  }
  if (command.output == "json")
    print_json(all);
  else
    std::printf("%s", kept_view(all).c_str());
  return done;
}

int run_safety_net_resend(const SafetyNetCommand& command) {
  auto filter = filter_of(command);
  if (!filter) return filter.error();
  if (command.dry_run) {
    auto preview = ask(command, "GET", "/v1/safety-net/preview?" + *filter);
    if (!preview) return preview.error();
    if (command.output == "json")
      print_json(*preview);
    else
      std::printf(
          "%llu messages to %llu recipients (%llu octets) would be sent again; %llu are left to the hubs "
          "that delivered them\n",
          (*preview)["messages"].get<unsigned long long>(),
          (*preview)["recipients"].get<unsigned long long>(), (*preview)["octets"].get<unsigned long long>(),
          (*preview)["shadows_left_out"].get<unsigned long long>());
    return done;
  }
  auto name = command.request;
  if (name.empty()) name = fmt::format("resend-{:012x}", SystemRandom().next() >> 16U);
  if (!is_plain_name(name)) {
    std::fprintf(stderr, "umbra: --request: letters, digits, \".\", \"-\", \"_\", at most 64\n");
    return usage;
  }
  auto begun = ask(command, "POST", "/v1/safety-net/resend?request=" + name + "&" + *filter);
  if (!begun) return begun.error();
  if (!command.detach) return follow(command, std::move(*begun));
  if (command.output == "json")
    print_json(*begun);
  else
    std::printf("%s\n", resend_line(*begun).c_str());
  return done;
}

int run_safety_net_status(const SafetyNetCommand& command) {
  auto answer = ask(command, "GET",
                    "/v1/safety-net/requests" +
                        (command.request.empty() ? std::string() : "/" + percent_encoded(command.request)));
  if (!answer) return answer.error();
  if (command.output == "json") {
    print_json(*answer);
  } else if (!command.request.empty()) {
    std::printf("%s\n", resend_line(*answer).c_str());
  } else {
    for (const auto& resend : (*answer)["requests"]) std::printf("%s\n", resend_line(resend).c_str());
    if ((*answer)["requests"].empty()) std::printf("nothing was asked to be sent again\n");
  }
  return done;
}

int run_safety_net_cancel(const SafetyNetCommand& command) {
  auto answer =
      ask(command, "POST", "/v1/safety-net/requests/" + percent_encoded(command.request) + "/cancel");
  if (!answer) return answer.error();
  if (command.output == "json")
    print_json(*answer);
  else
    std::printf("%s\n", resend_line(*answer).c_str());
  return done;
}

void add_safety_net_commands(CLI::App& app, Chosen& chosen) {
  auto net = std::make_shared<SafetyNetCommand>();
  auto* safety_net =
      app.add_subcommand("safety-net", "Look at delivered mail that is kept, and send it again");
  safety_net->require_subcommand(1);
  auto add = [&](const char* name, const char* help, int (*run)(const SafetyNetCommand&)) {
    auto* command = safety_net->add_subcommand(name, help);
    add_admin_options(command, net->socket, net->output);
    command->callback([net, &chosen, run] { chosen = [net, run] { return run(*net); }; });
    return command;
  };
  auto add_filter = [&](CLI::App* command) {
    command->add_option("--from", net->from,
                        "Delivered since: 2026-11-27T02:00:00Z (UTC), or how long ago: 2h");
    command->add_option("--to", net->until, "Delivered until; the same. Default: now");
    command->add_option("--next-hop", net->next_hop, "Only what this host, address, route or domain got");
    command->add_option("--sender", net->sender,
                        "Only of this sender; @example.com: of that domain; <>: notifications");
    command->add_option("--recipient", net->recipient,
                        "Only to this recipient; @example.com: of that domain");
  };
  auto* list = add("list", "What is kept, oldest first", run_safety_net_list);
  add_filter(list);
  list->add_option("--limit", net->limit, "At most so many")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}))
      ->capture_default_str();
  list->add_option("--after", net->after, "Continue behind this (the last listing says it)");
  auto* resend = add("resend", "Send it again, without reports to its senders. Exit code 5: refused",
                     run_safety_net_resend);
  add_filter(resend);
  resend->add_option("--request", net->request,
                     "A name: the same request again is not done twice. Default: one is made");
  resend->add_flag("--include-shadows", net->include_shadows, "Also what hubs delivered that are silent now");
  resend->add_flag("--unprotected", net->accept_unprotected, "Do not wait for a hub that can take a copy");
  resend->add_flag("--dry-run", net->dry_run, "Only say how much it is");
  resend->add_flag("--detach", net->detach, "Begin, and do not wait for the end");
  add("status", "Requests to send again, the newest first", run_safety_net_status)
      ->add_option("--request", net->request, "Only this one");
  add("cancel", "End a request; what was sent again stays sent", run_safety_net_cancel)
      ->add_option("request", net->request, "Its name")
      ->required();
}

}  // namespace umbra::hub
