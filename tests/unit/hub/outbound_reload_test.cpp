// Goal: delivery follows the configuration while it works: mail that waits goes the new way, what is being
// sent ends as it began, and nothing is sent twice or forgotten. Method: fake next hops, routes that are
// changed in between.
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::SizeIs;

class OutboundReload : public OutboundTest {
 protected:
  OutboundReload() : first(smart_host()), second(network.hosts["192.0.2.2:25"]) {}

  void lead_to(const std::string& address) { route().hosts = {{{address, 25}, 0}}; }
  /// vip.example goes to the second host.
  void add_vip() {
    RouteConfig vip = route();
    vip.name = "vip";
    vip.domains = {"vip.example"};
    vip.hosts = {{{"192.0.2.2", 25}, 0}};
    config.routes.push_back(vip);
  }
  void reload() { outbound->configuration_changed(); }
  RowId accept_for(std::vector<std::string> recipients, bool hand_over = true) {
    MailOptions options;
    options.recipients = std::move(recipients);
    options.hand_over = hand_over;
    return accept(std::move(options));
  }

  FakeHost& first;
  FakeHost& second;
};

TEST_F(OutboundReload, MailThatWaitsForADeadHostGoesToTheNewOneAtOnce) {
  first.refuses_connections = true;
  start();
  for (int i = 0; i < 5; ++i) accept();
  run_for(10s);
  ASSERT_EQ(counts().messages, 5U);
  lead_to("192.0.2.2");
  reload();
  EXPECT_TRUE(run_until([&] { return second.mails.size() == 4; }, 2s))
      << "what has not been tried yet; the one that probed waits as after any attempt";
  run_for(2min);
  EXPECT_THAT(second.mails, SizeIs(5));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundReload, WhatIsBeingSentEndsAsItBeganAndTheConnectionTakesNoMore) {
  route().connections_max = 1;
  first.holds_final_replies = true;
  start();
  accept();
  run_for(1s);
  ASSERT_THAT(first.commands, testing::Contains(testing::HasSubstr("DATA")));
  for (int i = 0; i < 3; ++i) accept();
  lead_to("192.0.2.2");
  reload();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(3)) << "what was not begun goes the new way";
  first.let_go();
  run_for(1s);
  EXPECT_THAT(first.mails, SizeIs(1));
  EXPECT_EQ(first.open, 0) << "said QUIT";
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
  accept();
  run_for(1s);
  EXPECT_THAT(first.mails, SizeIs(1));
  EXPECT_THAT(second.mails, SizeIs(4));
}

TEST_F(OutboundReload, AKeptConnectionOfAnotherRouteIsNotDisturbed) {
  start();
  accept();
  run_for(1s);
  ASSERT_EQ(first.open, 1);
  add_vip();
  reload();
  run_for(1s);
  EXPECT_EQ(first.open, 1) << "its route is as it was";
  accept_for({"a@vip.example"});
  accept();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(1));
  EXPECT_THAT(first.mails, SizeIs(2));
  EXPECT_EQ(first.connections, 1);
}

TEST_F(OutboundReload, ARecipientThatGoesAnotherWayNowIsNotForgotten) {
  first.refuses_connections = true;
  start();
  RowId row = accept_for({"a@vip.example", "b@example.com"});
  run_for(1s);
  add_vip();
  reload();
  first.refuses_connections = false;
  run_for(10min);
  EXPECT_FALSE(stored(row));
  EXPECT_THAT(second.mails, SizeIs(1));
  EXPECT_THAT(first.mails, SizeIs(1));
}

TEST_F(OutboundReload, AMessageWhoseEntriesAreOfTheRoutesOfBeforeIsNotForgotten) {
  start();
  run_for(1s);
  // Committed by the routes of before, handed over after the change: it is in the middle of its acceptance.
  RowId row = accept_for({"c@vip.example", "d@example.com"}, false);
  ReadyMessage ready;
  ready.message = stored(row).value();
  add_vip();
  reload();
  outbound->deliver(std::move(ready));
  run_for(10min);
  EXPECT_FALSE(stored(row));
  EXPECT_THAT(second.mails, SizeIs(1));
  EXPECT_THAT(first.mails, SizeIs(1));
}

