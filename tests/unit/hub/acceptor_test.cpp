// Goal: a 250 means what its listener's policy says, whatever the other hubs do meanwhile. Method: one hub's
// acceptor with a real spool on virtual time; the other hubs are played by the test.
#include "hub/inbound/acceptor.h"

#include "hub/outbound/acknowledgement.h"

#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::CopyOffer;
using smtp::Reply;
using smtp::ShadowCommand;
using smtp::ShadowVerb;
using ::testing::HasSubstr;

class AcceptorTest : public PeeringTest {
 protected:
  AcceptorTest() {
    for (auto& [address, m] : network.members) m.keywords = "\nXSHADOW 1\nXEARLY\nXPROTECTION";
    listener.name = "in";
  }
  void begin() {
    start();
    keeper.emplace(Runtime{io, random, network, resolver}, config, *spool, log);
    acceptor.emplace(Runtime{io, random, network, resolver}, config, *spool, *peering, outbound, *keeper, log,
                     metrics);
    pass(3s);
  }
  struct Incoming {
    std::unique_ptr<Acceptance> acceptance;
    std::optional<Reply> reply;
    std::size_t appended = 0;
  };
  Incoming& receive() {
    Envelope envelope;
    envelope.sender = "sender@example.org";
    envelope.recipients = {{"r@example.com", "", notify_unset}};
    auto& one = *all.emplace_back(std::make_unique<Incoming>());
    one.acceptance = acceptor->begin(std::move(envelope), listener);
    return one;
  }
  static Task<void> give(Incoming& one, std::string octets) {
    co_await one.acceptance->append(octets);
    one.appended += octets.size();
  }
  static Task<void> end(Incoming& one) {
    one.reply = co_await one.acceptance->finish();
    one.acceptance.reset();
  }
  static Task<void> drop(Incoming& one) {
    co_await one.acceptance->abandon();
    one.acceptance.reset();
  }
  void give_all(Incoming& one, std::size_t octets) {
    auto before = one.appended;
    scope.spawn("give", give(one, std::string(octets, 'x')));
    settle();
    pass(100ms);
    ASSERT_EQ(one.appended, before + octets);
  }
  Incoming& hand_in(std::size_t octets = 100) {
    auto& one = receive();
    give_all(one, octets);
    scope.spawn("end", end(one));
    settle();
    return one;
  }
  std::size_t copies_at(const char* address) { return member(address).of(ShadowVerb::copy).size(); }
  std::uint64_t unprotected() {
    return ask([](storage::Reader& r) { return r.counts(); }).unprotected;
  }
  static constexpr const char* hub2 = "10.0.0.2";
  static constexpr const char* hub3 = "10.0.0.3";

  ListenerConfig listener;
  std::optional<SafetyNetKeeper> keeper;
  std::optional<MessageAcceptor> acceptor;
  std::vector<std::unique_ptr<Incoming>> all;
};

// ---- held, and in the place of another one

