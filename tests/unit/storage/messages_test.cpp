// The life of a message in its primary hub's spool: accepted, tried, deferred, delivered, held, listed.
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

class MessagesTest : public SpoolTest {
 protected:
  NewMessage accepted(std::vector<std::string> addresses, std::string destination = "example.com") {
    auto message = new_message(spool(), std::move(addresses), std::move(destination));
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  bool try_once(AttemptRecord record) {
    bool finished = false;
    must([&](Writer& writer) {
      auto effect = writer.record_attempt(record);
      if (effect) finished = effect->message_finished;
      return outcome_of(effect);
    });
    return finished;
  }
  std::optional<StoredMessage> stored(RowId row) {
    return ask([&](Reader& reader) { return reader.message(row); });
  }
  std::vector<DueMessage> due(const std::string& destination, WallTime until, std::vector<RowId> skip = {}) {
    return ask([&](Reader& reader) { return reader.due(destination, until, 100, skip); });
  }
  QueueCounts counts() {
    return ask([](Reader& reader) { return reader.counts(); });
  }
  std::string body(RowId row) {
    std::string all;
    for (std::uint32_t number = 0;; ++number) {
      auto chunk = ask([&](Reader& reader) { return reader.chunk(row, number); });
      if (chunk.empty()) return all;
      all += chunk;
    }
  }
};

TEST_F(MessagesTest, KeepsWhatWasAccepted) {
  auto message = new_message(spool(), {"a@example.com", "b@example.com"});
  message.envelope.recipients[1].original_recipient = "rfc822;B@example.com";
  message.envelope.recipients[1].notify = notify_success | notify_delay;
  message.holders = {holder("hub2", 22), holder("hub3", 33, Holder::State::offered)};
  must([&](Writer& writer) { return accept(writer, message, "hello\r\n"); });
  lose_power();

  auto got = stored(message.row);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->id, message.id);
  EXPECT_EQ(got->generation, Generation{1});
  EXPECT_EQ(got->state, MessageState::queued);
  EXPECT_EQ(got->envelope, message.envelope);
  EXPECT_EQ(got->size, message.size);
  EXPECT_EQ(got->holders, message.holders);
  EXPECT_EQ(got->queue, message.queue);
  EXPECT_EQ(got->alarm_at, message.alarm_at);
  EXPECT_TRUE(got->is_protected);
  EXPECT_TRUE(got->progress.empty());
  EXPECT_EQ(body(message.row), "hello\r\n");
  EXPECT_EQ(ask([&](Reader& reader) { return reader.find_message(message.id); }), message.row);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.lookup(message.id); }).kind, Knowledge::Kind::live);
}

TEST_F(MessagesTest, KeepsAnEnvelopeThatIsTooLargeForItsRow) {
  std::vector<std::string> addresses;
  for (int i = 0; i < 2000; ++i) addresses.push_back("recipient-" + std::to_string(i) + "@example.com");
  auto message = accepted(addresses);
  EXPECT_EQ(stored(message.row)->envelope, message.envelope);
  EXPECT_FALSE(try_once(attempt(message.row, {delivered(7)}, {{"example.com", at(60), 1}})));
  EXPECT_EQ(stored(message.row)->envelope, message.envelope);
}

TEST_F(MessagesTest, IsGoneWithItsBodyWhenEveryRecipientIsDone) {
  auto message = accepted({"a@example.com", "b@example.com"});
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(0), failed(1)})));
  EXPECT_FALSE(stored(message.row));
  EXPECT_EQ(body(message.row), "");
  EXPECT_TRUE(due("example.com", at(1'000'000)).empty());
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.lookup(message.id); }).kind, Knowledge::Kind::unknown);
}

TEST_F(MessagesTest, CountsWhatIsDueAtOneDestination) {
  auto count = [&](const char* destination, int seconds) {
    return ask([&](Reader& reader) { return reader.due_count(destination, at(seconds)); });
  };
  EXPECT_EQ(count("example.com", 0), 0U);
  auto first = accepted({"a@example.com"});
  accepted({"b@example.com"});
  accepted({"c@example.org"}, "example.org");
  EXPECT_FALSE(try_once(attempt(first.row, {deferred(0)}, {{"example.com", at(60), 1}})));
  EXPECT_EQ(count("example.com", 0), 1U);
  EXPECT_EQ(count("example.com", 60), 2U);
  EXPECT_EQ(count("example.org", 60), 1U);
  must([&](Writer& writer) { return writer.set_state(first.row, MessageState::held, {}); });
  EXPECT_EQ(count("example.com", 60), 1U) << "held is not due";
  EXPECT_EQ(ask([](Reader& reader) { return reader.handing_over_count(); }), 0U);
  must([&](Writer& writer) {
    return writer.begin_hand_over(first.row, holder("hub2", 22, Holder::State::receiver));
  });
  EXPECT_EQ(ask([](Reader& reader) { return reader.handing_over_count(); }), 1U);
}

