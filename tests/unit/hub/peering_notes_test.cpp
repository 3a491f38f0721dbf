// Goal: what the operator, the clock and delivery did to a message is known to its holders, durably, and goes
// on with whoever takes it over. Method: one hub's Peering on virtual time as the owner or the holder; the
// others are played by the test.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::NotedState;
using smtp::Reply;
using smtp::ShadowCommand;
using smtp::ShadowVerb;
using storage::MessageState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class PeeringNotes : public PeeringTest {
 protected:
  PeeringNotes() { member("10.0.0.3").is_up = false; }
  FakeMember& hub2() { return member("10.0.0.2"); }
  /// hub2 takes notes, and answers this.
  void answer_notes(NotedState state) {
    hub2().keywords = "\nXSHADOW 1\nXHAND\nXNOTE";
    hub2().answers = [state](const ShadowCommand& c) -> std::optional<Reply> {
      if (c.verb != ShadowVerb::note) return std::nullopt;
      std::string text;
      for (const auto& item : c.notes) text += smtp::format_noted(item.id, state) + '\n';
      return Reply{250, "2.0.0", text + std::to_string(c.notes.size())};
    };
  }
  storage::NewMessage protected_message() {
    auto message = own_message({{"hub2", spool2, Holder::State::holds}});
    put(message);
    return message;
  }
  void hold(RowId row) {
    must([row](storage::Writer& w) { return w.set_state(row, MessageState::held, {}); });
  }
  std::vector<smtp::NoteItem> notes() {
    std::vector<smtp::NoteItem> all;
    for (const auto& command : hub2().of(ShadowVerb::note))
      all.insert(all.end(), command.notes.begin(), command.notes.end());
    return all;
  }
  std::vector<Holder> not_told(RowId row) {
    return ask([row](storage::Reader& r) { return r.not_told(row); });
  }
  /// What an operator's command waits for.
  std::optional<std::vector<std::string>> told(RowId row, Duration patience,
                                               std::string_view what = smtp::note_capability) {
    struct Asking {
      static Task<void> run(Peering& peering, RowId row, std::string_view what,
                            std::optional<std::vector<std::string>>& to) {
        to = co_await peering.notes().told(row, what);
      }
    };
    answer.reset();
    scope.spawn("told", Asking::run(*peering, row, what, answer));
    pass(patience);
    return answer;
  }
  std::optional<std::vector<std::string>> answer;
};

TEST_F(PeeringNotes, AreToldUntilTheyAreConfirmed) {
  answer_notes(NotedState::noted);
  bool is_lost = true;
  auto confirm = hub2().answers;
  hub2().answers = [&, confirm](const ShadowCommand& c) {
    if (c.verb != ShadowVerb::note || !is_lost) return confirm(c);
    network.cut(hub2());
    return std::optional(Reply{});
  };
  start();
  auto m = protected_message();
  pass(1s);
  EXPECT_THAT(notes(), IsEmpty());
  hold(m.row);
  pass(5s);
  EXPECT_FALSE(notes().empty());
  EXPECT_EQ(not_told(m.row).size(), 1U) << "no answer came";
  is_lost = false;
  pass(10s);
  EXPECT_THAT(not_told(m.row), IsEmpty());
  EXPECT_TRUE(notes().back().note.is_held);
  auto count = notes().size();
  pass(20s);
  EXPECT_EQ(notes().size(), count) << "once is enough";
}

TEST_F(PeeringNotes, SurviveTheOwnersCrash) {
  answer_notes(NotedState::noted);
  hub2().is_up = false;
  start();
  auto m = protected_message();
  hold(m.row);
  pass(3s);
  EXPECT_EQ(not_told(m.row).size(), 1U);
  stop();
  hub2().is_up = true;
  start();
  pass(30s);
  EXPECT_THAT(not_told(m.row), IsEmpty());
  ASSERT_FALSE(notes().empty());
  EXPECT_EQ(notes().back().id, m.id);
}

TEST_F(PeeringNotes, AreNotToldToAHubThatDoesNotKnowTheWord) {
  start();
  auto m = protected_message();
  hold(m.row);
  EXPECT_THAT(told(m.row, 2s).value(), ElementsAre("hub2")) << "the operator hears it at once";
  EXPECT_THAT(notes(), IsEmpty());
}

TEST_F(PeeringNotes, AreWaitedForByTheOperatorsCommand) {
  answer_notes(NotedState::noted);
  start();
  pass(2s);
  auto m = protected_message();
  hold(m.row);
  EXPECT_THAT(told(m.row, 300ms).value(), IsEmpty());
  answer_notes(NotedState::wait);
  must([&](storage::Writer& w) { return w.set_state(m.row, MessageState::queued, m.queue); });
  EXPECT_FALSE(told(m.row, 4s)) << "hub2 has something older of it: it may become a holder yet";
  pass(2s);
  EXPECT_THAT(answer.value(), ElementsAre("hub2")) << "for a bounded time";
  answer_notes(NotedState::none);
  pass(5s);
  EXPECT_THAT(not_told(m.row), IsEmpty()) << "it holds nothing: there is nobody to tell";
}

TEST_F(PeeringNotes, AreSaidInACopyAndToldBehindIt) {
  answer_notes(NotedState::noted);
  start();
  pass(2s);
  auto m = own_message({});
  put(m);
  hold(m.row);
  pass(10s);
  auto copies = hub2().of(ShadowVerb::copy);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_TRUE(copies[0].copy.note.is_held) << "a hub that takes over right after the copy keeps it held";
  ASSERT_FALSE(notes().empty());
  EXPECT_TRUE(notes().back().note.is_held);
  EXPECT_THAT(not_told(m.row), IsEmpty());
}

