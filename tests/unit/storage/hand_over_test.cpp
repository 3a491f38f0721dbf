// Ownership that moves by consent: what the spools of the giver and the receiver keep at every step.
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr SpoolId hub2{0x2222};
constexpr SpoolId hub3{0x3333};

class HandOverTest : public SpoolTest {
 protected:
  NewMessage protected_message(std::vector<std::string> addresses = {"a@example.com", "b@example.com"}) {
    auto message = new_message(spool(), std::move(addresses));
    message.holders = {holder("hub3", hub3.value)};
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  void begin(RowId row, const char* hub = "hub2", SpoolId id = hub2) {
    must([&](Writer& writer) { return writer.begin_hand_over(row, holder(hub, id.value)); });
  }
  std::optional<StoredMessage> stored(RowId row) {
    return ask([&](Reader& reader) { return reader.message(row); });
  }
  std::vector<OutboxItem> owed(SpoolId to) {
    return ask([&](Reader& reader) { return reader.outbox(to, 0, 100); });
  }
  std::size_t due() {
    return ask([&](Reader& reader) { return reader.due("example.com", at(1'000'000), 100, {}); }).size();
  }
  QueueCounts counts() {
    return ask([](Reader& reader) { return reader.counts(); });
  }
  Result<Writer::HandedOver> take(const NewMessage& message, bool is_held = false) {
    Result<Writer::HandedOver> answer = failure(std::errc::timed_out, "not run");
    auto result = box.write([&](Writer& writer) -> Result<void> {
      answer = writer.accept_hand_over(message, is_held);
      if (!answer) return std::unexpected(answer.error());
      return answer->wants_body ? writer.put_chunk(answer->row, 0, "body\n") : Result<void>();
    });
    if (!result && answer) return std::unexpected(result.error());
    return answer;
  }
  NewMessage given(std::uint64_t number, std::uint32_t generation) {
    auto message = new_message(spool(), {"a@example.com", "b@example.com"});
    message.id = {hub2, number};
    message.generation = Generation{generation};
    message.holders = {holder("hub2", hub2.value)};
    return message;
  }
};

TEST_F(HandOverTest, CannotBeHeldOrReleasedHereMeanwhile) {
  auto message = protected_message();
  begin(message.row);
  for (auto state : {MessageState::queued, MessageState::held})
    EXPECT_FALSE(box.write([&](Writer& writer) {
      return writer.set_state(message.row, state, message.queue);
    })) << "the operator's word was on its way when the hand-over began";
  EXPECT_EQ(stored(message.row)->state, MessageState::handing_over);
  EXPECT_EQ(due(), 0U);
}

TEST_F(HandOverTest, KnowsItsReceiverHoweverItsHoldersChange) {
  auto message = protected_message();
  begin(message.row);
  EXPECT_EQ(stored(message.row)->holders, message.holders)
      << "the receiver has nothing that it could lose or take over";
  must([&](Writer& writer) {
    return writer.change_holders(message.row, [](std::vector<Holder>& holders) {
      EXPECT_EQ(holders.size(), 1U);
      holders.clear();
    });
  });
  must([&](Writer& writer) { return writer.set_holders(message.row, {}, false); });
  lose_power();
  auto got = stored(message.row);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->holders.empty());
  ASSERT_TRUE(got->receiver);
  EXPECT_EQ(got->receiver->spool, hub2);
  must([&](Writer& writer) { return writer.take_back(message.row, Generation{1}, false); });
  EXPECT_FALSE(stored(message.row)->receiver);
}

TEST_F(HandOverTest, IsUndeliverableButKeptOnceItIsOffered) {
  auto message = protected_message();
  begin(message.row);
  EXPECT_EQ(due(), 0U);
  auto got = stored(message.row);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->state, MessageState::handing_over);
  EXPECT_EQ(got->generation, Generation{1});
  EXPECT_EQ(got->queue, message.queue);
  EXPECT_EQ(counts().messages, 1U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.lookup(message.id); }).kind,
            Knowledge::Kind::handing_over);
  lose_power();
  EXPECT_EQ(ask([](Reader& reader) { return reader.handing_over(RowId{0}, 10); }),
            (std::vector<RowId>{message.row}));
  // Not twice at once.
  auto again = box.write(
      [&](Writer& writer) { return writer.begin_hand_over(message.row, holder("hub3", hub3.value)); });
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, std::errc::device_or_resource_busy);
}

