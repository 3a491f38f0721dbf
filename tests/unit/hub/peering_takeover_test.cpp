// Goal: a message has one owner, also where a copy does not tell of all the others. Method: one hub's Peering
// on virtual time as a holder; the other hubs are played by the test.
#include "cluster/majority.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::AskAnswer;
using smtp::AskKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TakeOverTests : public PeeringTest {
 protected:
  TakeOverTests() {
    for (auto& [address, m] : network.members) m.is_up = false;
  }
};

TEST_F(TakeOverTests, LeavesACopyToTheOtherOwnerWhenItsOwnGaveWayToIt) {
  // hub2 and hub3 came to own the same generation, and hub2 gave way: hub3 is delivering it.
  start();
  auto& hub2 = member("10.0.0.2");
  auto& hub3 = member("10.0.0.3");
  hub2.is_up = hub3.is_up = true;
  hub2.knows = [](MessageId id) { return AskAnswer{id, AskKind::held, Generation{1}, "hub3", spool3}; };
  hub3.knows = [](MessageId id) { return AskAnswer{id, AskKind::live, Generation{1}, "", {}}; };
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(1s);
  auto id = hold_shadow(1, Epoch{1});
  for (int i = 0; i < 65; ++i) {
    (void)say(*caller, smtp::format_beat(Epoch{1}, Sequence{2}));
    pass(1s);
  }
  EXPECT_FALSE(ask([id](storage::Reader& r) { return r.find_message(id); })) << "it has two owners";
  EXPECT_EQ(metrics.messages_recovered_total, 0U);
  auto copy = shadow(id);
  ASSERT_TRUE(copy) << "hub3 may have no other copy yet";
  EXPECT_EQ(copy->owner_hub, "hub3");
}

TEST_F(TakeOverTests, KeepsItsCopyUntilTheOwnerItselfSaysThatItIs) {
  // hub2 is gone. hub3 has concluded that hub2 came to own the next generation, and holds it for it: the only
  // other copy.
  start();
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  bool is_concluded = true;
  hub3.knows = [&](MessageId id) {
    return is_concluded ? AskAnswer{id, AskKind::held, Generation{2}, "hub2", spool2}
                        : AskAnswer{id, AskKind::live, Generation{3}, "", {}};
  };
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  pass(2 * config.cluster.lease + config.cluster.restart_grace);
  ASSERT_TRUE(shadow(id));
  EXPECT_EQ(shadow(id)->generation, Generation{1});
  EXPECT_FALSE(ask([id](storage::Reader& r) { return r.find_message(id); })) << "hub3 has the later copy";
  is_concluded = false;
  pass(config.cluster.lease);
  auto copy = shadow(id);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->owner_hub, "hub3");
  EXPECT_EQ(copy->generation, Generation{3});
}