TEST_F(AcceptorTest, OffersAHeldMessageAsHeldFromItsFirstMoment) {
  for (auto& [address, m] : network.members) m.keywords += "\nXNOTE";
  begin();
  auto& one = receive();
  one.acceptance->hold("because");
  give_all(one, 700'000);  // longer than what is copied while it comes in
  scope.spawn("end", end(one));
  pass(2s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_THAT(one.reply->text, HasSubstr("held as"));
  std::size_t offers = 0;
  for (const auto* address : {hub2, hub3})
    for (const auto& command : member(address).of(ShadowVerb::copy)) {
      ++offers;
      EXPECT_EQ(command.copy.part, CopyOffer::Part::whole)
          << "nothing is copied before it is known to be held";
      EXPECT_TRUE(command.copy.note.is_held);
    }
  EXPECT_GE(offers, 1U);
  auto counts = ask([](storage::Reader& r) { return r.counts(); });
  EXPECT_EQ(counts.held, 1U);
}

TEST_F(AcceptorTest, EndsTheMessageInWhosePlaceItComesAndNeedsItsCopiesUntilItHasItsOwn) {
  begin();
  auto& waiting = hand_in();
  pass(1s);
  ASSERT_EQ(waiting.reply->code, 250);
  const auto row = ask([](storage::Reader& r) { return r.messages(RowId{0}, RowId{INT64_MAX}, 10); }).at(0);
  member(hub2).is_silent = member(hub3).is_silent = true;
  listener.shadow = ShadowPolicy::prefer;
  listener.on_failure = OnShadowFailure::accept;
  auto& one = receive();
  one.acceptance->replaces(row);
  give_all(one, 100);
  scope.spawn("end", end(one));
  pass(20s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  const auto rows = ask([](storage::Reader& r) { return r.messages(RowId{0}, RowId{INT64_MAX}, 10); });
  ASSERT_EQ(rows.size(), 1U) << "the one that waited has ended";
  EXPECT_GT(rows[0], row);
  EXPECT_EQ(ask([](storage::Reader& r) { return r.counts(); }).outbox, 1U);
  EXPECT_EQ(member(hub2).of(ShadowVerb::done).size() + member(hub3).of(ShadowVerb::done).size(), 0U)
      << "its copy is the only other one there is";
}

// ---- copies

TEST_F(AcceptorTest, MakesAllCopiesSideBySideAndWaitsForAll) {
  listener.protection.copies = 2;
  begin();
  member(hub2).is_silent = member(hub3).is_silent = true;
  auto& one = hand_in();
  EXPECT_EQ(copies_at(hub2), 1U);
  EXPECT_EQ(copies_at(hub3), 1U) << "the second copy does not wait for the first";
  EXPECT_FALSE(one.reply);
  EXPECT_EQ(member(hub3).of(ShadowVerb::copy)[0].copy.offered.size(), 2U) << "each copy names the other one";
  member(hub2).is_silent = member(hub3).is_silent = false;
  pass(20s);
  ASSERT_TRUE(one.reply);
}

TEST_F(AcceptorTest, AnswersWhenEveryCopyIsHeld) {
  listener.protection.copies = 2;
  begin();
  auto& one = hand_in();
  pass(1s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_THAT(one.reply->text, HasSubstr("hub2"));
  EXPECT_THAT(one.reply->text, HasSubstr("hub3"));
  EXPECT_EQ(unprotected(), 0U);
}

TEST_F(AcceptorTest, TellsDeliveryWhichCopiesItWaitedForAndHowLong) {
  listener.protection.copies = 2;
  begin();
  member(hub3).is_silent = true;
  (void)hand_in();
  pass(1500ms);
  EXPECT_TRUE(outbound.delivered.empty()) << "no copy on hub3 yet";
  member(hub3).is_silent = false;
  network.cut(member(hub3));
  pass(20s);
  (void)hand_in();
  pass(1s);
  ASSERT_FALSE(outbound.delivered.empty());
  const auto& known = outbound.delivered.back().acknowledgement;
  ASSERT_TRUE(known);
  EXPECT_EQ(known->way, smtp::RedundancyWay::copy);
  EXPECT_EQ(known->copies.size(), 2U);
  ASSERT_TRUE(known->copied && known->acknowledged);
  EXPECT_LE(*known->copied, *known->acknowledged);
  EXPECT_FALSE(known->filtered);
}

TEST_F(AcceptorTest, TellsDeliveryOfNoWayWhenTheFieldIsOff) {
  config.delivery.trace_field = false;
  begin();
  (void)hand_in();
  pass(1s);
  ASSERT_EQ(outbound.delivered.size(), 1U);
  EXPECT_FALSE(outbound.delivered[0].acknowledgement);
}

TEST_F(AcceptorTest, RefusesUnderRequireWhenOneOfTwoCopiesIsMissingAndForgetsTheOther) {
  listener.protection.copies = 2;
  begin();
  member(hub3).answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::copy) return Reply{451, "4.3.0", "not now"};
    return std::nullopt;
  };
  auto& one = hand_in();
  pass(10s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 451);
  EXPECT_EQ(member(hub2).of(ShadowVerb::forget).size(), 1U);
  EXPECT_EQ(ask([](storage::Reader& r) { return r.counts(); }).messages, 0U);
}

TEST_F(AcceptorTest, SaysNothingWhenAHolderHasTakenOverWhatItShallForget) {
  listener.protection.copies = 2;
  begin();
  member(hub3).answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::copy) return Reply{451, "4.3.0", "not now"};
    return std::nullopt;
  };
  member(hub2).answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::forget) return Reply{550, "5.5.0", "This hub has taken the message over"};
    return std::nullopt;
  };
  auto& one = hand_in();
  pass(10s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 0) << "a 451 would not be true: the other hub delivers it";
}

