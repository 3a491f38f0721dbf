#include "hub/trace_command.h"

#include <algorithm>
#include <cstdio>

#include "hub/admin/client.h"
#include "hub/admin/moment.h"
#include "hub/trace/question.h"
#include "hub/trace/story_view.h"

namespace umbra::hub {
namespace {

enum Exit : int { done = 0, problem = 1, usage = 2, unreachable = 3, not_found = 4 };

int say(const std::string& what, int code) {
  std::fprintf(stderr, "umbra: %s\n", what.c_str());
  return code;
}

bool is_known(const Json& story) { return !story["spool"].empty() || !story["records"].empty(); }

}  // namespace

int run_trace(const TraceCommand& command) {
  TraceQuestion question;
  for (const auto& text : command.ids) {
    auto id = parse_message_id(text);
    if (!id) return say("\"" + text + "\" is no message id; search by --sender, --recipient, --message-id or --since", usage);
    question.ids.push_back(*id);
  }
  for (auto [text, into] : {std::pair(&command.since, &question.since), std::pair(&command.until, &question.until)}) {
    if (text->empty()) continue;
    auto moment = parse_moment(*text);
    if (!moment) return say("\"" + *text + "\" is no time: say 2026-11-27T02:00:00Z (UTC), or how long ago: 2h", usage);
    *into = *moment;
  }
  question.sender = command.sender;
  question.recipient = command.recipient;
  question.message_id = command.message_id;
  question.limit = command.limit;
  question.is_cluster = !command.only_here;
  const auto target = trace_target(question);
  if (auto good = parse_trace_question(std::string_view(target).substr(target.find('?') + 1)); !good)
    return say("say a message id, or one or more of --sender, --recipient, --message-id, --since, --until (at most 100 ids; --since before --until; texts of at most 320 octets)", usage);
  auto answer = ask_hub_json(command.socket, "GET", target);
  if (!answer) return say(answer.error().why, answer.error().status == 0 ? unreachable : problem);
  const auto text = command.output == "json" ? answer->dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : story_view(*answer);
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0) return problem;
  const auto& messages = (*answer)["messages"];
  return messages.is_array() && std::ranges::any_of(messages, is_known) ? done : not_found;
}

}  // namespace umbra::hub