TEST_F(HandOverTest, IsAsBeforeWhenItWasRefused) {
  auto message = protected_message();
  auto before = stored(message.row);
  begin(message.row);
  must([&](Writer& writer) { return writer.take_back(message.row, Generation{1}, false); });
  auto after = stored(message.row);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->state, MessageState::queued);
  EXPECT_EQ(after->holders, before->holders);
  EXPECT_TRUE(after->is_protected);
  EXPECT_EQ(after->queue, before->queue);
  EXPECT_EQ(due(), 1U);
  EXPECT_TRUE(owed(hub3).empty());
}

TEST_F(HandOverTest, RemembersThatTheOperatorHeldIt) {
  auto message = protected_message();
  must([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); });
  begin(message.row);
  EXPECT_EQ(counts().held, 1U);
  must([&](Writer& writer) { return writer.take_back(message.row, Generation{1}, false); });
  EXPECT_EQ(stored(message.row)->state, MessageState::held);
  EXPECT_EQ(due(), 0U);
}

TEST_F(HandOverTest, IsKeptAsTheShadowOfItsNewOwnerAndOlderCopiesAreSuperseded) {
  auto message = protected_message();
  EXPECT_TRUE(box.write([&](Writer& w) {
    return outcome_of(w.record_attempt(attempt(message.row, {{0, RecipientOutcome::State::delivered, "250"}},
                                               {{"example.com", at(60), 1}})));
  }));
  begin(message.row);
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                                Writer::HandOverEnd::kept);
  });
  EXPECT_FALSE(stored(message.row));
  auto shadow = ask([&](Reader& reader) { return reader.shadow(message.id); });
  ASSERT_TRUE(shadow);
  EXPECT_EQ(shadow->generation, Generation{2});
  EXPECT_EQ(shadow->owner_spool, hub2);
  EXPECT_EQ(shadow->owner_epoch, Epoch{4});
  EXPECT_EQ(shadow->done, (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(counts().shadows, 1U);
  auto items = owed(hub3);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_TRUE(items[1].superseded);
  EXPECT_FALSE(items[1].all);
  EXPECT_EQ(items[1].generation, Generation{1});
  EXPECT_TRUE(owed(hub2).empty());
  // Superseded is not done.
  EXPECT_EQ(ask([&](Reader& reader) { return reader.lookup(message.id); }).kind,
            Knowledge::Kind::held_for_other);
}

TEST_F(HandOverTest, OwesTheDoneToAllHoldersWhereTheReceiverIsOnlyTakenToOwnIt) {
  using End = Writer::HandOverEnd;
  for (auto how : {End::kept, End::concluded}) {
    auto message = new_message(spool(), {"a@example.com"});
    message.holders = {holder("hub3", hub3.value), holder("hub2", hub2.value, Holder::State::offered)};
    must([&](Writer& writer) { return accept(writer, message); });
    begin(message.row);
    auto of = [&](SpoolId to) {
      auto items = owed(to);
      std::erase_if(items, [&](const OutboxItem& item) { return item.id != message.id; });
      return items;
    };
    must([&](Writer& writer) {
      return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4}, how);
    });
    EXPECT_TRUE(of(hub2).empty()) << "its copy may be needed, or it owns the message";
    EXPECT_EQ(of(hub3).size(), how == End::kept ? 1U : 0U)
        << "where nobody has said that hub2 has the message, this copy is needed";
    ASSERT_TRUE(ask([&](Reader& reader) { return reader.shadow(message.id); }));
    OutboxItem done;
    done.id = message.id;
    done.all = true;
    done.generation = Generation{3};
    must([&](Writer& writer) { return outcome_of(writer.apply_discard(done, SpoolId{0x4444})); });
    ASSERT_EQ(of(hub3).size(), 1U);
    EXPECT_TRUE(of(hub3)[0].all);
    ASSERT_EQ(of(hub2).size(), how == End::kept ? 0U : 1U)
        << "it may have a copy, of which nobody else knows";
    if (how == End::concluded) EXPECT_TRUE(of(hub2)[0].all);
  }
}

TEST_F(HandOverTest, LeavesNothingWhenTheNewOwnerHasACopyElsewhere) {
  auto message = protected_message();
  begin(message.row);
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                                Writer::HandOverEnd::moved);
  });
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(counts().shadows, 0U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(message.row, 0); }), "");
}

