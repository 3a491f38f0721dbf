// Goal: whatever happens to either hub during a hand-over, the message has one owner in the end, and a copy.
// Method: one hub's Peering on virtual time as the giver or the receiver; the other side is played by the
// test. This file is long because each step may be cut, on either side.
#include "hub/peering/hand_over_record.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::AskAnswer;
using smtp::AskKind;
using smtp::Reply;
using smtp::ShadowCommand;
using smtp::ShadowVerb;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HandOverTests : public PeeringTest {
 protected:
  HandOverTests() { member("10.0.0.3").is_up = false; }
  FakeMember& hub2() { return member("10.0.0.2"); }

  storage::NewMessage owned(std::vector<Holder> holders = {}) {
    auto message = own_message(std::move(holders));
    put(message);
    return message;
  }
  /// Begins a hand-over to hub2.
  void hand(RowId row, bool keep = false) {
    struct Handing {
      static Task<void> run(Peering& peering, RowId row, bool keep, std::optional<Hander::Outcome>& to) {
        to = co_await peering.hander().hand(row, "hub2", keep);
      }
    };
    outcome.reset();
    scope.spawn("hand", Handing::run(*peering, row, keep, outcome));
    settle();
  }
  /// hub2 answers XHAND with this, XBACK with what it knows.
  void answer_hand(std::optional<Reply> reply, AskAnswer knows = {}) {
    hub2().answers = [this, reply, knows](const ShadowCommand& c) -> std::optional<Reply> {
      if (c.verb == ShadowVerb::hand && reply) return reply;
      if (c.verb == ShadowVerb::hand) {
        network.cut(hub2());
        return Reply{};
      }
      if (c.verb != ShadowVerb::back) return std::nullopt;
      auto answer = knows;
      answer.id = c.id;
      return Reply{250, "2.0.0", smtp::format_answer(answer)};
    };
  }
  /// hub2 beats to this hub: it is alive.
  void keep_alive(Duration span) {
    std::unique_ptr<Caller> caller;
    ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
    for (Duration passed{}; passed < span; passed += 1s) {
      ASSERT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{1})), StartsWith("250 "));
      pass(1s);
    }
  }
  std::string record(std::vector<Holder> holders = {}, bool is_held = false) {
    HandOverRecord r;
    r.envelope.sender = "sender@example.org";
    r.envelope.recipients = {{"a@example.com", "", notify_unset}, {"b@example.com", "", notify_unset}};
    r.envelope.accepted_at = WallClock::now();
    r.envelope.expires_at = WallClock::now() + 48h;
    r.alarm_at = r.envelope.expires_at;
    r.is_held = is_held;
    r.queue = {{"example.com", WallClock::now() + 5min, 7}};
    r.progress = {{1, storage::RecipientOutcome::State::delivered, "250 ok"}};
    r.holders = std::move(holders);
    return encode(r);
  }
  std::string xhand(MessageId id, std::uint32_t generation, std::uint64_t number, bool keep = true,
                    bool is_held = false) {
    smtp::HandOffer offer;
    offer.copy.id = id;
    offer.copy.generation = Generation{generation};
    offer.copy.envelope = record({}, is_held);
    offer.copy.body = "body\n";
    offer.copy.body_octets = 5;
    offer.number = number;
    offer.keep = keep;
    return smtp::format_hand(offer);
  }
  /// Without its body, which this hub has.
  smtp::HandOffer offer_of_held(const storage::Shadow& held) {
    smtp::HandOffer offer;
    offer.copy.id = held.id;
    offer.copy.generation = Generation{held.generation.value + 1};
    offer.copy.envelope = record();
    offer.copy.body_octets = held.size;
    offer.number = 1;
    offer.is_held_there = true;
    return offer;
  }
  std::optional<storage::StoredMessage> found(MessageId id) {
    auto row = ask([id](storage::Reader& r) { return r.find_message(id); });
    return row ? message(*row) : std::nullopt;
  }
  std::unique_ptr<Caller> caller_hub2() {
    std::unique_ptr<Caller> caller;
    EXPECT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
    return caller;
  }
  void knows_held() { hub2().keywords = "\nXSHADOW 1\nXHAND\nXHELD"; }
  std::optional<Hander::Outcome> outcome;
};

