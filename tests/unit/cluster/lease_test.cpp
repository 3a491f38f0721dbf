#include "cluster/lease.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;
MonotonicTime at(Duration d) {
  return MonotonicTime{d};
}

TEST(Lease, TheOwnerStopsBelievingBeforeTheHolderMayTakeOver) {
  Promise promise;
  Watch watch;
  watch.begin(at(0s), 0s);
  // The beat leaves at 100 s and is heard at once: the worst case for the owner.
  promise.granted(at(100s), 10s);
  watch.heard(at(100s), 10s);
  EXPECT_TRUE(promise.is_fresh(at(108s)));
  for (auto t = 100s; t < 130s; t += 1s)
    EXPECT_FALSE(promise.is_fresh(at(t)) && watch.is_silent(at(t))) << t.count();
  EXPECT_FALSE(promise.is_fresh(at(109s)));
  EXPECT_FALSE(watch.is_silent(at(109s)));
  EXPECT_TRUE(watch.is_silent(at(110s)));
}

TEST(Lease, IsRecentOnlySoonAfterItWasAskedFor) {
  Promise promise;
  EXPECT_FALSE(promise.is_recent(at(100s), 3s));
  promise.granted(at(100s), 10s);
  EXPECT_TRUE(promise.is_recent(at(102s), 3s));
  EXPECT_FALSE(promise.is_recent(at(103s), 3s));
  EXPECT_FALSE(promise.is_recent(at(109s), 30s));
  promise.granted(at(109s), 0s);  // no lease
  EXPECT_FALSE(promise.is_recent(at(109s), 30s));
}

TEST(Lease, ALateReplyGivesNoLongerPromise) {
  Promise promise;
  promise.granted(at(100s), 10s);
  promise.granted(at(90s), 10s);
  EXPECT_TRUE(promise.is_fresh(at(108s)));
  promise.broken();
  EXPECT_FALSE(promise.is_fresh(at(100s)));
}

TEST(Watch, SaysNothingBeforeItBeganOrWithinTheGrace) {
  Watch watch;
  EXPECT_FALSE(watch.is_silent(MonotonicTime::max() - 1s));
  watch.begin(at(50s), 30s);
  EXPECT_FALSE(watch.is_silent(at(79s)));
  EXPECT_TRUE(watch.is_silent(at(80s)));
}

// Not to be told from when it will be silent: that is late for a hub that is drained, or distant.
TEST(Watch, RemembersTheLastWord) {
  Watch watch;
  watch.begin(at(10s), 30s);
  watch.paused(at(20s), 60s);
  EXPECT_FALSE(watch.heard_at());
  watch.heard(at(50s), 300s);
  EXPECT_EQ(watch.heard_at(), at(50s));
  watch.heard(at(51s), 10s);
  EXPECT_EQ(watch.heard_at(), at(51s));
  EXPECT_FALSE(watch.is_silent(at(349s)));
  watch.back(at(60s), 10s);
  EXPECT_EQ(watch.heard_at(), at(60s));
  watch.paused(at(69s), 5s);
  EXPECT_EQ(watch.heard_at(), at(60s));
}

TEST(Watch, AfterAPauseOfItsOwnItListensFirst) {
  Watch watch;
  watch.begin(at(0s), 0s);
  watch.heard(at(10s), 10s);
  watch.paused(at(70s), 3s);
  EXPECT_FALSE(watch.is_silent(at(72s)));
  EXPECT_TRUE(watch.is_silent(at(73s)));
}

TEST(PauseDetector, NoticesAGapBetweenTicks) {
  PauseDetector detector(1s);
  EXPECT_FALSE(detector.tick(at(100s)));
  EXPECT_FALSE(detector.tick(at(101s)));
  EXPECT_FALSE(detector.tick(at(104s)));
  EXPECT_TRUE(detector.tick(at(109s)));
  EXPECT_FALSE(detector.tick(at(110s)));
}

}  // namespace
}  // namespace umbra::cluster
