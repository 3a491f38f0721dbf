// Which way mail goes: routes, smart hosts, mail exchangers, and what happens when a host does not want it.
#include "hub/outbound/hosts.h"
#include "hub/outbound/next_hop.h"
#include "hub/outbound/router.h"

#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

RouteConfig smart(std::string name, std::vector<std::string> domains) {
  RouteConfig route;
  route.name = std::move(name);
  route.domains = std::move(domains);
  route.hosts = {{{"192.0.2.1", 25}, 0}};
  return route;
}
RouteConfig by_mx(std::string name, std::vector<std::string> domains) {
  RouteConfig route;
  route.name = std::move(name);
  route.domains = std::move(domains);
  return route;
}

TEST(OutboundNextHop, IsWhatRoutesTakeAsAHostAndNothingElse) {
  EXPECT_EQ(parse_next_hop("Relay.Example"), "host:relay.example:25");
  EXPECT_EQ(parse_next_hop("relay.example:2525"), "host:relay.example:2525");
  EXPECT_EQ(parse_next_hop("192.0.2.9"), "host:192.0.2.9:25");
  EXPECT_EQ(parse_next_hop("[2001:db8::1]"), "host:[2001:db8::1]:25");
  EXPECT_EQ(parse_next_hop("[2001:db8::1]:587"), "host:[2001:db8::1]:587");
  EXPECT_EQ(parse_next_hop("mx:Example.ORG"), "mx:example.org:25");
  EXPECT_EQ(parse_next_hop("route:smart"), "route:smart");
  EXPECT_EQ(parse_next_hop("config"), "");
  for (const std::string wrong : {"",
                                  ":25",
                                  "relay.example:",
                                  "relay.example:0",
                                  "relay.example:65536",
                                  "relay.example:x",
                                  "2001:db8::1",
                                  "[2001:db8::1",
                                  "[192.0.2.1]:25",
                                  "a b",
                                  "relay.example:25 ",
                                  "relay.example:25:26",
                                  "mx:",
                                  "mx:192.0.2.1",
                                  "mx:[2001:db8::1]",
                                  "route:",
                                  "-",
                                  "a..b",
                                  "x\r\ny",
                                  "[]:25"}) {
    ASSERT_FALSE(parse_next_hop(wrong)) << wrong;
    EXPECT_THAT(parse_next_hop(wrong).error(), HasSubstr("is no next hop: ")) << wrong;
  }
  EXPECT_FALSE(parse_next_hop(std::string(next_hop_octets_max + 1, 'a')));
}

TEST(OutboundNextHop, StandsForAHostOrAnExchangerAndIsReadStrictly) {
  auto host = target_named_by_operator("host:[2001:db8::1]:587");
  ASSERT_TRUE(host);
  EXPECT_EQ(host->route->hosts, (std::vector<RouteHost>{{{"2001:db8::1", 587}, 0}}));
  EXPECT_EQ(host->route->name, "host:[2001:db8::1]:587");
  EXPECT_TRUE(host->domain.empty());
  auto exchanger = target_named_by_operator("mx:example.org:26");
  ASSERT_TRUE(exchanger);
  EXPECT_TRUE(exchanger->route->hosts.empty());
  EXPECT_EQ(exchanger->domain, "example.org");
  EXPECT_EQ(exchanger->route->mx_port, 26);
  // What another hub has told may be anything.
  for (const auto* wrong : {"host:", "host:a b:25", "mx:192.0.2.1:25", "mx:", "route:smart", "example.org",
                            "host:relay.example:0"})
    EXPECT_FALSE(target_named_by_operator(wrong)) << wrong;
}

