#include "hub/commands/trace_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "hub/admin/client.h"
#include "hub/admin/moment.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/trace/question.h"
#include "hub/trace/story_view.h"

namespace umbra::hub {
namespace {

int say(const std::string& what, int code) {
  std::fprintf(stderr, "umbra: %s\n", what.c_str());
  return code;
}

bool is_known(const Json& story) {
  return !story["spool"].empty() || !story["records"].empty();
}

}  // namespace

int run_trace(const TraceCommand& command) {
  TraceQuestion question;
  for (const auto& text : command.ids) {
    auto id = parse_message_id(text);
    if (!id)
      return say(
          "\"" + text + "\" is no message id; search by --sender, --recipient, --message-id or --since",
          usage);
    question.ids.push_back(*id);
  }
  for (auto [text, into] :
       {std::pair(&command.since, &question.since), std::pair(&command.until, &question.until)}) {
    if (text->empty()) continue;
    auto moment = parse_moment(*text);
    if (!moment)
      return say("\"" + *text + "\" is no time: say 2026-11-27T02:00:00Z (UTC), or how long ago: 2h", usage);
    *into = *moment;
  }
  question.sender = command.sender;
  question.recipient = command.recipient;
  question.message_id = command.message_id;
  question.limit = command.limit;
  question.is_cluster = !command.only_here;
  const auto target = trace_target(question);
  if (auto good = parse_trace_question(std::string_view(target).substr(target.find('?') + 1)); !good)
    return say(
        "say a message id, or one or more of --sender, --recipient, --message-id, --since, --until (at most "
        "100 ids; --since before --until; texts of at most 320 octets)",
        usage);
  auto answer = ask_hub_json(command.socket, "GET", target);
  if (!answer) return say(answer.error().why, answer.error().status == 0 ? unreachable : problem);
  const auto text = command.output == "json"
                        ? answer->dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                        : story_view(*answer);
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0) return problem;
  const auto& messages = (*answer)["messages"];
  return messages.is_array() && std::ranges::any_of(messages, is_known) ? done : not_found;
}

void add_trace_command(CLI::App& app, Chosen& chosen) {
  auto trace = std::make_shared<TraceCommand>();
  auto* command = app.add_subcommand("trace",
                                     "Where is a message, where was it, which copies are there: across the "
                                     "cluster, from spools and tracking logs");
  add_admin_options(command, trace->socket, trace->output);
  command->add_option("id", trace->ids,
                      "Message ids, as in the log, the reply to the final dot, or Umbra-Hop");
  command->add_option("--sender", trace->sender,
                      "Of this sender; @example.com: of that domain; <>: notifications");
  command->add_option("--recipient", trace->recipient, "To this recipient; @example.com: of that domain");
  command->add_option("--message-id", trace->message_id, "The Message-ID of its header");
  command->add_option("--since", trace->since,
                      "With something said of it since: 2026-11-27T02:00:00Z (UTC), or how long ago: 2h");
  command->add_option("--until", trace->until, "The same, until");
  command->add_option("--limit", trace->limit, "At most so many messages, the newest")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_flag("--here", trace->only_here, "Only what this hub knows");
  command->callback([trace, &chosen] { chosen = [trace] { return run_trace(*trace); }; });
}

}  // namespace umbra::hub
