// Goal: what a drain says to the other hubs and to a script is so. Method: one hub's Drainer on virtual time
// with a real spool; the other hubs are played by the test.
#include "hub/drain/drainer.h"

#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::HubState;
using smtp::ShadowVerb;

class DrainerTest : public PeeringTest {
 protected:
  DrainerTest() {
    for (auto& [address, m] : network.members) m.keywords = "\nXSHADOW 1\nXHAND\nXDRAIN";
  }
  ~DrainerTest() override { end(); }
  void begin() {
    start();
    is_closed = false;
    drainer.emplace(Runtime{io, random, network, resolver}, config, *spool, *peering,
                    Drainer::Clients{[this](bool closed) { is_closed = closed; },
                                     [] { return std::size_t{0}; }, [](const std::string&) { return true; }},
                    log, metrics, &carried);
    drainer->start();
    was_closed_at_once = is_closed;
    pass(2s);
  }
  void end() {
    if (!drainer) return;
    scope.spawn("stop the drainer", drainer->stop());
    pass(10s);
    EXPECT_EQ(scope.running(), 0U) << "its stop() waits for the other hubs";
    scope.spawn("stop peering", peering->stop());
    scope.spawn("join the drainer", drainer->join());
    pass(10s);
    EXPECT_EQ(scope.running(), 0U);
    is_running = false;
    drainer.reset();
    stop();
  }
  void drain(cluster::DrainVerb verb = cluster::DrainVerb::drain, Duration unready_wait = 0s) {
    cluster::DrainOrder order;
    order.verb = verb;
    order.unready_wait = unready_wait;
    std::optional<Result<std::string>> refused;
    run(drainer->begin(order), refused);
    ASSERT_TRUE(refused && *refused);
    ASSERT_EQ(**refused, "");
  }
  template <class T>
  void run(Task<T> task, std::optional<T>& result) {
    struct Running {
      static Task<void> run(Task<T> task, std::optional<T>& result) { result = co_await std::move(task); }
    };
    scope.spawn("order", Running::run(std::move(task), result));
    pass(5s);
  }
  std::optional<HubState> last_word(const char* address) {
    auto said = member(address).of(ShadowVerb::state);
    return said.empty() ? std::nullopt : std::optional(said.back().state);
  }
  DrainCourse carried;     ///< what the operator has ordered, over the runs of the process
  bool is_closed = false;  ///< to clients
  bool was_closed_at_once = false;
  std::optional<Drainer> drainer;
};

TEST_F(DrainerTest, TellsAHubThatWasAwayThatItIsActiveAgain) {
  begin();
  drain();
  ASSERT_EQ(last_word("10.0.0.2"), HubState::draining);
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = false;
  network.cut(hub2);
  std::optional<Result<void>> done;
  run(drainer->undrain(), done);
  EXPECT_EQ(last_word("10.0.0.3"), HubState::active);
  EXPECT_EQ(last_word("10.0.0.2"), HubState::draining);
  hub2.is_up = true;
  pass(30s);
  EXPECT_EQ(last_word("10.0.0.2"), HubState::active)
      << "it would wait for this hub for minutes, were it to end";
  EXPECT_EQ(hub2.of(ShadowVerb::state).size(), member("10.0.0.3").of(ShadowVerb::state).size())
      << "once is enough";
}

TEST_F(DrainerTest, DoesNotCountACopyOnASilentHubInItsExitCode) {
  make();
  must([](storage::Writer& w) { return w.remember_peer({"hub2", spool2, Epoch{1}, Sequence{1}}); });
  member("10.0.0.2").is_up = member("10.0.0.3").is_up = false;
  begin();
  put(own_message({{"hub2", spool2, Holder::State::holds}}));
  pass(config.cluster.restart_grace + 10s);
  drain();
  pass(10s);
  std::optional<Result<DrainReport>> report;
  run(drainer->report(), report);
  ASSERT_TRUE(report && *report);
  EXPECT_EQ((*report)->state, cluster::DrainState::incomplete);
  EXPECT_EQ((*report)->exit_code, 4) << "nobody knows whether that copy is still there";
}