TEST_F(OutboundReload, WhatWaitsInMemoryBehindASlowHostGoesTheNewWay) {
  route().connections_max = 1;
  first.holds_final_replies = true;
  start();
  accept();
  run_for(1s);
  accept_for({"a@vip.example"});
  accept();
  run_for(1s);
  add_vip();
  reload();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(1)) << "it does not wait for a host that is not its own any more";
  first.let_go();
  run_for(1s);
  EXPECT_THAT(first.mails, SizeIs(2));
  EXPECT_EQ(first.connections, 1) << "whose route is as it was";
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundReload, AnotherLadderIsClimbedFromTheNextAttemptOn) {
  first.on_command = [](const std::string& line) {
    return line.starts_with("RCPT") ? std::string("451 4.7.1 later\r\n") : std::string();
  };
  start();
  RowId row = accept();
  run_for(1s);
  auto due_in = [&] {
    return std::chrono::duration<double>(stored(row)->queue.at(0).due - WallClock::now()).count();
  };
  EXPECT_NEAR(due_in(), 59, 2);
  config.delivery.retry = {{0, 1h}};
  reload();
  run_for(1s);
  EXPECT_NEAR(due_in(), 58, 3) << "what waits keeps its time";
  run_for(1min);
  EXPECT_NEAR(due_in(), 3600, 10);
}

TEST_F(OutboundReload, AShorterIdleTimeAndFewerConnectionsAreKept) {
  config.delivery.idle_timeout = 1h;
  start();
  accept();
  run_for(1s);
  ASSERT_EQ(first.open, 1);
  config.delivery.idle_timeout = 5s;
  reload();
  run_for(10s);
  EXPECT_EQ(first.open, 0);
}

TEST_F(OutboundReload, ARouteThatWasTakenAwayBouncesWhatWaitsForIt) {
  first.refuses_connections = true;
  start();
  MailOptions notification;
  notification.sender = "";
  accept(notification);
  run_for(1s);
  config.routes.clear();
  reload();
  run_for(2min);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(metrics.recipients_bounced_total, 1U);
}

TEST_F(OutboundReload, ARouteToHubsThatGoesInTheMiddleOfAHandOver) {
  config.cluster.members = {{"hub1", {"10.0.0.1", 1}}, {"hub2", {"10.0.0.2", 1}}};
  config.hub_name = "hub1";
  auto to_host = route();
  route().hosts.clear();
  route().hubs = {"hub2"};
  guard.io = &io;
  guard.in_reach = {"hub2"};
  std::move_only_function<void(HandedOn)> answer;
  guard.hand = [&](const auto&, const auto&, std::move_only_function<void(HandedOn)> done) {
    answer = std::move(done);
  };
  start();
  accept();
  run_for(1s);
  ASSERT_TRUE(answer);
  config.routes = {to_host};
  config.routes[0].name = "another";
  reload();
  run_for(1s);
  EXPECT_EQ(counts().messages, 1U) << "it is the other hub's, perhaps";
  answer({HandedOn::Kind::refused, {451, "4.3.0", "no"}});
  run_for(10min);
  EXPECT_THAT(first.mails, SizeIs(1));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundReload, ManyReloadsUnderLoadLoseAndDoubleNothing) {
  route().connections_max = 3;
  start();
  std::set<std::string> sent;
  for (int i = 0; i < 200; ++i) {
    auto recipient = "r" + std::to_string(i) + "@example.com";
    sent.insert(recipient);
    accept_for({recipient});
    if (i % 7 == 0) lead_to(i % 2 == 0 ? "192.0.2.1" : "192.0.2.2");
    if (i % 5 == 0) route().connections_max = static_cast<std::uint32_t>(1 + i % 4);
    reload();
    if (i % 3 == 0) run_for(5ms);
  }
  run_for(10min);
  std::multiset<std::string> got;
  for (auto* host : {&first, &second})
    for (const auto& mail : host->mails) got.insert(mail.recipients.begin(), mail.recipients.end());
  EXPECT_EQ(got.size(), sent.size());
  for (const auto& recipient : sent) {
    bool is_there = std::ranges::any_of(got, [&](const auto& text) { return text.contains(recipient); });
    EXPECT_TRUE(is_there) << recipient;
  }
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
}

}  // namespace
}  // namespace umbra::hub
