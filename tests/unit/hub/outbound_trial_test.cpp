// Which suspect is tried when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/outbound/trial.h"

namespace umbra::hub {
namespace {

using Verdict = Trial::Verdict;

MessageId id(std::uint64_t number) {
  return {SpoolId{7}, number};
}

TEST(Trial, LeavesOthersAlone) {
  Trial trial(3);
  trial.suspect(id(1), 1);
  EXPECT_EQ(trial.judge(id(2), RowId{2}, "a"), Verdict::attempt);
  EXPECT_EQ(trial.judge(id(3), RowId{3}, "a"), Verdict::attempt);
  EXPECT_FALSE(trial.ended(id(2), true));
}

TEST(Trial, TriesOneSuspectAtATime) {
  Trial trial(3);
  for (std::uint64_t i = 1; i <= 3; ++i) trial.suspect(id(i), 1);
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "a"), Verdict::attempt);
  EXPECT_EQ(trial.judge(id(2), RowId{2}, "b"), Verdict::wait);
  EXPECT_EQ(trial.judge(id(3), RowId{3}, "c"), Verdict::wait);
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "d"), Verdict::attempt) << "its other destination";
  EXPECT_FALSE(trial.next()) << "the first is still under way";
  EXPECT_EQ(trial.waiting().size(), 2U);
  EXPECT_TRUE(trial.ended(id(1), true));
  EXPECT_EQ(trial.next(), "b");
  EXPECT_EQ(trial.judge(id(2), RowId{2}, "b"), Verdict::attempt);
  EXPECT_FALSE(trial.ended(id(2), false)) << "put back without an outcome: still a suspect";
  EXPECT_EQ(trial.next(), "c");
  EXPECT_EQ(trial.judge(id(3), RowId{3}, "c"), Verdict::attempt);
  EXPECT_EQ(trial.judge(id(2), RowId{2}, "b"), Verdict::wait);
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "a"), Verdict::attempt) << "cleared by its outcome";
}

TEST(Trial, HoldsWhatWasThereTooOftenUntilItIsPardoned) {
  Trial trial(3);
  trial.suspect(id(1), 3);
  trial.suspect(id(1), 2);
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "a"), Verdict::hold);
  EXPECT_EQ(trial.ends_of(id(1)), 3U);
  trial.pardon(id(1));
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "a"), Verdict::attempt);
}

TEST(Trial, SuspectsNobodyWhenItIsOff) {
  Trial trial(0);
  trial.suspect(id(1), 9);
  EXPECT_EQ(trial.judge(id(1), RowId{1}, "a"), Verdict::attempt);
}

}  // namespace
}  // namespace umbra::hub
