// Goal: members come from DNS and go with it, and no answer of DNS decides who owns mail. Method: one hub's
// Peering on virtual time; DNS and the other hubs are played by the test.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowVerb;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PeeringDiscovery : public PeeringTest {
 protected:
  PeeringDiscovery() {
    config.cluster.members.clear();
    config.cluster.discovery.dns = "hubs.test";
  }
  void by_service() {
    resolver.targets = {
        {0, 0, 7025, "hub1.hubs.test"}, {0, 0, 7025, "hub2.hubs.test"}, {0, 0, 7025, "hub3.hubs.test"}};
    resolver.hosts["hub2.hubs.test"] = {"10.0.0.2"};
    resolver.hosts["hub3.hubs.test"] = {"10.0.0.3"};
  }
  void by_address() {
    config.cluster.discovery.type = DiscoveryConfig::Type::address;
    config.cluster.discovery.port = 7025;
    network.members["10.0.0.1"].name = "hub1";  // what this hub meets at its own address
    resolver.hosts["hubs.test"] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
  }
  void make_self() { network.members["10.0.0.1"].spool = spool->id(); }
  bool is_open(const char* name) {
    auto* found = peering->members().find(name);
    return found != nullptr && found->control->is_open();
  }
  std::size_t said(const std::string& text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(log.lines(), [&](const auto& l) { return l.find(text) != l.npos; }));
  }
};

TEST_F(PeeringDiscovery, TakesNamesFromServices) {
  by_service();
  start();
  pass(1s);
  EXPECT_TRUE(is_open("hub2"));
  EXPECT_TRUE(is_open("hub3"));
  EXPECT_EQ(peering->members().size(), 2U) << "this hub is no member of its own";
}

TEST_F(PeeringDiscovery, LearnsNamesAtAddressesAndNoticesItself) {
  by_address();
  make();
  make_self();
  start();
  pass(3s);
  EXPECT_TRUE(is_open("hub2"));
  EXPECT_TRUE(is_open("hub3"));
  EXPECT_EQ(peering->members().size(), 2U);
  EXPECT_EQ(said("two hubs have one name"), 0U);
}

TEST_F(PeeringDiscovery, AWrongNameInAServiceIsNoMemberToTalkTo) {
  by_service();
  network.members["10.0.0.3"].name = "hub7";
  start();
  pass(3s);
  EXPECT_FALSE(is_open("hub3"));
  EXPECT_EQ(peering->members().find("hub3")->trouble, "another hub answers at its address: hub7");
}

TEST_F(PeeringDiscovery, KeepsWhatItKnowsWithoutAnAnswer) {
  by_service();
  start();
  pass(1s);
  resolver.is_failing = true;
  pass(20s);
  EXPECT_EQ(said("DNS does not name the cluster's hubs"), 1U);
  EXPECT_EQ(said("DNS has not named the cluster's hubs for 30 s"), 0U);
  // A session that breaks meanwhile comes back: stale answers serve.
  network.cut(member("10.0.0.2"));
  pass(2s);
  EXPECT_TRUE(is_open("hub2"));
  pass(1h);
  EXPECT_EQ(said("DNS has not named the cluster's hubs for 30 s"), 1U);
  EXPECT_TRUE(is_open("hub2"));
  EXPECT_TRUE(is_open("hub3"));
  EXPECT_GT(metrics.discovery_failures_total, 100U);
  resolver.is_failing = false;
  resolver.targets.clear();  // an empty answer is none
  pass(1h);
  EXPECT_TRUE(is_open("hub2"));
  by_service();
  pass(6s);
  EXPECT_EQ(said("DNS names the cluster's hubs again"), 1U);
}

TEST_F(PeeringDiscovery, FindsAHubAtItsNewAddressUnderItsOldName) {
  by_address();
  make();
  make_self();
  start();
  pass(3s);
  // The pod of hub2 is made anew: the same disk, another address.
  auto moved = member("10.0.0.2");
  network.cut(member("10.0.0.2"));
  member("10.0.0.2").is_up = false;
  moved.epoch = Epoch{2};
  network.members["10.0.0.42"] = moved;
  resolver.hosts["hubs.test"] = {"10.0.0.1", "10.0.0.3", "10.0.0.42"};
  pass(12s);
  EXPECT_TRUE(is_open("hub2"));
  EXPECT_EQ(peering->members().find("hub2")->config.address.host, "10.0.0.42");
  EXPECT_EQ(peering->members().find("hub2")->live_epoch, Epoch{2});
  EXPECT_EQ(peering->members().size(), 2U);
}

