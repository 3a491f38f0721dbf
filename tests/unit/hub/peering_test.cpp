// Goal: who owns a message stays one hub's knowledge, or is counted. Method: one hub's Peering on virtual
// time, the other hubs played by the test, moments chosen between two steps.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::AskAnswer;
using smtp::AskKind;
using smtp::ShadowVerb;
using ::testing::StartsWith;

class PeeringTests : public PeeringTest {
 protected:
  PeeringTests() {
    for (auto& [address, m] : network.members) m.is_up = false;
  }
  void remember(const std::string& hub, SpoolId id, Epoch epoch, Sequence sequence) {
    must([=](storage::Writer& w) { return w.remember_peer({hub, id, epoch, sequence}); });
  }
  AskAnswer held_for_us(MessageId id) { return {id, AskKind::held, Generation{1}, "hub1", spool->id()}; }
};

// ---- identity

TEST_F(PeeringTests, AnswersNobodyBeforeItKnowsWhatItRemembersOfThem) {
  make();
  remember("hub2", spool2, Epoch{6}, Sequence{100});
  reader.is_held = true;
  start();
  auto caller = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), smtp::HubHello{});
  settle();
  EXPECT_EQ(caller->received(), "");
  reader.let_go();
  settle();
  EXPECT_THAT(caller->received(), StartsWith("220 "));
  EXPECT_THAT(call(caller, "hub2", spool2, Epoch{5}, Sequence{120}), StartsWith("554 "));
}

TEST_F(PeeringTests, RefusesABackupThatBeginsTheEpochThatIsAwaited) {
  make();
  remember("hub2", spool2, Epoch{6}, Sequence{100});
  start();
  std::unique_ptr<Caller> caller;
  EXPECT_THAT(call(caller, "hub2", spool2, Epoch{6}, Sequence{80}), StartsWith("555 "));
  EXPECT_THAT(call(caller, "hub2", spool2, Epoch{6}, Sequence{100}), StartsWith("235 "));
}

TEST_F(PeeringTests, RefusesABackupThatBeginsTheEpochThatIsHeard) {
  start();
  std::unique_ptr<Caller> run;
  std::unique_ptr<Caller> late;
  ASSERT_THAT(call(run, "hub2", spool2, Epoch{5}, Sequence{100}), StartsWith("235 "));
  // A second session of the same run is greeted, and its hello is on its way while the first one says more.
  smtp::HubHello hello{"hub2", spool2, Epoch{5}, Sequence{150}, std::string(64, 'c')};
  late = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), hello);
  settle();
  EXPECT_THAT(say(*run, smtp::format_beat(Epoch{5}, Sequence{200}, {})), StartsWith("250 "));
  (void)late->received();
  EXPECT_THAT(prove(*late), StartsWith("235 "));
  // Greeted after 200 was heard: whoever is at 150 has forgotten something.
  EXPECT_THAT(call(late, "hub2", spool2, Epoch{5}, Sequence{150}), StartsWith("555 "));
  EXPECT_THAT(call(late, "hub2", spool2, Epoch{5}, Sequence{200}), StartsWith("235 "));
}

TEST_F(PeeringTests, IsNotEndedByAStrangerAtTheAddressOfAMember) {
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  hub2.instead_of_challenge = "555 5.7.0 Spool 1111111111111111 was rolled back\r\n";
  start();
  pass(10s);
  EXPECT_FALSE(peering->members().ended());
}

