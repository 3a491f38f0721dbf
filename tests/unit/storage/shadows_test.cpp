// Copies held for other hubs, and messages that change hands.
#include <algorithm>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr SpoolId owner{0xF00D'0000'0000'0001};  // above 2^63: spool ids are any 64 bits
constexpr SpoolId third{0x0000'0000'0000'0333};

class ShadowsTest : public SpoolTest {
 protected:
  Shadow offered(std::uint64_t number, std::vector<std::string> addresses = {"a@example.com"}) {
    Shadow shadow;
    shadow.row = spool().next_row();
    shadow.id = {owner, number};
    shadow.generation = Generation{1};
    shadow.owner_hub = "hub2";
    shadow.owner_spool = owner;
    shadow.owner_epoch = Epoch{4};
    shadow.envelope = envelope_for(std::move(addresses));
    shadow.size = 4;
    shadow.offered = {holder("hub1", spool().id().value),
                      holder("hub3", third.value, Holder::State::offered)};
    return shadow;
  }
  Result<bool> put(const Shadow& shadow, std::string_view body = "copy") {
    Result<bool> answer = false;
    auto result = box.write([&](Writer& writer) -> Result<void> {
      answer = writer.insert_shadow(shadow);
      if (!answer) return std::unexpected(answer.error());
      return *answer ? writer.put_chunk(shadow.row, 0, body) : Result<void>();
    });
    if (!result) return std::unexpected(result.error());
    return answer;
  }
  Shadow held(std::uint64_t number, std::vector<std::string> addresses = {"a@example.com"}) {
    auto shadow = offered(number, std::move(addresses));
    auto answer = put(shadow);
    EXPECT_TRUE(answer && *answer);
    return shadow;
  }
  NewMessage taken(const Shadow& shadow) {
    NewMessage message;
    message.row = shadow.row;
    message.id = shadow.id;
    message.generation = Generation{shadow.generation.value + 1};
    message.envelope = shadow.envelope;
    message.size = shadow.size;
    message.holders = {holder("hub3", third.value), holder("hub2", owner.value, Holder::State::former_owner)};
    message.alarm_at = at(100);
    message.queue = {{"example.com", at(0), 0}};
    return message;
  }
  std::optional<RowId> discard(MessageId id, std::vector<std::uint32_t> recipients = {},
                               SpoolId from = owner) {
    OutboxItem item;
    item.id = id;
    item.generation = Generation{1};
    item.all = recipients.empty();
    item.recipients = std::move(recipients);
    std::optional<RowId> ended;
    must([&](Writer& writer) {
      auto result = writer.apply_discard(item, from);
      if (result) ended = result->ended;
      return outcome_of(result);
    });
    return ended;
  }
  std::optional<Shadow> shadow(MessageId id) {
    return ask([&](Reader& reader) { return reader.shadow(id); });
  }
  std::string chunk(RowId row) {
    return ask([&](Reader& reader) { return reader.chunk(row, 0); });
  }
  Knowledge lookup(MessageId id) {
    return ask([&](Reader& reader) { return reader.lookup(id); });
  }
  QueueCounts counts() {
    return ask([](Reader& reader) { return reader.counts(); });
  }
};

TEST_F(ShadowsTest, HoldsACopyThroughALossOfPower) {
  auto copy = held(1, {"a@example.com", "b@example.com"});
  lose_power();
  auto got = shadow(copy.id);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->row, copy.row);
  EXPECT_EQ(got->generation, copy.generation);
  EXPECT_EQ(got->owner_hub, "hub2");
  EXPECT_EQ(got->owner_spool, owner);
  EXPECT_EQ(got->owner_epoch, Epoch{4});
  EXPECT_EQ(got->envelope, copy.envelope);
  EXPECT_EQ(got->offered, copy.offered);
  EXPECT_TRUE(got->done.empty());
  EXPECT_EQ(chunk(copy.row), "copy");
  auto known = lookup(copy.id);
  EXPECT_EQ(known.kind, Knowledge::Kind::held_for_other);
  EXPECT_EQ(known.owner_spool, owner);
  EXPECT_EQ(known.owner_hub, "hub2");
  EXPECT_EQ(known.row, copy.row);
  EXPECT_EQ(counts().shadows, 1U);
}

