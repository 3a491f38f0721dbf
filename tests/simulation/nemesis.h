// Carries out the faults of a scenario and heals them, and writes down when which hub was disturbed, which is
// what may excuse a duplicate.
#pragma once

#include <memory>
#include <vector>

#include "tests/simulation/cluster.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/sink.h"

namespace umbra::simulation {

class Nemesis {
 public:
  Nemesis(World& world, Fabric& fabric, Cluster& cluster, std::vector<std::unique_ptr<Sink>>& sinks,
          std::vector<std::string> client_addresses, const Scenario& scenario, Circumstances& circumstances);

  void start();
  /// Ends every fault now, and begins no more; an operator's story comes to its own end soon (is_active()
  /// tells).
  void heal();
  [[nodiscard]] bool is_active() const { return active_ > 0; }
  [[nodiscard]] std::uint64_t begun() const { return begun_; }
  /// The last fault's end.
  [[nodiscard]] Duration last_end() const { return last_end_; }

 private:
  struct State {
    Fault fault;
    bool has_begun = false;
    bool has_ended = false;
    int seen = 0;  ///< of the trigger's event
    bool is_partition_made = false;
    std::vector<std::pair<std::string, std::string>> blocked;
    Duration wall_step{};
    std::vector<std::size_t> disturbances;  ///< in the circumstances
  };
  void saw(int hub, hub::MessageEvent event);
  void machine_died(int hub);
  void begin(State& state);
  void end(State& state);
  void take_down(State& state);
  void block(State& state, const std::string& from, const std::string& to);
  void disturb_hub(State& state, int hub);
  void disturb_sink(State& state);
  void tell(State& state);
  [[nodiscard]] bool may_lose_a_disk() const;
  bool take_disk(int hub);

  World& world_;
  Fabric& fabric_;
  Cluster& cluster_;
  std::vector<std::unique_ptr<Sink>>& sinks_;
  std::vector<std::string> clients_;
  const Scenario& scenario_;
  Circumstances& circumstances_;
  SeededRandom random_;
  Operator operator_;
  std::vector<std::unique_ptr<State>> states_;
  int active_ = 0;
  std::uint64_t begun_ = 0;
  bool is_healed_ = false;
  bool has_lost_a_disk_ = false;
  bool is_damage_hidden_ = false;  ///< a page has decayed, and nobody may have read it yet
  Duration last_end_{};
};

}  // namespace umbra::simulation