TEST(OutboundNextHop, TakesAllThatIsLeftOfAMessageAndCountsForNothingWhereItIsNotKnown) {
  Router router({smart("smart", {"*.example"}), by_mx("mx", {"*"})});
  Envelope envelope;
  for (const auto* address : {"a@x.example", "b@y.org", "c@z.org"})
    envelope.recipients.push_back({address, {}, 0});
  const std::vector<storage::RecipientOutcome> progress = {
      {1, storage::RecipientOutcome::State::delivered, "250"}};
  storage::StoredMessage message;
  message.envelope = envelope;
  message.progress = progress;
  auto names = [&](const std::string& next_hop) {
    std::vector<std::string> list;
    for (const auto& entry : router.entries_for(envelope, progress, WallTime{}, next_hop))
      list.push_back(entry.destination);
    return list;
  };
  EXPECT_THAT(names(""), ElementsAre("route:smart", "z.org"));
  for (const std::string to : {"host:relay.example:25", "mx:other.org:25", "route:smart"}) {
    EXPECT_THAT(names(to), ElementsAre(to));
    message.next_hop = to;
    EXPECT_THAT(router.recipients_for(message, to), ElementsAre(0, 2)) << "what was delivered stays so";
    EXPECT_THAT(router.recipients_for(message, "z.org"), IsEmpty());
    EXPECT_EQ(router.destination_of("c@z.org", {}, to), to);
    EXPECT_TRUE(router.target(to));
  }
  for (const std::string unknown : {"route:gone", "host:a b:25", "nonsense"}) {
    EXPECT_THAT(names(unknown), ElementsAre("route:smart", "z.org")) << unknown;
    message.next_hop = unknown;
    EXPECT_THAT(router.recipients_for(message, "z.org"), ElementsAre(2));
  }
  const std::vector<storage::RecipientOutcome> all = {{0, storage::RecipientOutcome::State::delivered, ""},
                                                      {1, storage::RecipientOutcome::State::failed, ""},
                                                      {2, storage::RecipientOutcome::State::delivered, ""}};
  EXPECT_THAT(router.entries_for(envelope, all, WallTime{}, "host:relay.example:25"), IsEmpty());
}

TEST(OutboundNextHop, DoesNotTakeAwayTheEncryptionThatARouteAsksFor) {
  auto secret = smart("secret", {"x.example"});
  secret.tls.policy = RouteTlsConfig::Policy::verify;
  auto hubs = by_mx("hubs", {"h.example"});
  hubs.hubs = {"b"};
  Router router({secret, smart("smart", {"*.example"}), by_mx("mx", {"*"}), hubs});
  storage::StoredMessage message;
  message.envelope.recipients = {{"a@x.example", {}, 0}, {"b@y.org", {}, 0}};
  EXPECT_THAT(router.why_not_reroute(message, "host:relay.example:25"),
              HasSubstr("route secret asks for encryption"));
  EXPECT_EQ(router.why_not_reroute(message, "route:smart"), "") << "as the operator has configured it";
  EXPECT_EQ(router.why_not_reroute(message, ""), "");
  EXPECT_THAT(router.why_not_reroute(message, "route:gone"), HasSubstr("there is no route with hosts"));
  EXPECT_THAT(router.why_not_reroute(message, "route:hubs"), HasSubstr("there is no route with hosts"));
  message.progress = {{0, storage::RecipientOutcome::State::delivered, "250"}};
  EXPECT_EQ(router.why_not_reroute(message, "host:relay.example:25"), "") << "what asked for it is delivered";
}

TEST(OutboundRouter, TakesTheMostSpecificRoute) {
  std::vector<RouteConfig> routes = {smart("all", {"*"}), smart("below", {"*.example.com"}),
                                     smart("deep", {"*.a.example.com"}),
                                     smart("exact", {"x.a.example.com", "Example.COM"})};
  Router router(routes);
  EXPECT_EQ(router.destination_of("u@x.a.example.com"), "route:exact");
  EXPECT_EQ(router.destination_of("u@X.A.Example.com"), "route:exact");
  EXPECT_EQ(router.destination_of("u@example.com"), "route:exact");
  EXPECT_EQ(router.destination_of("u@y.a.example.com"), "route:deep");
  EXPECT_EQ(router.destination_of("u@z.y.a.example.com"), "route:deep");
  EXPECT_EQ(router.destination_of("u@a.example.com"), "route:below");
  EXPECT_EQ(router.destination_of("u@notexample.com"), "route:all");
  EXPECT_EQ(router.destination_of("\"a@b\"@a.example.com"), "route:below");
}