TEST_F(PeeringTests, KeepsNothingOfAStrangersCountedOctets) {
  start();
  auto caller = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), smtp::HubHello{});
  settle();
  caller->send("XCOPY 1111111111111111-1 1 1000000 1000000 INLINE hub1/1111111111111111\r\n" +
               std::string(100'000, 'x'));
  settle();
  EXPECT_TRUE(caller->is_closed());
}

// ---- silence

TEST_F(PeeringTests, ConcludesNothingFromSilenceRightAfterItStoodStillItself) {
  // Whichever of its timers is the first to fire afterwards.
  for (auto offset : {0ms, 100ms, 300ms, 450ms, 600ms, 750ms, 900ms}) {
    start();
    std::unique_ptr<Caller> hub2;
    ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
    auto id = hold_shadow(1, Epoch{1});
    for (int i = 0; i < 40; ++i) {
      ASSERT_THAT(say(*hub2, smtp::format_beat(Epoch{1}, Sequence{2})), StartsWith("250 ")) << i;
      pass(1s);
    }
    pass(offset);
    time.jump(1min);
    settle();
    // Its sessions have ended meanwhile; it comes back a moment later, in the same epoch.
    pass(1s);
    EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{3}), StartsWith("235 ")) << offset.count();
    EXPECT_TRUE(shadow(id)) << offset.count();
    must([id](storage::Writer& w) {
      auto released = w.release_shadow(id, Generation{9});
      return released ? Result<void>{} : std::unexpected(released.error());
    });
    stop();
  }
}

TEST_F(PeeringTests, TakesOverFromAHubThatIsSilentAndEndsItsEpoch) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  pass(45s);
  EXPECT_FALSE(shadow(id));
  EXPECT_TRUE(ask([id](storage::Reader& r) { return r.find_message(id); }));
  EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{2}), StartsWith("554 "));
  EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{3}), StartsWith("235 "));
}

TEST_F(PeeringTests, EndsEveryRunOfAHubBeforeItTakesFromIt) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  hold_shadow(1, Epoch{1});
  pass(45s);
  // Back while this hub's look at its shadows takes long, silent again before the next look.
  reader.is_held = true;
  pass(1s);
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{5}), StartsWith("235 "));
  pass(11s);
  reader.let_go();
  auto id = hold_shadow(2, Epoch{2});
  pass(5s);
  EXPECT_FALSE(shadow(id));
  EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{6}), StartsWith("554 "));
}

TEST_F(PeeringTests, DoesNotForgetWhatItHasTakenOver) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  pass(45s);
  ASSERT_TRUE(ask([id](storage::Reader& r) { return r.find_message(id); }));
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{3}), StartsWith("235 "));
  EXPECT_THAT(say(*hub2, smtp::format_forget(id, Generation{1})), StartsWith("550 "));
  EXPECT_TRUE(ask([id](storage::Reader& r) { return r.find_message(id); }));
}

TEST_F(PeeringTests, AnswersNoQuestionOfARunThatWasEnded) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  for (int i = 0; i < 9; ++i) {
    pass(5s);
    ASSERT_THAT(say(*hub2, "NOOP\r\n"), StartsWith("250 "));
  }
  ASSERT_FALSE(shadow(id));
  EXPECT_THAT(say(*hub2, smtp::format_ask({id})), StartsWith("554 "));
  EXPECT_TRUE(hub2->is_closed());
}

// ---- questions

TEST_F(PeeringTests, NeverSaysUnknownOfWhatWasPendingWhenItWasAsked) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  MessageId id{spool->id(), 42};
  peering->pending().insert(id);
  // The spool is read before the commit; the answer is put together after the acceptance has ended.
  home.is_held = true;
  EXPECT_EQ(say(*hub2, smtp::format_ask({id})), "");
  peering->pending().erase(id);
  home.let_go();
  settle();
  EXPECT_THAT(hub2->received(), ::testing::HasSubstr(to_string(id) + " pending"));
}

// ---- taking over

TEST_F(PeeringTests, OwesTheDoneToEveryHubThatSaysItHoldsACopy) {
  start();
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  hub3.knows = [](MessageId id) { return AskAnswer{id, AskKind::held, Generation{1}, "hub2", spool2}; };
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  auto row = shadow(id)->row;
  pass(45s);
  auto taken = message(row);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(std::ranges::any_of(taken->holders,
                                  [](const auto& h) { return h.hub == "hub3" && h.spool == spool3; }));
}

