// An operator who holds and releases messages at random, in a third of all runs: what was held, and is known
// to its holders, is delivered by nobody, whatever fails, until it is released (Ledger::delivered_by). When
// all is healed everything is released.
#pragma once

#include "tests/simulation/cluster.h"

namespace umbra::simulation {

class Holds {
 public:
  Holds(World& world, Cluster& cluster)
      : world_(world), cluster_(cluster), random_(world.random().fork("holds")) {}
  void start() {
    if (random_.chance(333)) plan();
  }
  /// From now on only release.
  void heal() { is_healed_ = true; }
  void stop() { is_stopped_ = true; }

 private:
  void plan() {
    world_.after(random_.between(500ms, 3s), [this] { act(); });
  }
  void act() {
    if (is_stopped_) return;
    for (int hub = 0; hub < cluster_.size(); ++hub) {
      auto pick = random_.next();
      if (is_healed_)
        cluster_.operate(hub, HubProcess::Order::release_all, pick);
      else if (random_.chance(400))
        cluster_.operate(hub, random_.chance(700) ? HubProcess::Order::hold : HubProcess::Order::release,
                         pick);
    }
    plan();
  }

  World& world_;
  Cluster& cluster_;
  SeededRandom random_;
  bool is_healed_ = false;
  bool is_stopped_ = false;
};

}  // namespace umbra::simulation
