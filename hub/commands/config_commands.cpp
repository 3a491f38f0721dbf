// `umbra reload`: the configuration of a hub that runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"

namespace umbra::hub {

void add_reload_command(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<AdminOptions>();
  auto* reload = app.add_subcommand("reload", "Read the configuration file, certificates and keys anew; what is wrong is refused, and the former stays in force");
  add_admin_options(reload, *options);
  reload->callback([&chosen, options] {
    chosen = [options] {
      // A refusal (409) is an answer of the same kind.
      auto answer = ask(*options, "POST", "/v1/reload", 409);
      int shown = show(*options, answer, reload_view);
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
}

}  // namespace umbra::hub