TEST_F(TakeOverTests, NotesWhoAsksAboutWhatItOwnsAsAHolder) {
  make();
  auto mine = own_message({{"hub2", spool2, Holder::State::holds}});
  put(mine);
  start();
  std::unique_ptr<Caller> hub3;
  ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(say(*hub3, smtp::format_ask({mine.id})), HasSubstr(to_string(mine.id) + " live 1"));
  EXPECT_THAT(message(mine.row)->holders,
              ::testing::UnorderedElementsAre(Holder{"hub2", spool2, Holder::State::holds},
                                              Holder{"hub3", spool3, Holder::State::offered}));
  must([&](storage::Writer& w) {
    return w.finish_message(mine.row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
  });
  auto owed = ask([](storage::Reader& r) { return r.outbox(spool3, 0, 10); });
  ASSERT_EQ(owed.size(), 1U);
  EXPECT_TRUE(owed[0].all);
}

TEST_F(TakeOverTests, RemembersTheEndOfWhatItTookFromASpoolThatIsGone) {
  // hub2 gave a copy to hub3, after this hub's, and lost its disk; hub3 is away, will ask, and is named
  // nowhere.
  for (bool is_restarted : {false, true}) {
    start();
    const SpoolId lost{is_restarted ? 0x2221U : 0x2220U};
    std::unique_ptr<Caller> hub2;
    ASSERT_THAT(call(hub2, "hub2", lost, Epoch{1}, Sequence{1}), StartsWith("235 "));
    smtp::CopyOffer offer;
    offer.id = {lost, 7};
    offer.generation = Generation{1};
    auto m = own_message({});
    offer.envelope = encode(m.envelope);
    offer.body = "body\n";
    offer.body_octets = 5;
    offer.offered = {{"hub1", spool->id()}};
    ASSERT_THAT(say(*hub2, smtp::format_copy(offer)), StartsWith("250 "));
    ASSERT_THAT(call(hub2, "hub2", SpoolId{lost.value + 0x1000}, Epoch{1}, Sequence{1}), StartsWith("235 "));
    pass(5s);
    if (is_restarted) {
      stop();
      start();
      ASSERT_THAT(call(hub2, "hub2", SpoolId{lost.value + 0x1000}, Epoch{1}, Sequence{2}),
                  StartsWith("235 "));
      pass(config.cluster.return_wait + 40s);
    }
    auto row = ask([&](storage::Reader& r) { return r.find_message(offer.id); });
    ASSERT_TRUE(row);
    must([&](storage::Writer& w) {
      return w.finish_message(*row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
    });
    pass(30s);
    std::unique_ptr<Caller> hub3;
    ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
    EXPECT_THAT(say(*hub3, smtp::format_ask({offer.id})), HasSubstr(to_string(offer.id) + " done 2"))
        << is_restarted;
    stop();
  }
}

TEST_F(TakeOverTests, OwesTheDoneOfWhatItRecoversToTheHubThatItTookForTheOwner) {
  // This hub handed the message to hub2, which fell silent; back, it owns nothing. A copy of this hub's may
  // lie unread there.
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  hub2.epoch = Epoch{2};
  hub2.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == smtp::ShadowVerb::beat)
      return smtp::Reply{250, "2.0.0",
                         "lease 0"};  // it is offered no copy, of which it would be owed the "done"
    return std::nullopt;
  };
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{2}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1}, {{"hub2", spool2, Holder::State::owed}});
  for (int i = 0; i < 65; ++i) {
    (void)say(*caller, smtp::format_beat(Epoch{2}, Sequence{2}));
    pass(1s);
  }
  auto row = ask([id](storage::Reader& r) { return r.find_message(id); });
  ASSERT_TRUE(row);
  EXPECT_EQ(metrics.messages_recovered_total, 1U);
  auto is_hub2 = [](const Holder& h) { return h.spool == spool2; };
  EXPECT_EQ(std::ranges::count_if(message(*row)->holders, is_hub2), 1);
}

TEST_F(TakeOverTests, TellsWhichRunsAreOverBeforeItAsksWhoOwnsTheMailItComesHomeWith) {
  // hub2 lost its disk. A copy that it sent to hub3 may lie unread there: what hub3 answers before it refuses
  // that is worth nothing.
  config.cluster.ownership = OwnershipMode::majority;
  const SpoolId lost{0x2220};
  make();
  auto mine = own_message({{"hub2", lost, Holder::State::holds}});
  put(mine);
  stop();
  auto& hub2 = member("10.0.0.2");
  auto& hub3 = member("10.0.0.3");
  hub2.is_up = hub3.is_up = true;
  hub3.keywords += "\nXOVER";
  hub3.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == smtp::ShadowVerb::over) return smtp::Reply{451, "4.3.0", "not now"};
    return std::nullopt;
  };
  start();
  pass(config.cluster.return_wait + 10s);
  ASSERT_TRUE(message(mine.row));
  EXPECT_EQ(verdict(*message(mine.row)), DeliveryGuard::Verdict::later) << "hub3 may come to hold a copy yet";
  hub3.answers = nullptr;
  hub3.commands.clear();
  pass(3s);
  ASSERT_TRUE(message(mine.row));
  EXPECT_EQ(verdict(*message(mine.row)), DeliveryGuard::Verdict::go);
  bool is_told = false;
  for (const auto& c : hub3.commands) {
    if (c.verb == smtp::ShadowVerb::over)
      is_told = std::ranges::find(c.runs, smtp::KnownEpoch{"hub2", lost, every_run}) != c.runs.end();
    if (c.verb == smtp::ShadowVerb::ask) break;
  }
  EXPECT_TRUE(is_told);
}

