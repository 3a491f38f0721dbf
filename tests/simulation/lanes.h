// The lanes of a spool as tasks on virtual time: jobs run one at a time, in order, each with a seeded
// latency, and what they post home arrives some time later, so that a crash can fall between the commit and
// the news of it.
#pragma once

#include <deque>

#include "storage/spool.h"
#include "tests/simulation/world.h"

namespace umbra::simulation {

/// How fast the disk of one machine is; shared by all processes that run on it.
struct DiskSpeed {
  Duration commit_min = 100us;
  Duration commit_max = 20ms;
  std::uint64_t stalls = 5;  ///< jobs of a thousand that take up to stall_max
  Duration stall_max = 500ms;
};

/// Delivers to the loop of the process. From a lane, with the delay that the lane has set.
class SimHome final : public storage::Executor {
 public:
  explicit SimHome(Host& host) : host_(host) {}
  void post(std::move_only_function<void()> job) override;

 private:
  friend class SimLane;
  Host& host_;
  Duration delay_{};
  Duration last_{};
};

class SimLane final : public storage::Executor {
 public:
  SimLane(Host& host, SimHome& home, const DiskSpeed& speed, std::string name);
  ~SimLane() override { drop(); }
  void post(std::move_only_function<void()> job) override;
  /// The process is dead: what is left runs without taking time (its disk fails everything).
  void hurry() { is_hurried_ = true; }
  void drop();
  void on_job(std::function<void()> callback) { on_job_ = std::move(callback); }

 private:
  void run_next();

  Host& host_;
  SimHome& home_;
  const DiskSpeed& speed_;
  SeededRandom random_;
  bool is_reader_;
  bool is_hurried_ = false;
  bool is_busy_ = false;
  std::deque<std::move_only_function<void()>> jobs_;
  std::function<void()> on_job_;
};

}  // namespace umbra::simulation
