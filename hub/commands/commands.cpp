#include "hub/commands/commands.h"

#include <CLI/CLI.hpp>

#include "hub/admin/version.h"

namespace umbra::hub {

void add_commands(CLI::App& app, Chosen& chosen) {
  app.name("umbra");
  app.description("Umbra: a clustered SMTP relay that keeps every acknowledged message on two machines.");
  app.footer(
      "Exit codes: 0 done, 1 a problem, 2 wrong usage, 3 no hub answers, 4 no such message, 5 a damaged "
      "spool. All of them: man umbra.");
  app.set_version_flag("--version", std::string("umbra ") + version);
  app.require_subcommand(1);
  add_hub_commands(app, chosen);
  add_status_commands(app, chosen);
  add_top_command(app, chosen);
  add_config_commands(app, chosen);
  add_tls_command(app, chosen);
  add_queue_commands(app, chosen);
  add_shadow_commands(app, chosen);
  add_drain_commands(app, chosen);
  add_suspension_commands(app, chosen);
  add_watch_command(app, chosen);
  add_safety_net_commands(app, chosen);
  add_trace_command(app, chosen);
  add_headers_command(app, chosen);
  add_spool_commands(app, chosen);
  add_version_command(app, chosen);
  add_completion_command(app, chosen);
}

}  // namespace umbra::hub