TEST_F(TakeOverTests, FindsOutWhoOwnsACopyThoughItMayTakeNothingOverItself) {
  config.cluster.ownership = OwnershipMode::majority;
  start();
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  hub3.answers = [](const smtp::ShadowCommand& c)
      -> std::optional<smtp::Reply> {  // this hub is never let in, and has no lease
    if (c.verb == smtp::ShadowVerb::epochs) return smtp::Reply{451, "4.3.0", "not now"};
    if (c.verb == smtp::ShadowVerb::beat) return smtp::Reply{250, "2.0.0", "lease 0"};
    return std::nullopt;
  };
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto owned = hold_shadow(1, Epoch{1});
  auto nobodys = hold_shadow(2, Epoch{1});
  hub3.knows = [owned](MessageId id) {
    return id == owned ? AskAnswer{id, AskKind::live, Generation{2}, "", {}} : AskAnswer{};
  };
  ASSERT_THAT(call(hub2, "hub2", SpoolId{0x2220}, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(60s);
  ASSERT_TRUE(shadow(owned));
  EXPECT_EQ(shadow(owned)->owner_hub, "hub3") << "which will tell when it is done";
  EXPECT_TRUE(shadow(nobodys));
  EXPECT_FALSE(ask([nobodys](storage::Reader& r) { return r.find_message(nobodys); }));
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
}

// Five hubs under majority: hub2, whose copies this hub holds, goes away; hub3 and hub4 vote.
class MajorityTakeOverTests : public PeeringTest {
 protected:
  MajorityTakeOverTests() {
    config.cluster.ownership = OwnershipMode::majority;
    for (auto [name, address, spool] :
         {std::tuple{"hub4", "10.0.0.4", SpoolId{0x4444}}, {"hub5", "10.0.0.5", SpoolId{0x5555}}}) {
      config.cluster.members.push_back({name, {address, 7025}});
      network.members[address].name = name;
      network.members[address].spool = spool;
    }
  }
  /// Every hub is heard once; from then on hub2 is away.
  void begin() {
    start();
    for (auto& [address, m] : network.members) {
      (void)address;
      ASSERT_THAT(call(callers[m.name], m.name, m.spool, m.epoch, m.sequence), StartsWith("235 "));
    }
    pass(2s);
    member("10.0.0.2").is_up = false;
    network.cut(member("10.0.0.2"));
  }
  /// The others beat to this hub.
  void let_beat(Duration span, const std::set<std::string>& names) {
    for (Duration passed{}; passed < span; passed += 1s) {
      for (const auto& name : names)
        (void)say(*callers[name], smtp::format_beat(Epoch{1}, Sequence{1}, agreement));
      pass(1s);
    }
  }
  bool owns(MessageId id) {
    return ask([id](storage::Reader& r) { return r.find_message(id); }).has_value();
  }
  std::map<std::string, std::unique_ptr<Caller>> callers;
  const std::string agreement = cluster::agreement_of("majority", {"hub1", "hub2", "hub3", "hub4", "hub5"});
};

TEST_F(MajorityTakeOverTests, WaitsForAHubThatItsCopyDoesNotName) {
  begin();
  auto id = hold_shadow(1, Epoch{1});
  auto& hub5 = member("10.0.0.5");
  hub5.is_silent = true;  // it was handed the message, and stands still for moments again and again
  let_beat(60s, {"hub3", "hub4", "hub5"});
  EXPECT_FALSE(owns(id)) << "hub5 may own it";
  EXPECT_TRUE(shadow(id));
  EXPECT_GT(peering->takeover_wait(), 30s) << "an operator can see it";
  hub5.is_silent = false;
  let_beat(5s, {"hub3", "hub4", "hub5"});
  EXPECT_EQ(peering->takeover_wait(), 0s);
  EXPECT_TRUE(owns(id)) << "it has answered that it does not";
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
}

TEST_F(MajorityTakeOverTests, WaitsNoLongerForAHubThatIsOutItself) {
  begin();
  auto id = hold_shadow(1, Epoch{1});
  member("10.0.0.5").is_up = false;
  network.cut(member("10.0.0.5"));
  let_beat(60s, {"hub3", "hub4"});
  EXPECT_TRUE(owns(id));
}

TEST_F(MajorityTakeOverTests, TellsEachHubThatTheRunIsOverBeforeItAsks) {
  // hub5 may have a hand-over of hub2 in its socket, unread: what it answers before it refuses that is worth
  // nothing.
  auto& hub5 = member("10.0.0.5");
  hub5.keywords += "\nXOVER";
  begin();
  auto id = hold_shadow(1, Epoch{1});
  hub5.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == smtp::ShadowVerb::over) return smtp::Reply{451, "4.3.0", "not now"};
    return std::nullopt;
  };
  let_beat(60s, {"hub3", "hub4", "hub5"});
  EXPECT_FALSE(owns(id));
  hub5.answers = nullptr;
  hub5.commands.clear();
  let_beat(5s, {"hub3", "hub4", "hub5"});
  EXPECT_TRUE(owns(id));
  bool is_told = false;
  for (const auto& c : hub5.commands) {
    if (c.verb == smtp::ShadowVerb::over)
      is_told = std::ranges::find(c.runs, smtp::KnownEpoch{"hub2", spool2, Epoch{2}}) != c.runs.end();
    if (c.verb == smtp::ShadowVerb::ask) break;
  }
  EXPECT_TRUE(is_told);
}

