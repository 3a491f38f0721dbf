// Who runs the cluster of a run: drains and restarts hubs, throws them away, makes the cluster larger and
// smaller, restores backups and mixes up disks. Each order is a story of several steps that goes on while the
// rest of the run does what it does: a hub may be dead, deaf or standing still when the next step comes.
// Orders go through hub::DrainControl, as the admin API's do.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "tests/simulation/cluster.h"
#include "tests/simulation/scenario.h"

namespace umbra::simulation {

class Operator {
 public:
  struct Hooks {
    /// From now on (until the story's end and its aftermath) this excuses a duplicate at that hub.
    std::function<void(int hub)> disturb;
    /// May this story take a disk now? Then it has.
    std::function<bool(int hub)> take_disk;
    std::function<void()> ended;
  };
  Operator(World& world, Fabric& fabric, Cluster& cluster, const Scenario& scenario);
  ~Operator();

  /// Is it a story of this class? Others end after their length.
  static bool tells(FaultKind kind);
  void begin(const Fault& fault, Hooks hooks);
  /// The stories come to an end: nothing is taken away any more, everybody is brought back.
  void heal() { is_healed_ = true; }

 private:
  using Order = cluster::DrainOrder;
  using State = cluster::DrainState;
  hub::Task<void> tell(Fault fault, Hooks hooks);
  // Stories.
  hub::Task<void> flap(Fault fault, Hooks hooks);
  hub::Task<void> restart_each(Hooks hooks);
  hub::Task<void> restore_backup(Fault fault, Hooks hooks);
  hub::Task<void> reuse_disk(Fault fault, Hooks hooks);
  hub::Task<void> swap_disks(Fault fault, Hooks hooks);
  hub::Task<void> drain(Fault fault, Hooks hooks);
  hub::Task<void> be_killed(Fault fault, Hooks hooks);
  hub::Task<void> change_mind(Fault fault);
  hub::Task<void> leave(Fault fault);
  hub::Task<void> rescale();
  // Steps.
  hub::Task<void> wait(Duration span);
  hub::Task<bool> wait_until(std::function<bool()> is_so, Duration limit);
  /// Given until it is accepted; false: it never was.
  hub::Task<bool> give(int hub, Order order);
  hub::Task<void> undrain(int hub);
  hub::Task<std::optional<hub::DrainReport>> ask(int hub);
  /// The state when it is over; nothing: it is not, or the order is forgotten.
  hub::Task<std::optional<State>> wait_until_over(int hub, Duration limit);
  /// A leave to its end. True: it has left, and is gone with its disk.
  hub::Task<bool> throw_away(int hub, int tries);
  hub::Task<bool> stop(int hub);
  hub::Task<void> bring_back(int hub);
  Order make_order(cluster::DrainVerb verb);

  World& world_;
  Fabric& fabric_;
  Cluster& cluster_;
  const Scenario& scenario_;
  Host host_;
  SeededRandom random_;
  bool is_healed_ = false;
  bool is_busy_ = false;  ///< with an order: one after the other
  hub::TaskScope scope_;
};

}  // namespace umbra::simulation
