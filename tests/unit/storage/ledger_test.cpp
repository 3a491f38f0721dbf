// The ledger: every way into the queue and out of it has a word, and both sides of the balance are of one
// commit.
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr SpoolId hub2{0x2222};

class LedgerTest : public SpoolTest {
 protected:
  Balance balance() {
    return ask([](Reader& reader) { return reader.balance(); });
  }
  std::uint64_t entered(Entered how) { return balance().ledger.entered[static_cast<std::size_t>(how)]; }
  std::uint64_t left(Left how) { return balance().ledger.left[static_cast<std::size_t>(how)]; }
  NewMessage accepted(std::vector<std::string> addresses = {"a@example.com"},
                      Entered how = Entered::accepted) {
    auto message = new_message(spool(), std::move(addresses));
    message.entered = how;
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  void record(const AttemptRecord& record) {
    must([&](Writer& writer) -> Result<void> {
      auto effect = writer.record_attempt(record);
      return effect ? Result<void>() : std::unexpected(effect.error());
    });
  }
  Shadow held_shadow() {
    Shadow shadow;
    shadow.row = spool().next_row();
    shadow.id = {hub2, 77};
    shadow.generation = Generation{1};
    shadow.owner_hub = "hub2";
    shadow.owner_spool = hub2;
    shadow.envelope = envelope_for({"a@example.com"});
    shadow.size = 5;
    must([&](Writer& writer) -> Result<void> {
      auto is_new = writer.insert_shadow(shadow);
      if (!is_new) return std::unexpected(is_new.error());
      return writer.put_chunk(shadow.row, 0, "body\n");
    });
    return shadow;
  }
  void TearDown() override {
    if (box.spool) EXPECT_EQ(balance().imbalance(), 0);
    SpoolTest::TearDown();
  }
};

TEST_F(LedgerTest, CountsMessagesAndNotRecipients) {
  auto one = accepted({"a@example.com", "b@example.com", "c@example.com"});
  record(attempt(one.row, {delivered(0), failed(1), deferred(2)}, {{"example.com", at(60), 1}}));
  EXPECT_EQ(balance().queued, 1U);
  EXPECT_EQ(left(Left::delivered), 0U);
  record(attempt(one.row, {failed(2)}));
  EXPECT_EQ(left(Left::delivered), 1U) << "one of its recipients was delivered before";
  EXPECT_EQ(left(Left::bounced), 0U);
  auto other = accepted();
  record(attempt(other.row, {failed(0)}));
  auto old = accepted();
  auto expiry = attempt(old.row, {failed(0)});
  expiry.is_expiry = true;
  record(expiry);
  EXPECT_EQ(left(Left::bounced), 1U);
  EXPECT_EQ(left(Left::expired), 1U);
  EXPECT_EQ(entered(Entered::accepted), 3U);
  EXPECT_EQ(balance().queued, 0U);
}

TEST_F(LedgerTest, AnAttemptOfAMessageThatHasEndedCountsNothing) {
  auto message = accepted();
  record(attempt(message.row, {delivered(0)}));
  record(attempt(message.row, {delivered(0)}));
  must([&](Writer& writer) {
    return writer.finish_message(message.row, std::nullopt, SpoolId{}, Left::bounced);
  });
  EXPECT_EQ(left(Left::delivered), 1U);
  EXPECT_EQ(left(Left::bounced), 0U);
}

TEST_F(LedgerTest, HasAWordForWhatMovesBetweenHubs) {
  auto shadow = held_shadow();
  EXPECT_EQ(balance().queued, 0U) << "a copy is no message of this hub";
  NewMessage taken;
  taken.row = shadow.row;
  taken.id = shadow.id;
  taken.generation = Generation{2};
  taken.envelope = shadow.envelope;
  taken.size = shadow.size;
  taken.queue = {{"example.com", at(0), 0}};
  must([&](Writer& writer) { return writer.take_over(taken); });
  EXPECT_EQ(entered(Entered::taken_over), 1U);
  must([&](Writer& writer) { return writer.cede(taken.row, Generation{3}, "hub2", hub2, Epoch{1}); });
  EXPECT_EQ(left(Left::ceded), 1U);

  auto given = accepted();
  must([&](Writer& writer) { return writer.begin_hand_over(given.row, holder("hub2", hub2.value)); });
  EXPECT_EQ(balance().handing_over, 1U);
  EXPECT_EQ(balance().queued, 1U) << "it is ours until the other hub has it";
  must([&](Writer& writer) {
    return writer.end_hand_over(given.row, Generation{2}, holder("hub2", hub2.value), Epoch{1},
                                Writer::HandOverEnd::moved);
  });
  EXPECT_EQ(left(Left::handed_over), 1U);
  auto back = given;
  back.row = spool().next_row();
  back.generation = Generation{3};
  must([&](Writer& writer) -> Result<void> {
    auto result = writer.accept_hand_over(back, false);
    if (!result) return std::unexpected(result.error());
    return writer.put_chunk(result->row, 0, "body\n");
  });
  EXPECT_EQ(entered(Entered::received), 1U);
  must([&](Writer& writer) -> Result<void> {
    auto ended = writer.apply_discard({.hub = "hub2",
                                       .spool = hub2,
                                       .id = back.id,
                                       .generation = Generation{3},
                                       .all = true,
                                       .recipients = {}},
                                      hub2);
    return ended ? Result<void>() : std::unexpected(ended.error());
  });
  EXPECT_EQ(left(Left::elsewhere), 1U);
  accepted({"a@example.com"}, Entered::notification);
  auto withdrawn = accepted();
  must([&](Writer& writer) { return writer.forget_message(withdrawn.row); });
  EXPECT_EQ(entered(Entered::notification), 1U);
  EXPECT_EQ(left(Left::withdrawn), 1U);
}

TEST_F(LedgerTest, WhatIsRolledBackWasNeverCounted) {
  auto message = new_message(spool(), {"a@example.com"});
  auto result = box.write([&](Writer& writer) -> Result<void> {
    if (auto done = accept(writer, message); !done) return done;
    return failure(std::errc::invalid_argument, "given up");
  });
  EXPECT_FALSE(result);
  EXPECT_EQ(entered(Entered::accepted), 0U);
  disk.set_capacity(disk.octets());  // full
  auto another = new_message(spool(), {"a@example.com"});
  EXPECT_FALSE(box.write([&](Writer& writer) { return accept(writer, another, std::string(200'000, 'x')); }));
  disk.set_capacity(UINT64_MAX);
  EXPECT_EQ(entered(Entered::accepted), 0U);
  EXPECT_EQ(balance().imbalance(), 0);
}

TEST_F(LedgerTest, BeginsWithWhatTheProcessFinds) {
  accepted();
  accepted();
  reopen();
  EXPECT_EQ(balance().ledger.at_start, 2U);
  EXPECT_EQ(entered(Entered::accepted), 0U);
  accepted();
  lose_power();
  EXPECT_EQ(balance().ledger.at_start, 3U);
  EXPECT_EQ(balance().queued, 3U);
}

// The reader's snapshot is older than what the writer has committed since: the ledger is of the snapshot too.
TEST_F(LedgerTest, BothSidesAreOfOneCommit) {
  accepted();
  Balance seen;
  int commits = 0;
  spool().read(
      [&](Reader& reader) {
        auto before = reader.balance();
        ASSERT_TRUE(before);
        for (; commits < 5; ++commits) {
          auto message = new_message(spool(), {"a@example.com"});
          spool().write([message](Writer& writer) { return accept(writer, message); }, 0,
                        [](const Result<void>&) {});
          while (box.writer.run_one()) {
          }
        }
        auto after = reader.balance();
        ASSERT_TRUE(after);
        seen = *after;
      },
      [] {});
  box.run();
  EXPECT_EQ(seen.queued, 1U);
  EXPECT_EQ(seen.imbalance(), 0);
  EXPECT_EQ(balance().queued, 6U);
}

// What the gauge is for: rows that nobody has counted.
TEST(LedgerBalance, IsOffByWhatNobodyHasCounted) {
  Ledger ledger;
  ledger.at_start = 3;
  ledger.note(Entered::accepted);
  ledger.note(Left::bounced);
  EXPECT_EQ((Balance{ledger, 3, 0, {}}.imbalance()), 0);
  EXPECT_EQ((Balance{ledger, 2, 0, {}}.imbalance()), -1);
  EXPECT_EQ((Balance{ledger, 4, 0, {}}.imbalance()), 1);
}

}  // namespace
}  // namespace umbra::storage
