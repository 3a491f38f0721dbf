// Goal: what differs between the configurations of two hubs is seen, logged once when it appears and once
// when it goes, and what is unsafe is refused by both. Method: one hub's Peering; the test plays the other
// hub, with values that it changes.
#include "hub/peering/configuration_watch.h"

#include "smtp/configuration_lines.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PeeringConfiguration : public PeeringTest {
 protected:
  void SetUp() override {
    member("10.0.0.2").keywords += "\nXCONFIG";
    make();
  }
  /// hub2 comes and tells.
  void tell(const cluster::Configuration& values) {
    ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{++sequence}), StartsWith("235 "));
    ASSERT_THAT(say(*caller, smtp::format_configuration(values)), StartsWith("250 2.0.0 "));
  }
  Member& hub2() { return *peering->members().find("hub2"); }
  [[nodiscard]] cluster::Configuration own_with(const std::string& key, const std::string& value) const {
    auto values = shared_configuration(config);
    values[key] = value;
    return values;
  }
  [[nodiscard]] std::ptrdiff_t lines(const std::string& text) const {
    return std::ranges::count_if(log.lines(),
                                 [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
  cluster::Candidate candidate(std::uint64_t octets = 0) {
    for (const auto& one : peering->members().candidates(octets))
      if (one.hub == "hub2") return one;
    return {};
  }

  std::unique_ptr<Caller> caller;
  std::uint64_t sequence = 1;
};

TEST_F(PeeringConfiguration, TellsEveryHubThatCanHearItOncePerSession) {
  start();
  pass(5s);
  auto told = member("10.0.0.2").of(smtp::ShadowVerb::config);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].configuration, shared_configuration(config));
  EXPECT_TRUE(member("10.0.0.3").of(smtp::ShadowVerb::config).empty()) << "it does not offer the keyword";
  network.cut(member("10.0.0.2"));
  pass(5s);
  EXPECT_EQ(member("10.0.0.2").of(smtp::ShadowVerb::config).size(), 2U);
}

TEST_F(PeeringConfiguration, AHubThatDoesNotTellIsUnknownAndNoWarning) {
  start();
  pass(5s);
  EXPECT_FALSE(peering->members().find("hub3")->drift);
  EXPECT_EQ(lines("configured"), 0);
}

TEST_F(PeeringConfiguration, ADifferenceIsLoggedOnceWhenItAppearsAndOnceWhenItGoes) {
  start();
  for (int i = 0; i < 3; ++i) tell(own_with("routes", "sha256:other"));
  ASSERT_TRUE(hub2().drift);
  ASSERT_EQ(hub2().drift->size(), 1U);
  EXPECT_EQ(hub2().drift->front().key, "routes");
  EXPECT_EQ(hub2().drift->front().there, "sha256:other");
  EXPECT_EQ(lines("another hub is configured differently"), 1);
  EXPECT_EQ(lines("sha256:other"), 1);
  EXPECT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{++sequence})), HasSubstr("lease 10000"));
  EXPECT_FALSE(candidate().is_refusing);
  for (int i = 0; i < 2; ++i) tell(shared_configuration(config));
  EXPECT_TRUE(hub2().drift->empty());
  EXPECT_EQ(lines("configured as this one again"), 1);
}

TEST_F(PeeringConfiguration, ALeaseThatDoesNotFitIsRefusedByBothAndNobodyIsTakenForSilent) {
  config.cluster.restart_grace = 1s;
  start();
  pass(1s);
  ASSERT_TRUE(candidate().is_reachable);
  tell(own_with("heartbeat", "5000ms"));
  EXPECT_EQ(say(*caller, smtp::format_beat(Epoch{1}, Sequence{++sequence})), "250 2.0.0 lease 0\r\n");
  EXPECT_TRUE(candidate().is_refusing);
  EXPECT_EQ(lines("not safe with this one"), 1);
  EXPECT_EQ(lines("a lease of 10000ms is shorter than 3 heartbeats of 5000ms"), 1);
  // It beats as slowly as it says: that is not silence yet.
  say(*caller, smtp::format_beat(Epoch{1}, Sequence{++sequence}));
  pass(12s);
  EXPECT_FALSE(peering->members().is_silent(hub2()));
  pass(4s);
  EXPECT_TRUE(peering->members().is_silent(hub2()));
  tell(shared_configuration(config));
  EXPECT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{++sequence})), HasSubstr("lease 10000"));
  EXPECT_FALSE(candidate().is_refusing);
}

