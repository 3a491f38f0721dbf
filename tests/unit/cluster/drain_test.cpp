// Which state follows which, and what ends a drain.
#include "cluster/drain.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;

class DrainTest : public ::testing::Test {
 protected:
  void begin(DrainVerb verb) {
    DrainOrder order;
    order.verb = verb;
    ASSERT_FALSE(drain.begin(order, view.now));
  }
  bool after(Duration span) {
    view.now += span;
    return drain.step(view);
  }
  void until_handing_over(DrainVerb verb) {
    begin(verb);
    after(5s);
    after(0s);
    ASSERT_EQ(drain.state(), DrainState::handing_over);
  }
  Drain drain;
  DrainView view{.now = MonotonicTime{1h}, .targets = 2};
};

TEST_F(DrainTest, TurnsReadinessFirstThenTellsTheHubsThenTheClients) {
  view.sessions = 3;
  begin(DrainVerb::drain);
  EXPECT_FALSE(drain.is_ready());
  EXPECT_TRUE(drain.takes_mail());
  EXPECT_FALSE(drain.is_announced());
  EXPECT_FALSE(after(4s));
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::closing);
  EXPECT_TRUE(drain.is_announced());
  EXPECT_FALSE(drain.takes_mail());
  EXPECT_FALSE(after(1s)) << "a transaction is under way";
  view.sessions = 0;
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::handing_over);
}

TEST_F(DrainTest, DoesNotWaitForEverForAClientThatSaysNothing) {
  view.sessions = 1;
  begin(DrainVerb::drain);
  after(5s);
  EXPECT_TRUE(after(12s));
  EXPECT_EQ(drain.state(), DrainState::handing_over);
}

TEST_F(DrainTest, IsNotOverWhileAClientMayStillBeToldThatItsMailIsHere) {
  for (auto verb : {DrainVerb::drain, DrainVerb::leave}) {
    drain = {};
    view.sessions = 1;
    begin(verb);
    after(5s);
    after(12s);
    ASSERT_EQ(drain.state(), DrainState::handing_over);
    EXPECT_FALSE(after(1s));
    view.sessions = 0;
    EXPECT_TRUE(after(1s));
    EXPECT_EQ(drain.state(), verb == DrainVerb::leave ? DrainState::left : DrainState::drained);
  }
}

TEST_F(DrainTest, APauseHandsNothingOver) {
  view.queue = 100;
  begin(DrainVerb::pause);
  after(5s);
  after(0s);
  EXPECT_EQ(drain.state(), DrainState::paused);
  EXPECT_FALSE(drain.is_announced());
  EXPECT_EQ(exit_code(drain.state(), 5), 0);
}

TEST_F(DrainTest, ADrainLeavesDeferredMailThatIsProtectedOnTheDisk) {
  view.queue = 10'000;
  view.shadows = 20;
  view.due = 5;
  until_handing_over(DrainVerb::drain);
  EXPECT_FALSE(after(1s));
  view.due = 0;
  view.unprotected = 1;
  EXPECT_FALSE(after(1s));
  view.unprotected = 0;
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::drained);
  EXPECT_EQ(exit_code(drain.state(), 0), 0);
}

TEST_F(DrainTest, ALeaveEndsOnlyWhenNothingIsLeft) {
  view.queue = view.shadows = view.outbox = 1;
  until_handing_over(DrainVerb::leave);
  for (auto* left : {&view.queue, &view.outbox, &view.shadows}) {
    EXPECT_FALSE(after(1s));
    *left = 0;
  }
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::left);
  EXPECT_TRUE(drain.begin({}, view.now)) << "a hub that has left is not drained again";
}

TEST_F(DrainTest, EndsAtOnceWhenNobodyIsThereToTakeTheMail) {
  view.queue = view.due = 7;
  view.targets = 0;
  until_handing_over(DrainVerb::leave);
  EXPECT_FALSE(after(1s)) << "a hub that restarts is back in a moment";
  EXPECT_FALSE(after(1s));
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::incomplete);
  EXPECT_NE(drain.why().find("no other hub"), std::string::npos);
  EXPECT_EQ(exit_code(drain.state(), 0), 3);
  EXPECT_EQ(exit_code(drain.state(), 7), 4);
}

TEST_F(DrainTest, SaysThatItStaysTheHolderWhereNobodyElseCanHoldACopy) {
  view.shadows = view.shadows_nobody_else_can_hold = 4;
  view.targets = 1;
  until_handing_over(DrainVerb::leave);
  EXPECT_TRUE(after(1s));
  EXPECT_EQ(drain.state(), DrainState::incomplete);
  EXPECT_NE(drain.why().find("stays their holder"), std::string::npos);
}

TEST_F(DrainTest, EndsAtItsDeadline) {
  view.queue = view.due = 7;
  until_handing_over(DrainVerb::drain);
  EXPECT_TRUE(after(180s));
  EXPECT_EQ(drain.state(), DrainState::incomplete);
}

TEST_F(DrainTest, GoesOnWithNewLimitsWhenItIsAskedAgain) {
  view.queue = view.due = 7;
  until_handing_over(DrainVerb::drain);
  after(170s);
  DrainOrder again;
  EXPECT_FALSE(drain.begin(again, view.now));
  EXPECT_EQ(drain.state(), DrainState::handing_over);
  EXPECT_FALSE(after(100s));
  again.verb = DrainVerb::leave;
  EXPECT_TRUE(drain.begin(again, view.now)) << "another verb: undrain first";
}

TEST_F(DrainTest, LeavesAfterItWasDrained) {
  until_handing_over(DrainVerb::drain);
  after(1s);
  ASSERT_EQ(drain.state(), DrainState::drained);
  begin(DrainVerb::leave);
  EXPECT_EQ(drain.state(), DrainState::closing);
}

TEST_F(DrainTest, IsActiveAgainWhenItIsCancelled) {
  until_handing_over(DrainVerb::leave);
  drain.cancel(view.now);
  EXPECT_TRUE(drain.is_ready());
  EXPECT_EQ(exit_code(drain.state(), 0), 6);
}

}  // namespace
}  // namespace umbra::cluster
