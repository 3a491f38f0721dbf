// A write-ahead log that decayed, against one that a loss of power has cut.
#include "storage/wal_check.h"
#include "storage/database.h"
#include "storage/spool_error.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr std::size_t frame_octets = 4096 + 24;

class WalCheckTest : public SpoolTest {
 protected:
  static constexpr const char* wal = "/spool/spool.db-wal";
  void fill(int messages) {
    for (int i = 0; i < messages; ++i) {
      auto message = new_message(spool(), {"a@example.com"});
      must([&](Writer& writer) { return accept(writer, message); });
    }
  }
  std::size_t octets() { return disk.current()[wal].size(); }
};

TEST_F(WalCheckTest, AWholeOneAndNoneAreFine) {
  fill(20);
  EXPECT_GT(octets(), 20 * frame_octets);
  EXPECT_TRUE(check_wal(disk.name(), wal));
  EXPECT_TRUE(check_wal(disk.name(), "/spool/nothing-wal"));
  lose_power();
  EXPECT_TRUE(check_wal(disk.name(), wal));
}

TEST_F(WalCheckTest, OneThatDecayedInItsMiddleIsDamage) {
  fill(20);
  box.close();
  CountingRandom random(3);
  auto frames = octets() / frame_octets;
  for (std::size_t frame = 0; frame + 30 < frames; ++frame) {
    auto image = disk.current();
    disk.decay(wal, 32 + frame * frame_octets + random.below(frame_octets - 20), 20, random);
    auto checked = check_wal(disk.name(), wal);
    ASSERT_FALSE(checked) << "frame " << frame;
    EXPECT_TRUE(is_damage(checked.error()));
    disk.restore(image);
  }
  disk.decay(wal, 32 + frame_octets / 2, 20, random);
  auto opened = box.open();
  ASSERT_FALSE(opened) << "twenty messages would be gone";
  EXPECT_TRUE(is_damage(opened.error()));
}

TEST_F(WalCheckTest, AnEndThatPowerHasTornIsFine) {
  fill(20);
  box.close();
  CountingRandom random(4);
  // The last transaction was not synced: any part of it may be missing.
  disk.decay(wal, octets() - 2 * frame_octets, 3000, random);
  EXPECT_TRUE(check_wal(disk.name(), wal));
  open();
}

TEST_F(WalCheckTest, OneThatBeginsAnewBehindATornHeaderIsNotDamageAtTheStartAfterThat) {
  fill(20);
  box.close();
  {
    auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
    ASSERT_TRUE(database) << database.error().what;
    EXPECT_GT((*database)->checkpoint(SQLITE_CHECKPOINT_PASSIVE).moved, 20);
  }
  // Of the header that begins the log anew its count of checkpoints was written, not its salts.
  CountingRandom random(5);
  disk.decay(wal, 12, 4, random);
  auto checked = check_wal(disk.name(), wal);
  ASSERT_TRUE(checked);
  EXPECT_FALSE(*checked);
  open();
  fill(2);
  box.close();
  EXPECT_TRUE(check_wal(disk.name(), wal)) << "old frames with the salts of the new ones";
  auto opened = box.open();
  ASSERT_TRUE(opened) << opened.error().what;
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).messages, 22U);
}

}  // namespace
}  // namespace umbra::storage
