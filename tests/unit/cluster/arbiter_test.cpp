// Ownership by an arbiter: what a hub concludes from the records it sees, and that an owner with a good lease
// and a taker with a successful swap never exist at once.
#include "cluster/arbiter.h"

#include <gtest/gtest.h>

#include <random>

#include "cluster/lease.h"

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;
using End = ArbiterView::End::What;
using Own = ArbiterView::Own::What;

const SpoolId spool{0xaaaa};
const SpoolId other_spool{0xbbbb};
constexpr Duration lease = 8s;
MonotonicTime at(Duration d) {
  return MonotonicTime{1h + d};
}

ArbiterRecord record(std::string renewal = "1") {
  return {"p", spool, Epoch{5}, false, true, lease, std::move(renewal), "10"};
}

TEST(ArbiterView, EndsNothingBeforeItHasLooked) {
  EXPECT_EQ(ArbiterView{}.decide_end("p", spool, Epoch{6}, lease).what, End::wait);
}

TEST(ArbiterView, EndsARecordThatIsNotRenewedForItsLife) {
  ArbiterView view;
  view.saw({record()}, at(0s), at(1s));
  view.saw({record()}, at(8s), at(8s));
  EXPECT_EQ(view.decide_end("p", spool, Epoch{6}, lease).what, End::wait);
  view.saw({record()}, at(9s), at(9s));
  auto end = view.decide_end("p", spool, Epoch{6}, lease);
  EXPECT_EQ(end.what, End::swap);
  EXPECT_TRUE(end.record.is_over);
  EXPECT_FALSE(end.record.is_settled);
  EXPECT_EQ(end.record.epoch, Epoch{5});
  EXPECT_EQ(end.record.version, "10");
}

TEST(ArbiterView, ARenewalBeginsItsLifeAnew) {
  ArbiterView view;
  view.saw({record("1")}, at(0s), at(0s));
  view.saw({record("2")}, at(7s), at(7s));
  view.saw({record("2")}, at(14s), at(14s));
  EXPECT_EQ(view.decide_end("p", spool, Epoch{6}, lease).what, End::wait);
}

TEST(ArbiterView, TimeWithoutALookSaysNothing) {
  ArbiterView view;
  view.saw({record()}, at(0s), at(0s));
  view.saw({record()}, at(2s), at(2s));
  // An hour without the engine: the last look is what counts.
  EXPECT_EQ(view.decide_end("p", spool, Epoch{6}, lease).what, End::wait);
}

TEST(ArbiterView, ALaterRunIsNotEnded) {
  ArbiterView view;
  auto later = record();
  later.epoch = Epoch{6};
  view.saw({later}, at(0s), at(0s));
  view.saw({later}, at(100s), at(100s));
  EXPECT_EQ(view.decide_end("p", spool, Epoch{6}, lease).what, End::wait);
}

TEST(ArbiterView, WhatIsOverIsOver) {
  ArbiterView view;
  auto over = record();
  over.is_over = true;
  view.saw({over}, at(0s), at(0s));
  EXPECT_EQ(view.decide_end("p", spool, Epoch{6}, lease).what, End::over);
  EXPECT_EQ(view.decide_own("p", spool, Epoch{5}, lease).what, Own::over);
  auto next = view.decide_own("p", spool, Epoch{6}, lease);
  EXPECT_EQ(next.what, Own::renew);
  EXPECT_FALSE(next.record.is_settled);
}

TEST(ArbiterView, ARestartThatNobodyNoticedIsSettled) {
  ArbiterView view;
  view.saw({record()}, at(0s), at(0s));
  auto next = view.decide_own("p", spool, Epoch{6}, lease);
  EXPECT_EQ(next.what, Own::renew);
  EXPECT_TRUE(next.record.is_settled);
}

TEST(ArbiterView, WhatWasNeverSettledStaysSo) {
  ArbiterView view;
  auto unsettled = record();
  unsettled.is_settled = false;
  view.saw({unsettled}, at(0s), at(0s));
  EXPECT_FALSE(view.decide_own("p", spool, Epoch{6}, lease).record.is_settled);
}

