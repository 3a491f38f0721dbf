// The next hop is away for a day: every hub tries it at the times of the ladder and at no other, with one
// message; nothing is lost, a hub that dies in that day included; and when the next hop is back it is not run
// over.
#include <gtest/gtest.h>

#include "tests/simulation/client.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/sink.h"

namespace umbra::simulation {
namespace {

constexpr int hubs = 3;
constexpr int messages = 300;  // by each of as many clients
constexpr Duration outage = 24h;

Scenario scenario_of_a_day() {
  Scenario scenario;
  scenario.hubs = hubs;
  scenario.sinks = 1;
  scenario.expiry = 72h;
  scenario.retry = hub::DeliveryConfig{}.retry;
  scenario.is_calm = true;
  scenario.disks.resize(hubs);
  scenario.clocks.resize(hubs);
  scenario.zones.resize(hubs);
  return scenario;
}

class DayOutage : public ::testing::Test {
 protected:
  DayOutage() {
    cluster_.on_event([this](int hub, hub::MessageEvent event) {
      ++events_[event];
      if (event == hub::MessageEvent::deferred) tries_[hub].push_back(world_.now());
    });
    sink_.open();
    cluster_.start();
    world_.run_until(20s);
    sink_.die();
    for (int i = 0; i < hubs; ++i) {
      ClientPlan plan;
      plan.messages = messages;
      plan.gap_max = 9min;  // the last one comes after some 22 hours
      plan.domains = {"d1.test"};
      plan.recipients_max = 1;
      plan.breaks_off = plan.resets = plan.null_sender = plan.rejected = plan.big = 0;
      plan.hubs = {{cluster_.address(i), Cluster::client_port},
                   {cluster_.address((i + 1) % hubs), Cluster::client_port}};
      clients_.push_back(std::make_unique<Client>(world_, fabric_, ledger_, i + 1, plan));
      clients_.back()->start();
    }
  }

  /// The next hop is back: everything goes out, and the run is over.
  void come_back() {
    sink_.open();
    const auto back = world_.now();
    world_.run_until(back + 11min);  // the longest wait of the ladder
    EXPECT_LE(sink_.connections_peak(), hubs * hub::RouteConfig{}.connections_max);
    EXPECT_LE(sink_.connections(), hubs * hub::RouteConfig{}.connections_max)
        << "each is used for many messages";
    EXPECT_TRUE(cluster_.is_quiet(back));
    for (auto& client : clients_) client->stop();
    cluster_.stop_all();
    world_.run_until(world_.now() + 3min, [&] { return cluster_.is_all_stopped(); });
    sink_.stop();
    world_.run_until(world_.now() + 1min);
    verdict_ = ledger_.check({});
    EXPECT_EQ(verdict_.failures, std::vector<std::string>{});
    EXPECT_EQ(cluster_.failures(), std::vector<std::string>{});
    EXPECT_EQ(verdict_.counts.lost, 0U);
    EXPECT_EQ(verdict_.counts.duplicated, 0U);
    EXPECT_EQ(verdict_.counts.delivered, static_cast<std::uint64_t>(hubs * messages));
  }

  /// Between two tries: 4 times 1, 6 times 5, then every 10 minutes.
  void expect_ladder(const std::vector<Duration>& tries) {
    ASSERT_GT(tries.size(), 12U);
    for (std::size_t i = 1; i < tries.size(); ++i) {
      const Duration wait = i <= 4 ? Duration(1min) : i <= 10 ? Duration(5min) : Duration(10min);
      EXPECT_GE(tries[i] - tries[i - 1], wait - 1s) << i;
      EXPECT_LE(tries[i] - tries[i - 1], wait + 1s) << i;
    }
  }

  Scenario scenario_ = scenario_of_a_day();
  World world_{1, false};
  Fabric fabric_{world_};
  Ledger ledger_;
  Cluster cluster_{world_, fabric_, ledger_, scenario_};
  Sink sink_{world_, fabric_, ledger_, "sink1", "10.0.2.1"};
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<hub::MessageEvent, int> events_;
  std::map<int, std::vector<Duration>> tries_;
  Ledger::Verdict verdict_;
};

TEST_F(DayOutage, IsWaitedForByTheLadderAndEndsWithoutAStampede) {
  world_.run_until(20s + outage);
  for (int i = 0; i < hubs; ++i) expect_ladder(tries_[i]);
  EXPECT_EQ(events_[hub::MessageEvent::accepted], hubs * messages);
  EXPECT_EQ(events_[hub::MessageEvent::taken_over], 0);
  come_back();
}

TEST_F(DayOutage, LosesNothingWhenAHubDiesInIt) {
  world_.run_until(12h);
  cluster_.kill(0, true, true);
  world_.run_until(13h);
  EXPECT_GT(events_[hub::MessageEvent::taken_over], messages / 3);
  cluster_.revive(0);
  world_.run_until(20s + outage);
  expect_ladder(tries_[1]);
  come_back();
}

}  // namespace
}  // namespace umbra::simulation