TEST_F(PeeringConfiguration, AReloadIsToldInTheSameSessionAndComparedAnew) {
  config.listeners.resize(1);
  peering->configuration_changed();  // before anybody is there
  start();
  pass(5s);
  tell(shared_configuration(config));
  EXPECT_TRUE(hub2().drift->empty());
  peering->configuration_changed();
  pass(5s);
  EXPECT_EQ(member("10.0.0.2").of(smtp::ShadowVerb::config).size(), 1U)
      << "nothing that others are told of has changed";
  config.listeners[0].limits.message_octets_max = 1000;
  peering->configuration_changed();
  pass(5s);
  auto told = member("10.0.0.2").of(smtp::ShadowVerb::config);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].configuration.find("message_size")->second, "1000");
  ASSERT_EQ(hub2().drift->size(), 1U);
  EXPECT_EQ(hub2().drift->front().key, "message_size");
  EXPECT_EQ(lines("another hub is configured differently"), 1);
  // The other one follows.
  ASSERT_THAT(say(*caller, smtp::format_configuration(shared_configuration(config))), StartsWith("250 "));
  EXPECT_TRUE(hub2().drift->empty());
  EXPECT_EQ(lines("configured as this one again"), 1);
  // A hub that does not tell stays unknown.
  EXPECT_FALSE(peering->members().find("hub3")->drift);
}

TEST_F(PeeringConfiguration, AHubWithASmallerLimitIsAvoidedForWhatIsLarger) {
  config.listeners.resize(1);
  start();
  tell(own_with("message_size", "1000"));
  EXPECT_FALSE(candidate(1000).is_too_small);
  EXPECT_TRUE(candidate(1001).is_too_small);
  EXPECT_FALSE(candidate(1001).is_refusing);
  tell(own_with("message_size", "none"));
  EXPECT_FALSE(candidate(1001).is_too_small);
}

TEST_F(PeeringConfiguration, AHubThatIsReplacedByAnOlderReleaseIsUnknownAgain) {
  start();
  tell(own_with("heartbeat", "5000ms"));
  ASSERT_TRUE(hub2().is_refused);
  member("10.0.0.2").keywords = "\nXSHADOW 1\nXHAND";
  member("10.0.0.2").sequence = Sequence{++sequence};
  network.cut(member("10.0.0.2"));
  pass(5s);
  EXPECT_FALSE(hub2().drift);
  EXPECT_FALSE(hub2().is_refused);
  EXPECT_EQ(lines("does not tell its configuration any more"), 1);
}

TEST_F(PeeringConfiguration, TellsNothingSecretAndIsBounded) {
  config.cluster.secret = "swordfish swordfish swordfish";
  for (int i = 0; i < 300; ++i) {
    config.cluster.members.push_back(
        {"hub-with-a-name-that-is-rather-long-" + std::to_string(i), {"10.1.0.1", 1}, "zone"});
    config.routes.push_back({"r" + std::to_string(i),
                             {"customer" + std::to_string(i) + ".example"},
                             {{{"hidden.example", 25}, 0}}});
    config.listeners.emplace_back().name = "l" + std::to_string(i);
  }
  auto command = smtp::format_configuration(shared_configuration(config));
  EXPECT_LT(command.size(), 2048U);
  EXPECT_EQ(command.find("swordfish"), std::string::npos);
  EXPECT_EQ(command.find("customer"), std::string::npos);
  EXPECT_EQ(command.find("hidden"), std::string::npos);
  EXPECT_TRUE(smtp::parse_configuration(std::string_view(command).substr(command.find('\n') + 1)));
}

TEST_F(PeeringConfiguration, OrderAndNamesOfRoutesDoNotMatterWhereMailGoesDoes) {
  RouteConfig one{"one", {"a.example", "b.example"}, {{{"x", 25}, 0}, {{"y", 25}, 0}}};
  RouteConfig two{"two", {"*"}, {{{"z", 25}, 0}}};
  config.routes = {one, two};
  auto before = shared_configuration(config)["routes"];
  std::ranges::reverse(one.domains);
  std::ranges::reverse(one.hosts);
  one.name = "uno";
  one.connections_max = 7;
  config.routes = {two, one};
  EXPECT_EQ(shared_configuration(config)["routes"], before);
  config.routes[0].tls.policy = RouteTlsConfig::Policy::verify;
  EXPECT_NE(shared_configuration(config)["routes"], before);
}

}  // namespace
}  // namespace umbra::hub::peering_test
