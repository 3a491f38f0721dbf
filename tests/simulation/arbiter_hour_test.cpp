// The arbiter is away for an hour: between hubs that hear one another no mail waits for it, nobody takes
// anything over, and nothing is delivered twice. A hub that dies in that hour is the one thing that has to
// wait: its mail is taken over once the arbiter is back.
#include <gtest/gtest.h>

#include "tests/simulation/client.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/sink.h"

namespace umbra::simulation {
namespace {

constexpr int hubs = 3;
constexpr Duration outage = 1h;

class ArbiterHour : public ::testing::Test {
 protected:
  ArbiterHour() {
    cluster_.on_event([this](int, hub::MessageEvent event) { ++events_[event]; });
    sink_.open();
    cluster_.start();
    world_.run_until(20s);
    cluster_.set_arbiter_away(true);
    begin_ = world_.now();
  }

  /// One for each hub, with more mail than an hour takes.
  void start_clients() {
    ClientPlan plan;
    plan.messages = 1000;
    plan.gap_max = 60s;
    plan.domains = {"d1.test"};
    plan.recipients_max = 1;
    plan.breaks_off = plan.resets = plan.null_sender = plan.rejected = plan.big = 0;
    for (int i = 0; i < hubs; ++i) {
      plan.hubs = {{cluster_.address(i), Cluster::client_port}};
      clients_.push_back(std::make_unique<Client>(world_, fabric_, ledger_, i + 1, plan));
      clients_.back()->start();
    }
  }

  void end() {
    for (auto& client : clients_) client->stop();
    cluster_.stop_all();
    world_.run_until(world_.now() + 3min, [&] { return cluster_.is_all_stopped(); });
    sink_.stop();
    world_.run_until(world_.now() + 1min);
    verdict_ = ledger_.check({});
    EXPECT_EQ(verdict_.failures, std::vector<std::string>{});
    EXPECT_EQ(cluster_.failures(), std::vector<std::string>{});
  }

  static Scenario scenario() {
    Scenario scenario;
    scenario.hubs = hubs;
    scenario.sinks = 1;
    scenario.expiry = 24h;
    scenario.is_calm = true;
    scenario.ownership = hub::OwnershipMode::etcd;
    scenario.disks.resize(hubs);
    scenario.clocks.resize(hubs);
    scenario.zones.resize(hubs);
    return scenario;
  }

  Scenario scenario_ = scenario();
  World world_{1, false};
  Fabric fabric_{world_};
  Ledger ledger_;
  Cluster cluster_{world_, fabric_, ledger_, scenario_};
  Sink sink_{world_, fabric_, ledger_, "sink1", "10.0.2.1"};
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<hub::MessageEvent, int> events_;
  Ledger::Verdict verdict_;
  Duration begin_{};
};

TEST_F(ArbiterHour, StopsNoMailBetweenHubsThatHearOneAnother) {
  start_clients();
  int accepted_before = 0;
  for (auto now = begin_ + 5min; now <= begin_ + outage; now += 5min) {
    // What was accepted up to then has been delivered ten seconds later.
    world_.run_until(now);
    int accepted = events_[hub::MessageEvent::accepted];
    EXPECT_GT(accepted, accepted_before);
    accepted_before = accepted;
    world_.run_until(now + 10s);
    EXPECT_GE(events_[hub::MessageEvent::delivered], accepted)
        << "after " << std::chrono::duration<double>(now - begin_).count() << " s";
  }
  EXPECT_GT(accepted_before, 200);
  EXPECT_EQ(events_[hub::MessageEvent::taken_over], 0);
  EXPECT_EQ(cluster_.counts().epochs_ended, 0U);
  cluster_.set_arbiter_away(false);
  world_.run_until(world_.now() + 1min);
  end();
  EXPECT_EQ(verdict_.counts.duplicated, 0U);
  EXPECT_EQ(verdict_.counts.lost, 0U);
}

TEST_F(ArbiterHour, LeavesTheMailOfADeadHubToTheTimeAfterIt) {
  sink_.set_mood({.defers_message = 1000});
  start_clients();
  world_.run_until(begin_ + 5min);
  cluster_.kill(0, true, false);
  world_.run_until(world_.now() + 1s);  // nothing of it is under way any more
  int accepted = events_[hub::MessageEvent::accepted];
  EXPECT_GT(accepted, 15);
  sink_.set_mood({});
  world_.run_until(begin_ + outage);
  EXPECT_EQ(events_[hub::MessageEvent::taken_over], 0);
  EXPECT_EQ(cluster_.counts().epochs_ended, 0U);
  EXPECT_GT(events_[hub::MessageEvent::delivered], accepted);  // the others went on
  cluster_.set_arbiter_away(false);
  world_.run_until(world_.now() + 1min);
  EXPECT_GT(events_[hub::MessageEvent::taken_over], 3);
  cluster_.revive(0);
  world_.run_until(world_.now() + 1min);
  end();
  EXPECT_EQ(verdict_.counts.lost, 0U);
  EXPECT_EQ(verdict_.counts.duplicated, 0U);
}

}  // namespace
}  // namespace umbra::simulation
