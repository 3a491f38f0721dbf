// Goal: a copy is made where it may be, as long as there is hope, and no longer. Method: one hub's Peering on
// virtual time; the other hubs are played by the test.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::Reply;
using smtp::ShadowCommand;
using smtp::ShadowVerb;

class PeeringCopiesTests : public PeeringTest {
 protected:
  FakeMember& hub2() { return member("10.0.0.2"); }
  FakeMember& hub3() { return member("10.0.0.3"); }
  using Ended = std::optional<std::pair<bool, MonotonicTime>>;
  void copy(ZonePreference zones, Ended& ended) {
    struct Copying {
      static Task<void> run(Copier& copier, CopySource source, std::vector<Holder>& holders,
                            Protection protection, Ended& to) {
        bool is_held =
            co_await copier.copy(std::move(source), holders, protection, MonotonicClock::now() + 5s);
        to.emplace(is_held, MonotonicClock::now());
      }
    };
    CopySource source;
    source.id = {spool->id(), ++copied_};
    source.generation = Generation{1};
    source.size = 5;
    source.body = std::make_shared<const std::string>("body\n");
    Envelope envelope;
    envelope.recipients = {{"r@example.com", "", notify_unset}};
    source.envelope = encode(envelope);
    holders_.emplace_back();
    scope.spawn("copy",
                Copying::run(peering->copier(), std::move(source), holders_.back(), {1, zones}, ended));
    settle();
  }

  /// A message that is to be copied again. So many hubs with the longest names were offered a copy and gave
  /// no answer.
  storage::NewMessage put_one_for_many(FakeMember& who_takes_names_elsewhere) {
    who_takes_names_elsewhere.keywords += "\nXNAMES";
    start();
    pass(2s);
    std::vector<Holder> offered;
    for (std::uint64_t i = 1; i <= 60; ++i)
      offered.push_back({std::string(62, 'h') + std::to_string(10 + i), SpoolId{i}, Holder::State::offered});
    auto mine = own_message(std::move(offered));
    put(mine);
    pass(20s);
    return mine;
  }

 private:
  std::uint64_t copied_ = 1000;
  std::list<std::vector<Holder>> holders_;
};

TEST_F(PeeringCopiesTests, WaitsForALatePromiseOnlyWhereTheCopyMayBe) {
  config.cluster.members[0].zone = config.cluster.members[1].zone = "here";
  config.cluster.members[2].zone = "there";
  hub3().is_up = false;
  hub2().answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::beat) return Reply{250, "2.0.0", "lease 0"};
    return std::nullopt;
  };
  start();
  pass(2s);
  Ended anywhere;
  Ended elsewhere;
  auto began = MonotonicClock::now();
  copy(ZonePreference::only_other_zone, elsewhere);
  copy(ZonePreference::prefer_other_zone, anywhere);
  pass(1s);
  ASSERT_TRUE(elsewhere) << "hub2 could not take it if it promised";
  EXPECT_FALSE(elsewhere->first);
  EXPECT_EQ(elsewhere->second, began);
  EXPECT_FALSE(anywhere);
  hub2().answers = nullptr;
  pass(3s);
  ASSERT_TRUE(anywhere) << "here it is worth while";
  EXPECT_TRUE(anywhere->first);
}

TEST_F(PeeringCopiesTests, CopiesAMessageThatWasOfferedToMoreHubsThanALineCanName) {
  hub3().is_up = false;
  auto mine = put_one_for_many(hub2());
  const auto& offered = mine.holders;
  auto copies = hub2().of(ShadowVerb::copy);
  ASSERT_EQ(copies.size(), 1U);
  ASSERT_EQ(copies[0].copy.offered.size(), 61U)
      << "whoever takes it over tells every one of them what became of it";
  for (std::size_t i = 0; i < 60; ++i)
    EXPECT_EQ(copies[0].copy.offered[i], std::pair(offered[i].hub, offered[i].spool));
  EXPECT_EQ(copies[0].copy.offered.back(), std::pair(std::string("hub2"), spool2));
  EXPECT_TRUE(message(mine.row)->is_protected);
}

TEST_F(PeeringCopiesTests, SendsNoLineThatIsTooLongToAHubThatTakesTheNamesNowhereElse) {
  auto mine = put_one_for_many(hub3());
  EXPECT_TRUE(hub2().of(ShadowVerb::copy).empty());
  EXPECT_EQ(hub3().of(ShadowVerb::copy).size(), 1U);
  EXPECT_TRUE(message(mine.row)->is_protected);
}

}  // namespace
}  // namespace umbra::hub::peering_test
