// The safety net in the spool: what ends is kept with its body, within both limits, the oldest goes first.
#include <algorithm>
#include <limits>
#include <map>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr SpoolId hub2{0x22};

RecipientOutcome delivered_to(std::uint32_t index, std::string next_hop = "example.com mx.example.com") {
  return {index, RecipientOutcome::State::delivered, "250 ok", std::move(next_hop)};
}

class SafetyNetTest : public SpoolTest {
 protected:
  void SetUp() override { turn_on(1 << 20); }
  void turn_on(std::uint64_t octets_max, Duration keep = std::chrono::hours(1)) {
    box.close();
    box.options.safety_net = {keep, octets_max};
    open();
  }
  RowId put(std::vector<std::string> addresses, std::string body = "body\n") {
    auto message = new_message(spool(), std::move(addresses));
    message.size = body.size();
    message.holders = {holder("hub2", hub2.value)};
    must([&](Writer& w) { return accept(w, message, body); });
    return message.row;
  }
  void end(RowId row, std::vector<RecipientOutcome> outcomes) {
    must([&](Writer& w) { return outcome_of(w.record_attempt(attempt(row, outcomes))); });
  }
  RowId deliver(std::string body = "body\n") {
    auto row = put({"a@example.com"}, std::move(body));
    end(row, {delivered_to(0)});
    return row;
  }
  std::vector<KeptMessage> all() {
    return ask([](Reader& r) { return r.kept(WallTime{}, RowId{0}, WallTime::max(), 100'000); });
  }
  std::vector<RowId> rows() {
    std::vector<RowId> found;
    for (const auto& message : all()) found.push_back(message.row);
    return found;
  }
  QueueCounts counts() {
    return ask([](Reader& r) { return r.counts(); });
  }
  std::string chunk(RowId row, std::uint32_t number = 0) {
    return ask([&](Reader& r) { return r.chunk(row, number); });
  }
  Shadow hold(std::uint64_t number, std::vector<std::string> waits_for = {}) {
    Shadow shadow;
    shadow.row = spool().next_row();
    shadow.id = {hub2, number};
    shadow.generation = Generation{1};
    shadow.owner_hub = "hub2";
    shadow.owner_spool = hub2;
    shadow.owner_epoch = Epoch{1};
    shadow.envelope = envelope_for({"a@example.com", "b@example.com"});
    shadow.envelope.waits_for = std::move(waits_for);
    shadow.size = 6;
    must([&](Writer& w) -> Result<void> {
      if (auto stored = w.insert_shadow(shadow); !stored) return std::unexpected(stored.error());
      return w.put_chunk(shadow.row, 0, "shadow");
    });
    return shadow;
  }
  void told(const Shadow& shadow, std::vector<std::uint32_t> recipients = {}) {
    OutboxItem item;
    item.id = shadow.id;
    item.generation = shadow.generation;
    item.all = recipients.empty();
    item.recipients = std::move(recipients);
    must([&](Writer& w) { return outcome_of(w.apply_discard(item, hub2)); });
  }
  void expect_true_counts() {
    auto found = all();
    std::uint64_t octets = 0;
    for (const auto& message : found) octets += message.octets;
    EXPECT_EQ(counts().kept, found.size());
    EXPECT_EQ(counts().kept_octets, octets);
  }
};

TEST_F(SafetyNetTest, IsOffByDefaultAndKeepsNothing) {
  turn_on(0, Duration{});
  auto row = deliver();
  told(hold(1));
  EXPECT_EQ(counts().kept, 0U);
  EXPECT_THAT(all(), testing::IsEmpty());
  EXPECT_EQ(chunk(row), "");
}

TEST_F(SafetyNetTest, KeepsWhatIsDeliveredWithItsBody) {
  auto row = put({"a@example.com", "b@example.com"});
  end(row, {delivered_to(0, "route:all sink.example"), failed(1)});
  auto found = all();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].row, row);
  EXPECT_FALSE(found[0].is_shadow);
  EXPECT_EQ(found[0].envelope, envelope_for({"a@example.com", "b@example.com"}));
  EXPECT_EQ(found[0].delivered, (std::vector<KeptRecipient>{{0, "route:all sink.example", "250 ok"}}));
  EXPECT_EQ(chunk(row), "body\n");
  EXPECT_EQ(counts().messages, 0U);
  // To everybody else it is done.
  EXPECT_EQ(ask([&](Reader& r) {
              return r.lookup(MessageId{spool().id(), static_cast<std::uint64_t>(row.value)});
            }).kind,
            Knowledge::Kind::done);
  EXPECT_FALSE(ask([&](Reader& r) { return r.message(row); }));
  EXPECT_EQ(ask([](Reader& r) { return r.due_count("example.com", WallTime::max()); }), 0U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, RemembersNextHopsOfSeveralAttempts) {
  auto row = put({"a@example.com", "b@example.com"});
  must([&](Writer& w) {
    return outcome_of(w.record_attempt(
        attempt(row, {delivered_to(0, "example.com mx1"), deferred(1)}, {{"example.com", at(60), 1}})));
  });
  EXPECT_THAT(all(), testing::IsEmpty());
  end(row, {delivered_to(1, "example.com mx2")});
  auto found = all();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].delivered,
            (std::vector<KeptRecipient>{{0, "example.com mx1", "250 ok"}, {1, "example.com mx2", "250 ok"}}));
}

