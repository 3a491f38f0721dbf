// What a holder knows of a message besides what is done, and who has yet to be told what.
#include "storage/encoding.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

using How = OwnerRecord::How;

constexpr SpoolId owner{0xF00D'0000'0000'0001};
constexpr SpoolId second{0x222};
constexpr SpoolId third{0x333};

class NotesTest : public SpoolTest {
 protected:
  /// Ours, with a copy on hub2 and one offered to hub3.
  NewMessage protected_message(std::vector<std::string> addresses = {"a@example.com", "b@example.com"}) {
    auto message = new_message(spool(), std::move(addresses));
    message.holders = {holder("hub2", second.value), holder("hub3", third.value, Holder::State::offered)};
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  std::vector<OwedNote> owed(SpoolId to) {
    return ask([to](Reader& reader) { return reader.notes_owed(to, RowId{0}, 100); });
  }
  std::size_t untold(RowId row) {
    return ask([row](Reader& reader) { return reader.not_told(row); }).size();
  }
  void set_state(RowId row, MessageState state) {
    must([&](Writer& writer) { return writer.set_state(row, state, {{"example.com", at(0), 0}}); });
  }
  void told(RowId row, SpoolId to, std::uint32_t number) {
    must([&](Writer& writer) { return writer.note_told(row, to, number); });
  }

  Shadow held(Generation generation = Generation{1}, SpoolId of = owner) {
    Shadow shadow;
    shadow.row = spool().next_row();
    shadow.id = {owner, 1};
    shadow.generation = generation;
    shadow.owner_hub = of == owner ? "hub9" : "hub2";
    shadow.owner_spool = of;
    shadow.owner_epoch = Epoch{4};
    shadow.envelope = envelope_for({"a@example.com"});
    shadow.size = 4;
    shadow.offered = {holder("hub1", spool().id().value)};
    return shadow;
  }
  void put(const Shadow& shadow) {
    must([&](Writer& writer) -> Result<void> {
      auto inserted = writer.insert_shadow(shadow);
      if (!inserted) return std::unexpected(inserted.error());
      return *inserted ? writer.put_chunk(shadow.row, 0, "copy") : Result<void>{};
    });
  }
  NoteAnswer note(MessageId id, Generation generation, SpoolId from, const MessageNote& told) {
    auto answer = NoteAnswer::none;
    must([&](Writer& writer) -> Result<void> {
      auto noted = writer.note_shadow(id, generation, from, told);
      if (!noted) return std::unexpected(noted.error());
      answer = *noted;
      return {};
    });
    return answer;
  }
  MessageNote note_of(MessageId id) {
    auto shadow = ask([id](Reader& reader) { return reader.shadow(id); });
    return shadow ? shadow->note : MessageNote{};
  }
  static MessageNote a_note(std::uint32_t number, bool is_held) {
    return {.number = number,
            .is_held = is_held,
            .alarm_at = at(172'800),
            .attempts = {{"example.com", 3}},
            .last_error = "451 later",
            .history = {}};
  }
  NewMessage taken(const Shadow& shadow) {
    NewMessage message;
    message.row = shadow.row;
    message.id = shadow.id;
    message.generation = Generation{shadow.generation.value + 1};
    message.envelope = shadow.envelope;
    message.size = shadow.size;
    message.holders = {holder("hub3", third.value, Holder::State::offered)};
    message.alarm_at = at(100);
    message.queue = {{"example.com", at(0), 0}, {"other.example", at(0), 0}};
    message.history = {{message.generation, How::taken_over, "hub1", spool().id(), at(50), 0}};
    return message;
  }
};

TEST_F(NotesTest, AreOwedFromTheFirstChangeOnUntilEachHolderHasHeardTheLatest) {
  auto message = protected_message();
  EXPECT_TRUE(owed(second).empty()) << "the envelope says it all";
  set_state(message.row, MessageState::held);
  lose_power();
  for (auto to : {second, third}) {
    auto notes = owed(to);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_EQ(notes[0].id, message.id);
    EXPECT_TRUE(notes[0].note.is_held);
    EXPECT_EQ(notes[0].note.number, 1U);
  }
  // Released while the other note was on its way: what was confirmed is not the latest.
  set_state(message.row, MessageState::queued);
  told(message.row, second, 1);
  ASSERT_EQ(owed(second).size(), 1U);
  EXPECT_FALSE(owed(second)[0].note.is_held);
  told(message.row, second, 2);
  EXPECT_TRUE(owed(second).empty());
  EXPECT_EQ(untold(message.row), 1U) << "hub3";
  told(message.row, third, 2);
  EXPECT_EQ(untold(message.row), 0U);
  must([&](Writer& writer) { return writer.owe_note(message.row, third); });
  EXPECT_EQ(owed(third).size(), 1U);
}

TEST_F(NotesTest, TellOfAttemptsAndOfAnAlarmThatRangButNotOfWhatIsDone) {
  auto message = protected_message();
  must([&](Writer& writer) {
    return outcome_of(
        writer.record_attempt(attempt(message.row, {delivered(0)}, {{"example.com", at(9), 0}})));
  });
  EXPECT_TRUE(owed(second).empty()) << "discard status says that";
  auto later = attempt(message.row, {deferred(1)}, {{"example.com", at(60), 1}});
  later.last_error = "451 later";
  must([&](Writer& writer) { return outcome_of(writer.record_attempt(later)); });
  auto notes = owed(second);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].note.attempts, (std::vector<std::pair<std::string, std::uint32_t>>{{"example.com", 1}}));
  EXPECT_EQ(notes[0].note.last_error, "451 later");
  told(message.row, second, notes[0].note.number);
  auto warned = attempt(message.row, {}, {{"example.com", at(60), 1}});
  warned.alarm_at = message.envelope.expires_at;
  must([&](Writer& writer) { return outcome_of(writer.record_attempt(warned)); });
  ASSERT_EQ(owed(second).size(), 1U);
  EXPECT_EQ(owed(second)[0].note.alarm_at, message.envelope.expires_at);
}

TEST_F(NotesTest, AreOwedToAHolderThatCameLaterAndToNobodyWhoIsGone) {
  auto message = protected_message();
  set_state(message.row, MessageState::held);
  told(message.row, second, 1);
  told(message.row, third, 1);
  must([&](Writer& writer) {
    return writer.change_holders(message.row, [](std::vector<Holder>& holders) {
      holders = {holder("hub4", 0x444), holder("hub2", second.value)};
    });
  });
  EXPECT_EQ(owed(SpoolId{0x444}).size(), 1U);
  EXPECT_TRUE(owed(second).empty()) << "it has heard";
  set_state(message.row, MessageState::queued);
  must([&](Writer& writer) {
    return writer.change_holders(message.row, [](std::vector<Holder>& holders) { holders.pop_back(); });
  });
  EXPECT_TRUE(owed(second).empty()) << "no holder any more";
  must([&](Writer& writer) { return writer.outbox_forget_spool(SpoolId{0x444}); });
  EXPECT_TRUE(owed(SpoolId{0x444}).empty());
  must([&](Writer& writer) { return writer.owe_note(message.row, SpoolId{0x444}); });
  must([&](Writer& writer) {
    return writer.finish_message(message.row, std::nullopt, SpoolId{}, Left::elsewhere);
  });
  EXPECT_TRUE(owed(SpoolId{0x444}).empty()) << "gone with its message";
}

TEST_F(NotesTest, OfACopyAreBelievedFromItsOwnerUnderItsGeneration) {
  auto copy = held(Generation{2});
  put(copy);
  EXPECT_EQ(note(copy.id, Generation{2}, owner, a_note(4, true)), NoteAnswer::noted);
  lose_power();
  EXPECT_EQ(note_of(copy.id), a_note(4, true));
  EXPECT_EQ(note(copy.id, Generation{2}, owner, a_note(3, false)), NoteAnswer::noted) << "a late word";
  EXPECT_TRUE(note_of(copy.id).is_held);
  EXPECT_EQ(note(copy.id, Generation{2}, third, a_note(9, false)), NoteAnswer::none) << "not its message";
  EXPECT_EQ(note(copy.id, Generation{1}, owner, a_note(9, false)), NoteAnswer::none) << "of an earlier owner";
  EXPECT_EQ(note(copy.id, Generation{3}, third, a_note(9, false)), NoteAnswer::wait)
      << "its copy has not come yet";
  EXPECT_EQ(note({owner, 99}, Generation{1}, owner, a_note(9, false)), NoteAnswer::none);
  EXPECT_EQ(note_of(copy.id), a_note(4, true));
  auto own = protected_message();
  EXPECT_EQ(note(own.id, Generation{1}, owner, a_note(9, true)), NoteAnswer::none);
  EXPECT_EQ(note(own.id, Generation{2}, owner, a_note(9, true)), NoteAnswer::wait)
      << "owned here still, under an earlier generation";
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(own.row); })->state, MessageState::queued);
}

