// Goal: on a route to hubs every message is handed to one hub at a time, whole, by the ladder of retries like
// any other mail. Method: delivery on virtual time; the hand-over itself is played by the guard.
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OutboundHubs : public OutboundTest {
 protected:
  OutboundHubs() {
    RouteConfig core;
    core.name = "core";
    core.domains = {"*"};
    core.hubs = {"hub2", "hub3"};
    config.routes.push_back(core);
    RouteConfig smart;
    smart.name = "smart";
    smart.domains = {"smart.example"};
    smart.hosts = {{{"192.0.2.1", 25}, 0}};
    config.routes.push_back(smart);
    guard.in_reach = {"hub2", "hub3"};
    // What the other hub owns is gone here.
    guard.hand = [this](const storage::StoredMessage& m, const std::string&, auto done) {
      take(m, std::move(done));
    };
  }
  void take(const storage::StoredMessage& m, std::move_only_function<void(HandedOn)> done) {
    auto shared = std::make_shared<std::move_only_function<void(HandedOn)>>(std::move(done));
    spool->write([row = m.row](storage::Writer& w) { return w.forget_message(row); }, 64,
                 [shared](Result<void> result) {
                   EXPECT_TRUE(result);
                   (*shared)({HandedOn::Kind::taken, {}});
                 });
  }
  void answer(HandedOn with) {
    guard.hand = [this, with](const storage::StoredMessage&, const std::string&, auto done) {
      asio::post(io, [done = std::move(done), with]() mutable { done(with); });
    };
  }
  std::vector<std::string> hubs() {
    std::vector<std::string> names;
    for (const auto& [hub, id] : guard.handed) names.push_back(hub);
    return names;
  }
};

TEST_F(OutboundHubs, AreHandedMailInTurn) {
  start();
  for (int i = 0; i < 4; ++i) accept();
  run_for(1s);
  EXPECT_THAT(hubs(), testing::UnorderedElementsAre("hub2", "hub2", "hub3", "hub3"));
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_THAT(network.hosts, IsEmpty()) << "nothing was sent";
}

TEST_F(OutboundHubs, ComeFirstThatHoldTheCopy) {
  start();
  MailOptions options;
  options.holders = {{"hub3", SpoolId{3}, storage::Holder::State::holds}};
  for (int i = 0; i < 3; ++i) accept(options);
  run_for(1s);
  EXPECT_THAT(hubs(), ElementsAre("hub3", "hub3", "hub3"));
  guard.in_reach = {"hub2"};
  accept(options);
  run_for(1s);
  EXPECT_EQ(hubs().back(), "hub2");
}

TEST_F(OutboundHubs, AreNotHandedWhatTheyHandedOn) {
  start();
  MailOptions options;
  options.adjust = [](Envelope& e) { e.trail = {"hub2"}; };
  for (int i = 0; i < 3; ++i) accept(options);
  run_for(1s);
  EXPECT_THAT(hubs(), ElementsAre("hub3", "hub3", "hub3"));
  options.adjust = [](Envelope& e) { e.trail = {"hub3", "hub2"}; };
  auto row = accept(options);
  run_for(1s);
  EXPECT_THAT(hubs(), SizeIs(3)) << "a loop ends here";
  ASSERT_TRUE(stored(row));
  EXPECT_THAT(stored(row)->last_error, HasSubstr("4.4.6 every hub of the route"));
}