TEST_F(MessagesTest, ListsWhatIsDueBehindAPlace) {
  std::vector<RowId> rows;
  for (int due : {30, 10, 10, 50, 20}) {
    auto message = new_message(spool(), {"a@example.com"});
    message.queue[0].due = at(due);
    must([&](Writer& writer) { return accept(writer, message); });
    rows.push_back(message.row);
  }
  accepted({"b@example.org"}, "example.org");
  std::vector<RowId> walked;
  DueMessage place{RowId{0}, {"example.com", WallTime{}, 0}};
  for (;;) {
    auto page = ask([&](Reader& reader) { return reader.due_behind(place, at(30), 2); });
    if (page.empty()) break;
    for (const auto& one : page) walked.push_back(one.row);
    place = page.back();
    // What it stands behind may go.
    EXPECT_TRUE(try_once(attempt(place.row, {delivered(0)})));
  }
  EXPECT_EQ(walked, (std::vector<RowId>{rows[1], rows[2], rows[4], rows[0]}));
}

TEST_F(MessagesTest, FindsWhatNoHubThatIsHeardHasACopyOf) {
  auto put = [&](std::vector<Holder> holders, std::uint8_t copies, bool is_protected) {
    auto message = new_message(spool(), {"a@example.com"});
    message.holders = std::move(holders);
    message.envelope.protection.copies = copies;
    message.is_protected = is_protected;
    must([&](Writer& writer) { return accept(writer, message); });
    return message.row;
  };
  using enum Holder::State;
  put({holder("hub2", 22)}, 1, true);
  auto on_3 = put({holder("hub3", 33)}, 1, true);
  put({holder("hub3", 33), holder("hub2", 22)}, 2, true);  // one is enough
  auto on_3_and_4 = put({holder("hub3", 33), holder("hub4", 44)}, 2, true);
  put({holder("hub2", 22), holder("hub3", 33, offered)}, 2, false);
  auto offered_only = put({holder("hub2", 22, offered)}, 1, false);
  auto alone = put({}, 1, false);
  put({}, 0, true);  // its policy asks for none
  auto missing = [&](std::vector<SpoolId> heard, std::size_t page) {
    std::vector<RowId> rows;
    RowId after{0};
    for (;;) {
      auto found = ask([&](Reader& reader) { return reader.copies_missing(heard, after, page); });
      for (const auto& one : found)
        if (one.is_missing) rows.push_back(one.row);
      if (found.size() < page) return rows;
      after = found.back().row;
    }
  };
  for (std::size_t page : {1U, 2U, 100U}) {
    EXPECT_EQ(missing({SpoolId{22}, SpoolId{44}}, page), (std::vector<RowId>{on_3, offered_only, alone}));
    EXPECT_EQ(missing({SpoolId{22}}, page), (std::vector<RowId>{on_3, on_3_and_4, offered_only, alone}));
    EXPECT_EQ(missing({}, page).size(), 7U);
  }
}

TEST_F(MessagesTest, ComesBackLaterWhenDeferred) {
  auto message = accepted({"a@example.com"});
  EXPECT_EQ(due("example.com", at(0)).size(), 1U);
  EXPECT_TRUE(due("example.com", at(-1)).empty());
  auto record = attempt(message.row, {deferred(0)}, {{"example.com", at(60), 1}});
  record.last_error = "451 later";
  record.alarm_at = at(99);
  EXPECT_FALSE(try_once(record));
  EXPECT_TRUE(due("example.com", at(59)).empty());
  auto again = due("example.com", at(60));
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].row, message.row);
  EXPECT_EQ(again[0].entry, (QueueEntry{"example.com", at(60), 1}));
  auto got = stored(message.row);
  EXPECT_EQ(got->last_error, "451 later");
  EXPECT_EQ(got->alarm_at, at(99));
  ASSERT_EQ(got->progress.size(), 1U);
  EXPECT_EQ(got->progress[0], deferred(0));
}