TEST_F(HandOverTest, IsNotUnknownWhileSomebodyIsOwedThatALaterOwnerHasIt) {
  auto message = protected_message();
  begin(message.row);
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                                Writer::HandOverEnd::moved);
  });
  auto known = [&] { return ask([&](Reader& reader) { return reader.lookup(message.id); }); };
  EXPECT_EQ(known().kind, Knowledge::Kind::handing_over) << "hub3 may ask yet, and hub2 be out of its reach";
  EXPECT_EQ(known().generation, Generation{1}) << "of a later one nothing is said";
  auto items = owed(hub3);
  ASSERT_EQ(items.size(), 1U);
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{items[0].key}); });
  EXPECT_EQ(known().kind, Knowledge::Kind::unknown);
}

TEST_F(HandOverTest, WhoIsOwedThatALaterOwnerHasItIsOwedTheDoneWhenThatOwnerIsDone) {
  auto message = protected_message();
  begin(message.row);
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                                Writer::HandOverEnd::moved);
  });
  OutboxItem done;
  done.id = message.id;
  done.all = true;
  done.generation = Generation{2};
  must([&](Writer& writer) { return outcome_of(writer.apply_discard(done, hub2)); });
  auto items = owed(hub3);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_TRUE(items[0].all);
  EXPECT_FALSE(items[0].superseded);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.lookup(message.id); }).kind, Knowledge::Kind::done);
}

TEST_F(HandOverTest, WhoIsOwedThatALaterOwnerHasItIsNotToldTheDoneThatANotificationHoldsBack) {
  for (const bool is_held_back : {false, true}) {
    auto message = protected_message({"a@example.com"});
    begin(message.row);
    must([&](Writer& writer) {
      return writer.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                                  Writer::HandOverEnd::moved);
    });
    auto again = given(0, 3);
    again.id = message.id;
    auto taken = take(again);
    ASSERT_TRUE(taken);
    auto notification = new_message(spool(), {"sender@example.org"}, "example.org");
    notification.is_protected = false;
    must([&](Writer& writer) { return accept(writer, notification); });
    must([&](Writer& writer) {
      return writer.finish_message(taken->row, is_held_back ? std::optional(notification.row) : std::nullopt,
                                   SpoolId{}, Left::elsewhere);
    });
    std::size_t told = 0;
    for (const auto& item : owed(hub3))
      if (item.id == message.id && item.all) ++told;
    EXPECT_EQ(told, is_held_back ? 0U : 1U);
  }
}

TEST_F(HandOverTest, SupersededEndsWhatIsOwnedUnderAnEarlierGeneration) {
  auto message = protected_message();
  OutboxItem item;
  item.id = message.id;
  item.all = false;
  item.superseded = true;
  item.generation = Generation{1};
  must([&](Writer& writer) { return outcome_of(writer.apply_discard(item, hub2)); });
  EXPECT_TRUE(stored(message.row)) << "an equal one says nothing of this one";
  item.generation = Generation{2};
  must([&](Writer& writer) { return outcome_of(writer.apply_discard(item, hub2)); });
  EXPECT_FALSE(stored(message.row))
      << "hub2 took it over, and gave it on to a hub that has it with its copies";
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(message.row, 0); }), "");
  auto items = owed(hub3);
  ASSERT_EQ(items.size(), 1U) << "it has a copy of this hub's, of which the later owner may not know";
  EXPECT_TRUE(items[0].superseded);
  EXPECT_EQ(items[0].generation, Generation{1}) << "not what it may have of a later one";
}

TEST_F(HandOverTest, SupersededDropsACopyOfThatGenerationOnly) {
  Shadow shadow;
  shadow.row = spool().next_row();
  shadow.id = {hub2, 9};
  shadow.generation = Generation{2};
  shadow.owner_hub = "hub2";
  shadow.owner_spool = hub2;
  shadow.envelope = envelope_for({"a@example.com"});
  shadow.size = 5;
  must([&](Writer& writer) { return outcome_of(writer.insert_shadow(shadow)); });
  OutboxItem item;
  item.id = shadow.id;
  item.all = false;
  item.superseded = true;
  item.generation = Generation{1};
  must([&](Writer& writer) { return outcome_of(writer.apply_discard(item, hub3)); });
  EXPECT_TRUE(ask([&](Reader& reader) { return reader.shadow(shadow.id); }));
  item.generation = Generation{2};
  must([&](Writer& writer) { return outcome_of(writer.apply_discard(item, hub3)); });
  EXPECT_FALSE(ask([&](Reader& reader) { return reader.shadow(shadow.id); }));
}