// ---- the giver

TEST_F(HandOverTests, IsDurablyBeingHandedOverBeforeTheOfferLeaves) {
  start();
  auto m = owned();
  bool was_durable = false;
  hub2().on_command = [&](const ShadowCommand& c) {
    if (c.verb != ShadowVerb::hand) return;
    EXPECT_EQ(c.copy.generation, Generation{2});
    EXPECT_EQ(c.copy.body, "body\n");
    was_durable = storage::is_handing_over(message(m.row)->state);
  };
  answer_hand(Reply{250, "2.6.0", "owned and protected"});
  hand(m.row);
  EXPECT_TRUE(was_durable);
  EXPECT_EQ(outcome, Hander::Outcome::moved);
  EXPECT_FALSE(message(m.row));
  EXPECT_FALSE(shadow(m.id));
}

TEST_F(HandOverTests, CarriesWhatIsKnownOfTheMessage) {
  member("10.0.0.3").is_up = true;
  start();
  pass(2s);
  auto m = own_message({{"hub3", spool3, Holder::State::holds}}, 2);
  m.queue = {{"example.com", WallClock::now() + 7min, 5}};
  m.progress = {{1, storage::RecipientOutcome::State::delivered, "250"}};
  put(m);
  must([&](storage::Writer& w) { return w.set_next_hop(m.row, "host:relay.example:25", m.queue); });
  must([&](storage::Writer& w) { return w.set_state(m.row, storage::MessageState::held, {}); });
  answer_hand(Reply{250, "2.6.0", "owned"});
  hand(m.row, true);
  auto offers = hub2().of(ShadowVerb::hand);
  ASSERT_EQ(offers.size(), 1U);
  auto r = decode_hand_over(offers[0].copy.envelope);
  ASSERT_TRUE(r) << r.error().what;
  EXPECT_TRUE(r->is_held);
  EXPECT_EQ(r->next_hop, "") << "hub2 does not know the word";
  EXPECT_EQ(r->queue, m.queue);
  EXPECT_EQ(r->progress, m.progress);
  EXPECT_EQ(r->alarm_at, m.alarm_at);
  EXPECT_EQ(r->envelope, m.envelope);
  ASSERT_EQ(r->holders.size(), 1U);
  EXPECT_EQ(r->holders[0].hub, "hub3");
}

TEST_F(HandOverTests, StaysTheHolderWhenAskedToOrWhenThereIsNoOther) {
  start();
  for (bool keep : {true, false}) {
    auto m = owned();
    answer_hand(Reply{250, "2.6.0", "owned"});
    hand(m.row, keep);
    EXPECT_EQ(outcome, Hander::Outcome::kept);
    EXPECT_FALSE(message(m.row));
    auto held = shadow(m.id);
    ASSERT_TRUE(held);
    EXPECT_EQ(held->owner_hub, "hub2");
    EXPECT_EQ(held->generation, Generation{2});
  }
}