TEST_F(MessagesTest, TriesOnlyWhatRemains) {
  auto message = new_message(spool(), {"a@one.example", "b@two.example", "c@two.example"});
  message.queue = {{"one.example", at(0), 0}, {"two.example", at(0), 0}};
  must([&](Writer& writer) { return accept(writer, message); });

  EXPECT_FALSE(try_once(
      attempt(message.row, {delivered(1), deferred(2)}, {{"two.example", at(60), 1}}, "two.example")));
  auto got = stored(message.row);
  EXPECT_EQ(got->queue, (std::vector<QueueEntry>{{"one.example", at(0), 0}, {"two.example", at(60), 1}}));
  EXPECT_EQ(got->progress, (std::vector<RecipientOutcome>{delivered(1), deferred(2)}));

  EXPECT_FALSE(try_once(attempt(message.row, {delivered(0)}, {}, "one.example")));
  EXPECT_TRUE(due("one.example", at(1000)).empty());
  EXPECT_EQ(due("two.example", at(1000)).size(), 1U);
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(2)}, {}, "two.example")));
  EXPECT_FALSE(stored(message.row));
}

TEST_F(MessagesTest, KeepsTheFirstEndOfARecipient) {
  auto message = accepted({"a@example.com", "b@example.com"});
  EXPECT_FALSE(try_once(attempt(message.row, {delivered(0)}, {{"example.com", at(60), 1}})));
  EXPECT_FALSE(try_once(attempt(message.row, {failed(0)}, {{"example.com", at(70), 2}})));
  EXPECT_EQ(stored(message.row)->progress, (std::vector<RecipientOutcome>{delivered(0)}));
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(1)})));
}

TEST_F(MessagesTest, DoesNotEndWhileOneRecipientIsReportedTwice) {
  auto message = accepted({"a@example.com", "b@example.com"});
  EXPECT_FALSE(try_once(attempt(message.row, {delivered(0), delivered(0)}, {{"example.com", at(60), 1}})));
  EXPECT_TRUE(stored(message.row));
}

TEST_F(MessagesTest, KeepsAMessageWithRecipientsButNothingQueuedForIt) {
  auto message = accepted({"a@example.com", "b@example.com"});
  EXPECT_FALSE(try_once(attempt(message.row, {delivered(0)})));
  ASSERT_TRUE(stored(message.row));
  EXPECT_EQ(ask([](Reader& reader) { return reader.alarms(at(14'400), 10); }),
            std::vector<RowId>{message.row});
}

TEST_F(MessagesTest, TakesAnAttemptAtAMessageThatHasEndedAsFinished) {
  auto message = accepted({"a@example.com"});
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(0)})));
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(0)})));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(MessagesTest, CutsLongDetails) {
  auto message = accepted({"a@example.com"});
  auto outcome = deferred(0);
  outcome.detail.assign(5000, 'x');
  EXPECT_FALSE(try_once(attempt(message.row, {outcome}, {{"example.com", at(60), 1}})));
  EXPECT_EQ(stored(message.row)->progress.at(0).detail, std::string(512, 'x'));
}

TEST_F(MessagesTest, IsNotDueWhileHeldAndComesBackWhenReleased) {
  auto message = accepted({"a@example.com"});
  must([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); });
  EXPECT_TRUE(due("example.com", at(1000)).empty());
  EXPECT_TRUE(ask([](Reader& reader) { return reader.due_by_destination(); }).empty());
  EXPECT_TRUE(ask([](Reader& reader) { return reader.alarms(at(1'000'000), 10); }).empty());
  EXPECT_EQ(counts().held, 1U);
  EXPECT_EQ(counts().messages, 1U);
  auto got = stored(message.row);
  EXPECT_EQ(got->state, MessageState::held);
  EXPECT_EQ(got->queue, message.queue) << "an operator wants to see where it was to go";

  must([&](Writer& writer) {
    return writer.set_state(message.row, MessageState::queued, {{"other.example", at(5), 0}});
  });
  EXPECT_TRUE(due("example.com", at(1000)).empty());
  EXPECT_EQ(due("other.example", at(5)).size(), 1U);
  EXPECT_EQ(counts().held, 0U);
}