TEST_F(PeeringTests, CountsWhatItsFormerOwnerSaysAfterwardsThatItHadDeliveredToo) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto twice = hold_shadow(1, Epoch{1});
  auto once = hold_shadow(2, Epoch{1});
  pass(45s);
  ASSERT_TRUE(ask([twice](storage::Reader& r) { return r.find_message(twice); }));
  peering->delivered(twice, Generation{2});
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{3}), StartsWith("235 "));
  auto done = [&](MessageId id, Generation generation) {
    return say(*hub2, smtp::format_done({{1, id, generation, true, {}}}));
  };
  EXPECT_THAT(done(once, Generation{1}), StartsWith("250 "));
  EXPECT_THAT(done(twice, Generation{2}), StartsWith("250 "));
  EXPECT_EQ(metrics.possible_duplicates_total, 0U)
      << "the one was delivered by its former owner alone, the other is this hub's own word";
  EXPECT_THAT(done(twice, Generation{1}), StartsWith("250 "));
  EXPECT_THAT(done(twice, Generation{1}), StartsWith("250 ")) << "repeated";
  EXPECT_EQ(metrics.possible_duplicates_total, 1U);
}

TEST_F(PeeringTests, AsksAgainAboutACopyWhoseOwnerHasForgottenItSince) {
  start();
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  bool is_live = true;
  hub2.knows = [&](MessageId id) {
    return is_live ? AskAnswer{id, AskKind::live, Generation{1}, "", {}} : AskAnswer{};
  };
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(1s);
  auto id = hold_shadow(1, Epoch{1});
  auto beat = [&](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      (void)say(*caller, smtp::format_beat(Epoch{1}, Sequence{2}));
      pass(1s);
    }
  };
  beat(65);
  EXPECT_TRUE(shadow(id));
  is_live = false;
  beat(15 * 60);
  EXPECT_FALSE(shadow(id));
}

// ---- coming home

TEST_F(PeeringTests, NamesTheHolderThatItsRowDoesNotKnow) {
  make();
  auto mine = own_message({{"hub3", spool3, Holder::State::holds}});
  put(mine);
  stop();
  for (auto& [address, m] : network.members) m.is_up = true;
  member("10.0.0.2").knows = [this](MessageId id) { return held_for_us(id); };
  start();
  pass(5s);
  EXPECT_TRUE(outbound.is_loading);
  auto got = message(mine.row);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->holders, (std::vector<Holder>{{"hub2", spool2, Holder::State::holds}}));
}

TEST_F(PeeringTests, CountsUnsettledMailAndCedesItWhenItsNewOwnerAnswers) {
  make();
  auto mine = own_message({{"hub2", spool2, Holder::State::holds}});
  put(mine);
  stop();
  member("10.0.0.3").is_up = true;
  start();
  pass(40s);
  EXPECT_TRUE(outbound.is_loading) << "pairwise: the hub goes on without the answer";
  EXPECT_EQ(verdict(*message(mine.row)), DeliveryGuard::Verdict::go_possible_duplicate);
  auto& hub2 = member("10.0.0.2");
  hub2.knows = [](MessageId id) { return AskAnswer{id, AskKind::pending, {}, "", {}}; };
  hub2.is_up = true;
  pass(3s);
  // It promises again, but this mail it may own, and it will say so in a moment: it is not silent any more.
  auto stored = message(mine.row);
  ASSERT_TRUE(stored);
  EXPECT_FALSE(peering->may_deliver_now(*stored));
  EXPECT_EQ(verdict(*stored), DeliveryGuard::Verdict::later);
  hub2.knows = [](MessageId id) { return AskAnswer{id, AskKind::live, Generation{2}, "", {}}; };
  pass(3s);
  EXPECT_FALSE(message(mine.row));
  auto ceded = shadow(mine.id);
  ASSERT_TRUE(ceded);
  EXPECT_EQ(ceded->owner_hub, "hub2");
  EXPECT_TRUE(outbound.forgotten.contains(mine.row));
}