TEST_F(NotesTest, GoOnWithTheMessageThatIsTakenOver) {
  auto copy = held();
  put(copy);
  note(copy.id, Generation{1}, owner, a_note(4, true));
  MessageNote applied;
  must([&](Writer& writer) { return writer.take_over(taken(copy), &applied); });
  lose_power();
  auto message = ask([&](Reader& reader) { return reader.message(copy.row); });
  ASSERT_TRUE(message);
  EXPECT_EQ(message->state, MessageState::held);
  EXPECT_TRUE(ask([](Reader& reader) { return reader.due("example.com", at(1000), 10, {}); }).empty())
      << "held: never due";
  EXPECT_EQ(message->alarm_at, at(172'800)) << "the sender was told of the delay once";
  EXPECT_EQ(message->queue,
            (std::vector<QueueEntry>{{"example.com", at(0), 3}, {"other.example", at(0), 0}}));
  EXPECT_EQ(message->last_error, "451 later");
  std::vector<OwnerRecord> history = {{Generation{1}, How::accepted, "hub9", owner, at(0), 3},
                                      {Generation{2}, How::taken_over, "hub1", spool().id(), at(50), 0}};
  EXPECT_EQ(message->history, history);
  EXPECT_TRUE(applied.is_held);
  EXPECT_EQ(applied.history, history);
  EXPECT_EQ(owed(third).size(), 1U) << "its next holder has to know all that";
}

TEST_F(NotesTest, NeverPutAnAlarmBehindTheExpiry) {
  auto copy = held();
  put(copy);
  auto wrong = a_note(1, false);
  wrong.alarm_at = at(999'999'999);
  note(copy.id, Generation{1}, owner, wrong);
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(copy.row); })->alarm_at,
            copy.envelope.expires_at);
}