TEST_F(AcceptorTest, SaysNothingWhenItsSpoolMayHaveKeptWhatItCouldNotSync) {
  begin();
  disk.fail(storage::MemoryDisk::Change::sync, 1, false);
  auto& one = hand_in();
  pass(10s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 0) << "after its next start this hub may find the message, and deliver it";
}

TEST_F(AcceptorTest, CountsUnderPreferWhatHasOneCopyOfTwoAndDoesNotWait) {
  listener.shadow = ShadowPolicy::prefer;
  listener.protection.copies = 2;
  member(hub3).is_up = false;
  begin();
  auto& one = hand_in();
  pass(10s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(unprotected(), 1U);
  EXPECT_EQ(metrics.acknowledgements_delayed_total, 0U);
  member(hub3).is_up = true;
  pass(5s);
  EXPECT_EQ(unprotected(), 0U) << "the missing copy is made by itself";
  EXPECT_EQ(copies_at(hub2), 1U);
  EXPECT_EQ(copies_at(hub3), 1U);
}

TEST_F(AcceptorTest, KeepsCopiesOutOfItsOwnZone) {
  config.cluster.members[0].zone = config.cluster.members[1].zone = "east";
  config.cluster.members[2].zone = "west";
  begin();
  for (int i = 0; i < 4; ++i) hand_in();
  pass(1s);
  EXPECT_EQ(copies_at(hub2), 0U);
  EXPECT_EQ(copies_at(hub3), 4U);
}

// ---- delayed acknowledgement

class DelayedAcknowledgement : public AcceptorTest {
 protected:
  DelayedAcknowledgement() {
    listener.shadow = ShadowPolicy::prefer;
    for (auto& [address, m] : network.members) m.is_up = false;
  }
  RowId row_of_last() {
    auto rows = ask([](storage::Reader& r) { return r.messages(RowId{0}, RowId{INT64_MAX}, 100); });
    return rows.empty() ? RowId{0} : rows.back();
  }
};

TEST_F(DelayedAcknowledgement, WaitsForDelivery) {
  begin();
  auto& one = hand_in();
  pass(5s);
  EXPECT_FALSE(one.reply);
  EXPECT_EQ(metrics.acknowledgements_waiting, 1);
  ASSERT_EQ(outbound.delivered.size(), 1U);
  EXPECT_EQ(outbound.delivered[0].acknowledgement->way, smtp::RedundancyWay::delayed);
  EXPECT_FALSE(outbound.delivered[0].acknowledgement->acknowledged) << "it is not yet";
  peering->message_finished(row_of_last());
  settle();
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(metrics.acknowledgements_waiting, 0);
  EXPECT_EQ(metrics.acknowledgements_delayed_total, 1U);
  EXPECT_EQ(metrics.acknowledgements_delayed_in_vain_total, 0U);
}

TEST_F(DelayedAcknowledgement, EndsWithACopyThatAHubTakesMeanwhile) {
  begin();
  auto& one = hand_in();
  pass(2s);
  EXPECT_FALSE(one.reply);
  member(hub2).is_up = true;
  pass(5s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(unprotected(), 0U);
}

TEST_F(DelayedAcknowledgement, EndsAfterItsTimeWithAnAcknowledgementAndTheMessageKept) {
  begin();
  auto& one = hand_in();
  pass(29s);
  EXPECT_FALSE(one.reply);
  pass(2s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(metrics.acknowledgements_delayed_in_vain_total, 1U);
  EXPECT_EQ(unprotected(), 1U);
}

TEST_F(DelayedAcknowledgement, IsLeftOutWhenItIsOffOrTooManyWait) {
  listener.delayed_acknowledgements_max = 1;
  begin();
  auto& first = hand_in();
  auto& second = hand_in();
  pass(1s);
  EXPECT_FALSE(first.reply);
  EXPECT_TRUE(second.reply);
  EXPECT_EQ(metrics.acknowledgements_not_delayed_full_total, 1U);
  EXPECT_EQ(outbound.delivered.back().acknowledgement->way, smtp::RedundancyWay::none);
  EXPECT_TRUE(outbound.delivered.back().acknowledgement->acknowledged);
  listener.on_failure = OnShadowFailure::accept;
  EXPECT_TRUE(hand_in().reply);
  listener.on_failure = OnShadowFailure::delay;
  listener.acknowledgement_delay_max = 0s;
  EXPECT_TRUE(hand_in().reply);
  EXPECT_EQ(metrics.acknowledgements_not_delayed_off_total, 2U);
  pass(30s);
}

TEST_F(DelayedAcknowledgement, EndsWhenTheHubStops) {
  begin();
  auto& one = hand_in();
  EXPECT_FALSE(one.reply);
  acceptor->close();
  settle();
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250) << "it is durable here";
}

// ---- bodies that are copied while they come in

class EarlyCopies : public AcceptorTest {
 protected:
  static constexpr std::size_t large = 1'000'000;
  std::size_t octets_at(const char* address) {
    std::size_t sum = 0;
    for (const auto& c : member(address).of(ShadowVerb::chunk)) sum += c.octets.size();
    for (const auto& c : member(address).of(ShadowVerb::copy)) sum += c.copy.body.size();
    return sum;
  }
  EarlyCopies() { config.cluster.members.pop_back(); }  // hub2 alone
};

TEST_F(EarlyCopies, GoOutBeforeTheEndOfData) {
  begin();
  auto& one = receive();
  give_all(one, large);
  EXPECT_GE(octets_at(hub2), large - 2 * smtp::shadow_chunk_octets_max);
  EXPECT_EQ(member(hub2).of(ShadowVerb::copy).front().copy.part, CopyOffer::Part::begin);
  scope.spawn("end", end(one));
  settle();
  pass(1s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  auto copies = member(hub2).of(ShadowVerb::copy);
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies[1].copy.part, CopyOffer::Part::end);
  EXPECT_EQ(copies[1].copy.body_octets, large);
  EXPECT_EQ(octets_at(hub2), large) << "the body crosses the wire once";
  EXPECT_EQ(metrics.shadows_made_early_total, 1U);
}

TEST_F(EarlyCopies, FallBackToTheWholeBodyWhenTheSessionBreaks) {
  begin();
  auto& one = receive();
  give_all(one, large / 2);
  // The next session knows nothing of what was begun on this one.
  bool is_begun = false;
  member(hub2).answers = [&is_begun](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::copy && c.copy.part == CopyOffer::Part::whole) is_begun = true;
    if (c.verb == ShadowVerb::chunk && !is_begun) return Reply{503, "5.5.1", "XCOPY first"};
    return std::nullopt;
  };
  network.cut(member(hub2));
  pass(3s);
  give_all(one, large);
  scope.spawn("end", end(one));
  settle();
  pass(3s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(member(hub2).of(ShadowVerb::copy).back().copy.part, CopyOffer::Part::whole);
  EXPECT_TRUE(member(hub2).of(ShadowVerb::forget).empty()) << "what is forgotten is refused ever after";
  EXPECT_EQ(metrics.shadows_made_early_total, 0U);
}

TEST_F(EarlyCopies, FallBackWhenTheEndIsRefused) {
  begin();
  member(hub2).answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::copy && c.copy.part == CopyOffer::Part::end) return Reply{451, "4.3.0", "no"};
    return std::nullopt;
  };
  auto& one = hand_in(large);
  pass(3s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  EXPECT_EQ(member(hub2).of(ShadowVerb::copy).back().copy.part, CopyOffer::Part::whole);
}

TEST_F(EarlyCopies, AreForgottenWithAClientThatGoesAway) {
  begin();
  auto& one = receive();
  give_all(one, large);
  scope.spawn("drop", drop(one));
  settle();
  pass(1s);
  EXPECT_EQ(member(hub2).of(ShadowVerb::forget).size(), 1U);
}

TEST_F(EarlyCopies, AreNotTriedWithAHubThatDoesNotOfferThem) {
  member(hub2).keywords = "\nXSHADOW 1";
  begin();
  auto& one = hand_in(large);
  pass(3s);
  ASSERT_TRUE(one.reply);
  EXPECT_EQ(one.reply->code, 250);
  for (const auto& c : member(hub2).of(ShadowVerb::copy)) EXPECT_EQ(c.copy.part, CopyOffer::Part::whole);
}

TEST_F(EarlyCopies, SlowAFastClientDownWhenTheHolderIsSlow) {
  begin();
  member(hub2).is_silent = true;
  auto& one = receive();
  scope.spawn("give", give(one, std::string(8 * large, 'x')));
  settle();
  pass(1s);
  EXPECT_EQ(one.appended, 0U) << "the client waits; two pieces are in memory, not the body";
  pass(10s);
  EXPECT_EQ(one.appended, 8 * large) << "until the holder's time is over";
  scope.spawn("drop", drop(one));
  pass(10s);
}

// ---- held here for others

TEST_F(EarlyCopies, AreHeldHereOnlyAfterTheirEnd) {
  begin();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), HasSubstr("235"));
  MessageId id{spool2, 77};
  CopyOffer offer;
  offer.id = id;
  offer.generation = Generation{1};
  offer.part = CopyOffer::Part::begin;
  offer.offered = {{"hub1", spool->id()}};
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), HasSubstr("250"));
  EXPECT_THAT(say(*caller, smtp::format_chunk(id, std::string(200'000, 'a'), false)), HasSubstr("250"));
  EXPECT_FALSE(shadow(id));
  Envelope envelope;
  envelope.recipients = {{"r@example.com", "", notify_unset}};
  envelope.protection.copies = 2;
  offer.part = CopyOffer::Part::end;
  offer.envelope = encode(envelope);
  offer.body = std::string(50, 'b');
  offer.body_octets = 200'050;
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), HasSubstr("250 2.6.0"));
  auto held = shadow(id);
  ASSERT_TRUE(held);
  EXPECT_EQ(held->size, 200'050U);
  EXPECT_EQ(held->envelope.protection.copies, 2U);
  auto tail = ask([&](storage::Reader& r) { return r.chunk(held->row, 1); });
  EXPECT_EQ(tail, offer.body);
  // Not without a beginning, and not with another size.
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), HasSubstr("503"));
  offer.id.number = 78;
  offer.part = CopyOffer::Part::begin;
  auto begin_offer = offer;
  begin_offer.envelope.clear();
  begin_offer.body.clear();
  begin_offer.body_octets = 0;
  EXPECT_THAT(say(*caller, smtp::format_copy(begin_offer)), HasSubstr("250"));
  offer.part = CopyOffer::Part::end;
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), HasSubstr("501"));
  EXPECT_FALSE(shadow(offer.id));
}

