#include "tests/simulation/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/simulation/client.h"
#include "tests/simulation/holds.h"
#include "tests/simulation/nemesis.h"

namespace umbra::simulation {
namespace {

constexpr Duration faults_end_at_most = 90s;     // after the horizon
constexpr Duration clients_end_at_most = 30min;  // after the heal
constexpr Duration quiet_at_most = 15min;        // after the clients have ended
constexpr Duration calm_required = 2s;           // two looks at every spool

class Run {
 public:
  explicit Run(const Choices& choices)
      : choices_(choices),
        scenario_(make_scenario(choices)),
        world_(choices.seed, choices.print_trace),
        fabric_(world_),
        cluster_(world_, fabric_, ledger_, scenario_) {
    ClientPlan plan;
    plan.messages = scenario_.messages;
    plan.gap_max = scenario_.horizon / std::max(1, scenario_.messages);
    plan.begin = 500ms;
    for (int i = 0; i < cluster_.size(); ++i)
      plan.hubs.push_back({cluster_.address(i), Cluster::client_port});
    for (int i = 0; i < scenario_.sinks; ++i) {
      auto name = fmt::format("sink{}", i + 1);
      sinks_.push_back(
          std::make_unique<Sink>(world_, fabric_, ledger_, name, fmt::format("10.0.2.{}", i + 1)));
      sinks_.back()->set_mood(scenario_.mood);
      plan.domains.push_back(fmt::format("d{}.test", i + 1));
    }
    plan.domains.push_back("mx.test");
    // Where notifications go; never disturbed but by the network.
    senders_ = std::make_unique<Sink>(world_, fabric_, ledger_, "senders", "10.0.2.100");
    std::vector<std::string> addresses;
    for (int i = 1; i <= scenario_.clients; ++i) {
      clients_.push_back(std::make_unique<Client>(world_, fabric_, ledger_, i, plan));
      addresses.push_back(clients_.back()->host().address());
    }
    nemesis_ =
        std::make_unique<Nemesis>(world_, fabric_, cluster_, sinks_, addresses, scenario_, circumstances_);
  }

  RunResult operator()() {
    circumstances_.discard_window = discard_window();
    circumstances_.is_exclusive = scenario_.ownership != hub::OwnershipMode::pairwise;
    for (auto& sink : sinks_) sink->open();
    senders_->open();
    nemesis_->start();
    cluster_.start();
    for (auto& client : clients_) client->start();
    holds_.start();

    run_until(scenario_.horizon, {});
    run_until(scenario_.horizon + faults_end_at_most, [this] { return !nemesis_->is_active(); });
    nemesis_->heal();
    holds_.heal();
    auto healed = world_.now();
    auto clients_done = [this] {
      return std::ranges::all_of(clients_, [](const auto& c) { return c->is_done(); });
    };
    run_until(healed + clients_end_at_most,
              [this, clients_done] { return clients_done() && !nemesis_->is_active(); });
    if (nemesis_->is_active()) fail("the operator does not come to an end");
    if (!clients_done()) fail("the clients do not come to an end");
    auto began = world_.now();
    auto is_quiet = [this, began] {
      return cluster_.is_quiet(std::max<Duration>(began + 1us, world_.now() - calm_required));
    };
    while (!is_broken() && world_.now() < began + quiet_at_most && !is_quiet())
      world_.run_until(world_.now() + 500ms);
    if (!is_broken() && !is_quiet()) {
      fail(fmt::format("the cluster does not become quiet within {} s", quiet_at_most / 1s));
      for (auto& line : cluster_.unrest()) fail("  " + line);
    }
    result_.took_to_quiet = world_.now() - healed;
    world_.say("run", "quiet");
    end();
    return std::move(result_);
  }