TEST_F(ShadowsTest, StoresACopyThatIsOfferedTwiceOnce) {
  auto first = held(1);
  auto again = offered(1);
  again.owner_epoch = Epoch{5};
  again.offered.push_back(holder("hub4", 44));
  auto answer = put(again);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(*answer);
  auto got = shadow(first.id);
  EXPECT_EQ(got->row, first.row);
  EXPECT_EQ(got->owner_epoch, Epoch{5}) << "the owner offered it anew after a restart";
  EXPECT_EQ(got->offered, again.offered);
  EXPECT_EQ(counts().shadows, 1U);
}

TEST_F(ShadowsTest, DropsTheSecondBodyOfACopyThatWasStreamedTwice) {
  held(1);
  auto again = offered(1);
  must([&](Writer& writer) { return writer.put_chunk(again.row, 0, "streamed before"); });
  must([&](Writer& writer) { return outcome_of(writer.insert_shadow(again)); });
  box.run();
  EXPECT_EQ(chunk(again.row), "");
}

TEST_F(ShadowsTest, ReplacesAnOlderGenerationAndKeepsWhatIsDone) {
  auto old = held(1, {"a@example.com", "b@example.com"});
  discard(old.id, {1});
  auto next = offered(1, {"a@example.com", "b@example.com"});
  next.generation = Generation{2};
  next.owner_hub = "hub3";
  next.owner_spool = third;
  auto answer = put(next, "new copy");
  ASSERT_TRUE(answer && *answer);
  auto got = shadow(old.id);
  EXPECT_EQ(got->generation, Generation{2});
  EXPECT_EQ(got->owner_spool, third);
  EXPECT_EQ(got->done, std::vector<std::uint32_t>{1});
  EXPECT_EQ(chunk(old.row), "");
  EXPECT_EQ(chunk(next.row), "new copy");
  EXPECT_EQ(counts().shadows, 1U);
}

TEST_F(ShadowsTest, RefusesAnOlderGenerationAnotherOwnerAndItsOwnMessage) {
  auto newer = offered(1);
  newer.generation = Generation{3};
  ASSERT_TRUE(put(newer));
  auto stale = offered(1);
  stale.generation = Generation{2};
  EXPECT_EQ(put(stale).error().code, std::errc::file_exists);
  auto rival = offered(1);
  rival.generation = Generation{3};
  rival.owner_spool = third;
  EXPECT_EQ(put(rival).error().code, std::errc::file_exists);

  auto own = new_message(spool(), {"a@example.com"});
  must([&](Writer& writer) { return accept(writer, own); });
  auto of_ours = offered(1);
  of_ours.id = own.id;
  of_ours.generation = Generation{9};
  EXPECT_EQ(put(of_ours).error().code, std::errc::file_exists);
  EXPECT_EQ(counts().shadows, 1U);
}

TEST_F(ShadowsTest, IsGoneAfterADiscardHoweverOftenItComes) {
  auto copy = held(1);
  EXPECT_FALSE(discard(copy.id));
  EXPECT_FALSE(shadow(copy.id));
  EXPECT_EQ(chunk(copy.row), "");
  EXPECT_FALSE(discard(copy.id));
  EXPECT_EQ(lookup(copy.id).kind, Knowledge::Kind::unknown);
  EXPECT_EQ(counts().shadows, 0U);
}

TEST_F(ShadowsTest, CollectsWhatIsDone) {
  auto copy = held(1, {"a@x.example", "b@x.example", "c@x.example"});
  discard(copy.id, {2});
  discard(copy.id, {0, 2});
  EXPECT_EQ(shadow(copy.id)->done, (std::vector<std::uint32_t>{0, 2}));
}

// The logs say once that a copy is gone, though a discard status may come twice, or behind an audit.
TEST_F(ShadowsTest, SaysOfADiscardStatusWhetherItDroppedACopy) {
  auto copy = held(1);
  auto dropped = [&] {
    bool was_dropped = false;
    must([&](Writer& writer) {
      OutboxItem item;
      item.id = copy.id;
      item.generation = Generation{1};
      item.all = true;
      auto result = writer.apply_discard(item, owner);
      if (result) was_dropped = result->copy_dropped;
      return outcome_of(result);
    });
    return was_dropped;
  };
  EXPECT_TRUE(dropped());
  EXPECT_FALSE(dropped());
  auto next = held(2);
  must([&](Writer& writer) {
    auto released = writer.release_shadow(next.id, next.generation);
    EXPECT_TRUE(released && *released);
    released = writer.release_shadow(next.id, next.generation);
    EXPECT_TRUE(released && !*released);
    return outcome_of(released);
  });
}