TEST_F(SafetyNetTest, DoesNotKeepWhatOnlyBouncedOrWasForgottenOrWasResent) {
  auto bounced = put({"a@example.com"});
  end(bounced, {failed(0)});
  auto forgotten = put({"a@example.com"});
  must([&](Writer& w) { return w.forget_message(forgotten); });
  auto message = new_message(spool(), {"a@example.com"});
  message.envelope.resent = true;
  must([&](Writer& w) { return accept(w, message); });
  end(message.row, {delivered_to(0)});
  auto shadow = hold(1);
  must([&](Writer& w) { return w.forget_shadow(shadow.id, shadow.generation); });
  EXPECT_THAT(all(), testing::IsEmpty());
  for (auto row : {bounced, forgotten, message.row, shadow.row}) EXPECT_EQ(chunk(row), "");
}

TEST_F(SafetyNetTest, DoesNotKeepWhatWaitedForItsFilters) {
  auto shadow = hold(6, {"spam"});
  told(shadow);
  auto message = new_message(spool(), {"a@example.com"});
  message.envelope.waits_for = {"spam"};
  must([&](Writer& w) { return accept(w, message); });
  end(message.row, {delivered_to(0)});
  EXPECT_THAT(all(), testing::IsEmpty()) << "sent again, it would be mail that no filter has seen";
  EXPECT_EQ(chunk(shadow.row), "");
}

