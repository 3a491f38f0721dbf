// The hubs of a run: machines with a disk, a clock and, most of the time, a hub process on them. Does to them
// what the faults of a scenario say, and supervises them as systemd would: a hub that says it must begin anew
// is started again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/memory_disk.h"
#include "tests/simulation/hub_process.h"
#include "tests/simulation/scenario.h"

namespace umbra::simulation {

class Cluster {
 public:
  struct Counts {
    std::uint64_t starts = 0;
    std::uint64_t crashes = 0;
    std::uint64_t disks_lost = 0;
    std::uint64_t epochs_ended = 0;
    std::map<hub::MessageEvent, std::uint64_t> events;
  };

  Cluster(World& world, Fabric& fabric, Ledger& ledger, const Scenario& scenario);
  ~Cluster();
  static constexpr std::uint16_t client_port = 25;
  static constexpr std::uint16_t hub_port = 7025;

  /// Starts every hub.
  void start();
  /// The hub's process ends without order; with the machine, or with machine and disk.
  void kill(int hub, bool machine_too, bool disk_too);
  /// Ends in order.
  void stop(int hub);
  /// Starts it again when it is down (after what remains of the last process is collected).
  void revive(int hub);
  void pause(int hub);
  void resume(int hub);
  void set_full(int hub, bool is_full);
  void slow_disk(int hub, Duration commit_max);
  void restore_disk_speed(int hub);
  /// The nth write or sync from now fails, and with it the machine loses power.
  void die_at(int hub, storage::MemoryDisk::Change change, std::uint64_t nth);

  void stop_failing(int hub);

  // Disks. Of a hub that is down.
  [[nodiscard]] storage::MemoryDisk::Image disk_of(int hub) const;
  void set_disk(int hub, storage::MemoryDisk::Image image);
  /// A page of its database decays.
  void decay(int hub);
  void step_wall(int hub, Duration by);
  void set_arbiter_away(bool is_away) { arbiter_.set_away(is_away); }
  /// DNS names it among the hubs, and it is expected to run; or not.
  void set_member(int hub, bool is_member);
  [[nodiscard]] bool is_member(int hub) const { return slots_[static_cast<std::size_t>(hub)]->is_member; }
  /// Every member runs.
  [[nodiscard]] bool is_complete() const;
  /// Null while it is down, stands still or stops.
  [[nodiscard]] HubProcess* process(int hub);
  /// How often it has been started.
  [[nodiscard]] int runs(int hub) const { return slots_[static_cast<std::size_t>(hub)]->runs; }
  void fail(std::string what);

  [[nodiscard]] int size() const { return static_cast<int>(slots_.size()); }
  [[nodiscard]] const std::string& address(int hub) const;
  [[nodiscard]] bool is_up(int hub) const;
  /// No process of it is left.
  [[nodiscard]] bool is_down(int hub) const;
  /// Every hub runs, knows what it owns, and nothing is unprotected: a disk may be lost. As of a look since
  /// `since`.
  [[nodiscard]] bool is_protected(Duration since) const;
  /// Every hub runs and nothing is left in any spool. As of a look since `since`.
  [[nodiscard]] bool is_quiet(Duration since) const;
  [[nodiscard]] bool is_net_too_full(const storage::QueueCounts& counts) const;
  /// An operator at that hub, if it runs.
  void operate(int hub, HubProcess::Order order, std::uint64_t pick);
  /// One line per hub that is not quiet.
  [[nodiscard]] std::vector<std::string> unrest() const;
  void stop_all();
  [[nodiscard]] bool is_all_stopped() const;

  /// Called with the number of the hub at every event of a message.
  void on_event(std::function<void(int, hub::MessageEvent)> callback) { on_event_ = std::move(callback); }
  /// It is down, since its disk is another hub's.
  [[nodiscard]] bool has_wrong_disk(int hub) const {
    return slots_[static_cast<std::size_t>(hub)]->has_wrong_disk;
  }
  /// Called when a hub's disk is taken away because it was rolled back.
  void on_disk_lost(std::function<void(int)> callback) { on_disk_lost_ = std::move(callback); }
  /// Called when a machine died by die_at().
  void on_death(std::function<void(int)> callback) { on_death_ = std::move(callback); }
  [[nodiscard]] const Counts& counts() const { return counts_; }
  /// Broken promises of the hubs themselves: one that does not start or does not stop.
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Slot {
    std::string address;
    hub::Config config;
    DiskSpeed speed;
    DiskSpeed usual_speed;
    ClockSkew clock;
    std::unique_ptr<storage::MemoryDisk> disk;
    std::shared_ptr<storage::AttemptMarks::Region> attempts =
        std::make_shared<storage::AttemptMarks::Region>();
    std::shared_ptr<hub::DrainCourse>
        drain;  ///< of the present process, and of its next run when another hub ends this one
    std::unique_ptr<HubProcess> process;
    std::vector<std::unique_ptr<HubProcess>> remains;  ///< dead processes that are being collected
    bool wants_up = true;
    bool is_member = true;
    bool machine_is_on = true;
    bool is_full = false;
    bool is_same_process = false;  ///< its next start is the next run of the process that is there
    bool loses_disk = false;       ///< before its next start
    bool has_wrong_disk = false;   ///< it says so, and is down
    int runs = 0;
    int failed_starts = 0;
    Duration may_start_at{};
  };

  void tick();
  void begin(int hub);
  void supervise(int hub);
  [[nodiscard]] hub::Config make_config(int hub) const;
  void publish();

  World& world_;
  Fabric& fabric_;
  Ledger& ledger_;
  const Scenario& scenario_;
  SeededRandom random_;
  SimResolver::Names names_;
  ArbiterStore arbiter_;
  std::vector<std::unique_ptr<Slot>> slots_;
  Counts counts_;
  std::vector<std::string> failures_;
  std::function<void(int, hub::MessageEvent)> on_event_;
  std::function<void(int)> on_death_;
  std::function<void(int)> on_disk_lost_;
  bool is_stopping_ = false;
};

}  // namespace umbra::simulation