TEST_F(PeeringDiscovery, ANameStaysWithWhoIsAlive) {
  by_address();
  make();
  make_self();
  start();
  pass(3s);
  FakeMember rival;
  rival.name = "hub2";
  rival.spool = SpoolId{0x7777};
  network.members["10.0.0.77"] = rival;
  resolver.hosts["hubs.test"] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.77"};
  pass(60s);
  EXPECT_EQ(said("two hubs have one name"), 1U);
  EXPECT_EQ(peering->members().find("hub2")->config.address.host, "10.0.0.2");
  EXPECT_EQ(peering->members().find("hub2")->identity->spool, spool2);
  // It comes by itself too, and is told; nothing is taken over from the one that is alive.
  std::unique_ptr<Caller> caller;
  EXPECT_THAT(call(caller, "hub2", SpoolId{0x7777}, Epoch{1}, Sequence{1}), StartsWith("451 4.7.1 "));
  EXPECT_TRUE(caller->is_closed());
  EXPECT_EQ(peering->members().find("hub2")->identity->spool, spool2);
  // When it has gone, the name is free.
  network.cut(member("10.0.0.2"));
  member("10.0.0.2").is_up = false;
  pass(5s);
  EXPECT_THAT(call(caller, "hub2", SpoolId{0x7777}, Epoch{1}, Sequence{1}), StartsWith("235 "));
}

TEST_F(PeeringDiscovery, AHubThatProvesItselfIsAMemberBeforeDnsNamesIt) {
  by_service();
  start();
  std::unique_ptr<Caller> caller;
  EXPECT_THAT(call(caller, "hub9", SpoolId{0x99}, Epoch{1}, Sequence{1}), StartsWith("235 "));
  EXPECT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{1})), StartsWith("250 2.0.0 lease"));
  EXPECT_NE(peering->members().find("hub9"), nullptr);
}

TEST_F(PeeringDiscovery, WithoutDnsAHubIsTriedWhereItCameFrom) {
  by_service();
  resolver.is_failing = true;
  auto moved = member("10.0.0.2");
  network.members["10.0.0.9"] = moved;
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(1s);
  EXPECT_TRUE(is_open("hub2"));
}

TEST_F(PeeringDiscovery, WhoeverLosesItsNameInDnsKeepsItsShadowsWatched) {
  by_service();
  start();
  pass(1s);
  auto id = hold_shadow(1, Epoch{1});
  resolver.targets.pop_back();
  resolver.targets.erase(resolver.targets.begin() + 1);  // neither hub2 nor hub3 is named any more
  resolver.targets.push_back({0, 0, 7025, "hub4.hubs.test"});
  member("10.0.0.2").knows = [](MessageId) {
    return smtp::AskAnswer{{}, smtp::AskKind::live, Generation{1}, "", {}};
  };
  // As long as it beats it owns its mail, whatever DNS says.
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  for (int i = 0; i < 80; ++i) {
    pass(9s);
    ASSERT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{2})), StartsWith("250 "));
  }
  EXPECT_TRUE(shadow(id)) << "not taken over";
  // Silent: the lease decides, and only then.
  member("10.0.0.2").is_up = false;
  network.cut(member("10.0.0.2"));
  pass(30s);
  EXPECT_FALSE(shadow(id));
  EXPECT_EQ(metrics.messages_taken_over_total, 1U);
}