TEST(OutboundRouter, NamesMxDestinationsByDomain) {
  std::vector<RouteConfig> routes = {by_mx("mx", {"*.org"}), smart("smart", {"a.org"})};
  Router router(routes);
  EXPECT_EQ(router.destination_of("u@Example.ORG"), "example.org");
  EXPECT_EQ(router.destination_of("u@[192.0.2.9]"), "unroutable");
  EXPECT_EQ(router.destination_of("u@example.net"), "unroutable");
  EXPECT_EQ(router.destination_of("postmaster"), "unroutable");
  EXPECT_EQ(router.target("example.org")->domain, "example.org");
  EXPECT_EQ(router.target("route:smart")->route->name, "smart");
  EXPECT_FALSE(router.target("a.org")) << "goes to smart hosts now";
  EXPECT_FALSE(router.target("route:gone"));
  EXPECT_FALSE(router.target("unroutable"));
}

RouteConfig to_hubs(std::string name, std::vector<std::string> domains, std::vector<std::string> hubs) {
  RouteConfig route;
  route.name = std::move(name);
  route.domains = std::move(domains);
  route.hubs = std::move(hubs);
  return route;
}

TEST(OutboundRouter, PassesOverARouteToHubsThatNamesThisOne) {
  std::vector<RouteConfig> routes = {to_hubs("core", {"*"}, {"b", "c"}), by_mx("out", {"*"})};
  Router edge(routes, "a");
  EXPECT_EQ(edge.destination_of("u@example.org"), "route:core");
  EXPECT_THAT(edge.hubs_of("route:core"), ElementsAre("b", "c"));
  EXPECT_FALSE(edge.leads_to_hubs("example.org"));
  Router core(routes, "b");
  EXPECT_EQ(core.destination_of("u@example.org"), "example.org");
  EXPECT_TRUE(core.target("example.org"));
  EXPECT_FALSE(core.target("route:core")) << "it is for the others";
}

TEST(OutboundRouter, HandsNoMessageToAHubThatHandedItOn) {
  std::vector<RouteConfig> routes = {to_hubs("special", {"example.org"}, {"b"}),
                                     to_hubs("core", {"*"}, {"b", "c"})};
  Router router(routes, "a");
  EXPECT_EQ(router.destination_of("u@example.org"), "route:special");
  EXPECT_EQ(router.destination_of("u@example.org", {"b"}), "route:core");
  EXPECT_EQ(router.destination_of("u@example.org", {"b", "c"}), "route:special")
      << "it stays, and is not handed to anybody";
  Envelope envelope;
  envelope.recipients = {{"u@example.org", "", 0}, {"v@example.net", "", 0}};
  EXPECT_THAT(router.next_hubs(envelope), ElementsAre("b")) << "who is in the lists of all routes";
  envelope.trail = {"b"};
  EXPECT_THAT(router.next_hubs(envelope), ElementsAre("c"));
  envelope.trail = {"b", "c"};
  EXPECT_THAT(router.next_hubs(envelope), IsEmpty());
  std::vector<RouteConfig> behind = {to_hubs("core", {"*"}, {"b"}), by_mx("out", {"*"})};
  Router last(behind, "c");
  EXPECT_EQ(last.destination_of("u@example.org", {"a", "b"}), "example.org");
  EXPECT_TRUE(last.target("example.org")) << "by MX, behind a route to hubs";
}