TEST_F(DrainerTest, ADryRunNamesWhatOnlyASilentHubHoldsToo) {
  begin();
  auto waiting = own_message({{"hub2", spool2, Holder::State::holds}});
  waiting.queue[0].due = WallClock::now() + 1h;
  put(waiting);
  put(own_message({{"hub2", spool2, Holder::State::holds}}));  // due: handed over
  auto held = own_message({{"hub3", spool3, Holder::State::holds}});
  held.queue[0].due = WallClock::now() + 1h;
  put(held);
  auto preview = [&](cluster::DrainVerb verb, std::vector<std::string> to = {}) {
    std::optional<Result<DrainPreview>> result;
    cluster::DrainOrder order;
    order.verb = verb;
    order.to = std::move(to);
    run(drainer->preview(order), result);
    EXPECT_TRUE(result && *result);
    return **result;
  };
  using enum cluster::DrainVerb;
  EXPECT_EQ(preview(cluster::DrainVerb::drain).lose_last_copy, 0U);
  auto& hub2 = member("10.0.0.2");
  hub2.is_up = false;
  network.cut(hub2);
  pass(5s);
  auto found = preview(cluster::DrainVerb::drain);
  EXPECT_EQ(found.targets, std::vector<std::string>{"hub3"});
  EXPECT_EQ(found.lose_last_copy_ids, std::vector<std::string>{to_string(waiting.id)});
  EXPECT_EQ(found.lose_last_copy, 1U);
  EXPECT_EQ(preview(leave).lose_last_copy, 0U) << "hub3 takes it";
  auto only_hub2 = preview(leave, {"hub2"});
  EXPECT_THAT(only_hub2.targets, ::testing::IsEmpty());
  EXPECT_EQ(only_hub2.lose_last_copy, 2U) << "hub3 is not asked to take it";
  EXPECT_EQ(preview(leave, {"hub2", "hub9"}).refused, "there is no hub hub9 in this cluster");
  EXPECT_EQ(preview(pause).lose_last_copy, 0U);
  member("10.0.0.3").is_up = false;
  network.cut(member("10.0.0.3"));
  pass(config.cluster.restart_grace + config.cluster.lease + 10s);
  for (auto verb : {cluster::DrainVerb::drain, leave}) {
    found = preview(verb);
    EXPECT_THAT(found.targets, ::testing::IsEmpty());
    EXPECT_EQ(found.lose_last_copy, 3U);
    EXPECT_EQ(found.unprotected, 3U);
  }
}

TEST_F(DrainerTest, ADrainIsNotSafeToStopWhileOnlyASilentHubHasACopy) {
  config.cluster.restart_grace = 5s;
  begin();
  auto waiting = own_message({{"hub2", spool2, Holder::State::holds}});
  waiting.queue[0].due = WallClock::now() + 1h;
  put(waiting);
  std::unique_ptr<Caller> hub2;
  std::unique_ptr<Caller> hub3;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), ::testing::StartsWith("235 "));
  ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), ::testing::StartsWith("235 "));
  auto pass_with_hub3 = [&](Duration span) {
    for (Duration passed{0}; passed < span; passed += 2s) {
      (void)say(*hub3, smtp::format_beat(Epoch{1}, Sequence{1}));
      pass(2s);
    }
  };
  member("10.0.0.2").is_up = false;
  network.cut(member("10.0.0.2"));
  pass_with_hub3(config.cluster.lease + 10s);
  ASSERT_EQ(peering->short_messages(), 1U);
  drain();
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::handing_over);
  pass_with_hub3(config.cluster.reprotect_after + 10s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained) << drainer->drain().why();
  EXPECT_FALSE(member("10.0.0.3").of(ShadowVerb::copy).empty()) << "it was copied again";
}