// ---- copying again

class Reprotection : public AcceptorTest {
 protected:
  MessageId last_put() {
    auto rows = ask([](storage::Reader& r) { return r.messages(RowId{0}, RowId{INT64_MAX}, 1000); });
    return {spool->id(), static_cast<std::uint64_t>(rows.back().value)};
  }
};

TEST_F(Reprotection, KeepsToItsRateAndEndsAtZero) {
  config.cluster.reprotect_messages_per_second = 10;
  for (auto& [address, m] : network.members) m.is_up = false;
  start();
  for (int i = 0; i < 50; ++i) put(own_message({}));
  member(hub2).is_up = true;
  pass(3s);
  auto after = copies_at(hub2);
  EXPECT_GE(after, 10U);
  EXPECT_LE(after, 50U - 10U);
  pass(6s);
  EXPECT_EQ(unprotected(), 0U);
  EXPECT_EQ(copies_at(hub2), 50U);
}

TEST_F(Reprotection, CountsWhatASilentHolderHasAtOnceAndCopiesNothingWhenItIsBackInTime) {
  begin();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), HasSubstr("235"));
  for (int i = 0; i < 5; ++i) put(own_message({{"hub2", spool2, Holder::State::holds}}));
  pass(20s);  // the restart grace of this hub itself
  member(hub2).is_up = false;
  network.cut(member(hub2));
  pass(25s);
  EXPECT_EQ(peering->short_messages(), 5U);
  EXPECT_EQ(unprotected(), 0U);
  member(hub2).is_up = true;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{2}, Sequence{2}), HasSubstr("235"));
  pass(6s);
  EXPECT_EQ(peering->short_messages(), 0U);
  EXPECT_EQ(copies_at(hub2) + copies_at(hub3), 0U) << "a restart copies nothing";
}

