#include "hub/commands/commands.h"

namespace umbra::hub {

void add_commands(CLI::App& app, Chosen& chosen) {
  add_hub_commands(app, chosen);
  add_status_commands(app, chosen);
  add_reload_command(app, chosen);
  add_queue_commands(app, chosen);
  add_shadow_commands(app, chosen);
  add_drain_commands(app, chosen);
  add_suspension_commands(app, chosen);
  add_watch_command(app, chosen);
  add_safety_net_commands(app, chosen);
  add_trace_command(app, chosen);
  add_headers_command(app, chosen);
  add_spool_commands(app, chosen);
}

}  // namespace umbra::hub