 private:
  /// Longer where something is slow.
  [[nodiscard]] Duration discard_window() const {
    auto is_slow = [](const Fault& fault) {
      return fault.kind == FaultKind::slow_disk || fault.kind == FaultKind::slow_network ||
             fault.kind == FaultKind::full_disk || fault.kind == FaultKind::lossy;
    };
    if (std::ranges::any_of(scenario_.faults, is_slow)) return 10s;
    auto is_slow_disk = [](const DiskSpeed& speed) { return speed.commit_max > 50ms || speed.stalls > 10; };
    return std::ranges::any_of(scenario_.disks, is_slow_disk) ? 4s : 2s;
  }

  void fail(std::string what) {
    world_.say("run", "FAILS: {}", what);
    result_.failures.push_back(std::move(what));
  }
  [[nodiscard]] bool is_broken() const { return !cluster_.failures().empty(); }

  void run_until(Duration end, const std::function<bool()>& enough) {
    while (!is_broken() && world_.now() < end && !(enough && enough()))
      world_.run_until(std::min<Duration>(end, world_.now() + 100ms));
  }

  void end() {
    for (auto& client : clients_) client->stop();
    holds_.stop();
    cluster_.stop_all();
    auto began = world_.now();
    auto all_stopped = [this] {
      return cluster_.is_all_stopped() &&
             std::ranges::all_of(clients_, [](const auto& c) { return c->is_done(); });
    };
    while (world_.now() < began + 3min && !all_stopped()) world_.run_until(world_.now() + 100ms);
    for (auto& sink : sinks_) sink->stop();
    senders_->stop();
    world_.run_until(world_.now() + 3min);
    for (const auto& failure : cluster_.failures()) result_.failures.push_back(failure);
    auto verdict = ledger_.check(circumstances_);
    for (auto& failure : verdict.failures) result_.failures.push_back(std::move(failure));
    result_.seed = choices_.seed;
    result_.counts = verdict.counts;
    result_.duplicates = std::move(verdict.duplicates);
    result_.cluster = cluster_.counts();
    result_.faults = nemesis_->begun();
    result_.virtual_time = world_.now();
    result_.events = world_.events();
    result_.hash = world_.trace().hash();
    if (!result_.ok()) result_.last_lines.assign(world_.trace().last().begin(), world_.trace().last().end());
    if (!all_stopped()) {
      // Coroutines of a hub that did not stop cannot be taken apart: the caller gets the report, the process
      // ends.
      std::fputs(report(result_, fmt::format("simulation --seed {} --trace", choices_.seed)).c_str(), stderr);
      std::abort();
    }
  }

  Choices choices_;
  Scenario scenario_;
  World world_;
  Fabric fabric_;
  Ledger ledger_;
  Circumstances circumstances_;
  RunResult result_;
  Cluster cluster_;
  Holds holds_{world_, cluster_};
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::unique_ptr<Sink> senders_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Nemesis> nemesis_;
};

}  // namespace

RunResult run(const Choices& choices) {
  Run one(choices);
  return one();
}

std::string to_string(const LedgerCounts& c) {
  return fmt::format(
      "attempted {}, acknowledged {}, delivered {}, bounced {}, lost {}, unexpected {}, duplicated {} "
      "(explained {}), recovered {}, "
      "undecided {}, refused {}",
      c.attempted, c.acknowledged, c.delivered, c.bounced, c.lost, c.unexpected, c.duplicated, c.explained,
      c.recovered, c.undecided, c.refused);
}

std::string report(const RunResult& result, const std::string& command) {
  std::string text = fmt::format("---- the end of the trace of seed {} ----\n", result.seed);
  for (const auto& line : result.last_lines) text += line + "\n";
  text += fmt::format("---- seed {} FAILED after {:.3f} s of virtual time, trace {:016x} ----\n", result.seed,
                      std::chrono::duration<double>(result.virtual_time).count(), result.hash);
  for (const auto& failure : result.failures) text += "  " + failure + "\n";
  for (const auto& duplicate : result.duplicates) text += "  explained: " + duplicate + "\n";
  text += "ledger (recipients): " + to_string(result.counts) + "\n";
  text += "replay: " + command + "\n";
  return text;
}

}  // namespace umbra::simulation
