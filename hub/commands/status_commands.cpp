// `umbra status` and `umbra peers`.
#include <CLI/CLI.hpp>
#include <memory>

#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"

namespace umbra::hub {

void add_status_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<AdminOptions>();
  auto* status = app.add_subcommand("status", "What a hub is doing, and what it knows of the others");
  add_admin_options(status, *options);
  status->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask(*options, "GET", "/v1/status"),
                  [](const Json& json) { return status_view(json, WallClock::now(), Screen::of_output()); });
    };
  });
  auto* peers = app.add_subcommand("peers", "The other hubs of the cluster");
  add_admin_options(peers, *options);
  peers->callback([&chosen, options] {
    chosen = [options] {
      return show(*options, ask(*options, "GET", "/v1/peers"),
                  [](const Json& json) { return peers_view(json, Screen::of_output()); });
    };
  });
}

}  // namespace umbra::hub
