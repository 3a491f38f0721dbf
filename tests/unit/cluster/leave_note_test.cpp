// A leave that is read again is the one that was ordered.
#include "cluster/leave_note.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

TEST(LeaveNote, KeepsRateAndTargets) {
  DrainOrder order;
  order.verb = DrainVerb::leave;
  order.rate = 100;
  order.to = {"hub-2", "hub-3"};
  EXPECT_EQ(format_leave(order), "leave rate=100 to=hub-2,hub-3");
  auto read = parse_leave(format_leave(order));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->verb, DrainVerb::leave);
  EXPECT_EQ(read->rate, 100U);
  EXPECT_EQ(read->to, order.to);
  order.to.clear();
  EXPECT_TRUE(parse_leave(format_leave(order))->to.empty());
}

TEST(LeaveNote, OfAnEarlierReleaseOrALaterOneIsALeave) {
  for (const auto* note : {"leave", "leave ", "leave rate=0", "leave rate=x to=", "leave mood=good"}) {
    auto read = parse_leave(note);
    ASSERT_TRUE(read) << note;
    EXPECT_EQ(read->rate, DrainOrder{}.rate) << note;
    EXPECT_TRUE(read->to.empty()) << note;
  }
}

TEST(LeaveNote, WhatIsNoLeaveIsNone) {
  for (const auto* note : {"", " ", "left", "drain rate=1", "leaver"})
    EXPECT_FALSE(parse_leave(note)) << note;
}

}  // namespace
}  // namespace umbra::cluster