TEST_F(PeeringDiscovery, ForgetsWhoHasGoneOnceNothingIsOwedToIt) {
  by_service();
  start();
  pass(1s);
  put(own_message({{"hub2", spool2, Holder::State::holds}}));
  resolver.targets = {{0, 0, 7025, "hub1.hubs.test"}, {0, 0, 7025, "hub4.hubs.test"}};
  for (const char* address : {"10.0.0.2", "10.0.0.3"}) {
    member(address).is_up = false;
    network.cut(member(address));
  }
  pass(9min);
  EXPECT_NE(peering->members().find("hub3"), nullptr) << "not before forget_after";
  pass(20min);
  EXPECT_EQ(peering->members().find("hub3"), nullptr);
  EXPECT_NE(peering->members().find("hub2"), nullptr) << "our message names it as a holder";
  EXPECT_EQ(said("a hub is forgotten"), 1U);
  auto remembered = ask([](storage::Reader& r) { return r.peers(); });
  EXPECT_TRUE(std::ranges::none_of(remembered, [](const auto& p) { return p.hub == "hub3"; }));
  EXPECT_TRUE(std::ranges::any_of(remembered, [](const auto& p) { return p.hub == "hub2"; }));
}

/// An engine that always answers.
class FairArbiter final : public cluster::Arbiter {
 public:
  void list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done) override {
    std::vector<cluster::ArbiterRecord> all;
    for (const auto& [hub, record] : records) all.push_back(record);
    done(std::move(all));
  }
  void write(cluster::ArbiterRecord record, std::function<void(Written)> done) override {
    auto& stored = records[record.hub];
    if (stored.version != record.version) return done(Written::conflict);
    stored = std::move(record);
    stored.version = std::to_string(++version_);
    done(Written::yes);
  }
  [[nodiscard]] std::string trouble() const override { return {}; }
  void stop() override {}
  std::map<std::string, cluster::ArbiterRecord> records;

 private:
  int version_ = 0;
};

TEST_F(PeeringDiscovery, TakesOverThoughACopyNamesAHubThatWasForgottenSince) {
  FairArbiter engine;
  arbiter = &engine;
  config.cluster.ownership = OwnershipMode::etcd;
  by_service();
  resolver.targets = {{0, 0, 7025, "hub1.hubs.test"}, {0, 0, 7025, "hub2.hubs.test"}};
  make();
  must([](storage::Writer& w) { return w.remember_peer({"hub2", spool2, Epoch{1}, Sequence{1}}); });
  // hub7 was scaled away long ago: this hub found a new holder for what it held, and has forgotten it.
  auto id = hold_shadow(
      1, Epoch{1},
      {{"hub7", SpoolId{0x77}, Holder::State::offered}, {"hub1", spool->id(), Holder::State::offered}});
  member("10.0.0.2").is_up = false;
  start();
  pass(5min);
  EXPECT_FALSE(shadow(id));
  EXPECT_EQ(metrics.messages_taken_over_total, 1U);
  EXPECT_EQ(metrics.possible_duplicates_total, 1U) << "nobody knows what hub7 did before it went";
  stop();
}

TEST_F(PeeringDiscovery, ConcludesNothingFromAnEmptySetAtItsStart) {
  make();
  must([](storage::Writer& w) { return w.remember_peer({"hub2", spool2, Epoch{1}, Sequence{1}}); });
  auto id = hold_shadow(1, Epoch{1});
  resolver.is_failing = true;
  start();
  pass(config.cluster.restart_grace - 1s);
  EXPECT_TRUE(shadow(id)) << "a name that DNS has not told yet is no name that was taken off a list";
  EXPECT_NE(peering->members().find("hub2"), nullptr);
}

TEST_F(PeeringTest, AHubTakenOffTheListHoldsNobodyBack) {
  make();
  auto mine =
      own_message({{"hub7", SpoolId{0x77}, Holder::State::holds}, {"hub2", spool2, Holder::State::holds}});
  put(mine);
  stop();
  // Begun again, with hub7 on no list: hub2 answers for its copy, and nobody waits for hub7.
  make();
  member("10.0.0.2").knows = [&](MessageId id) {
    return smtp::AskAnswer{id, smtp::AskKind::held, Generation{1}, "hub1", spool->id()};
  };
  start();
  pass(5s);
  EXPECT_FALSE(peering->is_returning());
  auto now = message(mine.row);
  ASSERT_TRUE(now);
  ASSERT_EQ(now->holders.size(), 1U);
  EXPECT_EQ(now->holders[0].hub, "hub2");
}

}  // namespace
}  // namespace umbra::hub::peering_test
