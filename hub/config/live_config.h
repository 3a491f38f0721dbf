// The configuration in force. One object for the life of the process: the parts of a hub hold `const Config&`
// to now(), and a reload changes that object in place, on the home thread, between two suspensions. So:
// * Read a value when it is needed; then a change of a live key needs nothing else.
// * What must stay as it was until a unit of work has ended (a session, a connection) copies it when it
// begins. For listeners and
//   routes there are such copies: ListenerSettings, Router.
// * No reference into a list or a text of it over a suspension.
// * Who keeps something made from live keys makes it anew in a function configuration_changed() that the
// composition root calls. Keys that take effect at a restart never change here.
#pragma once

#include <expected>
#include <vector>

#include "base/clock.h"
#include "hub/config/changes.h"

namespace umbra::hub {

/// What came of the last reload, for status and metrics.
struct ConfigState {
  std::string file;
  std::string version;      ///< of the file that is in force, but for `waiting` (Config::version)
  WallTime read_at{};       ///< when what is in force was read
  bool is_refused = false;  ///< the last reload was; `problems` says why
  WallTime tried_at{};      ///< the last reload; read_at when there was none
  std::vector<ConfigProblem> problems;
  std::vector<ConfigChange>
      waiting;  ///< in the file, not in force before a restart: `from` is in force, `to` is in the file
};

/// The answer to a reload.
struct ConfigReload {
  std::vector<ConfigChange> changed;  ///< in force now
  ConfigState state;
};

class LiveConfig {
 public:
  explicit LiveConfig(Config config);
  LiveConfig(const LiveConfig&) = delete;
  LiveConfig& operator=(const LiveConfig&) = delete;

  [[nodiscard]] const Config& now() const { return now_; }
  [[nodiscard]] const ConfigState& state() const { return state_; }

  /// What a reload would put in force.
  struct Plan {
    Config next;
    std::string version;  ///< of the file
    std::vector<ConfigChange> changed;
    std::vector<ConfigChange> waiting;
  };
  /// Reads the file anew and checks it as `umbra check` does; changes nothing. Blocks for as long as that
  /// takes.
  [[nodiscard]] std::expected<Plan, std::vector<ConfigProblem>> read() const;
  void apply(Plan plan);
  void refuse(std::vector<ConfigProblem> problems);

 private:
  Config now_;
  ConfigState state_;
};

/// For tests and for reading: what `wanted` would change.
std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> plan_reload(const Config& in_force,
                                                                        const Config& wanted);

}  // namespace umbra::hub
