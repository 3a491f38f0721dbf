// What the sessions of a source share: which message is tried where, how often, and what is written down
// about it.
#include "load/source_board.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace umbra::load {
namespace {

using namespace std::chrono_literals;

class ManualTime final : public TimeSource {
 public:
  ManualTime() { set_time_source(this); }
  ~ManualTime() override { set_time_source(nullptr); }
  MonotonicTime monotonic() noexcept override { return MonotonicTime{now}; }
  WallTime wall() noexcept override {
    return WallTime{std::chrono::duration_cast<std::chrono::microseconds>(now)};
  }
  Duration now = 1000s;
};

struct SourceBoardTest : testing::Test {
  SourceBoard make(std::size_t targets) {
    std::vector<Target> list(targets);
    for (std::size_t i = 0; i < targets; ++i) list[i].address.text = "target-" + std::to_string(i);
    auto file = LedgerFile::open(path);
    EXPECT_TRUE(file.has_value());
    return SourceBoard(command, std::move(list), std::move(*file), "aaaaaaaa");
  }
  std::string ledger(SourceBoard& board) {
    board.ledger.flush();
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  SourceBoardTest() { std::remove(path.c_str()); }
  ~SourceBoardTest() override { std::remove(path.c_str()); }

  ManualTime time;
  SourceCommand command;
  std::string path = testing::TempDir() + "source_board_test.ledger";
};

TEST_F(SourceBoardTest, HandsOutEachMessageOnce) {
  command.messages = 2;
  auto board = make(1);
  EXPECT_EQ(board.take(0)->number, 0U);
  EXPECT_EQ(board.take(0)->number, 1U);
  EXPECT_FALSE(board.take(0));
  EXPECT_FALSE(board.finished());
}

TEST_F(SourceBoardTest, IsFinishedWhenEveryMessageHasEnded) {
  command.messages = 2;
  auto board = make(1);
  auto first = *board.take(0);
  auto second = *board.take(0);
  board.acknowledged(first, 0, 1, "", "2.0.0 Ok", 100);
  EXPECT_FALSE(board.finished());
  board.refused(second, 0, 550, "5.1.1 no");
  EXPECT_TRUE(board.finished());
}

TEST_F(SourceBoardTest, TriesAMessageAgainElsewhereAfterATemporaryRefusal) {
  command.messages = 1;
  auto board = make(2);
  auto work = *board.take(0);
  board.refused(work, 0, 451, "4.4.0 not now");
  EXPECT_FALSE(board.take(1)) << "not at once";
  time.now += 300ms;
  EXPECT_FALSE(board.take(0)) << "not at the target that refused it";
  auto again = board.take(1);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->number, 0U);
  EXPECT_EQ(again->attempt, 2U);
}

TEST_F(SourceBoardTest, GoesBackToTheRefusingTargetWhenNoOtherTakesTheMessage) {
  command.messages = 1;
  auto board = make(2);
  board.refused(*board.take(0), 0, 451, "4.4.0 not now");
  time.now += 3s;
  EXPECT_TRUE(board.take(0));
}

TEST_F(SourceBoardTest, WritesDownThatTheFateOfAnAttemptIsUnknownAndKeepsTheToken) {
  command.messages = 1;
  auto board = make(2);
  auto work = *board.take(0);
  board.attempted(work, 0);
  board.undecided(work, 0, "closed by the peer");
  auto again = *board.take(1);
  board.attempted(again, 1);
  board.acknowledged(again, 1, 1, "", "2.6.0 queued as ID", 100);
  auto text = ledger(board);
  EXPECT_NE(text.find(" aaaaaaaa-00000000 1 target-0 closed by the peer\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" aaaaaaaa-00000000 2 target-1 - 2.6.0 queued as ID\n"), std::string::npos) << text;
}

TEST_F(SourceBoardTest, GivesUpAfterTheTimeItWasGiven) {
  command.messages = 1;
  command.give_up_ms = 1000;
  auto board = make(1);
  auto work = *board.take(0);
  board.unsent(work, 0, "refused");
  work = *board.take(0);
  time.now += 2s;
  board.unsent(work, 0, "refused");
  EXPECT_FALSE(board.take(0));
  EXPECT_EQ(board.counts.abandoned, 1U);
  EXPECT_TRUE(board.finished());
  EXPECT_NE(ledger(board).find("abandoned "), std::string::npos);
}

TEST_F(SourceBoardTest, HandsOutNoMoreThanTheRateAllows) {
  command.messages = 100;
  command.rate = 10;
  auto board = make(1);
  int taken = 0;
  for (int ms = 0; ms < 1000; ms += 10, time.now += 10ms) {
    while (board.take(0)) ++taken;
  }
  EXPECT_EQ(taken, 10);
}

TEST_F(SourceBoardTest, ChoosesHomeUntilItIsDownAndThenTheNextThatIsUp) {
  auto board = make(3);
  EXPECT_EQ(board.choose_target(1, SIZE_MAX), 1U);
  board.target_failed(1, true);
  EXPECT_EQ(board.choose_target(1, SIZE_MAX), 2U);
  board.target_failed(2, true);
  EXPECT_EQ(board.choose_target(1, 2), 0U);
  time.now += 1s;
  EXPECT_EQ(board.choose_target(1, SIZE_MAX), 1U);
}

TEST_F(SourceBoardTest, DoesNotTakeALostConnectionForADeadTarget) {
  auto board = make(2);
  board.target_failed(0, false);
  EXPECT_EQ(board.choose_target(0, SIZE_MAX), 0U);
}

TEST_F(SourceBoardTest, StopsWithWhatIsUnderWay) {
  command.messages = 10;
  auto board = make(1);
  auto work = *board.take(0);
  board.stop();
  EXPECT_FALSE(board.take(0));
  EXPECT_FALSE(board.finished());
  board.acknowledged(work, 0, 1, "", "Ok", 1);
  EXPECT_TRUE(board.finished());
}

}  // namespace
}  // namespace umbra::load
