// One hub: the composition root. The one place that knows every part and wires them: real clock, sockets and
// disk in production (run_hub), simulated ones in tests/simulation. Everything runs on the io_context's
// thread; the spool's lanes are passed in.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cluster/arbiter.h"
#include "hub/admin/drain_control.h"
#include "hub/config/live_config.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/net/runtime.h"
#include "hub/pressure/probe.h"
#include "storage/spool.h"

namespace umbra::hub {

class RecordLogs;

struct HubParts {
  Runtime runtime;  ///< without `tls` the hub reads its certificates itself
  storage::Executor& writer_lane;
  storage::Executor& reader_lane;
  storage::Executor& home;  ///< posts to the io_context
  EventLog& log;
  RecordLogs* record_logs = nullptr;  ///< outlives a run; null: none is kept
  std::string spool_vfs;              ///< empty: real files
  /// Where attempts are marked, outliving the process; null: a file beside the spool, or with another VFS
  /// nowhere.
  storage::AttemptMarks::Region* attempts = nullptr;
  /// Outlives a run, and is the `config` that make() is given. Null: the hub makes its own.
  LiveConfig* live = nullptr;
  storage::Executor* password_lane = nullptr;  ///< null: passwords are checked on the reader's lane
  storage::Executor* trace_lane =
      nullptr;                          ///< null: files of the tracking log are searched on the reader's lane
  PressureProbe* pressure = nullptr;    ///< null: the hub feels no pressure
  cluster::Arbiter* arbiter = nullptr;  ///< of ownership by an engine; null: made from the configuration
  /// Outlives a run whose epoch another hub ended: the next run of the process goes on with what was ordered.
  /// Null: a run begins active.
  DrainCourse* drain = nullptr;
};

/// Life: make() opens the spool and begins its epoch (blocks); start() listens and begins to work; stop()
/// ends everything in order; then destroy. After a simulated crash (disk dead, network cut) stop() is how the
/// remains are collected.
class Hub {
 public:
  static Result<std::unique_ptr<Hub>> make(const Config& config, HubParts parts);
  virtual ~Hub() = default;
  virtual Result<void> start() = 0;
  virtual Task<void> stop() = 0;
  /// Reads the configuration file anew, then certificates and keys (SIGHUP). What is wrong is refused and
  /// logged.
  virtual void reload() = 0;
  [[nodiscard]] virtual const Metrics& metrics() const = 0;
  [[nodiscard]] virtual storage::Spool& spool() = 0;
  /// Pause, drain and leave.
  virtual DrainControl& drain() = 0;
  /// Set when this hub may not go on as it is: the reason. `restart`: its epoch was ended by another hub (it
  /// was silent for longer than a lease): stop, destroy and make() it again, which begins the next epoch and
  /// asks who owns its mail. Otherwise its spool was rolled back (a restored backup) or has failed: an
  /// operator must look.
  struct Ended {
    bool restart = false;
    std::string reason;
  };
  [[nodiscard]] virtual const std::optional<Ended>& ended() const = 0;
  /// True when nothing is being accepted, returned, taken over or resubmitted at this instant, for tests: the
  /// spool's counts tell the rest.
  [[nodiscard]] virtual bool is_returning() const = 0;
};

struct RunOptions {
  Duration drain_on_stop{};  ///< after the first SIGTERM, drains for so long at most; 0: stops at once
};

/// Runs one hub until SIGTERM or SIGINT. Returns the exit code: 0 stopped in order, 1 could not start or
/// failed.
int run_hub(const Config& config, const RunOptions& options = {});

}  // namespace umbra::hub