TEST_F(NotesTest, StayWhenTheOwnerChangesUntilTheNewOneTellsMore) {
  auto copy = held();
  put(copy);
  note(copy.id, Generation{1}, owner, a_note(4, true));
  auto next = held(Generation{2}, second);
  put(next);
  EXPECT_TRUE(note_of(copy.id).is_held);
  EXPECT_EQ(note(copy.id, Generation{2}, second, a_note(1, false)), NoteAnswer::noted)
      << "its numbers are its own";
  EXPECT_FALSE(note_of(copy.id).is_held);
  // A copy says itself whether it is held; what it does not say stays as it was told.
  auto after_that = held(Generation{3}, owner);
  after_that.note = {
      .number = 2, .is_held = true, .alarm_at = at(7), .attempts = {}, .last_error = "", .history = {}};
  put(after_that);
  EXPECT_TRUE(note_of(copy.id).is_held);
  EXPECT_EQ(note_of(copy.id).last_error, "451 later");
  after_that.row = spool().next_row();
  after_that.note.number = 3;
  after_that.note.is_held = false;
  put(after_that);
  EXPECT_FALSE(note_of(copy.id).is_held) << "the same copy, offered again";
}

TEST_F(NotesTest, TellWhereTheOperatorSendsAMessageAndThatItGoesAsTheRoutesSayAgain) {
  auto message = protected_message();
  must([&](Writer& writer) {
    return writer.set_next_hop(message.row, "host:relay.example:25", {{"host:relay.example:25", at(5), 0}});
  });
  lose_power();
  auto now = ask([&](Reader& reader) { return reader.message(message.row); });
  ASSERT_TRUE(now);
  EXPECT_EQ(now->next_hop, "host:relay.example:25");
  EXPECT_EQ(now->queue, (std::vector<QueueEntry>{{"host:relay.example:25", at(5), 0}}));
  EXPECT_EQ(ask([](Reader& reader) { return reader.due("host:relay.example:25", at(5), 10, {}); }).size(),
            1U);
  EXPECT_TRUE(ask([](Reader& reader) { return reader.due("example.com", at(1000), 10, {}); }).empty());
  auto notes = owed(second);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].note.next_hop, "host:relay.example:25");
  told(message.row, second, notes[0].note.number);
  // A hub that it is ceded to, and one that takes it over from there, goes on with it.
  must([&](Writer& writer) { return writer.set_next_hop(message.row, "", {{"example.com", at(6), 0}}); });
  ASSERT_EQ(owed(second).size(), 1U);
  EXPECT_EQ(owed(second)[0].note.next_hop, "");
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(message.row); })->next_hop, "");
  must([&](Writer& writer) {
    return writer.set_next_hop(message.row, "mx:example.org:25", {{"mx:example.org:25", at(7), 0}});
  });
  must([&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", second, Epoch{3}); });
  EXPECT_EQ(note_of(message.id).next_hop, "mx:example.org:25");
}

TEST_F(NotesTest, AHeldMessageIsSentAnotherWayWhenItIsReleased) {
  auto message = protected_message();
  set_state(message.row, MessageState::held);
  must([&](Writer& writer) {
    return writer.set_next_hop(message.row, "route:other", {{"route:other", at(5), 0}});
  });
  EXPECT_TRUE(ask([](Reader& reader) { return reader.due("route:other", at(1000), 10, {}); }).empty())
      << "held: never due";
  auto now = ask([&](Reader& reader) { return reader.message(message.row); });
  EXPECT_EQ(now->state, MessageState::held);
  EXPECT_EQ(now->next_hop, "route:other");
}

TEST_F(NotesTest, OfANextHopGoOnWithTheMessageThatIsTakenOverOrHandedOver) {
  auto copy = held();
  put(copy);
  auto told_of = a_note(4, false);
  told_of.next_hop = "host:relay.example:25";
  note(copy.id, Generation{1}, owner, told_of);
  must([&](Writer& writer) { return writer.take_over(taken(copy)); });
  lose_power();
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(copy.row); })->next_hop, "host:relay.example:25");
  ASSERT_EQ(owed(third).size(), 1U);
  EXPECT_EQ(owed(third)[0].note.next_hop, "host:relay.example:25") << "its next holder has to know";

  auto message = protected_message();
  message.id = {owner, 7700};
  message.row = spool().next_row();
  message.generation = Generation{4};
  message.next_hop = "route:other";
  must([&](Writer& writer) -> Result<void> {
    auto accepted = writer.accept_hand_over(message, false);
    if (!accepted) return std::unexpected(accepted.error());
    return writer.put_chunk(accepted->row, 0, "body\n");
  });
  EXPECT_EQ(ask([&](Reader& reader) { return reader.message(message.row); })->next_hop, "route:other");
  // Who gave it knows it; a hub that gets a copy now is told.
  must([&](Writer& writer) { return writer.owe_note(message.row, second); });
  ASSERT_EQ(owed(second).size(), 1U);
  EXPECT_EQ(owed(second)[0].note.next_hop, "route:other");
}