// An audit by a former holder that came between the hand-over and this hub's "superseded" made that holder
// follow the later owner, who knew nothing of it: its copy stayed until the message was done.
TEST_F(HandOverTests, AFormerHolderIsToldToWaitForItsSupersededAndNotWhoOwnsItNow) {
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  hub3.answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::done) return Reply{451, "4.3.0", "later"};
    return std::nullopt;
  };
  start();
  auto m = owned({{"hub3", spool3, Holder::State::holds}});
  answer_hand(Reply{250, "2.6.0", "owned"});
  hand(m.row, true);
  ASSERT_EQ(outcome, Hander::Outcome::kept);
  std::unique_ptr<Caller> two, three;
  ASSERT_THAT(call(two, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  ASSERT_THAT(call(three, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  EXPECT_THAT(say(*two, smtp::format_ask({m.id})), HasSubstr(to_string(m.id) + " held 2 hub2"));
  EXPECT_THAT(say(*three, smtp::format_ask({m.id})), HasSubstr(to_string(m.id) + " pending"));
  auto owed = ask([](storage::Reader& r) { return r.outbox(spool3, 0, 9); });
  ASSERT_EQ(owed.size(), 1U);
  const std::vector<std::uint64_t> keys{owed[0].key};
  must([&](storage::Writer& w) { return w.outbox_confirmed(keys); });
  EXPECT_THAT(say(*three, smtp::format_ask({m.id})), HasSubstr(to_string(m.id) + " held 2 hub2"));
}

TEST_F(HandOverTests, CountsAsHandedOverWhenTheReceiverIsDoneBeforeItAnswers) {
  start();
  auto m = owned();
  auto caller = caller_hub2();
  std::vector<smtp::DiscardItem> done{{0, m.id, Generation{2}, true, {}}};
  hub2().answers = [&](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb != ShadowVerb::hand) return std::nullopt;
    caller->send(smtp::format_done(done));
    settle();
    EXPECT_THAT(caller->received(), StartsWith("250 "));
    EXPECT_FALSE(message(m.row));
    return Reply{250, "2.6.0", "owned and protected"};
  };
  hand(m.row);
  EXPECT_EQ(outcome, Hander::Outcome::moved);
  EXPECT_EQ(metrics.messages_handed_over_total, 1U);
  EXPECT_FALSE(shadow(m.id));
}

TEST_F(HandOverTests, IsOursAgainWhenItIsRefused) {
  start();
  auto m = owned();
  answer_hand(Reply{452, "4.3.1", "Insufficient system storage"});
  hand(m.row);
  EXPECT_EQ(outcome, Hander::Outcome::refused);
  auto again = message(m.row);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, storage::MessageState::queued);
  EXPECT_EQ(again->generation, Generation{1});
}

TEST_F(HandOverTests, AsksAfterASilenceAndIsOursAgainWhenTheReceiverDoesNotKnowIt) {
  start();
  auto m = owned();
  answer_hand(std::nullopt);  // the session breaks; the receiver knows nothing of it
  hand(m.row);
  EXPECT_EQ(outcome, Hander::Outcome::unclear);
  keep_alive(5s);
  ASSERT_FALSE(hub2().of(ShadowVerb::back).empty());
  auto again = message(m.row);
  ASSERT_TRUE(again) << "unknown is never a reason to drop what may be the only copy";
  EXPECT_EQ(again->state, storage::MessageState::queued);
}

TEST_F(HandOverTests, AsksAfterASilenceAndFollowsTheReceiverThatOwnsIt) {
  start();
  auto m = owned();
  AskAnswer live;
  live.kind = AskKind::live;
  live.generation = Generation{2};
  answer_hand(std::nullopt, live);
  hub2().knows = [live](MessageId) { return live; };
  hand(m.row);
  keep_alive(5s);
  EXPECT_FALSE(message(m.row));
  auto held = shadow(m.id);
  ASSERT_TRUE(held);
  EXPECT_EQ(held->owner_spool, spool2);
}

TEST_F(HandOverTests, NeitherDeliversNorDropsWhileTheReceiverIsSilent) {
  start();
  std::unique_ptr<Caller> caller = caller_hub2();
  auto m = owned();
  hub2().is_silent = true;
  hand(m.row);
  pass(5s);
  EXPECT_TRUE(storage::is_handing_over(message(m.row)->state));
  // Whoever owns a later generation does not wait for this hub.
  EXPECT_THAT(say(*caller, smtp::format_ask({m.id})), HasSubstr(to_string(m.id) + " pending 1\r\n"));
}

TEST_F(HandOverTests, TakesOverFromAReceiverThatIsGone) {
  start();
  auto caller = caller_hub2();
  auto m = owned({{"hub3", spool3, Holder::State::holds}, {"hub2", spool2, Holder::State::offered}});
  answer_hand(std::nullopt);
  hub2().on_command = [&](const ShadowCommand& c) {
    if (c.verb == ShadowVerb::hand) hub2().is_up = false;
  };
  hand(m.row);
  pass(50s);
  auto again = found(m.id);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, storage::MessageState::queued);
  EXPECT_EQ(again->generation, Generation{3}) << "above the one that the receiver may own";
  EXPECT_TRUE(ask([](storage::Reader& r) { return r.outbox(spool3, 0, 9); }).empty())
      << "its copy may be the only other one";
  EXPECT_THAT(again->holders,
              ::testing::UnorderedElementsAre(Holder{"hub2", spool2, Holder::State::former_owner},
                                              Holder{"hub3", spool3, Holder::State::offered}));
}