TEST_F(MessagesTest, MovesInTheQueueWhenReroutedOrRetriedNow) {
  auto message = accepted({"a@example.com"});
  must([&](Writer& writer) { return writer.set_queue(message.row, {{"relay", at(-5), 3}}); });
  EXPECT_TRUE(due("example.com", at(1000)).empty());
  EXPECT_EQ(due("relay", at(-5)).size(), 1U);
  must([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); });
  must([&](Writer& writer) { return writer.set_queue(message.row, {{"third", at(0), 0}}); });
  EXPECT_TRUE(due("third", at(1000)).empty()) << "held is held";
}

TEST_F(MessagesTest, AnEntryIsBroughtForwardOnlyAsItWasSeen) {
  auto message = accepted({"a@example.com"});
  const QueueEntry late{"relay", at(300), 2};
  must([&](Writer& writer) { return writer.set_queue(message.row, {late}); });
  must([&](Writer& writer) { return writer.bring_forward(message.row, {"relay", at(299), 2}, at(0)); });
  EXPECT_TRUE(due("relay", at(1)).empty()) << "it was attempted after it was seen";
  must([&](Writer& writer) { return writer.bring_forward(message.row, late, at(0)); });
  auto rows = due("relay", at(1));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].entry.attempts, 2U);
  must([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); });
  must([&](Writer& writer) { return writer.bring_forward(message.row, {"relay", at(0), 2}, at(-1)); });
  EXPECT_EQ(stored(message.row)->queue.at(0).due, at(0)) << "held is held";
  must([&](Writer& writer) { return writer.bring_forward(RowId{12345}, late, at(0)); });  // ended meanwhile
}

TEST_F(MessagesTest, GivesDueMessagesByTimeWithoutThoseUnderWay) {
  std::vector<NewMessage> messages;
  for (int i = 0; i < 5; ++i) {
    messages.push_back(new_message(spool(), {"a@example.com"}));
    messages.back().queue[0].due = at(50 - 10 * i);
  }
  must([&](Writer& writer) {
    for (auto& message : messages) {
      if (auto result = accept(writer, message); !result) return result;
    }
    return Result<void>();
  });
  auto rows = due("example.com", at(40), {messages[2].row});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].row, messages[4].row);
  EXPECT_EQ(rows[1].row, messages[3].row);
  EXPECT_EQ(rows[2].row, messages[1].row);
  auto first = ask([](Reader& reader) { return reader.due("example.com", at(40), 1, {}); });
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].row, messages[4].row);
}

TEST_F(MessagesTest, KnowsTheEarliestTimeOfEachDestination) {
  accepted({"a@b.example"}, "b.example");
  auto early = new_message(spool(), {"a@b.example"}, "b.example");
  early.queue[0].due = at(-100);
  must([&](Writer& writer) { return accept(writer, early); });
  accepted({"a@a.example"}, "a.example");
  EXPECT_EQ(ask([](Reader& reader) { return reader.due_by_destination(); }),
            (std::vector<std::pair<std::string, WallTime>>{{"a.example", at(0)}, {"b.example", at(-100)}}));
}

TEST_F(MessagesTest, ListsByPages) {
  std::vector<RowId> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(accepted({"a@example.com"}).row);
  auto page = [&](RowId after, RowId before, std::size_t limit) {
    return ask([&](Reader& reader) { return reader.messages(after, before, limit); });
  };
  RowId end{INT64_MAX};
  EXPECT_EQ(page(RowId{0}, end, 2), (std::vector<RowId>{rows[0], rows[1]}));
  EXPECT_EQ(page(rows[1], end, 2), (std::vector<RowId>{rows[2], rows[3]}));
  EXPECT_EQ(page(rows[3], end, 2), (std::vector<RowId>{rows[4]}));
  EXPECT_EQ(page(RowId{0}, rows[1], 10), (std::vector<RowId>{rows[0]}));
}