// Told that its epoch is over, a hub begins the next one in the same process.
TEST_F(DrainerTest, StaysDrainedOverTheEndOfItsEpoch) {
  begin();
  drain();
  pass(2s);
  ASSERT_EQ(drainer->drain().state(), cluster::DrainState::drained);
  end();
  for (auto& [address, m] : network.members) m.commands.clear();
  begin();
  EXPECT_TRUE(was_closed_at_once) << "no client is let in, not for a moment";
  pass(10s);
  EXPECT_TRUE(is_closed);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained);
  EXPECT_EQ(last_word("10.0.0.2"), HubState::draining);
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), ::testing::StartsWith("235 "));
  smtp::CopyOffer offer;
  offer.id = MessageId{spool2, 7};
  offer.generation = Generation{1};
  offer.body = "body\n";
  offer.body_octets = offer.body.size();
  offer.envelope = encode(own_message({}).envelope);
  offer.offered = {{"hub1", spool->id()}};
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), ::testing::StartsWith("452 "));
  std::optional<Result<void>> done;
  run(drainer->undrain(), done);
  EXPECT_FALSE(is_closed);
  EXPECT_EQ(last_word("10.0.0.2"), HubState::active);
}

TEST_F(DrainerTest, AHubThatHasLeftJoinsAsANewRun) {
  begin();
  drain(cluster::DrainVerb::leave);
  pass(2s);
  ASSERT_EQ(drainer->drain().state(), cluster::DrainState::left);
  auto epoch = spool->epoch();
  std::optional<Result<void>> done;
  run(drainer->undrain(), done);
  ASSERT_TRUE(done && *done);
  ASSERT_TRUE(peering->members().ended()) << "others pass it on that this run has left";
  EXPECT_TRUE(peering->members().ended()->restart);
  EXPECT_EQ(last_word("10.0.0.2"), HubState::left);
  end();
  begin();
  pass(2s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::active);
  EXPECT_GT(spool->epoch(), epoch);
  EXPECT_FALSE(is_closed);
}

TEST_F(DrainerTest, AHubThatHasLeftDoesNotJoinAgainWithinTheSameProcess) {
  begin();
  drain(cluster::DrainVerb::leave);
  pass(2s);
  ASSERT_EQ(drainer->drain().state(), cluster::DrainState::left);
  end();
  begin();
  pass(2s);
  EXPECT_TRUE(was_closed_at_once);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::left);
  EXPECT_EQ(ask([](storage::Reader& r) { return r.note("drain"); }), "left");
  // Another process on this disk is the operator's will.
  end();
  carried = {};
  begin();
  pass(2s);
  EXPECT_FALSE(is_closed);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::active);
  EXPECT_EQ(ask([](storage::Reader& r) { return r.note("drain"); }), "");
}

TEST_F(DrainerTest, GoesOnHandingOverInTheNextEpoch) {
  begin();
  auto held = own_message({{"hub3", spool3, Holder::State::holds}});
  held.queue[0].due = WallClock::now() + 1h;
  put(held);
  for (auto& [address, m] : network.members)
    m.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
      if (c.verb == ShadowVerb::hand) return smtp::Reply{451, "4.3.0", "Not now"};
      return std::nullopt;
    };
  drain(cluster::DrainVerb::leave);
  ASSERT_EQ(drainer->drain().state(), cluster::DrainState::handing_over);
  end();
  for (auto& [address, m] : network.members)
    m.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
      if (c.verb == ShadowVerb::hand) return smtp::Reply{250, "2.6.0", "owned and protected"};
      return std::nullopt;
    };
  begin();
  pass(config.cluster.restart_grace + 30s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::left) << drainer->drain().why();
}