TEST_F(HandOverTests, FindsOutAfterARestart) {
  start();
  auto m = owned();
  hub2().is_silent = true;
  hand(m.row);
  ASSERT_TRUE(storage::is_handing_over(message(m.row)->state));
  stop();
  hub2().is_silent = false;
  answer_hand(Reply{250, "2.6.0", "owned"});
  start();
  keep_alive(10s);
  auto again = message(m.row);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->state, storage::MessageState::queued);
  EXPECT_EQ(hub2().of(ShadowVerb::hand).size(), 1U);
}

TEST_F(HandOverTests, DoesNotOfferToAHubThatDoesNotKnowTheVerb) {
  make();
  auto m = owned();
  hub2().is_up = false;
  start();
  hand(m.row);
  EXPECT_EQ(outcome, Hander::Outcome::not_now);
  EXPECT_EQ(message(m.row)->state, storage::MessageState::queued);
}

TEST_F(HandOverTests, SendsNoBodyToAHubThatHoldsTheCopy) {
  knows_held();
  start();
  auto m = owned({{"hub2", spool2, Holder::State::holds}});
  answer_hand(Reply{250, "2.6.0", "owned"});
  hand(m.row, true);
  auto offers = hub2().of(ShadowVerb::hand);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_TRUE(offers[0].is_held_here);
  EXPECT_EQ(offers[0].copy.body, "");
  EXPECT_EQ(offers[0].copy.body_octets, 5U);
  EXPECT_EQ(outcome, Hander::Outcome::kept);
  EXPECT_EQ(metrics.handover_body_octets_total, 0U);
  EXPECT_EQ(metrics.handovers_without_body_total, 1U);
  EXPECT_EQ(shadow(m.id)->owner_hub, "hub2");
}

TEST_F(HandOverTests, SendsTheBodyWhenTheCopyIsNotThereAnyMore) {
  knows_held();
  start();
  auto m = owned({{"hub2", spool2, Holder::State::holds}});
  hub2().answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb != ShadowVerb::hand) return std::nullopt;
    return c.is_held_here ? Reply{504, "5.5.0", "not held"} : Reply{250, "2.6.0", "owned"};
  };
  hand(m.row, true);
  auto offers = hub2().of(ShadowVerb::hand);
  ASSERT_EQ(offers.size(), 2U);
  EXPECT_EQ(offers[1].copy.body, "body\n");
  EXPECT_GT(offers[1].number, offers[0].number);
  EXPECT_EQ(outcome, Hander::Outcome::kept);
  EXPECT_EQ(metrics.handovers_not_held_total, 1U);
  EXPECT_EQ(metrics.handover_body_octets_total, 5U);
}

TEST_F(HandOverTests, SendsTheBodyToAHubThatDoesNotKnowHeld) {
  start();
  auto m = owned({{"hub2", spool2, Holder::State::holds}});
  answer_hand(Reply{250, "2.6.0", "owned"});
  hand(m.row, true);
  auto offers = hub2().of(ShadowVerb::hand);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_FALSE(offers[0].is_held_here);
  EXPECT_EQ(offers[0].copy.body, "body\n");
}