TEST_F(MessagesTest, TellsWhichAreUnprotectedAndWhoHoldsWhat) {
  auto lone = new_message(spool(), {"a@example.com"});
  lone.is_protected = false;
  must([&](Writer& writer) { return accept(writer, lone); });
  auto safe = new_message(spool(), {"a@example.com"});
  safe.holders = {holder("hub2", 22)};
  must([&](Writer& writer) { return accept(writer, safe); });
  auto unprotected = [&] { return ask([](Reader& reader) { return reader.unprotected(RowId{0}, 10); }); };
  auto held_by = [&](std::uint64_t spool_id) {
    return ask([&](Reader& reader) { return reader.messages_held_by(SpoolId{spool_id}, RowId{0}, 10); });
  };
  EXPECT_EQ(unprotected(), std::vector<RowId>{lone.row});
  EXPECT_EQ(counts().unprotected, 1U);
  EXPECT_EQ(held_by(22), std::vector<RowId>{safe.row});
  EXPECT_TRUE(held_by(33).empty());

  must([&](Writer& writer) { return writer.set_holders(lone.row, {holder("hub3", 33)}, true); });
  EXPECT_TRUE(unprotected().empty());
  EXPECT_EQ(counts().unprotected, 0U);
  EXPECT_EQ(held_by(33), std::vector<RowId>{lone.row});
}

TEST_F(MessagesTest, IsProtectedByAsManyCopiesAsItsEnvelopeAsksFor) {
  auto message = new_message(spool(), {"a@example.com"});
  message.envelope.protection.copies = 2;
  message.is_protected = false;
  must([&](Writer& writer) { return accept(writer, message); });
  auto name = [&](Holder named) {
    must([&](Writer& writer) {
      return writer.change_holders(message.row,
                                   [&](std::vector<Holder>& holders) { holders.push_back(named); });
    });
  };
  name(holder("hub2", 22));
  EXPECT_EQ(counts().unprotected, 1U);
  name(holder("hub2", 23));
  EXPECT_EQ(counts().unprotected, 1U) << "two spools of one hub are one hub";
  name(holder("hub3", 33));
  EXPECT_EQ(counts().unprotected, 0U);
}

TEST_F(MessagesTest, FindsMessagesAndCopiesOfEveryHolderByIndex) {
  auto message = new_message(spool(), {"a@example.com"});
  message.holders = {holder("hub2", 22, Holder::State::former_owner), holder("hub3", 33), holder("hub4", 44)};
  must([&](Writer& writer) { return accept(writer, message); });
  auto held_by = [&](std::uint64_t id) {
    return ask([&](Reader& reader) { return reader.messages_held_by(SpoolId{id}, RowId{0}, 10); });
  };
  auto copies_on = [&](std::uint64_t id) {
    return ask([&](Reader& reader) { return reader.copies_on(SpoolId{id}); });
  };
  for (std::uint64_t id : {22U, 33U, 44U}) EXPECT_EQ(held_by(id), std::vector<RowId>{message.row}) << id;
  EXPECT_EQ(copies_on(22), 0U) << "a former owner is no copy";
  EXPECT_EQ(copies_on(33), 1U);
  EXPECT_EQ(copies_on(44), 1U);
  must([&](Writer& writer) {
    return writer.change_holders(message.row,
                                 [](std::vector<Holder>& holders) { holders.erase(holders.begin() + 1); });
  });
  EXPECT_TRUE(held_by(33).empty());
  EXPECT_EQ(copies_on(44), 1U);
  must([&](Writer& writer) {
    return writer.finish_message(message.row, std::nullopt, SpoolId{0}, Left::elsewhere);
  });
  for (std::uint64_t id : {22U, 44U}) EXPECT_TRUE(held_by(id).empty()) << id;
  EXPECT_EQ(copies_on(44), 0U);
}

TEST_F(MessagesTest, ChangesTheHoldersAsTheyAreNowNotAsSomebodyReadThem) {
  auto message = new_message(spool(), {"a@example.com"});
  message.holders = {holder("hub2", 22)};
  must([&](Writer& writer) { return accept(writer, message); });
  // Two that both looked before either wrote: one names another hub, one takes the first one's promise away.
  must([&](Writer& writer) {
    return writer.change_holders(message.row, [](std::vector<Holder>& holders) {
      holders.push_back(holder("hub3", 33, Holder::State::offered));
    });
  });
  must([&](Writer& writer) {
    return writer.change_holders(
        message.row, [](std::vector<Holder>& holders) { holders[0].state = Holder::State::offered; });
  });
  auto got = stored(message.row);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->holders, (std::vector<Holder>{holder("hub2", 22, Holder::State::offered),
                                               holder("hub3", 33, Holder::State::offered)}));
  EXPECT_FALSE(got->is_protected);
  must([&](Writer& writer) {
    return writer.change_holders(
        message.row, [](std::vector<Holder>& holders) { holders[1].state = Holder::State::holds; });
  });
  EXPECT_TRUE(stored(message.row)->is_protected);
  EXPECT_EQ(counts().unprotected, 0U);
}