TEST_F(SafetyNetTest, KeepsAShadowWhoseOwnerIsDone) {
  auto shadow = hold(7);
  told(shadow, {1});
  EXPECT_THAT(all(), testing::IsEmpty());
  told(shadow);
  auto found = all();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].is_shadow);
  EXPECT_EQ(found[0].id, shadow.id);
  EXPECT_EQ(found[0].owner_spool, hub2);
  EXPECT_EQ(found[0].owner_hub, "hub2");
  EXPECT_THAT(found[0].delivered, testing::IsEmpty());
  EXPECT_EQ(chunk(shadow.row), "shadow");
  EXPECT_EQ(counts().shadows, 0U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, KeepsAShadowOfWhichAHubThatWasAskedSaidThatItIsDone) {
  auto shadow = hold(8);
  must([&](Writer& w) { return outcome_of(w.finish_shadow(shadow.id, Generation{0})); });
  EXPECT_THAT(all(), testing::IsEmpty());  // that was another one
  must([&](Writer& w) { return outcome_of(w.finish_shadow(shadow.id, shadow.generation)); });
  told(shadow);  // the discard comes after it
  ASSERT_EQ(all().size(), 1U);
  EXPECT_TRUE(all()[0].is_shadow);
  EXPECT_EQ(counts().shadows, 0U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, KeepsAsAShadowWhatAnotherHubFinishedOfOurs) {
  auto row = put({"a@example.com"});
  OutboxItem item;
  item.id = {spool().id(), static_cast<std::uint64_t>(row.value)};
  item.generation = Generation{1};
  must([&](Writer& w) { return outcome_of(w.apply_discard(item, hub2)); });
  auto second = put({"a@example.com", "b@example.com"});
  item.id.number = static_cast<std::uint64_t>(second.value);
  item.all = false;
  item.recipients = {0, 1};
  must([&](Writer& w) { return outcome_of(w.apply_discard(item, hub2)); });
  auto found = all();
  ASSERT_EQ(found.size(), 2U);
  for (const auto& message : found) {
    EXPECT_TRUE(message.is_shadow);
    EXPECT_EQ(message.owner_spool, hub2);
    EXPECT_EQ(message.owner_hub, "hub2");
    EXPECT_THAT(message.delivered, testing::IsEmpty());
  }
}

TEST_F(SafetyNetTest, NeverPassesItsCapAndTheOldestGoesFirst) {
  constexpr std::uint64_t cap = 60'000;
  turn_on(cap);
  std::vector<RowId> rows_put;
  for (int i = 0; i < 30; ++i) {
    rows_put.push_back(deliver(std::string(4000, 'x')));
    EXPECT_LE(counts().kept_octets, cap);
    auto left = rows();
    EXPECT_EQ(left,
              std::vector<RowId>(rows_put.end() - static_cast<std::ptrdiff_t>(left.size()), rows_put.end()));
  }
  EXPECT_GT(rows().size(), 8U);
  EXPECT_LT(rows().size(), 30U);
  auto left = rows();
  for (auto row : rows_put) EXPECT_EQ(chunk(row).empty(), std::ranges::find(left, row) == left.end());
  EXPECT_EQ(spool().statistics().kept_gone_size, 30 - rows().size());
  // One that is larger than the cap pushes nothing out.
  auto before = rows();
  deliver(std::string(cap, 'x'));
  EXPECT_EQ(rows(), before);
  expect_true_counts();
}

TEST_F(SafetyNetTest, OfOneThatNeedsTooMuchRoomAtOnceNothingIsKept) {
  turn_on(3'000'000);
  for (int i = 0; i < 600; ++i) deliver();
  // 2 MB of it need the place of more than one operation may remove.
  deliver(std::string(2'000'000, 'x'));
  EXPECT_LE(counts().kept_octets, 3'000'000U);
  EXPECT_EQ(spool().statistics().kept_gone_size, 256U + 1);
  expect_true_counts();
}

TEST_F(SafetyNetTest, WhatIsTooOldGoes) {
  auto first = deliver();
  auto second = deliver();
  auto third = deliver();
  auto found = all();
  ASSERT_EQ(found.size(), 3U);
  must([&](Writer& w) { return outcome_of(w.trim_kept(found[0].ended_at, 100)); });
  EXPECT_EQ(rows().size(), 3U);  // not before its time is over
  must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime::max(), 2)); });
  EXPECT_EQ(rows(), std::vector<RowId>{third});
  EXPECT_EQ(chunk(first) + chunk(second), "");
  EXPECT_EQ(spool().statistics().kept_gone_age, 2U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, ASmallerCapIsReachedByTrimming) {
  for (int i = 0; i < 20; ++i) deliver();
  turn_on(30'000);
  EXPECT_EQ(rows().size(), 20U);  // the counts outlive a restart
  must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime{}, 5)); });
  EXPECT_EQ(rows().size(), 15U);
  must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime{}, 1000)); });
  EXPECT_LE(counts().kept_octets, 30'000U);
  EXPECT_GT(counts().kept_octets, 25'000U);
  turn_on(0, Duration{});
  must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime::max(), 1000)); });
  EXPECT_EQ(counts().kept, 0U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, GivesWayWhileTheDiskIsShort) {
  for (int i = 0; i < 5; ++i) deliver(std::string(8000, 'x'));
  must([&](Writer& w) { return outcome_of(w.give_way(3)); });
  EXPECT_EQ(rows().size(), 2U);
  auto row = deliver();
  EXPECT_EQ(rows().size(), 2U);
  EXPECT_EQ(chunk(row), "");
  EXPECT_EQ(spool().statistics().kept_gone_disk, 4U);
  must([&](Writer& w) { return w.keep_again(); });
  deliver();
  EXPECT_EQ(rows().size(), 3U);
  expect_true_counts();
}