TEST_F(OutboundHubs, ThatRefuseAreFollowedByTheOthersAndThenByTheLadder) {
  config.delivery.retry = {{0, 5min}};
  start();
  answer({HandedOn::Kind::refused, {451, "4.3.0", "not now"}});
  auto row = accept();
  run_for(1min);
  EXPECT_THAT(hubs(), testing::UnorderedElementsAre("hub2", "hub3"));
  auto m = stored(row);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->queue.at(0).attempts, 1U);
  EXPECT_THAT(m->last_error, HasSubstr("451 4.3.0 not now"));
  EXPECT_EQ(metrics.recipients_deferred_total, 1U);
  EXPECT_THAT(events("deferred"), SizeIs(1));
  guard.hand = [this](const storage::StoredMessage& again, const std::string&, auto done) {
    take(again, std::move(done));
  };
  run_for(5min);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundHubs, OutOfReachBlockTheRouteWhileOneMessageTells) {
  config.delivery.retry = {{0, 5min}};
  guard.in_reach.clear();
  start();
  std::vector<RowId> rows;
  for (int i = 0; i < 100; ++i) rows.push_back(accept());
  run_for(1min);
  EXPECT_THAT(guard.handed, IsEmpty());
  EXPECT_EQ(metrics.recipients_deferred_total, 1U) << "the others were never tried";
  EXPECT_THAT(stored(rows[0])->last_error, HasSubstr("hub2, hub3"));
  guard.in_reach = {"hub3"};
  outbound->hub_came();
  run_for(10s);
  EXPECT_EQ(counts().messages, 1U) << "all but the one that was deferred, and at once";
  run_for(5min);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundHubs, AreAskedAgainSoonWhenItIsNotTimeYet) {
  start();
  answer({HandedOn::Kind::not_now, {0, "", "a majority is out of reach"}});
  auto row = accept();
  run_for(10s);
  EXPECT_GT(guard.handed.size(), 5U);
  EXPECT_LT(guard.handed.size(), 15U) << "once a second";
  EXPECT_EQ(stored(row)->queue.at(0).attempts, 0U) << "nothing was tried";
  guard.hand = [this](const storage::StoredMessage& again, const std::string&, auto done) {
    take(again, std::move(done));
  };
  run_for(2s);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundHubs, OfWhomNoAnswerCameLeaveTheMessageToPeering) {
  start();
  answer({HandedOn::Kind::unclear, {}});
  guard.hand = [this](const storage::StoredMessage& m, const std::string&, auto done) {
    auto shared = std::make_shared<decltype(done)>(std::move(done));
    spool->write(
        [row = m.row](storage::Writer& w) {
          return w.begin_hand_over(row, {"hub2", SpoolId{2}, storage::Holder::State::receiver});
        },
        64, [shared](Result<void>) { (*shared)({HandedOn::Kind::unclear, {}}); });
  };
  auto row = accept();
  run_for(10min);
  EXPECT_THAT(guard.handed, SizeIs(1));
  EXPECT_TRUE(storage::is_handing_over(stored(row)->state));
}

TEST_F(OutboundHubs, GetAMessageAfterItsOtherRecipientsWereTried) {
  FakeHost& host = network.hosts["192.0.2.1:25"];
  start();
  MailOptions options;
  options.recipients = {"a@far.example", "b@smart.example"};
  auto row = accept(options);
  std::optional<storage::StoredMessage> seen;
  guard.hand = [&](const storage::StoredMessage& m, const std::string&, auto done) {
    seen = m;
    take(m, std::move(done));
  };
  run_for(10s);
  EXPECT_THAT(host.mails, SizeIs(1));
  ASSERT_TRUE(seen);
  EXPECT_THAT(seen->progress, SizeIs(1)) << "b is delivered";
  EXPECT_THAT(seen->queue, SizeIs(1));
  EXPECT_FALSE(stored(row));
}

TEST_F(OutboundHubs, GetTheRestWithAMessageWhoseOtherNextHopIsDead) {
  network.hosts["192.0.2.1:25"].refuses_connections = true;
  start();
  MailOptions options;
  options.recipients = {"a@far.example", "b@smart.example"};
  for (int i = 0; i < 200; ++i) accept(options);
  run_for(30s);
  EXPECT_THAT(guard.handed, SizeIs(200)) << "no recipient waits for a host that is dead";
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundHubs, GetNothingTwice) {
  start();
  answer({HandedOn::Kind::refused, {452, "4.3.1", "full"}});
  std::map<MessageId, int> open;
  guard.hand = [&](const storage::StoredMessage& m, const std::string&, auto done) {
    EXPECT_EQ(open[m.id]++, 0) << "two at a time";
    auto shared = std::make_shared<decltype(done)>(std::move(done));
    auto timer = std::make_shared<Timer>(io);
    timer->call_at(MonotonicClock::now() + 200ms, [&open, id = m.id, shared, timer](bool) {
      --open[id];
      (*shared)({HandedOn::Kind::not_now, {}});
    });
  };
  MailOptions options;
  options.recipients = {"a@far.example", "b@smart.example"};
  network.hosts["192.0.2.1:25"].refuses_connections = true;
  for (int i = 0; i < 20; ++i) accept(options);
  for (int i = 0; i < 20; ++i) {
    run_for(500ms);
    outbound->look_again();
  }
  EXPECT_GT(guard.handed.size(), 40U);
}

}  // namespace
}  // namespace umbra::hub