TEST_F(MajorityTakeOverTests, OwesTheDoneToWhoWasOutAndTrustsNothingThatAnotherHubHearsInALaterRun) {
  // hub5 is out; then it is back, in its next run, heard by hub3 alone: it may own the message, or have given
  // it away and got it back.
  auto& hub3 = member("10.0.0.3");
  hub3.keywords += "\nXOVER";
  bool is_alive = true;
  hub3.answers = [&](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb != smtp::ShadowVerb::over || !is_alive) return std::nullopt;
    return smtp::Reply{250, "2.0.0", smtp::format_epoch({"hub5", SpoolId{0x5555}, Epoch{2}}) + "\nNoted"};
  };
  begin();
  auto id = hold_shadow(1, Epoch{1});
  member("10.0.0.5").is_up = false;
  network.cut(member("10.0.0.5"));
  let_beat(60s, {"hub3", "hub4"});
  EXPECT_FALSE(owns(id));
  is_alive = false;
  let_beat(10s, {"hub3", "hub4"});
  auto row = ask([id](storage::Reader& r) { return r.find_message(id); });
  ASSERT_TRUE(row);
  auto holders = message(*row)->holders;
  EXPECT_THAT(holders, ::testing::Contains(Holder{"hub5", SpoolId{0x5555}, Holder::State::former_owner}));
  EXPECT_THAT(holders, ::testing::Contains(Holder{"hub2", spool2, Holder::State::former_owner}));
}