TEST(OutboundRouter, GivesOneEntryPerDestinationOfWhatIsPending) {
  std::vector<RouteConfig> routes = {by_mx("mx", {"*"}), smart("smart", {"s.example", "t.example"})};
  Router router(routes);
  Envelope envelope;
  for (auto address : {"a@s.example", "b@x.example", "c@t.example", "d@X.example", "e@y.example"})
    envelope.recipients.push_back({address, "", 0});
  using Outcome = storage::RecipientOutcome;
  auto names = [](const std::vector<storage::QueueEntry>& entries) {
    std::vector<std::string> result;
    for (const auto& entry : entries) result.push_back(entry.destination);
    return result;
  };
  EXPECT_THAT(names(router.entries_for(envelope, {}, WallTime{})),
              ElementsAre("route:smart", "x.example", "y.example"));
  std::vector<Outcome> progress = {
      {4, Outcome::State::delivered, ""}, {1, Outcome::State::failed, ""}, {0, Outcome::State::pending, "x"}};
  EXPECT_THAT(names(router.entries_for(envelope, progress, WallTime{})),
              ElementsAre("route:smart", "x.example"));
  storage::StoredMessage message;
  message.envelope = envelope;
  message.progress = progress;
  EXPECT_THAT(router.recipients_for(message, "x.example"), ElementsAre(3));
  EXPECT_THAT(router.recipients_for(message, "route:smart"), ElementsAre(0, 2));
  EXPECT_THAT(router.recipients_for(message, "y.example"), IsEmpty());
}

class OutboundRouting : public OutboundTest {
 protected:
  void use_mx() { config.routes = {by_mx("mx", {"*"})}; }
  FakeHost& host(const std::string& address) { return network.hosts[address + ":25"]; }
  void expect_bounce(const std::string& status) {
    run_for(1s);
    ASSERT_THAT(events("bounced"), testing::Not(IsEmpty()));
    EXPECT_THAT(events("bounced")[0], HasSubstr(status));
  }
};

TEST_F(OutboundRouting, DeliversToTheMailExchangerOfLowestPreference) {
  use_mx();
  resolver.mx["example.com"] = {{20, "backup.example.com"}, {10, "mx.example.com."}};
  resolver.a["mx.example.com"] = {"192.0.2.1"};
  resolver.a["backup.example.com"] = {"192.0.2.2"};
  host("192.0.2.1");
  host("192.0.2.2");
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(host("192.0.2.1").mails, SizeIs(1));
  EXPECT_THAT(host("192.0.2.2").mails, IsEmpty());
  host("192.0.2.1").refuses_connections = true;
  run_for(1min);
  accept();
  run_for(1s);
  EXPECT_THAT(host("192.0.2.2").mails, SizeIs(1));
}

TEST_F(OutboundRouting, TriesEveryAddressOfAHost) {
  use_mx();
  resolver.mx["example.com"] = {{10, "mx.example.com"}};
  resolver.a["mx.example.com"] = {"192.0.2.1", "192.0.2.2"};
  host("192.0.2.1").refuses_connections = true;
  host("192.0.2.2");
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(host("192.0.2.2").mails, SizeIs(1));
}

TEST_F(OutboundRouting, TakesTheDomainItselfWhereThereIsNoMailExchanger) {
  use_mx();
  resolver.a["example.com"] = {"192.0.2.1"};
  host("192.0.2.1");
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(host("192.0.2.1").mails, SizeIs(1));
}

TEST_F(OutboundRouting, BouncesMailForADomainThatDoesNotExist) {
  use_mx();
  start();
  accept();
  expect_bounce("5.1.2");
}