TEST_F(HandOverTest, WaitsForANotificationThatHasNoCopyYet) {
  auto message = protected_message();
  auto notification = new_message(spool(), {"sender@example.org"}, "example.org");
  notification.is_protected = false;
  must([&](Writer& writer) -> Result<void> {
    if (auto accepted = accept(writer, notification); !accepted) return accepted;
    auto record =
        attempt(message.row, {{0, RecipientOutcome::State::failed, "550"}}, {{"example.com", at(60), 1}});
    record.fork = notification.row;
    return outcome_of(writer.record_attempt(record));
  });
  auto early = box.write(
      [&](Writer& writer) { return writer.begin_hand_over(message.row, holder("hub2", hub2.value)); });
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, std::errc::device_or_resource_busy);
  must([&](Writer& writer) {
    return writer.set_holders(notification.row, {holder("hub3", hub3.value)}, true);
  });
  begin(message.row);
}

TEST_F(HandOverTest, IsAcceptedOnceHoweverOftenItIsOffered) {
  auto message = given(5, 3);
  auto first = take(message);
  ASSERT_TRUE(first) << first.error().what;
  EXPECT_TRUE(first->is_new);
  EXPECT_TRUE(first->wants_body);
  auto second_offer = message;
  second_offer.row = spool().next_row();
  auto second = take(second_offer);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->is_new);
  EXPECT_EQ(second->row, first->row);
  EXPECT_EQ(counts().messages, 1U);
  EXPECT_EQ(due(), 1U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(first->row, 0); }), "body\n");
}

TEST_F(HandOverTest, UsesTheBodyOfAShadowThatIsHereAndWhatItKnows) {
  Shadow shadow;
  shadow.row = spool().next_row();
  shadow.id = {hub2, 6};
  shadow.generation = Generation{1};
  shadow.owner_hub = "hub2";
  shadow.owner_spool = hub2;
  shadow.envelope = envelope_for({"a@example.com", "b@example.com"});
  shadow.size = 5;
  shadow.done = {1};
  must([&](Writer& writer) -> Result<void> {
    if (auto inserted = writer.insert_shadow(shadow); !inserted) return std::unexpected(inserted.error());
    return writer.put_chunk(shadow.row, 0, "copy\n");
  });
  auto accepted = take(given(6, 2));
  ASSERT_TRUE(accepted) << accepted.error().what;
  EXPECT_FALSE(accepted->wants_body);
  EXPECT_EQ(accepted->row, shadow.row);
  EXPECT_EQ(counts().shadows, 0U);
  auto got = stored(shadow.row);
  ASSERT_TRUE(got);
  ASSERT_EQ(got->progress.size(), 1U);
  EXPECT_EQ(got->progress[0].index, 1U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(shadow.row, 0); }), "copy\n");
}

TEST_F(HandOverTest, IsRefusedWhenALaterOwnerOrItsEndIsKnown) {
  auto ours = given(7, 4);
  ASSERT_TRUE(take(ours));
  auto late = take(given(7, 3));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, std::errc::file_exists);
  must([&](Writer& writer) {
    return writer.finish_message(ours.row, std::nullopt, SpoolId{}, Left::elsewhere);
  });
  auto after_its_end = take(given(7, 5));
  ASSERT_FALSE(after_its_end);
  EXPECT_EQ(after_its_end.error().code, std::errc::file_exists);
}

TEST_F(HandOverTest, ComesBackToAHubThatStillGivesItAway) {
  auto message = protected_message();
  begin(message.row);  // hub2 has it, and gives it back before this hub has heard the answer
  auto back = message;
  back.row = spool().next_row();
  back.generation = Generation{3};
  back.holders = {holder("hub2", hub2.value)};
  auto accepted = take(back);
  ASSERT_TRUE(accepted) << accepted.error().what;
  EXPECT_EQ(accepted->row, message.row);
  EXPECT_FALSE(accepted->wants_body);
  EXPECT_EQ(stored(message.row)->generation, Generation{3});
  EXPECT_EQ(counts().messages, 1U);
  EXPECT_EQ(due(), 1U);
  // The answer that comes late ends nothing.
  EXPECT_FALSE(box.write([&](Writer& w) {
    return w.end_hand_over(message.row, Generation{2}, holder("hub2", hub2.value), Epoch{4},
                           Writer::HandOverEnd::moved);
  }));
  EXPECT_TRUE(stored(message.row));
}

}  // namespace
}  // namespace umbra::storage