TEST_F(ShadowsTest, DropsWithoutAWord) {
  auto copy = held(1);
  must([&](Writer& writer) { return outcome_of(writer.release_shadow(copy.id, copy.generation)); });
  must([&](Writer& writer) { return outcome_of(writer.release_shadow(copy.id, copy.generation)); });
  EXPECT_FALSE(shadow(copy.id));
  EXPECT_EQ(chunk(copy.row), "");
  EXPECT_EQ(counts().shadows, 0U);
}

TEST_F(ShadowsTest, DoesNotDropALaterGenerationThatCameMeanwhile) {
  auto old = held(1);
  auto next = offered(1);
  next.generation = Generation{2};
  next.owner_hub = "hub3";
  next.owner_spool = third;
  ASSERT_TRUE(put(next, "new copy"));
  must([&](Writer& writer) { return outcome_of(writer.release_shadow(old.id, old.generation)); });
  ASSERT_TRUE(shadow(old.id));
  EXPECT_EQ(chunk(next.row), "new copy");
  must([&](Writer& writer) { return outcome_of(writer.release_shadow(old.id, next.generation)); });
  EXPECT_FALSE(shadow(old.id));
}

TEST_F(ShadowsTest, ForgetsOnlyWhatIsTheOwnersToForget) {
  auto copy = held(1);
  must([&](Writer& writer) { return writer.forget_shadow(copy.id, copy.generation); });
  EXPECT_FALSE(shadow(copy.id));
  must([&](Writer& writer) { return writer.forget_shadow(copy.id, copy.generation); });

  auto later = offered(2);
  later.generation = Generation{2};
  ASSERT_TRUE(put(later, "copy"));
  auto refused = box.write([&](Writer& writer) { return writer.forget_shadow(later.id, Generation{1}); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::file_exists);
  EXPECT_TRUE(shadow(later.id));
}

TEST_F(ShadowsTest, LearnsWhatIsDoneFromACopyThatIsOfferedAgain) {
  auto copy = held(1, {"a@x.example", "b@x.example", "c@x.example"});
  discard(copy.id, {2});
  auto again = offered(1, {"a@x.example", "b@x.example", "c@x.example"});
  again.done = {0};
  ASSERT_TRUE(put(again));
  EXPECT_EQ(shadow(copy.id)->done, (std::vector<std::uint32_t>{0, 2}));
}

TEST_F(ShadowsTest, ListsByPagesAndByOwner) {
  auto first = held(1);
  auto other = offered(2);
  other.id = {third, 2};
  other.owner_spool = third;
  other.owner_hub = "hub3";
  ASSERT_TRUE(put(other));
  auto last = held(3);
  auto all = ask([](Reader& reader) { return reader.shadows(RowId{0}, 2); });
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].id, other.id);
  auto mine = ask([](Reader& reader) { return reader.shadows_of(owner, RowId{0}, 10); });
  ASSERT_EQ(mine.size(), 2U);
  EXPECT_EQ(mine[0].id, first.id);
  EXPECT_EQ(mine[1].id, last.id);
  EXPECT_EQ(mine[1].envelope, last.envelope);
  auto rest = ask([&](Reader& reader) { return reader.shadows_of(owner, first.row, 10); });
  ASSERT_EQ(rest.size(), 1U);
  auto owners = ask([](Reader& reader) { return reader.shadow_owners(); });
  std::ranges::sort(owners);
  EXPECT_EQ(owners, (std::vector<std::pair<std::string, SpoolId>>{{"hub2", owner}, {"hub3", third}}));
}

TEST_F(ShadowsTest, BecomesAMessageOfOursWithTheSameBody) {
  auto copy = held(1, {"a@example.com", "b@example.com"});
  auto message = taken(copy);
  message.progress = {{0, RecipientOutcome::State::delivered, "told"}};
  must([&](Writer& writer) { return writer.take_over(message); });
  lose_power();
  EXPECT_FALSE(shadow(copy.id));
  auto got = ask([&](Reader& reader) { return reader.message(copy.row); });
  ASSERT_TRUE(got);
  EXPECT_EQ(got->id, copy.id);
  EXPECT_EQ(got->generation, Generation{2});
  EXPECT_EQ(got->holders, message.holders);
  EXPECT_EQ(got->progress, message.progress);
  EXPECT_EQ(chunk(copy.row), "copy");
  EXPECT_EQ(ask([&](Reader& reader) { return reader.find_message(copy.id); }), copy.row);
  EXPECT_EQ(lookup(copy.id).kind, Knowledge::Kind::live);
  EXPECT_EQ(ask([](Reader& reader) { return reader.due("example.com", at(0), 10, {}); }).size(), 1U);
  EXPECT_EQ(counts().messages, 1U);
  EXPECT_EQ(counts().shadows, 0U);

  // Delivered to the one recipient that is left, it is over.
  bool finished = false;
  must([&](Writer& writer) {
    auto effect = writer.record_attempt(attempt(copy.row, {delivered(1)}));
    finished = effect && effect->message_finished;
    return outcome_of(effect);
  });
  EXPECT_TRUE(finished);
}

