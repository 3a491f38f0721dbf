// Virtual time and the processes that live in it. One heap of events, keyed by (time, insertion number), is
// the only thing that moves: packets, disks and timers are events in it. Every simulated process has an event
// loop of its own (Host), so that one can be stopped (SIGSTOP) or be slow while the others go on.
//
// One World per run, on one thread; it is the thread's TimeSource for as long as it lives.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "tests/simulation/random.h"
#include "tests/simulation/trace.h"

namespace umbra::simulation {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Action = std::move_only_function<void()>;

class World;

/// How the clocks of a machine differ from virtual time.
struct ClockSkew {
  Duration monotonic_offset{};  ///< uptime at the start of the run
  std::int64_t drift_ppm = 0;   ///< the monotonic clock runs this much faster
  Duration wall_offset{};
};

/// One process on one machine, from its start to its end: an event loop that is polled when there is
/// something in it. Owned by whoever runs the process; outlives everything that uses its io_context.
class Host {
 public:
  Host(World& world, std::string name, std::string address, ClockSkew skew);
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  [[nodiscard]] World& world() const { return world_; }
  [[nodiscard]] asio::io_context& io() { return io_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& address() const { return address_; }

  /// Something was posted to io(): poll it soon.
  void wake();
  /// Runs as this process at `when`; waits while the process is paused.
  void run_at(Duration when, Action action);
  /// Runs now, as this process (its clocks, its timers).
  void run(std::function<void()> action);

  /// The wall clock is set: forwards or back.
  void step_wall(Duration by) { skew_.wall_offset += by; }
  void pause() { is_paused_ = true; }
  void resume();
  [[nodiscard]] bool is_paused() const { return is_paused_; }

  [[nodiscard]] MonotonicTime monotonic(Duration now) const;
  [[nodiscard]] WallTime wall(Duration now) const;
  /// The first virtual time at which monotonic() reaches `when`.
  [[nodiscard]] Duration to_world(MonotonicTime when) const;

 private:
  friend class World;
  struct PendingTimer {
    std::move_only_function<void(bool)> callback;
  };
  void poll();

  World& world_;
  std::uint64_t number_;
  std::string name_;
  std::string address_;
  ClockSkew skew_;
  SeededRandom random_;
  bool is_paused_ = false;
  bool poll_is_scheduled_ = false;
  bool is_dirty_ = false;     // woken while paused
  std::vector<Action> held_;  // came due while paused
  std::uint64_t timers_started_ = 0;
  std::unordered_map<std::uint64_t, PendingTimer> timers_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
};

class World final : public TimeSource, public VirtualTimers {
 public:
  World(std::uint64_t seed, bool print_trace);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() override;

  [[nodiscard]] Duration now() const { return now_; }
  [[nodiscard]] const SeededRandom& random() const { return random_; }
  [[nodiscard]] Trace& trace() { return trace_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }

  /// An event of the world itself (a packet arrives, a fault begins). Not before now.
  void at(Duration when, Action action);
  void after(Duration span, Action action) { at(now_ + span, std::move(action)); }

  /// Runs the next event. False when there is none.
  bool step();
  /// Runs events until virtual time is past `end`, or until `enough` (asked after each event) says so.
  void run_until(Duration end, const std::function<bool()>& enough = {});

  MonotonicTime monotonic() noexcept override;
  WallTime wall() noexcept override;
  VirtualTimers* timers() noexcept override { return this; }
  std::uint64_t start(MonotonicTime when, std::move_only_function<void(bool)> callback) override;
  void cancel(std::uint64_t timer) noexcept override;

  /// Writes a line of the trace.
  template <class... Args>
  void say(std::string_view who, fmt::format_string<Args...> format, Args&&... args) {
    trace_.line(now_, who, format, std::forward<Args>(args)...);
  }

 private:
  friend class Host;
  struct Entry {
    Duration when;
    std::uint64_t number;
    std::uint32_t slot;
    bool operator<(const Entry& other) const {  // a max-heap: the earliest is the greatest
      return when != other.when ? when > other.when : number > other.number;
    }
  };

  SeededRandom random_;
  Trace trace_;
  Duration now_{};
  std::uint64_t inserted_ = 0;
  std::uint64_t events_ = 0;
  std::vector<Entry> heap_;
  std::vector<Action> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::map<std::uint64_t, Host*> hosts_;
  std::uint64_t hosts_made_ = 0;
  Host* current_ = nullptr;
};

}  // namespace umbra::simulation