TEST_F(NotesTest, OfAMessageThatIsCededAreKeptWithTheShadow) {
  auto message = protected_message();
  set_state(message.row, MessageState::held);
  must([&](Writer& writer) { return writer.cede(message.row, Generation{2}, "hub2", second, Epoch{3}); });
  EXPECT_TRUE(note_of(message.id).is_held);
  EXPECT_EQ(note(message.id, Generation{2}, second, a_note(1, false)), NoteAnswer::noted);
  EXPECT_FALSE(note_of(message.id).is_held);
  EXPECT_TRUE(owed(second).empty()) << "not ours to tell any more";
}

TEST_F(NotesTest, TellTheHistoryOfAMessageThatComesBackToWhoAcceptedIt) {
  auto message = protected_message();
  must([&](Writer& writer) { return writer.begin_hand_over(message.row, holder("hub4", 0x444)); });
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("hub4", 0x444), Epoch{1},
                                Writer::HandOverEnd::kept);
  });
  auto copy = ask([&](Reader& reader) { return reader.shadow(message.id); });
  ASSERT_TRUE(copy);
  must([&](Writer& writer) { return writer.take_over(taken(*copy)); });
  auto history = ask([&](Reader& reader) { return reader.message(copy->row); })->history;
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0], (OwnerRecord{Generation{1}, How::accepted, "hub1", spool().id(), at(0), 0}));
  EXPECT_EQ(history[1].hub, "hub4");
  EXPECT_EQ(history[2].how, How::taken_over);
}

// Nobody could say who owned it in between. A name that is none would be refused by every hub that is told of
// it.
TEST_F(NotesTest, NameNoOwnerThatNobodyKnows) {
  auto message = protected_message();
  must([&](Writer& writer) { return writer.begin_hand_over(message.row, holder("hub4", 0x444)); });
  must([&](Writer& writer) {
    return writer.end_hand_over(message.row, Generation{2}, holder("", 0), Epoch{0},
                                Writer::HandOverEnd::kept);
  });
  auto copy = ask([&](Reader& reader) { return reader.shadow(message.id); });
  ASSERT_TRUE(copy);
  must([&](Writer& writer) { return writer.take_over(taken(*copy)); });
  for (const auto& owned : ask([&](Reader& reader) { return reader.message(copy->row); })->history)
    EXPECT_FALSE(owned.hub.empty()) << owned.generation.value;
}

