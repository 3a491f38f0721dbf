// Clients, sinks and ledger against each other without a hub between them: what the simulation itself loses
// or makes up would show here.
#include <gtest/gtest.h>

#include "tests/simulation/client.h"
#include "tests/simulation/sink.h"

namespace umbra::simulation {
namespace {

struct DirectRun {
  Ledger::Verdict verdict;
  std::uint64_t hash = 0;
};

DirectRun run_directly(std::uint64_t seed, Mood mood, bool partitions) {
  World world(seed, false);
  Fabric fabric(world);
  Ledger ledger;
  std::vector<std::unique_ptr<Sink>> sinks;
  std::vector<std::unique_ptr<Client>> clients;
  ClientPlan plan;
  plan.messages = 20;
  plan.domains = {"a.test", "b.test"};
  plan.resets = 100;
  plan.breaks_off = 100;
  for (int i = 1; i <= 2; ++i) {
    auto address = "10.0.2." + std::to_string(i);
    sinks.push_back(std::make_unique<Sink>(world, fabric, ledger, "sink" + std::to_string(i), address));
    sinks.back()->set_mood(mood);
    sinks.back()->open();
    plan.hubs.push_back({address, Sink::port});
  }
  for (int i = 1; i <= 3; ++i) {
    clients.push_back(std::make_unique<Client>(world, fabric, ledger, i, plan));
    clients.back()->start();
  }
  if (partitions) {
    for (int i = 1; i < 60; ++i) {
      world.after(i * 5s, [&] { fabric.block("10.0.1.1", "10.0.2.1"); });
      world.after(i * 5s + 3s, [&] { fabric.allow("10.0.1.1", "10.0.2.1", PartitionEnd::reset); });
    }
  }
  auto all_done = [&] { return std::ranges::all_of(clients, [](auto& c) { return c->is_done(); }); };
  world.run_until(3h, all_done);
  EXPECT_TRUE(all_done());
  for (auto& sink : sinks) sink->stop();
  world.run_until(world.now() + 1h);
  for (auto& sink : sinks) EXPECT_TRUE(sink->is_stopped());
  return {ledger.check({}), world.trace().hash()};
}

TEST(Direct, EverythingAcknowledgedArrivesOnceWhenNothingGoesWrong) {
  auto run = run_directly(3, {}, false);
  EXPECT_EQ(run.verdict.failures, std::vector<std::string>{});
  EXPECT_EQ(run.verdict.counts.lost, 0U);
  EXPECT_EQ(run.verdict.counts.duplicated, 0U);
  EXPECT_GT(run.verdict.counts.acknowledged, 60U);
}

TEST(Direct, NothingIsLostOrMadeUpByDifficultNextHops) {
  Mood mood{.refuses_greeting = 50,
            .defers_sender = 50,
            .defers_recipient = 50,
            .defers_message = 50,
            .cuts_in_data = 50,
            .cuts_before_keeping = 50,
            .cuts_after_keeping = 50,
            .withholds_reply = 20,
            .closes_after_reply = 50,
            .delay_max = 1s};
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    auto run = run_directly(seed, mood, true);
    EXPECT_EQ(run.verdict.failures, std::vector<std::string>{}) << "seed " << seed;
    EXPECT_GT(run.verdict.counts.recovered, 0U) << "seed " << seed;
  }
}

TEST(Direct, SameSeedGivesTheSameRun) {
  Mood mood{.defers_recipient = 50, .cuts_after_keeping = 50, .delay_max = 1s};
  EXPECT_EQ(run_directly(5, mood, true).hash, run_directly(5, mood, true).hash);
  EXPECT_NE(run_directly(5, mood, true).hash, run_directly(6, mood, true).hash);
}

}  // namespace
}  // namespace umbra::simulation
