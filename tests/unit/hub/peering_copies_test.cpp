// Goal: a copy is made where it may be, as long as there is hope, and no longer. Method: one hub's Peering on virtual time; the other
// hubs are played by the test.
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
      static Task<void> run(Copier& copier, CopySource source, std::vector<Holder>& holders, Protection protection, Ended& to) {
        bool is_held = co_await copier.copy(std::move(source), holders, protection, MonotonicClock::now() + 5s);
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
    scope.spawn("copy", Copying::run(peering->copier(), std::move(source), holders_.back(), {1, zones}, ended));
    settle();
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

}  // namespace
}  // namespace umbra::hub::peering_test