TEST_F(HandOverTests, HandsOnByARouteAndWritesItselfIntoTheTrail) {
  knows_held();
  start();
  auto m = owned();
  answer_hand(Reply{250, "2.6.0", "owned and protected"});
  std::optional<HandedOn> answer;
  auto stored = std::make_shared<const storage::StoredMessage>(*message(m.row));
  ASSERT_TRUE(peering->is_in_reach("hub2"));
  EXPECT_FALSE(peering->is_in_reach("hub3"));
  EXPECT_FALSE(peering->is_in_reach("hub1"));
  peering->hand_on(stored, "hub2", [&](HandedOn a) { answer = a; });
  EXPECT_FALSE(answer) << "not before the call has returned";
  settle();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->kind, HandedOn::Kind::taken);
  auto offers = hub2().of(ShadowVerb::hand);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_TRUE(offers[0].keep);
  EXPECT_EQ(decode_hand_over(offers[0].copy.envelope)->envelope.trail, std::vector<std::string>{"hub1"});
  EXPECT_TRUE(shadow(m.id)) << "kept, whatever the other one says";
  EXPECT_EQ(metrics.messages_handed_to_next_hubs_total, 1U);

  auto second = owned();
  answer_hand(Reply{452, "4.3.1", "Insufficient system storage"});
  peering->hand_on(std::make_shared<const storage::StoredMessage>(*message(second.row)), "hub2",
                   [&](HandedOn a) { answer = a; });
  settle();
  EXPECT_EQ(answer->kind, HandedOn::Kind::refused);
  EXPECT_EQ(answer->reply.code, 452);
  EXPECT_EQ(message(second.row)->state, storage::MessageState::queued);
  EXPECT_FALSE(peering->is_in_reach("hub2")) << "left alone for a while";
}

// ---- the receiver

TEST_F(HandOverTests, GivesNothingAwayWhenItWasTakenOverWhileThisHubStoodStill) {
  for (bool by_route : {true, false}) {
    auto& hub3 = member("10.0.0.3");
    hub3.is_up = true;
    hub3.answers = nullptr;
    start();
    pass(2s);
    auto m = owned({{"hub3", spool3, Holder::State::holds}});
    answer_hand(Reply{250, "2.6.0", "owned"});
    auto offered_before = hub2().of(ShadowVerb::hand).size();
    auto stored = std::make_shared<const storage::StoredMessage>(*message(m.row));
    std::optional<HandedOn> answer;
    reader.is_held = true;  // it is stopped after it has asked, and before the offer leaves
    if (by_route) {
      peering->hand_on(stored, "hub2", [&](HandedOn a) { answer = a; });
      settle();
    } else {
      hand(m.row);
    }
    wake_up_with_its_epoch_ended_by(hub3);
    EXPECT_EQ(hub2().of(ShadowVerb::hand).size(), offered_before) << by_route;
    if (by_route) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->kind, HandedOn::Kind::not_now);
    } else {
      EXPECT_EQ(outcome, Hander::Outcome::not_now);
    }
    EXPECT_EQ(message(m.row)->state, storage::MessageState::queued) << by_route;
    stop();
  }
}

TEST_F(HandOverTests, WaitsForTheHolderAndNotForTheReceiver) {
  start();
  pass(2s);
  answer_hand(Reply{250, "2.6.0", "owned and protected"});
  hand(owned({{"hub3", spool3, Holder::State::holds}}).row);  // hub3 is silent
  EXPECT_TRUE(hub2().of(ShadowVerb::hand).empty());
  pass(config.cluster.ask_again + 100ms);
  EXPECT_EQ(outcome, Hander::Outcome::moved);
  EXPECT_EQ(metrics.possible_duplicates_total, 1U) << "once, and told";
  hub2().answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::hand) return Reply{250, "2.6.0", "owned and protected"};
    if (c.verb == ShadowVerb::beat) return Reply{250, "2.0.0", "lease 0"};
    return std::nullopt;
  };
  pass(config.cluster.lease);
  hand(owned().row);
  EXPECT_EQ(outcome, Hander::Outcome::moved) << "the receiver promises nothing, and has nothing";
  EXPECT_EQ(metrics.possible_duplicates_total, 1U);
}

TEST_F(HandOverTests, MakesTheCopyItHoldsItsOwnMessage) {
  start();
  auto caller = caller_hub2();
  auto id = hold_shadow(90, Epoch{1});
  auto held = shadow(id);
  auto offer = offer_of_held(*held);
  offer.keep = true;
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("250 2.6.0 "));
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("250 2.6.0 ")) << "offered twice";
  EXPECT_FALSE(shadow(id));
  auto m = found(id);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->row, held->row) << "the body is where it was";
  EXPECT_EQ(ask([&](storage::Reader& r) { return r.chunk(m->row, 0); }).size(), held->size);
  EXPECT_EQ(m->holders.back(), (Holder{"hub2", spool2, Holder::State::holds}));
}