TEST_F(SafetyNetTest, GivesPagesBackToTheFileSystem) {
  box.close();
  box.options.checkpoint_octets =
      256 << 10;  // so that the bodies are in the database, not in the write-ahead log
  open();
  turn_on(100 << 20);
  for (int i = 0; i < 40; ++i) deliver(std::string(200'000, 'x'));
  auto database_octets = [this] { return disk.durable().at(std::string(directory) + "/spool.db").size(); };
  EXPECT_GT(database_octets(), 7U << 20);
  for (int i = 0; i < 12; ++i) must([&](Writer& w) { return outcome_of(w.give_way(10)); });
  EXPECT_EQ(counts().kept, 0U);
  EXPECT_LT(database_octets(), 1U << 20);
}

TEST_F(SafetyNetTest, LargeBodiesGoPieceByPiece) {
  turn_on(20 << 20);
  auto message = new_message(spool(), {"a@example.com"});
  for (std::uint32_t i = 0; i < 20; ++i)
    must([&](Writer& w) {
      return w.put_chunk(message.row, i, std::string(200'000, static_cast<char>('a' + i)));
    });
  message.size = 4'000'000;
  must([&](Writer& w) { return w.insert_message(message); });
  end(message.row, {delivered_to(0)});
  EXPECT_EQ(chunk(message.row, 19), std::string(200'000, 't'));
  reopen();  // the sweep of what a crash leaves does not take it
  EXPECT_EQ(chunk(message.row, 19), std::string(200'000, 't'));
  must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime::max(), 1)); });
  box.run();
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(chunk(message.row, i), "");
  expect_true_counts();
}

TEST_F(SafetyNetTest, AnOperationThatIsRolledBackLeavesItsCountsAlone) {
  deliver();
  auto row = put({"a@example.com"});
  auto failed = box.write([&](Writer& w) -> Result<void> {
    if (auto done = w.record_attempt(attempt(row, {delivered_to(0)})); !done)
      return std::unexpected(done.error());
    return failure(std::errc::invalid_argument, "taken back");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(counts().kept, 1U);
  EXPECT_TRUE(ask([&](Reader& r) { return r.message(row); }));
  expect_true_counts();
}

/// Whatever happens in whatever order, the counts are those of a recount, and no body is without its owner or
/// the other way round.
TEST_F(SafetyNetTest, ItsSizeIsThatOfARecountAfterAnySeriesOfChanges) {
  CountingRandom random(7);
  constexpr std::uint64_t cap = 200'000;
  turn_on(cap);
  std::map<RowId, std::uint64_t> live;
  for (int step = 0; step < 1500; ++step) {
    auto dice = random.next() % 100;
    if (dice < 45) {
      auto size = random.next() % 20'000;
      live[put({"a@example.com", "b@example.com"}, std::string(size, 'x'))] = size;
    } else if (dice < 85 && !live.empty()) {
      auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random.next() % live.size()));
      auto other = random.next() % 2 == 0 ? failed(1) : delivered_to(1);
      end(it->first, {random.next() % 3 == 0 ? failed(0) : delivered_to(0), other});
      live.erase(it);
    } else if (dice < 92) {
      told(hold(static_cast<std::uint64_t>(step)));
    } else if (dice < 95) {
      must([&](Writer& w) { return outcome_of(w.trim_kept(WallTime::max(), random.next() % 3)); });
    } else if (dice < 97) {
      must([&](Writer& w) { return outcome_of(w.give_way(random.next() % 3)); });
    } else if (dice < 99) {
      must([&](Writer& w) { return w.keep_again(); });
    } else {
      lose_power();
    }
    ASSERT_LE(counts().kept_octets, cap);
    if (step % 25 == 0) {
      expect_true_counts();
      for (const auto& message : all()) EXPECT_EQ(chunk(message.row).size(), message.size);
      for (const auto& [row, size] : live) EXPECT_EQ(chunk(row).size(), size);
    }
    if (::testing::Test::HasFailure()) FAIL() << "step " << step;
  }
  EXPECT_GT(spool().statistics().batches, 0U);
}

TEST_F(SafetyNetTest, RemembersRequestsToSendAgain) {
  for (int i = 0; i < 130; ++i) {
    Resend resend;
    resend.request = "r" + std::to_string(1000 + i);
    resend.filter = "{}";
    resend.begun_at = at(i);
    resend.state = i == 0 ? Resend::State::running : Resend::State::done;
    must([&](Writer& w) { return w.put_resend(resend); });
  }
  reopen();
  EXPECT_EQ(ask([](Reader& r) { return r.resends(1000); }).size(),
            101U);  // the last hundred, and what is still running
  auto running = ask([](Reader& r) { return r.resend("r1000"); });
  ASSERT_TRUE(running);
  running->state = Resend::State::done;
  running->resent = 12;
  running->reached_at = at(9);
  running->reached_row = RowId{77};
  running->why = "done";
  must([&](Writer& w) { return w.put_resend(*running); });
  EXPECT_FALSE(ask([](Reader& r) { return r.resend("r1000"); }));
  EXPECT_EQ(ask([](Reader& r) { return r.resends(1000); }).size(), 100U);
}

}  // namespace
}  // namespace umbra::storage
