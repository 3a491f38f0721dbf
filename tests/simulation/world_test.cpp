#include "tests/simulation/world.h"

#include <gtest/gtest.h>

#include "hub/net/task.h"

namespace umbra::simulation {
namespace {

hub::Task<void> note_after(asio::io_context& io, Duration span, int name, std::vector<int>& order) {
  hub::Timer timer(io);
  co_await timer.wait_for(span);
  order.push_back(name);
}

TEST(World, FiresTimersInTheOrderOfTheirDeadlinesAndThenOfTheirSetting) {
  World world(1, false);
  Host host(world, "h", "10.0.0.1", {});
  hub::TaskScope scope(host.io());
  std::vector<int> order;
  host.run([&] {
    for (auto [span, name] : {std::pair{5s, 1}, {1s, 2}, {5s, 3}, {5s, 4}, {0s, 5}})
      scope.spawn("note", note_after(host.io(), span, name, order));
  });
  world.run_until(10s);
  EXPECT_EQ(order, (std::vector{5, 2, 1, 3, 4}));
}

TEST(World, ThousandHoursPassWithoutWaiting) {
  World world(1, false);
  Host host(world, "h", "10.0.0.1", {});
  hub::TaskScope scope(host.io());
  std::vector<int> order;
  auto began = world.now();
  host.run([&] {
    for (int hour = 1; hour <= 1000; ++hour)
      scope.spawn("note", note_after(host.io(), hour * 1h, hour, order));
  });
  while (world.step()) {
  }
  EXPECT_EQ(order.size(), 1000U);
  EXPECT_GE(world.now() - began, 1000h);
  EXPECT_LT(world.now() - began, 1000h + 1s);
}

TEST(World, PausedProcessSeesItsTimersLateAndAllAtOnce) {
  World world(1, false);
  Host host(world, "h", "10.0.0.1", {});
  hub::TaskScope scope(host.io());
  std::vector<int> order;
  host.run([&] {
    scope.spawn("note", note_after(host.io(), 1s, 1, order));
    scope.spawn("note", note_after(host.io(), 2s, 2, order));
  });
  world.run_until(500ms);
  host.pause();
  world.run_until(60s);
  EXPECT_TRUE(order.empty());
  host.resume();
  world.run_until(61s);
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(World, ClocksOfTwoMachinesDrift) {
  World world(1, false);
  Host fast(world, "fast", "10.0.0.1", {.monotonic_offset = 5h, .drift_ppm = 200, .wall_offset = 3s});
  hub::TaskScope scope(fast.io());
  std::vector<int> order;
  MonotonicTime began;
  fast.run([&] {
    began = MonotonicClock::now();
    scope.spawn("note", note_after(fast.io(), 1000s, 1, order));
  });
  world.run_until(999s);
  EXPECT_TRUE(order.empty());
  world.run_until(1000s - 150ms);  // 0.2 s early by the world's time
  EXPECT_EQ(order.size(), 1U);
  fast.run([&] { EXPECT_GE(MonotonicClock::now() - began, 1000s); });
}

hub::Task<void> wait_long(hub::Timer& timer, std::vector<bool>& results) {
  results.push_back(co_await timer.wait_for(1h));
}

TEST(World, CancelledTimerSaysSoAtOnce) {
  World world(1, false);
  Host host(world, "h", "10.0.0.1", {});
  hub::TaskScope scope(host.io());
  hub::Timer timer(host.io());
  std::vector<bool> results;
  host.run([&] { scope.spawn("wait", wait_long(timer, results)); });
  world.run_until(1s);
  host.run([&] { timer.cancel(); });
  world.run_until(2s);
  EXPECT_EQ(results, std::vector{false});
}

TEST(SeededRandom, ForksAreIndependentOfDrawsInTheirParent) {
  SeededRandom one(7);
  SeededRandom other(7);
  for (int i = 0; i < 10; ++i) one.next();
  EXPECT_EQ(one.fork("disk").next(), other.fork("disk").next());
  EXPECT_NE(one.fork("disk").next(), one.fork("network").next());
  EXPECT_NE(SeededRandom(7).next(), SeededRandom(8).next());
}

}  // namespace
}  // namespace umbra::simulation
