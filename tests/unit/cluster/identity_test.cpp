#include "cluster/identity.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

const SpoolId spool{0x51};

Identity at(std::uint64_t epoch, std::uint64_t sequence, SpoolId id = spool) {
  return {id, Epoch{epoch}, Sequence{sequence}};
}

const Epoch none{0};

TEST(Judge, KnowsAFirstASameAndARestartedRun) {
  EXPECT_EQ(judge(std::nullopt, none, at(1, 1)), Standing::first_seen);
  EXPECT_EQ(judge(at(3, 100), Epoch{3}, at(3, 100)), Standing::same);
  EXPECT_EQ(judge(at(3, 100), none, at(3, 100)), Standing::same);
  EXPECT_EQ(judge(at(3, 100), Epoch{3}, at(4, 101)), Standing::restarted);
  EXPECT_EQ(judge(at(3, 100), none, at(7, 100)), Standing::restarted);
}

TEST(Judge, ForgivesAnOlderSequenceOfTheSameRun) {
  EXPECT_EQ(judge(at(3, 100), Epoch{3}, at(3, 90)), Standing::same);
  // Its second session says hello only after its epoch was ended.
  EXPECT_EQ(judge(at(4, 100), Epoch{3}, at(3, 90)), Standing::epoch_over);
}

TEST(Judge, KnowsAReplacedSpool) {
  EXPECT_EQ(judge(at(3, 100), Epoch{3}, at(1, 1, SpoolId{0x52})), Standing::replaced);
}

TEST(Judge, EndsAnEpochThatWasTakenOver) {
  EXPECT_EQ(judge(at(4, 100), Epoch{3}, at(3, 120)), Standing::epoch_over);
}

TEST(Judge, KnowsARestoredBackup) {
  EXPECT_EQ(judge(at(5, 100), Epoch{5}, at(4, 80)), Standing::rolled_back);
  EXPECT_EQ(judge(at(5, 100), Epoch{5}, at(6, 80)), Standing::rolled_back);
}

TEST(Judge, KnowsARestoredBackupWhoseEpochIsTheOneThatIsAwaited) {
  // Run 5 was backed up, died and was taken over from (6 is awaited); the backup begins epoch 6.
  EXPECT_EQ(judge(at(6, 100), Epoch{5}, at(6, 80)), Standing::rolled_back);
  // The same when this hub has restarted meanwhile and has not heard of the other one since.
  EXPECT_EQ(judge(at(6, 100), none, at(6, 80)), Standing::rolled_back);
}

TEST(Judge, KnowsARestoredBackupWhoseEpochIsTheOneThatIsHeard) {
  // Backed up while it was stopped before run 5; run 5 died; the backup begins epoch 5 as well. Its hello was
  // made after 100 had been heard, so it is not one that was late.
  EXPECT_EQ(judge(at(5, 100), Epoch{5}, at(5, 80), at(5, 100)), Standing::rolled_back);
  EXPECT_EQ(judge(at(5, 100), Epoch{5}, at(5, 80), at(5, 80)), Standing::same)
      << "100 was heard since: sessions race";
  EXPECT_EQ(judge(at(5, 100), Epoch{5}, at(5, 80), at(9, 90, SpoolId{0x52})), Standing::same)
      << "that was of another spool";
}

TEST(Remember, NeverGoesBackWithinASpool) {
  EXPECT_EQ(remember(at(3, 100), at(3, 90)), at(3, 100));
  EXPECT_EQ(remember(at(3, 100), at(4, 120)), at(4, 120));
  EXPECT_EQ(remember(at(3, 100), at(1, 1, SpoolId{0x52})), at(1, 1, SpoolId{0x52}));
}

}  // namespace
}  // namespace umbra::cluster
