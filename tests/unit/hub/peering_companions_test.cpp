// Goal: in a large cluster a hub beats rarely to those with which it shares nothing, without anybody taking
// it for silent, and at each heartbeat to all others. Method: one hub's Peering of 41; the test plays the
// others.
#include "cluster/companions.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowVerb;
using ::testing::EndsWith;
using ::testing::StartsWith;

class PeeringCompanions : public PeeringTest {
 protected:
  void SetUp() override {
    std::vector<cluster::ZonedHub> others{{"hub2", ""}, {"hub3", ""}};
    for (int i = 4; i <= 41; ++i) {
      auto name = "hub" + std::to_string(i);
      auto address = "10.0.0." + std::to_string(i);
      config.cluster.members.push_back({name, {address, 7025}});
      network.members[address].name = name;
      network.members[address].spool = SpoolId{0x4000000000000000ULL + static_cast<unsigned>(i)};
      others.push_back({name, ""});
    }
    companions = cluster::companions_of({"hub1", ""}, others);
    for (auto& [address, fake] : network.members)
      if (!companions.contains(fake.name)) distant = &fake;
    ASSERT_NE(distant, nullptr);
    make();
  }
  void promise(const std::string& lease) {
    for (auto& [address, fake] : network.members)
      fake.answers = [lease](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
        if (c.verb != ShadowVerb::beat) return std::nullopt;
        return smtp::Reply{250, "2.0.0", "lease " + lease};
      };
  }
  std::pair<std::size_t, std::size_t> beats() {
    std::pair<std::size_t, std::size_t> sum;
    for (auto& [address, fake] : network.members)
      (companions.contains(fake.name) ? sum.first : sum.second) += fake.of(ShadowVerb::beat).size();
    return sum;
  }
  std::string lease_to_distant(Caller& caller) {
    auto reply = say(caller, smtp::format_beat(Epoch{1}, Sequence{++sequence}));
    return reply.substr(0, reply.find("\r\n"));
  }

  std::set<std::string, std::less<>> companions;
  FakeMember* distant = nullptr;
  std::uint64_t sequence = 1;
};

TEST_F(PeeringCompanions, OthersHearFewerBeatsOfAHubWhosePromisesAreLong) {
  promise("14000");
  start();
  pass(5s);
  auto before = beats();
  pass(60s);
  auto after = beats();
  auto period = (40 - companions.size()) / 8;  // heartbeats, so that eight distant hubs are spoken to in each
  EXPECT_GE(period, 3U);
  EXPECT_NEAR(static_cast<double>(after.first - before.first), 60.0 * static_cast<double>(companions.size()),
              static_cast<double>(companions.size()));
  EXPECT_LE(after.second - before.second, (60 / period + 1) * (40 - companions.size()));
  EXPECT_GE(after.second - before.second, (60 / period - 1) * (40 - companions.size()));
  EXPECT_TRUE(peering->members().all_promises_are_fresh());
}

TEST_F(PeeringCompanions, AHubThatGivesAPlainLeaseHearsEveryBeat) {
  start();
  pass(5s);
  auto before = beats();
  pass(20s);
  EXPECT_GE(beats().second - before.second, 19 * (40 - companions.size()))
      << "of a release that knows no distance, or of another opinion";
}

TEST_F(PeeringCompanions, WhoIsSentACopyHearsTheNextBeatAtOnceAndEachFromThenOn) {
  promise("14000");
  start();
  pass(65s);
  auto* member = peering->members().find(distant->name);
  auto before = distant->of(ShadowVerb::beat).size();
  peering->members().share(*member);
  settle();
  EXPECT_EQ(distant->of(ShadowVerb::beat).size(), before + 1);
  pass(20s);
  EXPECT_GE(distant->of(ShadowVerb::beat).size(), before + 20);
  pass(10min);
  before = distant->of(ShadowVerb::beat).size();
  pass(30s);
  EXPECT_LE(distant->of(ShadowVerb::beat).size(), before + 11) << "nothing was shared for ten minutes";
}

TEST_F(PeeringCompanions, APromiseToWhoIsDistantIsAsLongAsItsSilence) {
  start();
  pass(1min);  // beyond the grace of a start
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, distant->name, distant->spool, Epoch{1}, Sequence{++sequence}),
              StartsWith("235 "));
  auto period = (40 - companions.size()) / 8;
  EXPECT_THAT(lease_to_distant(*caller), EndsWith("lease " + std::to_string(10000 + 1000 * period)));
  distant->is_up = false;
  network.cut(*distant);
  auto* member = peering->members().find(distant->name);
  pass(10s + period * 1s - 100ms);
  EXPECT_FALSE(peering->members().is_silent(*member));
  pass(1s);
  EXPECT_TRUE(peering->members().is_silent(*member));
}

TEST_F(PeeringCompanions, WhoSendsACopyIsGivenAPlainLease) {
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, distant->name, distant->spool, Epoch{1}, Sequence{++sequence}),
              StartsWith("235 "));
  peering->members().share(*peering->members().find(distant->name));
  EXPECT_THAT(lease_to_distant(*caller), EndsWith("lease 10000"));
}

TEST_F(PeeringCompanions, AreNotChosenUnderMajorityOwnership) {
  stop();
  config.cluster.ownership = OwnershipMode::majority;
  make();
  promise("14000");
  start();
  pass(5s);
  auto before = beats();
  pass(20s);
  EXPECT_GE(beats().second - before.second, 19 * (40 - companions.size())) << "each beat asks for a vote";
}

}  // namespace
}  // namespace umbra::hub::peering_test
