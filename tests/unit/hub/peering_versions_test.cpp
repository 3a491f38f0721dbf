// Goal: hubs of one release before and after understand each other, in both directions, and none sends a word
// that the other did not offer. Method: this hub plays each release against members of each.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowVersion;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PeeringVersions : public PeeringTest {
 protected:
  PeeringVersions() { network.members["10.0.0.3"].is_up = false; }
  FakeMember& hub2 = network.members["10.0.0.2"];
  bool is_open() { return peering->members().find("hub2")->control->is_open(); }
};

TEST_F(PeeringVersions, AnOlderServerChoosesItsOwn) {
  config.cluster.version_highest = 2;
  start();
  EXPECT_TRUE(is_open());
  EXPECT_EQ(peering->members().find("hub2")->control->version(), 1);
  ASSERT_FALSE(hub2.versions.empty());
  EXPECT_EQ(hub2.versions.front(), (ShadowVersion{2, 1}));
}

TEST_F(PeeringVersions, AnOlderServerThatKnowsNoChoiceIsOfferedItsOwn) {
  config.cluster.version_highest = 2;
  hub2.chooses_version = false;
  start();
  pass(2s);
  EXPECT_TRUE(is_open());
  EXPECT_EQ(hub2.versions.front(), (ShadowVersion{1, 1}));
}

TEST_F(PeeringVersions, ALaterServerTakesOurs) {
  hub2.version_highest = 2;
  start();
  EXPECT_TRUE(is_open());
  EXPECT_EQ(hub2.versions.front(), (ShadowVersion{1, 1}));
}

TEST_F(PeeringVersions, NothingInCommonIsSaidOnce) {
  hub2.version_lowest = hub2.version_highest = 2;
  start();
  pass(20s);
  EXPECT_FALSE(is_open());
  EXPECT_THAT(peering->members().find("hub2")->trouble,
              HasSubstr("no version of the protocol in common: 504"));
  EXPECT_EQ(std::ranges::count_if(log.lines(),
                                  [](const auto& l) { return l.find("no session with a hub") != l.npos; }),
            2)
      << "once for each of the two sessions";
}

TEST_F(PeeringVersions, AClientOfALaterReleaseIsServedInOurs) {
  start();
  std::unique_ptr<Caller> caller;
  EXPECT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}, 2), StartsWith("235 "));
  EXPECT_THAT(say(*caller, "EHLO hub2\r\n"), HasSubstr("XSHADOW 1\r\n"));
  EXPECT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{2})), StartsWith("250 2.0.0 lease"));
}

TEST_F(PeeringVersions, AClientOfALaterReleaseMaySayMoreInItsHello) {
  start();
  auto caller = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), smtp::HubHello{});
  settle();
  (void)caller->received();
  smtp::HubHello hello{"hub2", spool2, Epoch{1}, Sequence{1}, std::string(64, 'b')};
  auto line = smtp::format_hub(hello, 2);
  EXPECT_THAT(say(*caller, line.substr(0, line.size() - 2) + " more=words\r\n"), StartsWith("334 "));
}

TEST_F(PeeringVersions, AClientBelowOurLowestIsToldWhatWeSpeak) {
  config.cluster.version_lowest = config.cluster.version_highest = 2;
  start();
  std::unique_ptr<Caller> caller;
  EXPECT_EQ(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}, 1),
            "504 5.5.4 Versions 2 to 2 are spoken here\r\n");
  EXPECT_TRUE(caller->is_closed());
}

TEST_F(PeeringVersions, AProofForAnotherVersionIsNoProof) {
  start();
  smtp::HubHello hello{"hub2", spool2, Epoch{1}, Sequence{1}, std::string(64, 'b')};
  auto caller = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), hello);
  settle();
  (void)caller->received();
  // Somebody in between has lowered what the client offered.
  auto challenge = say(*caller, smtp::format_hub(hello, 1));
  auto parsed = smtp::parse_challenge(challenge.substr(4, challenge.size() - 6));
  ASSERT_TRUE(parsed);
  EXPECT_NE(parsed->proof, smtp::hub_proof(secret, "server", hello, parsed->server, {2, 1}));
  EXPECT_THAT(
      say(*caller, smtp::format_proof(smtp::hub_proof(secret, "client", hello, parsed->server, {2, 1}))),
      StartsWith("535 "));
}

TEST_F(PeeringVersions, KnowsWhatTheOtherHubOffers) {
  hub2.keywords = "\nPIPELINING\nXSHADOW 1\nXNEWS 7 words\nxlater";
  start();
  auto& link = *peering->members().find("hub2")->control;
  EXPECT_TRUE(link.offers("XNEWS"));
  EXPECT_TRUE(link.offers("XLATER"));
  EXPECT_FALSE(link.offers("FAKE"));
  network.cut(hub2);
  settle();
  EXPECT_FALSE(link.offers("XNEWS"));
}

}  // namespace
}  // namespace umbra::hub::peering_test