TEST_F(HandOverTests, ChangesNothingWhenItDoesNotHoldWhatItIsSaidToHold) {
  start();
  auto caller = caller_hub2();
  auto id = hold_shadow(91, Epoch{1});
  auto offer = offer_of_held(*shadow(id));
  ++offer.copy.body_octets;
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("504 5.5.0 "));
  EXPECT_TRUE(shadow(id)) << "the copy stays";
  offer.copy.id = {spool2, 92};
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("504 5.5.0 "));
  EXPECT_FALSE(found({spool2, 92}));
  EXPECT_EQ(ask([](storage::Reader& r) { return r.counts(); }).messages, 0U);
}

TEST_F(HandOverTests, AcceptsOnceHoweverOftenItIsOffered) {
  start();
  auto caller = caller_hub2();
  MessageId id{spool2, 77};
  EXPECT_THAT(say(*caller, xhand(id, 2, 1)), StartsWith("250 2.6.0 "));
  EXPECT_THAT(say(*caller, xhand(id, 2, 2)), StartsWith("250 2.6.0 "));
  auto m = found(id);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->generation, Generation{2});
  EXPECT_EQ(m->queue.at(0).attempts, 7U);
  EXPECT_EQ(m->progress.at(0).index, 1U);
  ASSERT_EQ(m->holders.size(), 1U);
  EXPECT_EQ(m->holders[0], (Holder{"hub2", spool2, Holder::State::holds}));
  EXPECT_TRUE(m->is_protected);
}

TEST_F(HandOverTests, KeepsTheOperatorsHold) {
  start();
  auto caller = caller_hub2();
  MessageId id{spool2, 78};
  EXPECT_THAT(say(*caller, xhand(id, 2, 1, true, true)), StartsWith("250 "));
  EXPECT_EQ(found(id)->state, storage::MessageState::held);
}

TEST_F(HandOverTests, RefusesAnOfferThatWasAskedBackEvenWhenItComesLate) {
  start();
  auto caller = caller_hub2();
  MessageId id{spool2, 79};
  EXPECT_THAT(say(*caller, smtp::format_back(id, Generation{2}, 5)), HasSubstr(" unknown "));
  EXPECT_THAT(say(*caller, xhand(id, 2, 5)), StartsWith("550 "));
  EXPECT_FALSE(found(id));
  // A question that was asked earlier and comes later changes nothing.
  EXPECT_THAT(say(*caller, smtp::format_back(id, Generation{2}, 3)), HasSubstr(" unknown "));
  EXPECT_THAT(say(*caller, xhand(id, 2, 5)), StartsWith("550 "));
  // A new offer is another thing.
  EXPECT_THAT(say(*caller, xhand(id, 2, 6)), StartsWith("250 "));
  EXPECT_THAT(say(*caller, smtp::format_back(id, Generation{2}, 6)), HasSubstr(" live 2"));
}

TEST_F(HandOverTests, AnswersPendingWhileItIsBeingStored) {
  start();
  auto caller = caller_hub2();
  std::unique_ptr<Caller> second = caller_hub2();
  MessageId id{spool2, 80};
  writer.is_held = true;
  EXPECT_EQ(say(*caller, xhand(id, 2, 1)), "");
  EXPECT_THAT(say(*second, smtp::format_back(id, Generation{2}, 1)), HasSubstr(" pending 0"))
      << "under what generation it ends is not known";
  writer.let_go();
  settle();
  EXPECT_THAT(caller->received(), StartsWith("250 "));
}

TEST_F(HandOverTests, SaysNothingWhenItMayHaveKeptWhatItCouldNotSync) {
  start();
  auto caller = caller_hub2();
  std::unique_ptr<Caller> second = caller_hub2();
  MessageId id{spool2, 84};
  disk.fail(storage::MemoryDisk::Change::sync, 1, false);
  EXPECT_EQ(say(*caller, xhand(id, 2, 1)), "") << "the next run may own it: a refusal would make two owners";
  EXPECT_THAT(say(*second, smtp::format_back(id, Generation{2}, 1)), StartsWith("451 "))
      << "nor is it unknown";
}

