// `umbra queue`: what is in delivery, looked at and changed.
#include <CLI/CLI.hpp>
#include <memory>
#include <set>

#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"

namespace umbra::hub {
namespace {

struct QueueOptions : ListOptions {
  std::string id;
};

int act(const QueueOptions& options, const std::string& action) {
  auto answer = ask(options, "POST", "/v1/queue/" + options.id + "/" + action);
  return show(options, answer,
              [&](const Json& json) {
                auto remark = json.value("remark", std::string());
                return json["id"].get<std::string>() + ": " + action + " done" + (remark.empty() ? "" : "; " + remark) + "\n";
              });
}

}  // namespace

void add_queue_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<QueueOptions>();
  auto* queue = app.add_subcommand("queue", "Look at and change what is in delivery");
  queue->require_subcommand(1);
  auto* list = queue->add_subcommand("list", "List messages");
  add_admin_options(list, *options);
  add_list_options(list, *options);
  list->add_option("--state", options->state, "Only queued or held ones")
      ->check(CLI::IsMember(std::set<std::string>{"queued", "held"}));
  list->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask_pages(*options, "/v1/queue", "messages"),
                  [](const Json& json) { return queue_view(json, WallClock::now()); });
    };
  });
  auto* one = queue->add_subcommand("show", "Show one message with its copies and recipients");
  add_admin_options(one, *options);
  add_message_id(one, options->id);
  one->callback([&chosen, options] {
    chosen = [options] { return show(*options, ask(*options, "GET", "/v1/queue/" + options->id), message_view); };
  });

  const std::pair<const char*, const char*> actions[] = {{"retry", "Try a message now"},
                                                         {"hold", "Keep a message from being delivered"},
                                                         {"release", "Let a held message go on"},
                                                         {"bounce", "Give a message up and tell its sender"}};
  for (const auto& [name, help] : actions) {
    auto* command = queue->add_subcommand(name, help);
    add_admin_options(command, *options);
    add_message_id(command, options->id);
    command->callback([options, &chosen, action = std::string(name)] {
      chosen = [options, action] { return act(*options, action); };
    });
  }
}

}  // namespace umbra::hub
