// The sub-commands of `umbra`, one function per family. Each adds its commands with their options to the
// tree; the command that is chosen leaves what to do in `chosen`, which gives the exit code. Called by
// hub/main.cpp once; options live as long as the tree.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace umbra::hub {

using Chosen = std::function<int()>;

void add_hub_commands(CLI::App& app, Chosen& chosen);     ///< run, reference
void add_status_commands(CLI::App& app, Chosen& chosen);  ///< status, peers
void add_top_command(CLI::App& app, Chosen& chosen);
void add_config_commands(
    CLI::App& app,
    Chosen& chosen);  ///< config check, diff, reload; and check and reload, their names of before
void add_tls_command(CLI::App& app, Chosen& chosen);
void add_queue_commands(CLI::App& app, Chosen& chosen);
void add_shadow_commands(CLI::App& app, Chosen& chosen);
void add_drain_commands(CLI::App& app, Chosen& chosen);  ///< pause, drain, leave, undrain, resume
void add_suspension_commands(
    CLI::App& app,
    Chosen& chosen);  ///< suspend, suspensions; after the drain commands: part of resume is its
void add_watch_command(CLI::App& app, Chosen& chosen);
void add_safety_net_commands(CLI::App& app, Chosen& chosen);
void add_trace_command(CLI::App& app, Chosen& chosen);
void add_headers_command(CLI::App& app, Chosen& chosen);
void add_spool_commands(CLI::App& app, Chosen& chosen);
void add_version_command(CLI::App& app, Chosen& chosen);
void add_completion_command(CLI::App& app,
                            Chosen& chosen);  ///< completion; what it prints follows from the whole tree

/// Makes `app` the whole command line: all of them, in the order of `umbra --help`.
void add_commands(CLI::App& app, Chosen& chosen);

}  // namespace umbra::hub