TEST_F(TakeOverTests, LooksAgainWhenAHubAsksThatGoesFirst) {
  // hub0 became a holder while this hub was asking: by the answer it gets now it takes over, and its own
  // former answer is old.
  config.cluster.members.push_back({"hub0", {"10.0.0.8", 7025}});
  auto& hub0 = network.members["10.0.0.8"];
  hub0.name = "hub0";
  hub0.spool = SpoolId{0x10};
  start();
  std::unique_ptr<Caller> owner;
  ASSERT_THAT(call(owner, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  std::unique_ptr<Caller> asker;
  ASSERT_THAT(call(asker, "hub0", hub0.spool, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto id = hold_shadow(1, Epoch{1});
  bool asks = true;
  hub0.answers = [&](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == smtp::ShadowVerb::ask && asks) {
      asker->send(smtp::format_ask({id}));
      settle();
    }
    return std::nullopt;
  };
  auto owns = [&] { return ask([id](storage::Reader& r) { return r.find_message(id); }).has_value(); };
  for (int i = 0; i < 60; ++i) {
    (void)say(*asker, smtp::format_beat(Epoch{1}, Sequence{1}));
    pass(1s);
  }
  EXPECT_FALSE(hub0.of(smtp::ShadowVerb::ask).empty());
  EXPECT_FALSE(owns());
  asks = false;
  pass(2s);
  EXPECT_TRUE(owns());
}

TEST_F(TakeOverTests, WaitsWhereItIsSaidToOwnALaterGenerationOrAnEarlierOwnerLives) {
  for (const bool is_owner_here : {false, true}) {
    SCOPED_TRACE(is_owner_here);
    make();
    auto mine = own_message({{"hub2", spool2, Holder::State::holds}});
    mine.generation = Generation{2};
    put(mine);
    auto own_spool = spool->id();
    stop();
    auto& hub2 = member("10.0.0.2");
    hub2.is_up = true;
    hub2.knows = [&](MessageId id) {
      return is_owner_here ? AskAnswer{id, AskKind::held, Generation{3}, "hub1", own_spool}
                           : AskAnswer{id, AskKind::live, Generation{1}, "", {}};
    };
    start();
    pass(config.cluster.return_wait + 10s);
    auto waiting = message(mine.row);
    ASSERT_TRUE(waiting) << "it is nobody's shadow";
    EXPECT_EQ(verdict(*waiting), DeliveryGuard::Verdict::later);
    hub2.knows = [](MessageId id) { return AskAnswer{id, AskKind::live, Generation{4}, "", {}}; };
    pass(3s);
    EXPECT_FALSE(message(mine.row));
    auto ceded = shadow(mine.id);
    ASSERT_TRUE(ceded);
    EXPECT_EQ(ceded->generation, Generation{4});
    stop();
  }
}

TEST_F(TakeOverTests, WaitsAtHomeForAHubThatIsNamedNowhereAndGivesTheMessageAway) {
  // hub3 took it over from a hub that took it over from this one and lost its disk since, and waits for the
  // answer to its own hand-over.
  make();
  auto mine = own_message({{"hub2", spool2, Holder::State::holds}});
  put(mine);
  stop();
  auto& hub3 = member("10.0.0.3");
  member("10.0.0.2").is_up = hub3.is_up = true;
  hub3.knows = [](MessageId id) { return AskAnswer{id, AskKind::pending, Generation{3}, "", {}}; };
  start();
  pass(config.cluster.return_wait + 10s);
  ASSERT_TRUE(message(mine.row));
  EXPECT_EQ(verdict(*message(mine.row)), DeliveryGuard::Verdict::later);
  hub3.knows = [](MessageId id) { return AskAnswer{id, AskKind::live, Generation{3}, "", {}}; };
  pass(3s);
  EXPECT_FALSE(message(mine.row));
  EXPECT_TRUE(shadow(mine.id));
}

TEST_F(TakeOverTests, SaysNothingIsDoneOfWhatItsOwnerHasGivenAway) {
  // hub2 took this hub's message over, gave it to a hub that is not in reach, and has told everybody it knows
  // of. hub3 has a copy of this hub's, or the message itself.
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = true;
  start();
  auto m = own_message({{"hub3", spool3, Holder::State::holds}});
  put(m);
  must([&](storage::Writer& w) { return w.cede(m.row, Generation{2}, "hub2", spool2, Epoch{1}); });
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  for (int i = 0; i < 65; ++i) {
    (void)say(*caller, smtp::format_beat(Epoch{1}, Sequence{1}));
    pass(1s);
  }
  EXPECT_FALSE(shadow(m.id)) << "the run that owned it does not know it any more";
  auto told = ask([](storage::Reader& r) { return r.outbox(spool3, 0, 9); });
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].superseded);
  EXPECT_FALSE(told[0].all) << "whoever owns it would drop it undelivered";
  EXPECT_EQ(told[0].generation, Generation{1});
}

TEST_F(TakeOverTests, AsksWhoOwnsItsMessageWhenItIsOfferedALaterCopy) {
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  start();
  auto m = own_message({});
  put(m);
  pass(1s);
  hub3.knows = [&](MessageId id) {
    return id == m.id ? AskAnswer{id, AskKind::live, Generation{2}, "", {}} : AskAnswer{};
  };
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  smtp::CopyOffer offer;
  offer.id = m.id;
  offer.generation = Generation{2};
  offer.envelope = encode(m.envelope);
  offer.body = "body\n";
  offer.body_octets = 5;
  offer.offered = {{"hub1", spool->id()}};
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), StartsWith("550 "));
  pass(2s);
  EXPECT_FALSE(message(m.row));
  auto kept = shadow(m.id);
  ASSERT_TRUE(kept) << "it may be the last copy";
  EXPECT_EQ(kept->owner_hub, "hub3");
  EXPECT_EQ(kept->generation, Generation{2});
}

}  // namespace
}  // namespace umbra::hub::peering_test