TEST_F(PeeringTests, DoesNotTakeAnAnswerThatSaysLaterForSilence) {
  for (auto says : {AskKind::pending, AskKind::waiting}) {
    make();
    auto mine = own_message({{"hub2", spool2, Holder::State::holds}});
    mine.generation = Generation{2};
    put(mine);
    stop();
    auto& hub2 = member("10.0.0.2");
    hub2.is_up = true;
    hub2.knows = [says](MessageId id) {
      return AskAnswer{id, says, Generation{says == AskKind::pending ? 2U : 1U}, "", {}};
    };
    start();
    pass(config.cluster.return_wait + 20s);
    EXPECT_TRUE(outbound.is_loading) << "other mail does not wait for it";
    auto stored = message(mine.row);
    ASSERT_TRUE(stored);
    EXPECT_EQ(verdict(*stored), DeliveryGuard::Verdict::later);
    hub2.is_up = false;
    network.cut(hub2);
    pass(3s);
    EXPECT_EQ(verdict(*stored), DeliveryGuard::Verdict::go_possible_duplicate) << "now it is silent";
    hub2.is_up = true;
    hub2.knows = [this](MessageId id) { return held_for_us(id); };
    pass(3s);
    EXPECT_EQ(verdict(*stored), DeliveryGuard::Verdict::go);
    must([&](storage::Writer& w) { return w.forget_message(mine.row); });
    hub2.is_up = false;
    stop();
  }
}

// ---- promises

TEST_F(PeeringTests, NeedsThePromiseOfAFormerOwnerOnceItIsBack) {
  start();
  Holder former{"hub2", spool2, Holder::State::former_owner};
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  auto row = shadow(id)->row;
  pass(45s);
  ASSERT_TRUE(message(row));
  EXPECT_TRUE(peering->members().promise_is_fresh(former));
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{2}, Sequence{3}), StartsWith("235 "));
  EXPECT_FALSE(peering->members().promise_is_fresh(former));
  pass(2s);
  // And for good: also a later run of this hub knows it as a holder.
  auto got = message(row);
  ASSERT_TRUE(got);
  ASSERT_EQ(got->holders.size(), 1U);
  EXPECT_EQ(got->holders[0].state, Holder::State::offered);
}

TEST_F(PeeringTests, AsksTheHoldersThatUnprotectedMailWasGivenSinceItWasRead) {
  start();
  auto mine = own_message({});
  put(mine);
  auto as_read = message(mine.row);
  ASSERT_TRUE(as_read);
  must([&](storage::Writer& w) {
    return w.set_holders(mine.row, {{"hub2", spool2, Holder::State::holds}}, true);
  });
  // hub2 is silent: it may have taken over.
  EXPECT_FALSE(peering->may_deliver_now(*as_read));
  EXPECT_EQ(verdict(*as_read), DeliveryGuard::Verdict::go_possible_duplicate);
}

// ---- protecting