TEST_F(OutboundRouting, KeepsMailThatAnOperatorSendsToADomainThatDoesNotExist) {
  smart_host();
  start(false);
  MailOptions later;
  later.hand_over = false;
  auto row = accept(later);
  std::optional<Result<void>> done;
  auto reroute = [&](const std::string& to, WallTime due) {
    done.reset();
    spool->write([&](storage::Writer& w) { return w.set_next_hop(row, to, {{to, due, 0}}); }, 1,
                 [&](Result<void> result) { done = std::move(result); });
    ASSERT_TRUE(run_until([&] { return done.has_value(); }));
  };
  reroute("mx:nowhere.example:25", WallClock::now());
  stop();
  start();
  run_for(2s);
  ASSERT_TRUE(stored(row)) << "a typing error is no reason to give it up";
  EXPECT_THAT(stored(row)->last_error, HasSubstr("does not exist"));
  EXPECT_THAT(stored(row)->queue, SizeIs(1));
  EXPECT_EQ(stored(row)->queue.at(0).destination, "mx:nowhere.example:25");
  // What is right goes there, though its route is another one.
  resolver.mx["other.example"] = {{0, "mx.other.example"}};
  resolver.a["mx.other.example"] = {"192.0.2.7"};
  host("192.0.2.7");
  reroute("mx:other.example:25", WallClock::now());
  outbound->look_again();
  run_for(2s);
  EXPECT_THAT(host("192.0.2.7").mails, SizeIs(1));
  EXPECT_THAT(host("192.0.2.1").mails, IsEmpty());
  EXPECT_FALSE(stored(row));
}

TEST_F(OutboundRouting, BouncesMailForANullMx) {
  use_mx();
  resolver.mx["example.com"] = {{0, ""}};
  start();
  accept();
  expect_bounce("5.1.10");
}

TEST_F(OutboundRouting, BouncesMailWhoseExchangersHaveNoAddress) {
  use_mx();
  resolver.mx["example.com"] = {{0, "mx.example.com"}};
  start();
  accept();
  expect_bounce("5.4.4");
}

TEST_F(OutboundRouting, BouncesMailThatNoRouteTakes) {
  config.routes = {smart("one", {"example.org"})};
  host("192.0.2.1");
  start();
  accept();
  expect_bounce("5.4.4");
  EXPECT_THAT(host("192.0.2.1").mails, SizeIs(1)) << "the notification has a route";
}

TEST_F(OutboundRouting, LeavesOutItselfAndWorseExchangers) {
  use_mx();
  resolver.mx["example.com"] = {{10, "better.example.com"}, {20, "HUB1.example"}, {30, "worse.example.com"}};
  resolver.a["better.example.com"] = {"192.0.2.1"};
  resolver.a["worse.example.com"] = {"192.0.2.3"};
  host("192.0.2.1").refuses_connections = true;
  host("192.0.2.3");
  start();
  accept();
  run_for(1s);
  EXPECT_EQ(host("192.0.2.3").connections, 0);
  resolver.mx["example.net"] = {{10, "hub1.example"}, {30, "worse.example.com"}};
  MailOptions looping;
  looping.recipients = {"x@example.net"};
  accept(looping);
  expect_bounce("5.4.6");
}

TEST_F(OutboundRouting, KnowsItselfByAddress) {
  use_mx();
  ListenerConfig listener;
  listener.address = {"192.0.2.5", 25};
  config.listeners.push_back(listener);
  resolver.mx["example.com"] = {{10, "alias.example"}};
  resolver.a["alias.example"] = {"192.0.2.5"};
  start();
  accept();
  expect_bounce("5.4.6");
}

TEST_F(OutboundRouting, DeliversToAnAddressLiteral) {
  use_mx();
  host("192.0.2.9");
  start();
  MailOptions options;
  options.recipients = {"x@[192.0.2.9]"};
  accept(options);
  run_for(1s);
  EXPECT_THAT(host("192.0.2.9").mails, SizeIs(1));
}

// ---- several smart hosts