TEST_F(HandOverTests, TakesNothingWhileItIsDrainedItself) {
  start();
  peering->receiver().set_refusing(true);
  auto caller = caller_hub2();
  EXPECT_THAT(say(*caller, xhand({spool2, 81}, 2, 1)), StartsWith("452 4.3.2"));
}

TEST_F(HandOverTests, TakesNothingOfAnEpochThatIsOver) {
  start();
  auto caller = caller_hub2();
  std::unique_ptr<Caller> next;
  ASSERT_THAT(call(next, "hub2", spool2, Epoch{2}, Sequence{5}), StartsWith("235 "));
  EXPECT_THAT(say(*caller, xhand({spool2, 82}, 2, 1)), StartsWith("554 "));
}

TEST_F(HandOverTests, MakesACopyElsewhereBeforeItSaysYes) {
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  start();
  pass(2s);
  auto caller = caller_hub2();
  MessageId id{spool2, 83};
  bool was_answered = false;
  hub3.on_command = [&](const ShadowCommand& c) {
    if (c.verb == ShadowVerb::copy) was_answered = !caller->received().empty();
  };
  EXPECT_THAT(say(*caller, xhand(id, 2, 1, false)), HasSubstr(" owned and protected"));
  EXPECT_FALSE(was_answered);
  ASSERT_EQ(hub3.of(ShadowVerb::copy).size(), 1U);
  auto m = found(id);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->holders.front(), (Holder{"hub2", spool2, Holder::State::former_owner}))
      << "still owed the done";
  EXPECT_EQ(m->holders.back(), (Holder{"hub3", spool3, Holder::State::holds}));
}

TEST_F(HandOverTests, LeavesTheGiverAsTheHolderWhenThereIsNoOtherHub) {
  start();
  auto caller = caller_hub2();
  auto answer = say(*caller, xhand({spool2, 84}, 2, 1, false));
  EXPECT_THAT(answer, StartsWith("250 "));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("protected")));
}

TEST_F(HandOverTests, TakesALargeMessageInPieces) {
  start();
  auto caller = caller_hub2();
  MessageId id{spool2, 85};
  smtp::HandOffer offer;
  offer.copy.id = id;
  offer.copy.generation = Generation{2};
  offer.copy.envelope = record();
  offer.copy.streamed = true;
  offer.copy.body_octets = 300'000;
  offer.number = 1;
  offer.keep = true;
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("250 2.0.0"));
  EXPECT_THAT(say(*caller, smtp::format_chunk(id, std::string(200'000, 'x'), false)), StartsWith("250 "));
  EXPECT_FALSE(found(id));
  EXPECT_THAT(say(*caller, smtp::format_chunk(id, std::string(100'000, 'y'), true)), StartsWith("250 2.6.0"));
  auto m = found(id);
  ASSERT_TRUE(m);
  EXPECT_EQ(ask([&](storage::Reader& r) { return r.chunk(m->row, 1); }).size(), 100'000U);
}

TEST_F(HandOverTests, TakesNoRecordThatIsWrong) {
  start();
  auto good = record();
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(decode_hand_over(std::string_view(good).substr(0, length)));
  EXPECT_TRUE(decode_hand_over(good));
  EXPECT_FALSE(decode_hand_over(good + "x"));
  HandOverRecord many = *decode_hand_over(good);
  for (const auto& next_hop : {std::string("a\r\nb"), std::string(next_hop_octets_max + 1, 'x'),
                               std::string("host:relay.example:25")}) {
    many.next_hop = next_hop;
    EXPECT_EQ(decode_hand_over(encode(many)).has_value(), next_hop.starts_with("host:")) << next_hop;
  }
  // Twenty octets of memory for one on the wire, were there no bound.
  many.progress.assign(100'001, {0, storage::RecipientOutcome::State::delivered, ""});
  EXPECT_FALSE(decode_hand_over(encode(many)));
  auto caller = caller_hub2();
  smtp::HandOffer offer;
  offer.copy.id = {spool2, 86};
  offer.copy.generation = Generation{2};
  offer.copy.envelope = "nonsense";
  EXPECT_THAT(say(*caller, smtp::format_hand(offer)), StartsWith("501 "));
}

}  // namespace
}  // namespace umbra::hub::peering_test