TEST_F(ShadowsTest, KnowsAtTheTakeOverWhatWasDoneMeanwhile) {
  auto copy = held(1, {"a@example.com", "b@example.com"});
  auto message = taken(copy);
  discard(copy.id, {1});
  must([&](Writer& writer) { return writer.take_over(message); });
  auto got = ask([&](Reader& reader) { return reader.message(copy.row); });
  ASSERT_EQ(got->progress.size(), 1U);
  EXPECT_EQ(got->progress[0].index, 1U);
  EXPECT_EQ(got->progress[0].state, RecipientOutcome::State::delivered);
}

TEST_F(ShadowsTest, TakesOverOnlyWhatItHolds) {
  auto copy = held(1);
  auto message = taken(copy);
  discard(copy.id);
  auto result = box.write([&](Writer& writer) { return writer.take_over(message); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::no_such_file_or_directory);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(ShadowsTest, EndsAMessageOfOursWhenAnotherHubSaysDone) {
  auto copy = held(1);
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  EXPECT_EQ(discard(copy.id, {}, owner), copy.row);
  EXPECT_FALSE(ask([&](Reader& reader) { return reader.message(copy.row); }));
  // The third hub holds a copy too and hears it from us; who told us does not.
  EXPECT_EQ(ask([](Reader& reader) { return reader.outbox(third, 0, 10); }).size(), 1U);
  EXPECT_TRUE(ask([](Reader& reader) { return reader.outbox(owner, 0, 10); }).empty());
  EXPECT_EQ(lookup(copy.id).kind, Knowledge::Kind::done);
}

TEST_F(ShadowsTest, EndsRecipientsOfAMessageOfOursWhenAnotherHubSaysSo) {
  auto copy = held(1, {"a@example.com", "b@example.com"});
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  EXPECT_FALSE(discard(copy.id, {0}));
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(copy.row); })->progress.size(), 1U);
  EXPECT_EQ(discard(copy.id, {1}), copy.row) << "that was the last one";
}

