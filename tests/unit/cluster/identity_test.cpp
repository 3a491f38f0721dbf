#include "cluster/identity.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

const SpoolId spool{0x51};

Identity at(std::uint64_t epoch, std::uint64_t sequence, SpoolId id = spool) {
  return {id, Epoch{epoch}, Sequence{sequence}};
}

TEST(Judge, KnowsAFirstASameAndARestartedRun) {
  EXPECT_EQ(judge(std::nullopt, at(1, 1)), Standing::first_seen);
  EXPECT_EQ(judge(at(3, 100), at(3, 100)), Standing::same);
  EXPECT_EQ(judge(at(3, 100), at(4, 101)), Standing::restarted);
  EXPECT_EQ(judge(at(3, 100), at(7, 100)), Standing::restarted);
}

TEST(Judge, ForgivesAnOlderSequenceOfTheSameRun) { EXPECT_EQ(judge(at(3, 100), at(3, 90)), Standing::same); }

TEST(Judge, KnowsAReplacedSpool) { EXPECT_EQ(judge(at(3, 100), at(1, 1, SpoolId{0x52})), Standing::replaced); }

TEST(Judge, EndsAnEpochThatWasTakenOver) { EXPECT_EQ(judge(at(4, 100), at(3, 120)), Standing::epoch_over); }

TEST(Judge, KnowsARestoredBackup) {
  EXPECT_EQ(judge(at(5, 100), at(4, 80)), Standing::rolled_back);
  EXPECT_EQ(judge(at(5, 100), at(6, 80)), Standing::rolled_back);
}

TEST(Remember, NeverGoesBackWithinASpool) {
  EXPECT_EQ(remember(at(3, 100), at(3, 90)), at(3, 100));
  EXPECT_EQ(remember(at(3, 100), at(4, 120)), at(4, 120));
  EXPECT_EQ(remember(at(3, 100), at(1, 1, SpoolId{0x52})), at(1, 1, SpoolId{0x52}));
}

}  // namespace
}  // namespace umbra::cluster