TEST(ArbiterView, ALivingNamesakeKeepsTheRecord) {
  ArbiterView view;
  view.saw({record()}, at(0s), at(0s));
  EXPECT_EQ(view.decide_own("p", other_spool, Epoch{1}, lease).what, Own::foreign);
  EXPECT_EQ(view.decide_end("p", other_spool, Epoch{2}, lease).what, End::over);
  view.saw({record()}, at(8s), at(8s));
  EXPECT_EQ(view.decide_own("p", other_spool, Epoch{1}, lease).what, Own::renew);
}

TEST(ArbiterView, AHubWithoutARecordIsEndedByMakingOne) {
  ArbiterView view;
  view.saw({}, at(0s), at(0s));
  auto end = view.decide_end("p", spool, Epoch{6}, lease);
  EXPECT_EQ(end.what, End::swap);
  EXPECT_EQ(end.record.version, "");
}

/// One record in a store with versions; an owner that renews and two takers that look; calls are late or
/// lost.
TEST(Arbiter, AnOwnerWithALeaseAndATakerNeverBoth) {
  int ended = 0;
  int renewed = 0;
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    std::mt19937 random(seed);
    Duration now{};
    std::optional<ArbiterRecord> stored;
    std::uint64_t version = 0;
    Epoch epoch{5};
    Promise promise;
    std::uint64_t renewal = 0;
    struct Hub {
      double drift = 1;
      ArbiterView view;
    };
    std::vector<Hub> hubs(3);
    for (auto& hub : hubs) hub.drift = 1 + (static_cast<double>(random() % 2001) - 1000) / 25'000;
    auto clock = [&](const Hub& hub) {
      return MonotonicTime{1000h} +
             Duration{static_cast<std::int64_t>(static_cast<double>(now.count()) * hub.drift)};
    };
    auto swap = [&](ArbiterRecord written) {
      if ((stored ? stored->version : "") != written.version) return false;
      written.version = std::to_string(++version);
      stored = std::move(written);
      return true;
    };
    for (int step = 0; step < 400; ++step) {
      now += std::chrono::milliseconds(random() % 700);
      auto& hub = hubs[random() % 3];
      auto asked_at = clock(hub);
      std::vector<ArbiterRecord> seen;
      if (stored) seen.push_back(*stored);
      if (random() % 5 == 0) now += std::chrono::milliseconds(random() % 3000);  // the answer is late
      if (random() % 10 != 0) hub.view.saw(seen, asked_at, clock(hub));
      bool is_owner = &hub == hubs.data();
      if (is_owner && random() % 40 == 0) epoch.value += 1, promise.broken();
      if (is_owner && random() % 3 != 0) {
        auto own = hub.view.decide_own("p", spool, epoch, lease);
        if (own.what == Own::over) epoch.value += 1, promise.broken();
        if (own.what != Own::renew) continue;
        own.record.renewal = std::to_string(++renewal);
        auto sent_at = clock(hub);
        bool is_written = swap(own.record);
        if (random() % 8 == 0) now += std::chrono::milliseconds(random() % 4000);
        if (is_written && random() % 10 != 0) promise.granted(sent_at, lease), ++renewed;
      } else if (!is_owner) {
        auto end = hub.view.decide_end("p", spool, Epoch{epoch.value + 1}, lease);
        if (end.what == End::swap && swap(end.record)) ++ended;
      }
      bool is_over = stored && stored->spool == spool && stored->is_over && stored->epoch >= epoch;
      ASSERT_FALSE(is_over && promise.is_fresh(clock(hubs[0]))) << "seed " << seed << ", step " << step;
      if (random() % 150 == 0) now += 20s;
    }
  }
  EXPECT_GT(ended, 500);
  EXPECT_GT(renewed, 5000);
}

}  // namespace
}  // namespace umbra::cluster
