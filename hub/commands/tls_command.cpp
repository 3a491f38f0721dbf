// `umbra tls`: the certificates that a hub uses, and how long they are good for.
#include <CLI/CLI.hpp>
#include <memory>

#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/commands/views.h"

namespace umbra::hub {

void add_tls_command(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<AdminOptions>();
  auto* command = app.add_subcommand("tls",
                                     "Certificates in use: by which listener or route, for which names, from "
                                     "whom, until when. Exit code 1: one of them is no good");
  add_admin_options(command, *options);
  command->callback([&chosen, options] {
    chosen = [options] {
      auto answer = ask(*options, "GET", "/v1/certificates");
      const int code = show(*options, answer, [](const Json& json) {
        return certificates_view(json, WallClock::now(), Screen::of_output());
      });
      if (!answer || code != done) return code;
      for (const auto& place : (*answer)["certificates"])
        if (place["problem"] != "") return static_cast<int>(problem);
      return static_cast<int>(done);
    };
  });
}

}  // namespace umbra::hub
