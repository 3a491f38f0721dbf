// `umbra shadow`: what is held for other hubs.
#include <CLI/CLI.hpp>
#include <memory>

#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"

namespace umbra::hub {

void add_shadow_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ListOptions>();
  auto* shadow = app.add_subcommand("shadow", "Look at what is held for other hubs");
  shadow->require_subcommand(1);
  auto* list = shadow->add_subcommand("list", "List shadow messages");
  add_admin_options(list, *options);
  add_list_options(list, *options);
  list->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask_pages(*options, "/v1/shadows", "shadows"),
                  [](const Json& json) { return shadows_view(json, WallClock::now(), Screen::of_output()); });
    };
  });
}

}  // namespace umbra::hub