TEST_F(ShadowsTest, IgnoresRecipientsThatDoNotExist) {
  auto copy = held(1);
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  EXPECT_FALSE(discard(copy.id, {7, 4'000'000'000}));
  EXPECT_TRUE(ask([&](Reader& reader) { return reader.message(copy.row); }));
}

TEST_F(ShadowsTest, CedesAMessageToTheHubThatTookItOver) {
  auto message = new_message(spool(), {"a@example.com", "b@example.com"});
  message.holders = {holder("hub2", owner.value), holder("hub3", third.value)};
  must([&](Writer& writer) { return accept(writer, message); });
  must([&](Writer& writer) {
    return outcome_of(
        writer.record_attempt(attempt(message.row, {delivered(1)}, {{"example.com", at(60), 1}})));
  });
  must([&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", owner, Epoch{9}); });
  lose_power();
  EXPECT_FALSE(ask([&](Reader& reader) { return reader.message(message.row); }));
  EXPECT_TRUE(ask([](Reader& reader) { return reader.due_by_destination(); }).empty());
  auto got = shadow(message.id);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->row, message.row);
  EXPECT_EQ(got->generation, Generation{2});
  EXPECT_EQ(got->owner_spool, owner);
  EXPECT_EQ(got->owner_epoch, Epoch{9});
  EXPECT_EQ(got->done, std::vector<std::uint32_t>{1});
  EXPECT_EQ(got->envelope, message.envelope);
  message.holders[1].state = Holder::State::owed;
  EXPECT_EQ(got->offered, message.holders) << "the new owner may not know of the other holder";
  EXPECT_EQ(chunk(message.row), "body\n");
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(counts().shadows, 1U);

  // And it can come back: the new owner dies, this hub takes over what it once accepted.
  auto back = taken(*got);
  must([&](Writer& writer) { return writer.take_over(back); });
  EXPECT_EQ(ask([&](Reader& reader) { return reader.find_message(message.id); }), message.row);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(message.row); })->generation, Generation{3});
}

TEST_F(ShadowsTest, PassesTheDoneOfACededMessageOnToTheHoldersItHad) {
  auto message = new_message(spool(), {"a@example.com", "b@example.com"});
  message.holders = {holder("hub2", owner.value), holder("hub3", third.value)};
  must([&](Writer& writer) { return accept(writer, message); });
  must([&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", owner, Epoch{9}); });
  EXPECT_EQ(counts().outbox, 0U) << "nothing is done yet";
  // The new owner offers its copy: what is owed stays owed, under this and under the next generation.
  auto again = *shadow(message.id);
  again.row = spool().next_row();
  again.offered = {holder("hub1", 77)};
  EXPECT_EQ(put(again), false);
  again.row = spool().next_row();
  again.generation = Generation{3};
  EXPECT_EQ(put(again), true);
  discard(message.id, {1});
  auto to_third = [](Reader& reader) { return reader.outbox(third, 0, 10); };
  ASSERT_EQ(ask(to_third).size(), 1U);
  EXPECT_EQ(ask(to_third)[0].recipients, std::vector<std::uint32_t>{1});
  discard(message.id, {});
  lose_power();
  ASSERT_EQ(ask(to_third).size(), 2U);
  EXPECT_TRUE(ask(to_third)[1].all);
  EXPECT_EQ(ask(to_third)[1].generation, Generation{3});
  EXPECT_EQ(lookup(message.id).kind, Knowledge::Kind::done) << "until the holder has confirmed it";
  EXPECT_TRUE(ask([](Reader& reader) { return reader.outbox(owner, 0, 10); }).empty());
}

TEST_F(ShadowsTest, FollowsAnotherOwnerWithItsCopy) {
  auto plain = held(1);
  Owner later{Generation{2}, "hub3", third, Epoch{4}};
  must([&](Writer& writer) { return writer.follow_owner(plain.id, Generation{1}, later); });
  lose_power();
  ASSERT_TRUE(shadow(plain.id)) << "the owner may have no other copy yet";
  EXPECT_EQ(shadow(plain.id)->owner_hub, "hub3");
  EXPECT_EQ(shadow(plain.id)->owner_spool, third);
  EXPECT_EQ(shadow(plain.id)->owner_epoch, Epoch{4});
  EXPECT_EQ(shadow(plain.id)->generation, Generation{2});
  EXPECT_EQ(chunk(plain.row), "copy");
  EXPECT_EQ(counts().shadows, 1U);
  discard(plain.id, {});
  EXPECT_EQ(counts().shadows, 0U);

  auto message = new_message(spool(), {"a@example.com"});
  message.holders = {holder("hub2", owner.value), holder("hub4", 44)};
  must([&](Writer& writer) { return accept(writer, message); });
  must([&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", owner, Epoch{9}); });
  later.generation = Generation{3};
  must([&](Writer& writer) { return writer.follow_owner(message.id, Generation{1}, later); });
  EXPECT_EQ(shadow(message.id)->owner_hub, "hub2") << "it is of a later generation than the caller has seen";
  must([&](Writer& writer) { return writer.follow_owner(message.id, Generation{2}, later); });
  ASSERT_TRUE(shadow(message.id));
  EXPECT_EQ(shadow(message.id)->owner_hub, "hub3");
  EXPECT_EQ(shadow(message.id)->generation, Generation{3});
  EXPECT_EQ(chunk(message.row), "body\n");
  EXPECT_EQ(counts().shadows, 1U);
  must([&](Writer& writer) { return outcome_of(writer.release_shadow(message.id, Generation{3})); });
  EXPECT_EQ(ask([](Reader& reader) { return reader.outbox(SpoolId{44}, 0, 10); }).size(), 1U);
}

TEST_F(ShadowsTest, DoesNotCedeToAnOlderGeneration) {
  auto message = new_message(spool(), {"a@example.com"});
  message.generation = Generation{3};
  must([&](Writer& writer) { return accept(writer, message); });
  auto result = box.write(
      [&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", owner, Epoch{1}); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::invalid_argument);
  EXPECT_TRUE(ask([&](Reader& reader) { return reader.message(message.row); }));
}

TEST_F(ShadowsTest, FindsAMessageOfItsOwnThatCameBackUnderAnotherRow) {
  MessageId id{spool().id(), 0x123};  // accepted here in an earlier life, lost, and now handed back
  auto copy = offered(1);
  copy.id = id;
  ASSERT_TRUE(put(copy));
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  EXPECT_EQ(ask([&](Reader& reader) { return reader.find_message(id); }), copy.row);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(copy.row); })->id, id);
}

}  // namespace
}  // namespace umbra::storage