TEST_F(PeeringNotes, OfAHoldThatCameWhileTheCopyWasOnItsWayAreWaitedFor) {
  answer_notes(NotedState::none);  // the copy is not there yet
  start();
  pass(2s);
  auto m = own_message({});
  bool is_copied = false;
  bool is_asked = false;
  auto none = hub2().answers;
  hub2().answers = [&, none](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::copy && !is_asked) {
      EXPECT_EQ(c.copy.note.number, 0U) << "not held when it was sent";
      is_copied = true;
      return Reply{};  // the answer is late
    }
    return none(c);
  };
  put(m);
  for (int i = 0; i < 100 && !is_copied; ++i) pass(100ms);
  ASSERT_TRUE(is_copied);
  hold(m.row);
  EXPECT_FALSE(told(m.row, 2s)) << "hub2 said that it has no copy, but one is on its way";
  is_asked = true;
  answer_notes(NotedState::noted);
  pass(30s);
  EXPECT_THAT(not_told(m.row), IsEmpty());
  EXPECT_TRUE(notes().back().note.is_held);
  EXPECT_EQ(message(m.row)->holders, (std::vector<Holder>{{"hub2", spool2, Holder::State::holds}}));
}

TEST_F(PeeringNotes, OfANextHopAreToldToWhoKnowsTheWordAndGoOnAfterATakeOver) {
  answer_notes(NotedState::noted);
  start();
  pass(2s);
  auto m = protected_message();
  auto reroute = [&](const std::string& to) {
    must([&](storage::Writer& w) { return w.set_next_hop(m.row, to, m.queue); });
  };
  reroute("host:relay.example:25");
  EXPECT_THAT(told(m.row, 300ms, smtp::next_hop_capability).value(), ElementsAre("hub2"))
      << "of an earlier release: the operator hears it";
  EXPECT_EQ(notes().back().note.next_hop, "");
  hub2().keywords += "\nXNEXTHOP";
  network.cut(hub2());
  pass(30s);
  reroute("host:other.example:25");
  EXPECT_THAT(told(m.row, 300ms, smtp::next_hop_capability).value(), IsEmpty());
  EXPECT_EQ(notes().back().note.next_hop, "host:other.example:25");
}

TEST_F(PeeringNotes, OfANextHopAreWhereATakeOverSendsTheMessage) {
  hub2().is_up = false;
  start();
  std::unique_ptr<Caller> owner;
  ASSERT_THAT(call(owner, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  MessageNote note{.number = 1,
                   .is_held = false,
                   .alarm_at = {},
                   .attempts = {},
                   .last_error = "",
                   .history = {},
                   .next_hop = "host:relay.example:25"};
  EXPECT_THAT(say(*owner, smtp::format_notes({{id, Generation{1}, note}})), HasSubstr(" noted"));
  pass(45s);
  auto row = ask([id](storage::Reader& r) { return r.find_message(id); });
  ASSERT_TRUE(row);
  EXPECT_EQ(message(*row)->next_hop, "host:relay.example:25");
  EXPECT_EQ(message(*row)->queue.at(0).destination, "host:relay.example:25");
}

TEST_F(PeeringNotes, OfAnOwnerThatIsGoneHold) {
  hub2().is_up = false;
  start();
  std::unique_ptr<Caller> owner;
  ASSERT_THAT(call(owner, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  auto other = hold_shadow(2, Epoch{1});
  auto expires = shadow(id)->envelope.expires_at;
  MessageNote note{.number = 3,
                   .is_held = true,
                   .alarm_at = expires,
                   .attempts = {{"example.com", 4}},
                   .last_error = "451 not now, \xc3\xa9",
                   .history = {}};
  EXPECT_EQ(say(*owner, smtp::format_notes({{id, Generation{1}, note}, {{spool2, 99}, Generation{1}, note}})),
            "250-2.0.0 " + to_string(id) + " noted\r\n250-2.0.0 " + to_string(MessageId{spool2, 99}) +
                " none\r\n250 2.0.0 2\r\n");
  EXPECT_EQ(shadow(id)->note, note) << "durable with the answer";
  pass(45s);
  auto row = ask([id](storage::Reader& r) { return r.find_message(id); });
  ASSERT_TRUE(row);
  auto taken = message(*row);
  EXPECT_EQ(taken->state, MessageState::held);
  EXPECT_EQ(taken->queue.at(0).attempts, 4U);
  EXPECT_EQ(taken->last_error, "451 not now, \xc3\xa9");
  ASSERT_EQ(taken->history.size(), 2U);
  EXPECT_EQ(taken->history[0].hub, "hub2");
  EXPECT_EQ(taken->history[0].how, OwnerRecord::How::accepted);
  EXPECT_EQ(taken->history[0].attempts, 4U);
  EXPECT_EQ(taken->history[1].hub, "hub1");
  EXPECT_EQ(taken->history[1].how, OwnerRecord::How::taken_over);
  auto free = ask([other](storage::Reader& r) { return r.find_message(other); });
  EXPECT_EQ(message(free.value())->state, MessageState::queued);
  auto row_of_log = [&](MessageId of) {
    for (const auto& line : log.lines())
      if (line.find("taken_over") != std::string::npos && line.find(to_string(of)) != std::string::npos)
        return line;
    return std::string();
  };
  EXPECT_THAT(row_of_log(id), HasSubstr("1 accepted by hub2 "));
  EXPECT_THAT(row_of_log(id), HasSubstr(" after 4 attempts; 2 taken_over by hub1 "));
  EXPECT_THAT(row_of_log(id), HasSubstr("held"));
  EXPECT_THAT(row_of_log(other), HasSubstr("queued"));
}

}  // namespace
}  // namespace umbra::hub::peering_test