TEST_F(Reprotection, MarksWhatALostHolderHadInFewCommits) {
  member(hub3).is_up = false;
  config.cluster.reprotect_after = 10s;
  begin();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), HasSubstr("235"));
  for (int i = 0; i < 250; ++i) put(own_message({{"hub2", spool2, Holder::State::holds}}));
  member(hub2).is_up = false;
  network.cut(member(hub2));
  auto before = spool->sequence().value;
  pass(90s);
  EXPECT_EQ(unprotected(), 250U);
  EXPECT_LE(spool->sequence().value - before, 10U) << "one commit for a page, not for a message";
}

TEST_F(Reprotection, AsksAHolderThatWasLostAndIsBackBeforeItIsSentAnythingAgain) {
  member(hub3).is_up = false;
  config.cluster.reprotect_after = 10s;
  begin();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), HasSubstr("235"));
  std::vector<MessageId> ids;
  for (int i = 0; i < 5; ++i) {
    put(own_message({{"hub2", spool2, Holder::State::holds}}));
    ids.push_back(last_put());
  }
  member(hub2).is_up = false;
  network.cut(member(hub2));
  pass(90s);
  EXPECT_EQ(unprotected(), 5U);
  auto missing = ids.back();
  member(hub2).knows = [&](MessageId id) {
    return id == missing ? smtp::AskAnswer{}
                         : smtp::AskAnswer{id, smtp::AskKind::held, Generation{1}, "hub1", spool->id()};
  };
  member(hub2).epoch = Epoch{2};
  member(hub2).sequence = Sequence{2};
  member(hub2).is_up = true;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{2}, Sequence{2}), HasSubstr("235"));
  pass(5s);
  EXPECT_EQ(unprotected(), 0U);
  EXPECT_EQ(copies_at(hub2), 1U) << "only what it does not have any more";
}

}  // namespace
}  // namespace umbra::hub::peering_test