TEST_F(PeeringTests, MarksWhatALostHolderHadOnceTheDiskHasRoomAgain) {
  member("10.0.0.2").is_up = member("10.0.0.3").is_up = false;
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto m = own_message({{"hub2", spool2, Holder::State::holds}});
  m.is_protected = true;
  put(m);
  disk.set_capacity(disk.octets());
  hub2.reset();
  ASSERT_THAT(call(hub2, "hub2", SpoolId{0x2424242424242424ULL}, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(2s);
  ASSERT_EQ(message(m.row)->holders.size(), 1U) << "nothing can be written";
  disk.set_capacity(UINT64_MAX);
  pass(2s);
  EXPECT_TRUE(message(m.row)->holders.empty());
  EXPECT_FALSE(message(m.row)->is_protected);
}

TEST_F(PeeringTests, SaysNothingOfACopyThatItMayHaveKeptAndCouldNotSync) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  smtp::CopyOffer copy;
  copy.id = {spool2, 1};
  copy.generation = Generation{1};
  copy.body = "body\n";
  copy.body_octets = 5;
  copy.offered = {{"hub1", spool->id()}};
  Envelope envelope;
  envelope.recipients = {{"r@example.com", "", notify_unset}};
  copy.envelope = encode(envelope);
  disk.fail(storage::MemoryDisk::Change::sync, 1, false);
  EXPECT_EQ(say(*hub2, smtp::format_copy(copy)), "")
      << "told that nothing is kept, its owner would forget this holder";
}

TEST_F(PeeringTests, ReleasesNoCopyForTheSakeOfASilentHolder) {
  auto& hub2 = member("10.0.0.2");
  auto& hub3 = member("10.0.0.3");
  hub2.is_up = hub3.is_up = true;
  config.cluster.reprotect_after = 1h;  // hub3 may just be restarting
  start();
  std::unique_ptr<Caller> leaver;
  std::unique_ptr<Caller> other;
  ASSERT_THAT(call(leaver, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  ASSERT_THAT(call(other, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(2s);
  auto mine = own_message({{"hub2", spool2, Holder::State::holds}, {"hub3", spool3, Holder::State::holds}});
  put(mine);
  ASSERT_THAT(say(*leaver, smtp::format_state(smtp::HubState::leaving, 0s)), StartsWith("250 "));
  hub3.is_up = false;
  network.cut(hub3);
  for (int i = 0; i < 60; ++i) {
    pass(1s);
    ASSERT_THAT(say(*leaver, smtp::format_beat(Epoch{1}, Sequence{2})), StartsWith("250 "));
  }
  EXPECT_THAT(say(*leaver, smtp::format_rehome({mine.id})), ::testing::HasSubstr(" nobody"))
      << "its copy is the only one that is there";
  // Back, it counts.
  hub3.is_up = true;
  ASSERT_THAT(call(other, "hub3", spool3, Epoch{2}, Sequence{9}), StartsWith("235 "));
  EXPECT_THAT(say(*leaver, smtp::format_rehome({mine.id})), ::testing::HasSubstr(" released"));
}

TEST_F(PeeringTests, CopiesAMessageOfWhichMoreRecipientsAreDoneThanALineCanName) {
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  start();
  pass(2s);
  auto mine = own_message({}, 3000);
  must([&](storage::Writer& w) -> Result<void> {
    if (auto body = w.put_chunk(mine.row, 0, "body\n"); !body) return body;
    if (auto inserted = w.insert_message(mine); !inserted) return inserted;
    storage::AttemptRecord record;
    record.row = mine.row;
    record.destination = "example.com";
    for (std::uint32_t i = 0; i < 2000; ++i)
      record.outcomes.push_back({i, storage::RecipientOutcome::State::delivered, ""});
    record.again = {{"example.com", WallClock::now() + 1h, 1}};
    auto effect = w.record_attempt(record);
    if (!effect) return std::unexpected(effect.error());
    return {};
  });
  pass(10s);
  auto copies = hub2.of(ShadowVerb::copy);
  ASSERT_EQ(copies.size(), 1U);
  std::set<std::uint32_t> told(copies[0].copy.done.begin(), copies[0].copy.done.end());
  for (const auto& command : hub2.of(ShadowVerb::done))
    for (const auto& d : command.discards) told.insert(d.recipients.begin(), d.recipients.end());
  EXPECT_EQ(told.size(), 2000U);
  EXPECT_TRUE(message(mine.row)->is_protected);
}

TEST_F(PeeringTests, TellsManyRecipientsInCommandsThatAreNotTooLong) {
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  start();
  pass(2s);
  auto mine = own_message({{"hub2", spool2, Holder::State::holds}}, 60'000);
  put(mine);
  must([&](storage::Writer& w) -> Result<void> {
    for (std::uint32_t from = 0; from < 48'000; from += 12'000) {
      storage::AttemptRecord record;
      record.row = mine.row;
      record.destination = "example.com";
      for (std::uint32_t i = from; i < from + 12'000; ++i)
        record.outcomes.push_back({i, storage::RecipientOutcome::State::delivered, ""});
      record.again = {{"example.com", WallClock::now() + 1h, 1}};
      auto effect = w.record_attempt(record);
      if (!effect) return std::unexpected(effect.error());
    }
    return {};
  });
  pass(10s);
  std::size_t told = 0;
  for (const auto& command : hub2.of(ShadowVerb::done)) {
    EXPECT_LE(smtp::format_done(command.discards).size(), smtp::shadow_chunk_octets_max);
    for (const auto& d : command.discards) told += d.recipients.size();
  }
  EXPECT_EQ(told, 48'000U);
  EXPECT_EQ(ask([](storage::Reader& r) { return r.counts(); }).outbox, 0U);
}

TEST_F(PeeringTests, TellsTheNewHolderWhatEndedWhileTheCopyWasOnItsWay) {
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  start();
  pass(2s);
  auto mine = own_message({}, 2);
  // While hub2 stores the copy, the first recipient gets the message; its discard status overtakes the copy.
  bool is_recorded = false;
  hub2.on_command = [&](const smtp::ShadowCommand& command) {
    if (command.verb != ShadowVerb::copy || std::exchange(is_recorded, true)) return;
    spool->write(
        [row = mine.row](storage::Writer& w) -> Result<void> {
          storage::AttemptRecord record;
          record.row = row;
          record.destination = "example.com";
          record.outcomes = {{0, storage::RecipientOutcome::State::delivered, ""}};
          record.again = {{"example.com", WallClock::now() + 1h, 1}};
          auto effect = w.record_attempt(record);
          if (!effect) return std::unexpected(effect.error());
          return {};
        },
        0, [](const Result<void>&) {});
    // Committed before the answer to the copy arrives.
    io.restart();
    while (io.poll() > 0) io.restart();
  };
  put(mine);
  pass(5s);
  ASSERT_TRUE(is_recorded);
  auto got = message(mine.row);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->holders, (std::vector<Holder>{{"hub2", spool2, Holder::State::holds}}));
  EXPECT_TRUE(got->is_protected);
  // Told outside the outbox (key 0), after the copy was held.
  auto told = hub2.of(ShadowVerb::done);
  EXPECT_TRUE(std::ranges::any_of(told, [](const auto& command) {
    return std::ranges::any_of(command.discards, [](const auto& d) {
      return d.key == 0 && d.recipients == std::vector<std::uint32_t>{0};
    });
  }));
}

TEST_F(PeeringTests, LeavesAMessageInAcceptanceToItsAcceptor) {
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  start();
  pass(2s);
  auto mine = own_message({});
  peering->pending().insert(mine.id);
  put(mine);
  pass(5s);
  EXPECT_TRUE(hub2.of(ShadowVerb::copy).empty());
  peering->pending().erase(mine.id);
  pass(2s);
  EXPECT_EQ(hub2.of(ShadowVerb::copy).size(), 1U);
}

// ---- sessions

TEST_F(PeeringTests, KeepsTheSessionForCopiesOpenThatNobodyUses) {
  member("10.0.0.2").is_up = true;
  start();
  pass(2min);
  auto noops = member("10.0.0.2").of(smtp::ShadowVerb::noop).size();
  EXPECT_GE(noops, 8U) << "its server ends a session without a command for half a minute";
  EXPECT_LE(noops, 13U);
}

TEST_F(PeeringTests, TakesLargeCopiesAgainAfterManyWereLeftUnfinished) {
  start();
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto offer = [&](std::uint64_t number) {
    smtp::CopyOffer copy;
    copy.id = {spool2, number};
    copy.generation = Generation{1};
    copy.body_octets = 500'000;
    copy.streamed = true;
    copy.offered = {{"hub1", spool->id()}};
    Envelope envelope;
    envelope.recipients = {{"r@example.com", "", notify_unset}};
    copy.envelope = encode(envelope);
    return say(*hub2, smtp::format_copy(copy));
  };
  for (std::uint64_t i = 1; i <= 64; ++i) {
    ASSERT_THAT(offer(i), StartsWith("250 ")) << i;
    // Finished before the last piece: its owner will not send the rest.
    ASSERT_THAT(say(*hub2, smtp::format_done({{i, {spool2, i}, Generation{1}, true, {}}})),
                StartsWith("250 "));
  }
  EXPECT_THAT(offer(65), StartsWith("250 "));
}

}  // namespace
}  // namespace umbra::hub::peering_test
