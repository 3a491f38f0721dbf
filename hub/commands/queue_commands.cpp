// `umbra queue`: what is in delivery, looked at, searched and changed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <set>

#include "hub/admin/moment.h"
#include "hub/admin/queue_search.h"
#include "hub/admin/report.h"
#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/commands/views.h"
#include "hub/outbound/next_hop.h"
#include "hub/percent.h"

namespace umbra::hub {
namespace {

struct QueueOptions : ListOptions {
  std::string id;
  std::string sender;
  std::string recipient;
  std::string next_hop;
  std::string error;
  std::string older_than;
  std::string newer_than;
  std::string to;
  bool only_here = false;
  bool all_matching = false;
  bool is_sure = false;
};

int say(const std::string& what, int code) {
  std::fprintf(stderr, "umbra: %s\n", what.c_str());
  return code;
}

void add_filter(CLI::App* command, QueueOptions& options) {
  command->add_option("--sender", options.sender,
                      "Of this sender; @example.com: of that domain; <>: notifications");
  command->add_option("--recipient", options.recipient,
                      "Not yet delivered to this recipient; @example.com: of that domain");
  command->add_option(
      "--next-hop", options.next_hop,
      "Waiting for this destination, as `umbra queue show` names it, or for a route of this name");
  command->add_option("--error", options.error, "With these words in the last error");
  command->add_option("--older-than", options.older_than,
                      "Accepted before: how long ago (2h), or 2026-11-27T02:00:00Z (UTC)");
  command->add_option("--newer-than", options.newer_than, "Accepted since; the same");
  command->add_option("--state", options.state, "Only queued or held ones")
      ->check(CLI::IsMember(std::set<std::string>{"queued", "held"}));
}

/// The query of what was asked for, or the exit code after saying what is wrong.
std::expected<std::string, int> filter_query(const QueueOptions& options) {
  QueueFilter filter{.sender = options.sender,
                     .recipient = options.recipient,
                     .next_hop = options.next_hop,
                     .error = options.error};
  for (auto [text, into] :
       {std::pair(&options.newer_than, &filter.since), std::pair(&options.older_than, &filter.until)}) {
    if (text->empty()) continue;
    auto moment = parse_moment(*text);
    if (!moment)
      return std::unexpected(
          say("\"" + *text + "\" is no time: say 2026-11-27T02:00:00Z (UTC), or how long ago: 2h", usage));
    *into = *moment;
  }
  if (!options.state.empty()) filter.state = parse_message_state(options.state);
  auto query = to_query(filter);
  std::string others;
  if (auto good = parse_queue_filter(query, others); !good) return std::unexpected(say(good.error(), usage));
  return query;
}

/// Answer after answer until there are `limit` messages, or no more; of each hub the last word counts.
std::expected<Json, int> find(const QueueOptions& options, const std::string& query) {
  constexpr std::size_t page_rows = 500;
  Json all = {{"messages", Json::array()},
              {"next", options.after.empty() ? Json(nullptr) : Json(options.after)},
              {"looked_at", std::uint64_t{0}},
              {"hubs", Json::array()}};
  while (all["messages"].size() < options.limit) {
    auto target = "/v1/queue/search?scope=" + std::string(options.only_here ? "hub" : "cluster") +
                  "&limit=" + std::to_string(std::min(options.limit - all["messages"].size(), page_rows));
    if (!query.empty()) target += "&" + query;
    if (!all["next"].is_null()) target += "&after=" + all["next"].get<std::string>();
    auto page = ask(options, "GET", target);
    if (!page) return page;
    for (auto& row : (*page)["messages"]) all["messages"].push_back(std::move(row));
    for (auto& hub : (*page)["hubs"]) {
      auto known =
          std::ranges::find_if(all["hubs"], [&](const Json& one) { return one["hub"] == hub["hub"]; });
      if (known == all["hubs"].end())
        all["hubs"].push_back(std::move(hub));
      else
        *known = std::move(hub);
    }
    all["looked_at"] = all["looked_at"].get<std::uint64_t>() + (*page)["looked_at"].get<std::uint64_t>();
    all["next"] = (*page)["next"];
    if (all["next"].is_null()) break;
  }
  return all;
}

int search(const QueueOptions& options) {
  auto query = filter_query(options);
  if (!query) return query.error();
  auto found = find(options, *query);
  const int code = show(options, found, [](const Json& json) {
    return search_view(json, WallClock::now(), Screen::of_output());
  });
  if (!found || code != done) return code;
  const bool is_complete =
      std::ranges::all_of((*found)["hubs"], [](const Json& hub) { return hub["answered"].get<bool>(); });
  if (!is_complete) return problem;
  return (*found)["messages"].empty() ? static_cast<int>(not_found) : static_cast<int>(done);
}

bool is_answered(const Json& hub) {
  return hub["answered"].get<bool>();
}

/// What would be done, and nothing is.
int only_say(const QueueOptions& options, const std::string& query, const std::string& action) {
  QueueOptions looking = options;
  looking.limit = 1'000'000;
  auto found = find(looking, query);
  if (!found) return found.error();
  for (const auto& hub : (*found)["hubs"])
    if (!is_answered(hub))
      (void)say(hub["hub"].get<std::string>() + " did not say what it has: " + hub["why"].get<std::string>(),
                problem);
  const auto of = options.only_here
                      ? " messages of this hub"
                      : " messages of " +
                            std::to_string(std::ranges::count_if((*found)["hubs"], is_answered)) + " hub(s)";
  return say("this would " + action + " " + std::to_string((*found)["messages"].size()) + of +
                 "; nothing was done: add --yes",
             usage);
}

/// Adds what one answer says to what the answers before it said; of each hub, too.
void add_part(Json& all, Json part) {
  auto add = [](Json& sum, const Json& one) {
    for (const char* count : {"done", "refused"})
      sum[count] = sum[count].get<std::uint64_t>() + one[count].get<std::uint64_t>();
  };
  all["hub"] = part["hub"];
  add(all, part);
  for (auto& reason : part["reasons"])
    if (all["reasons"].size() < 100) all["reasons"].push_back(std::move(reason));
  for (auto& hub : part["hubs"]) {
    auto known = std::ranges::find_if(all["hubs"], [&](const Json& one) { return one["hub"] == hub["hub"]; });
    if (known == all["hubs"].end()) {
      all["hubs"].push_back(std::move(hub));
      continue;
    }
    add(*known, hub);
    for (const char* word : {"answered", "why"}) (*known)[word] = hub[word];
  }
}

/// On everything that fits, of all hubs or of this one: in portions, each answered with where to go on.
int act_on_all(const QueueOptions& options, const std::string& action) {
  auto query = filter_query(options);
  if (!query) return query.error();
  if (query->empty())
    return say("say which: --sender, --recipient, --next-hop, --error, --state, --older-than or --newer-than",
               usage);
  if (!options.is_sure) return only_say(options, *query, action);
  Json all = {{"hub", nullptr},
              {"done", std::uint64_t{0}},
              {"refused", std::uint64_t{0}},
              {"reasons", Json::array()},
              {"hubs", Json::array()}};
  std::string after;
  do {
    auto target = "/v1/queue/search/" + action +
                  "?limit=500&scope=" + (options.only_here ? "hub" : "cluster") + "&" + *query;
    if (!options.to.empty()) target += "&to=" + percent_encoded(options.to);
    if (!after.empty()) target += "&after=" + percent_encoded(after);
    auto part = ask(options, "POST", target);
    if (!part) {
      if (!after.empty()) std::fprintf(stderr, "umbra: %s done before that\n", all["done"].dump().c_str());
      return part.error();
    }
    after = (*part)["next"].is_null() ? std::string() : (*part)["next"].get<std::string>();
    add_part(all, std::move(*part));
  } while (!after.empty());
  const bool is_whole =
      all["refused"].get<std::uint64_t>() == 0 && std::ranges::all_of(all["hubs"], is_answered);
  const bool is_none = is_whole && all["done"].get<std::uint64_t>() == 0;
  const int code = show(options, all, [&](const Json& json) { return acted_view(json, action); });
  return code != done ? code : !is_whole ? problem : is_none ? not_found : done;
}

int act(const QueueOptions& options, const std::string& action) {
  if (options.id.empty() != options.all_matching)
    return say("say a message id, or --all-matching with what is to match", usage);
  if (action == "reroute")
    if (auto next_hop = parse_next_hop(options.to); !next_hop) return say(next_hop.error(), usage);
  if (options.all_matching) return act_on_all(options, action);
  if (auto query = filter_query(options); !query || !query->empty())
    return say("a message id and a filter are not said together", usage);
  auto answer = ask(options, "POST",
                    "/v1/queue/" + options.id + "/" + action +
                        (options.to.empty() ? "" : "?to=" + percent_encoded(options.to)));
  return show(options, answer, [&](const Json& json) {
    auto remark = json.value("remark", std::string());
    return json["id"].get<std::string>() + ": " + action + " done" + (remark.empty() ? "" : "; " + remark) +
           "\n";
  });
}

void add_actions(CLI::App* queue, const std::shared_ptr<QueueOptions>& options, Chosen& chosen) {
  const std::pair<const char*, const char*> actions[] = {
      {"retry", "Try a message now"},
      {"hold", "Keep a message from being delivered"},
      {"release", "Let a held message go on"},
      {"bounce", "Give a message up and tell its sender"},
      {"delete", "Discard a message: neither delivered nor bounced, and nobody is told"},
      {"reroute", "Send what is left of a message to another next hop than its routes say, at once"}};
  for (const auto& [name, help] : actions) {
    auto* command = queue->add_subcommand(name, help);
    add_admin_options(command, *options);
    add_message_id(command, options->id)->required(false);
    command->add_flag(
        "--all-matching", options->all_matching,
        "In place of an id: every message, of all hubs of the cluster, that fits all of the following");
    command->add_flag("--here", options->only_here, "With --all-matching: only of this hub");
    add_filter(command, *options);
    if (std::string_view(name) == "reroute")
      command
          ->add_option(
              "--to", options->to,
              "The next hop: HOST[:PORT], [IPv6]:PORT, mx:DOMAIN, route:NAME; config: what the routes say")
          ->required();
    command->add_flag("--yes", options->is_sure,
                      "Do it; without this it is only said how many would be meant");
    command->callback([options, &chosen, action = std::string(name)] {
      chosen = [options, action] { return act(*options, action); };
    });
  }
}

}  // namespace

void add_queue_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<QueueOptions>();
  auto* queue = app.add_subcommand("queue", "Look at and change what is in delivery");
  queue->require_subcommand(1);
  auto* list = queue->add_subcommand("list", "List messages of this hub, in the order in which it got them");
  add_admin_options(list, *options);
  add_list_options(list, *options);
  list->add_option("--state", options->state, "Only queued or held ones")
      ->check(CLI::IsMember(std::set<std::string>{"queued", "held"}));
  list->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask_pages(*options, "/v1/queue", "messages"),
                  [](const Json& json) { return queue_view(json, WallClock::now(), Screen::of_output()); });
    };
  });
  auto* found = queue->add_subcommand(
      "search",
      "Find messages of this hub and all others of its cluster. Exit code 4: none; 1: a hub did not answer");
  add_admin_options(found, *options);
  add_filter(found, *options);
  add_list_options(found, *options);
  found->add_flag("--here", options->only_here, "Only of this hub");
  found->callback([&chosen, options] { chosen = [options] { return search(*options); }; });
  auto* one = queue->add_subcommand("show", "Show one message with its copies and recipients");
  add_admin_options(one, *options);
  add_message_id(one, options->id);
  one->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask(*options, "GET", "/v1/queue/" + options->id),
                  [](const Json& json) { return message_view(json, Screen::of_output()); });
    };
  });
  add_actions(queue, options, chosen);
}

}  // namespace umbra::hub