TEST_F(NotesTest, OfAMessageHandedOverHaveItsHistory) {
  auto message = protected_message();
  message.id = {owner, 77};
  message.row = spool().next_row();
  message.generation = Generation{4};
  message.history = {{Generation{1}, How::accepted, "hub9", owner, at(0), 1},
                     {Generation{4}, How::handed_over, "hub1", spool().id(), at(9), 0}};
  must([&](Writer& writer) -> Result<void> {
    auto accepted = writer.accept_hand_over(message, true);
    if (!accepted) return std::unexpected(accepted.error());
    return writer.put_chunk(accepted->row, 0, "body\n");
  });
  auto got = ask([&](Reader& reader) { return reader.message(message.row); });
  EXPECT_EQ(got->history, message.history);
  EXPECT_EQ(got->state, MessageState::held);
  EXPECT_EQ(owed(second).size(), 1U);
}

TEST_F(NotesTest, OfACopyThatIsHandedOverWithoutItsBodyAreThoseOfTheRecord) {
  auto copy = held();
  put(copy);
  note(copy.id, Generation{1}, owner, a_note(4, false));
  // Held between the last note and the hand-over: what the giver says then is the latest.
  NewMessage message;
  message.row = spool().next_row();
  message.id = copy.id;
  message.generation = Generation{2};
  message.envelope = copy.envelope;
  message.size = copy.size;
  message.holders = {holder("hub9", owner.value)};
  message.alarm_at = at(172'800);
  message.queue = {{"example.com", at(90), 5}};
  message.last_error = "451 later still";
  message.history = {{Generation{1}, How::accepted, "hub9", owner, at(0), 5},
                     {Generation{2}, How::handed_over, "hub1", spool().id(), at(9), 0}};
  RowId row{0};
  must([&](Writer& writer) -> Result<void> {
    auto accepted = writer.accept_hand_over(message, true);
    if (!accepted) return std::unexpected(accepted.error());
    EXPECT_FALSE(accepted->wants_body) << "that of the copy stays";
    row = accepted->row;
    return {};
  });
  lose_power();
  auto got = ask([row](Reader& reader) { return reader.message(row); });
  ASSERT_TRUE(got);
  EXPECT_EQ(got->state, MessageState::held);
  EXPECT_EQ(got->history, message.history);
  EXPECT_EQ(got->queue, message.queue);
  EXPECT_EQ(got->alarm_at, message.alarm_at);
  EXPECT_EQ(got->last_error, "451 later still");
  // The giver gets to know of a release here, and goes on from that when this hub is lost.
  set_state(row, MessageState::queued);
  auto notes = owed(owner);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_FALSE(notes[0].note.is_held);
  EXPECT_EQ(notes[0].generation, Generation{2});
  EXPECT_EQ(notes[0].note.history.size(), 2U);
}

TEST_F(NotesTest, KeepTheFirstOwnerAndTheLatest) {
  std::vector<OwnerRecord> history;
  for (std::uint32_t i = 1; i <= 40; ++i)
    add_owner(history, {Generation{i}, How::handed_over, "hub", owner, at(i), 0});
  ASSERT_EQ(history.size(), owner_records_max);
  EXPECT_EQ(history.front().generation, Generation{1});
  EXPECT_EQ(history[1].generation, Generation{26});
  EXPECT_EQ(history.back().generation, Generation{40});
}

TEST(Notes, AreReadAsTheyWereWrittenAndNotWhenDamaged) {
  MessageNote note{.number = 7,
                   .is_held = true,
                   .alarm_at = at(3),
                   .attempts = {{"example.com", 2}},
                   .last_error = "451",
                   .history = {{Generation{1}, How::accepted, "a", owner, at(1), 2}}};
  const auto before_11 = encode_note(note).size() - 1;
  EXPECT_EQ(decode_note(encode_note(note).substr(0, before_11)), note)
      << "as it was written before there was a next hop in it";
  note.next_hop = "host:relay.example:25";
  auto octets = encode_note(note);
  EXPECT_EQ(decode_note(octets), note);
  for (std::size_t size = 0; size < octets.size(); ++size)
    if (size != before_11) EXPECT_FALSE(decode_note(octets.substr(0, size))) << size;
}

}  // namespace
}  // namespace umbra::storage