class OutboundSmartHosts : public OutboundRouting {
 protected:
  OutboundSmartHosts() {
    RouteConfig route = smart("out", {"*"});
    route.hosts = {{{"192.0.2.1", 25}, 10}, {{"192.0.2.2", 25}, 20}};
    config.routes = {route};
    first.extensions = second.extensions = {"PIPELINING"};
  }
  FakeHost& first = host("192.0.2.1");
  FakeHost& second = host("192.0.2.2");
};

TEST_F(OutboundSmartHosts, PrefersTheFirst) {
  start();
  for (int i = 0; i < 20; ++i) accept();
  run_for(1s);
  EXPECT_THAT(first.mails, SizeIs(20));
  EXPECT_EQ(second.connections, 0);
}

TEST_F(OutboundSmartHosts, GoesToTheNextWhenTheFirstCannotBeConnectedOrRefusesToTalk) {
  for (auto greeting : {"421 4.3.2 busy\r\n", "554 5.3.2 no\r\n", "nonsense\r\n"}) {
    first.greeting = greeting;
    second.mails.clear();
    start();
    accept();
    run_for(1s);
    EXPECT_THAT(second.mails, SizeIs(1)) << greeting;
    stop();
  }
  first.greeting = "220 x\r\n";
  first.on_command = [](const std::string& line) {
    return line.starts_with("EHLO") ? "450 4.3.2 busy\r\n" : "";
  };
  second.mails.clear();
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(1));
  EXPECT_EQ(metrics.recipients_deferred_total, 0U);
}

TEST_F(OutboundSmartHosts, GoesToTheNextWhenMailIsDeferred) {
  first.on_command = [](const std::string& line) {
    return line.starts_with("MAIL") ? "452 4.3.1 full\r\n" : "";
  };
  start();
  for (int i = 0; i < 5; ++i) accept();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(5));
  EXPECT_EQ(metrics.recipients_deferred_total, 0U);
}

TEST_F(OutboundSmartHosts, DefersWhenEveryHostDefersAtMail) {
  int asked = 0;
  first.on_command = second.on_command = [&](const std::string& line) -> std::string {
    if (!line.starts_with("MAIL")) return "";
    ++asked;
    return "452 4.3.1 full\r\n";
  };
  start();
  accept();
  run_for(30s);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(metrics.recipients_deferred_total, 1U);
  run_for(31s);
  EXPECT_EQ(asked, 4);
}

TEST_F(OutboundSmartHosts, KeepsARecipientsDeferralToItself) {
  first.on_command = [](const std::string& line) {
    return line.starts_with("RCPT") ? "450 4.2.1 full\r\n" : "";
  };
  start();
  accept();
  run_for(30s);
  EXPECT_EQ(second.connections, 0);
  EXPECT_EQ(metrics.recipients_deferred_total, 1U);
}

TEST_F(OutboundSmartHosts, ReturnsToTheFirstAfterAWhile) {
  first.refuses_connections = true;
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(second.mails, SizeIs(1));
  first.refuses_connections = false;
  run_for(2min);
  accept();
  run_for(1s);
  EXPECT_THAT(first.mails, SizeIs(1));
}

TEST_F(OutboundSmartHosts, SharesTheLoadBetweenEqualHosts) {
  route().hosts[1].preference = 10;
  route().connections_max = 1;
  route().messages_per_connection_max = 1;
  start();
  for (int i = 0; i < 100; ++i) accept();
  run_for(1s);
  EXPECT_EQ(first.mails.size() + second.mails.size(), 100U);
  EXPECT_GT(first.mails.size(), 20U);
  EXPECT_GT(second.mails.size(), 20U);
}

TEST_F(OutboundSmartHosts, DefersWhenNoSmartHostHasAnAddress) {
  route().hosts = {{{"smart.example", 25}, 0}};
  start();
  RowId row = accept();
  run_for(1s);
  ASSERT_TRUE(stored(row)) << "an operator's mistake bounces no mail";
  EXPECT_THAT(stored(row)->last_error, HasSubstr("smart host"));
}

}  // namespace
}  // namespace umbra::hub