TEST_F(MessagesTest, ForgetsWithoutOwingAnybody) {
  auto message = new_message(spool(), {"a@example.com"});
  message.holders = {holder("hub2", 22)};
  must([&](Writer& writer) { return accept(writer, message); });
  must([&](Writer& writer) { return writer.forget_message(message.row); });
  EXPECT_FALSE(stored(message.row));
  EXPECT_EQ(body(message.row), "");
  EXPECT_TRUE(ask([](Reader& reader) { return reader.outbox_spools(); }).empty());
  must([&](Writer& writer) { return writer.forget_message(message.row); });
}

TEST_F(MessagesTest, SaysThatThereIsNoSuchMessage) {
  auto result = box.write([](Writer& writer) { return writer.set_generation(RowId{12345}, Generation{2}); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::no_such_file_or_directory);
  EXPECT_FALSE(stored(RowId{12345}));
}

TEST_F(MessagesTest, RefusesTheSameRowTwice) {
  auto message = accepted({"a@example.com"});
  auto result = box.write([&](Writer& writer) { return writer.insert_message(message); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::file_exists);
  EXPECT_EQ(counts().messages, 1U);
}

TEST_F(MessagesTest, StreamsABodyOverSeveralCommits) {
  auto message = new_message(spool(), {"a@example.com"});
  std::string whole;
  for (std::uint32_t number = 0; number < 40; ++number) {
    std::string chunk(65'536, static_cast<char>('a' + number % 26));
    whole += chunk;
    must([&](Writer& writer) { return writer.put_chunk(message.row, number, chunk); });
  }
  message.size = whole.size();
  must([&](Writer& writer) { return writer.insert_message(message); });
  lose_power();
  EXPECT_EQ(body(message.row), whole);
  // 2.6 MB go piece by piece; in the end all is gone.
  EXPECT_TRUE(try_once(attempt(message.row, {delivered(0)})));
  box.run();
  EXPECT_EQ(body(message.row), "");
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(message.row, 39); }), "");
}

TEST_F(MessagesTest, SweepsTheChunksOfAnAcceptanceThatACrashEnded) {
  auto row = spool().next_row();
  auto claimed = new_message(spool(), {"a@example.com"});
  must([&](Writer& writer) { return writer.put_chunk(row, 0, "half a"); });
  must([&](Writer& writer) { return writer.put_chunk(row, 1, " message"); });
  must([&](Writer& writer) { return writer.put_chunk(claimed.row, 0, "whole"); });
  must([&](Writer& writer) { return writer.insert_message(claimed); });
  lose_power();
  must([](Writer&) { return Result<void>(); });
  box.run();
  EXPECT_EQ(body(row), "");
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(row, 1); }), "");
  EXPECT_EQ(body(claimed.row), "whole");
}

TEST_F(MessagesTest, DropsTheChunksOfAnAcceptanceThatWasGivenUp) {
  auto row = spool().next_row();
  must([&](Writer& writer) { return writer.put_chunk(row, 0, "half a"); });
  must([&](Writer& writer) { return writer.put_chunk(row, 1, " message"); });
  must([&](Writer& writer) { return writer.drop_body(row); });
  box.run();
  EXPECT_EQ(body(row), "");
}

TEST_F(MessagesTest, DoesNotDropTheBodyOfAMessage) {
  auto message = accepted({"a@example.com"});
  must([&](Writer& writer) { return writer.drop_body(message.row); });
  box.run();
  EXPECT_EQ(body(message.row), "body\n");
}

TEST_F(MessagesTest, CountsAfterARestartWhatItCountedBefore) {
  accepted({"a@example.com"});
  auto lone = new_message(spool(), {"a@example.com"});
  lone.is_protected = false;
  must([&](Writer& writer) { return accept(writer, lone); });
  must([&](Writer& writer) { return writer.set_state(lone.row, MessageState::held, {}); });
  lose_power();
  auto now = counts();
  EXPECT_EQ(now.messages, 2U);
  EXPECT_EQ(now.held, 1U);
  EXPECT_EQ(now.unprotected, 1U);
}

}  // namespace
}  // namespace umbra::storage