// What was handed over before its epoch was ended, the operator is still told.
TEST_F(DrainerTest, GoesOnCountingInTheNextEpoch) {
  begin();
  for (int i = 0; i < 3; ++i) put(own_message({{"hub3", spool3, Holder::State::holds}}));
  bool takes_more = true;
  for (auto& [address, m] : network.members)
    m.answers = [&](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
      if (c.verb != ShadowVerb::hand) return std::nullopt;
      return std::exchange(takes_more, false) ? smtp::Reply{250, "2.6.0", "owned and protected"}
                                              : smtp::Reply{451, "4.3.0", "Not now"};
    };
  auto report = [&] {
    std::optional<Result<DrainReport>> result;
    run(drainer->report(), result);
    EXPECT_TRUE(result && *result);
    return **result;
  };
  drain(cluster::DrainVerb::leave);
  auto before = report();
  EXPECT_EQ(before.initial.queue, 3U);
  EXPECT_EQ(before.handed_over, 1U);
  EXPECT_GT(before.refused, 0U);
  end();
  begin();
  pass(config.cluster.restart_grace + 2s);
  takes_more = true;
  pass(2s);
  auto after = report();
  EXPECT_EQ(after.initial.queue, 3U);
  EXPECT_EQ(after.handed_over, 2U);
  std::uint64_t to_each = 0;
  for (const auto& [hub, count] : after.handed_to) to_each += count;
  EXPECT_EQ(to_each, 2U);
  EXPECT_GT(after.refused, before.refused);
  EXPECT_EQ(after.began_at, before.began_at);
  // Ordered again it counts from what is left then.
  drain(cluster::DrainVerb::leave);
  auto again = report();
  ASSERT_EQ(again.state, cluster::DrainState::handing_over);
  EXPECT_EQ(again.initial.queue, again.current.queue);
  EXPECT_EQ(again.handed_over, 0U);
}

TEST_F(DrainerTest, DoesNotWaitForALargeBodyWhenItStops) {
  begin();
  constexpr std::uint32_t pieces = 8;
  auto large = own_message({{"hub3", spool3, Holder::State::holds}});
  large.size = pieces * 262'144ULL;
  must([&](storage::Writer& w) -> Result<void> {
    for (std::uint32_t i = 0; i < pieces; ++i)
      if (auto put = w.put_chunk(large.row, i, std::string(262'144, 'x')); !put) return put;
    return w.insert_message(large);
  });
  // It takes the first pieces, and then no more for long.
  for (auto& [address, m] : network.members)
    m.answers = [chunks = 0](const smtp::ShadowCommand& c) mutable -> std::optional<smtp::Reply> {
      if (c.verb == ShadowVerb::chunk && ++chunks > 3) return smtp::Reply{};
      return std::nullopt;
    };
  drain(cluster::DrainVerb::leave);
  ASSERT_EQ(drainer->gauges().in_flight, 1U);
  auto begun = MonotonicClock::now();
  scope.spawn("stop the drainer", drainer->stop());
  while (scope.running() > 0 && MonotonicClock::now() < begun + 1min) pass(10ms);
  EXPECT_LT(MonotonicClock::now() - begun, 5s);
  auto found = message(large.row);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->state, storage::MessageState::handing_over) << "the next run finds out who has it";
}

// A slow disk: the copy of another hub's mail was accepted before this hub closed, and is written long after.
TEST_F(DrainerTest, HasNotLeftWhileACopyIsOnItsWayToTheDisk) {
  config.cluster.lease = 60s;
  begin();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), ::testing::StartsWith("235 "));
  drain(cluster::DrainVerb::leave, 8s);
  writer.is_held = true;
  smtp::CopyOffer offer;
  offer.id = MessageId{spool2, 7};
  offer.generation = Generation{1};
  offer.body = "body\n";
  offer.body_octets = offer.body.size();
  Envelope envelope;
  envelope.recipients = {{"a@example.com", "", notify_unset}};
  offer.envelope = encode(envelope);
  offer.offered = {{"hub1", spool->id()}};
  ASSERT_EQ(say(*caller, smtp::format_copy(offer)), "") << "it waits for the disk";
  pass(10s);
  std::optional<Result<DrainReport>> report;
  run(drainer->report(), report);
  ASSERT_TRUE(report && *report);
  EXPECT_EQ((*report)->state, cluster::DrainState::handing_over);
  writer.let_go();
  pass(2s);
  EXPECT_EQ(metrics.shadows_stored_total, 1U);
  EXPECT_FALSE(shadow(offer.id)) << "its owner has made another copy, and this one is let go";
  EXPECT_EQ(last_word("10.0.0.2"), HubState::left);
}

}  // namespace
}  // namespace umbra::hub::peering_test
