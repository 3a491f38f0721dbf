// Goal: what is done about one hub delays nothing that has to be done about another one. Method: one hub's
// Peering on virtual time; one of the others answers slowly, the other one dies.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::AskAnswer;
using smtp::AskKind;
using smtp::ShadowVerb;
using ::testing::StartsWith;

class PeeringWatchTests : public PeeringTest {
 protected:
  FakeMember& hub2() { return member("10.0.0.2"); }
  FakeMember& hub3() { return member("10.0.0.3"); }
  /// Shadows held for hub2, in one commit.
  void hold_many(std::uint64_t count) {
    must([&](storage::Writer& w) -> Result<void> {
      for (std::uint64_t i = 1; i <= count; ++i) {
        auto inserted = w.insert_shadow(shadow_of("hub2", spool2, i));
        if (!inserted) return std::unexpected(inserted.error());
      }
      return {};
    });
  }
  storage::Shadow shadow_of(const char* hub, SpoolId owner, std::uint64_t number) {
    storage::Shadow held;
    held.row = spool->next_row();
    held.id = {owner, number};
    held.generation = Generation{1};
    held.owner_hub = hub;
    held.owner_spool = owner;
    held.owner_epoch = Epoch{1};
    held.envelope.sender = "sender@example.org";
    held.envelope.recipients = {{"r@example.com", "", notify_unset}};
    held.envelope.accepted_at = WallClock::now();
    held.envelope.expires_at = WallClock::now() + 48h;
    held.offered = {{"hub1", spool->id(), Holder::State::offered}};
    return held;
  }
};

TEST_F(PeeringWatchTests, TakesOverFromOneHubWhileAnotherOneAnswersSlowly) {
  // Every question takes it 1.5 s, which is in time: an audit of so many copies takes more than a minute.
  for (auto* hub : {&hub2(), &hub3()})
    hub->knows = [hub](MessageId id) {
      return id.spool == hub->spool ? AskAnswer{id, AskKind::live, Generation{1}, "", {}} : AskAnswer{};
    };
  start();
  std::unique_ptr<Caller> caller2;
  std::unique_ptr<Caller> caller3;
  ASSERT_THAT(call(caller2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  ASSERT_THAT(call(caller3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  bool is_hub3_alive = true;
  auto live = [&](int beats) {
    for (int i = 0; i < beats; ++i) {
      network.let_go(hub2());
      (void)say(*caller2, smtp::format_beat(Epoch{1}, Sequence{2}));
      if (is_hub3_alive) (void)say(*caller3, smtp::format_beat(Epoch{1}, Sequence{2}));
      pass(1500ms);
    }
  };
  live(25);  // longer than restart_grace
  hold_many(10'000);
  MessageId of_hub3{spool3, 1};
  must([&](storage::Writer& w) -> Result<void> {
    auto inserted = w.insert_shadow(shadow_of("hub3", spool3, 1));
    return inserted ? Result<void>{} : Result<void>{std::unexpected(inserted.error())};
  });
  hub2().is_slow = true;
  live(22);  // the next audit has begun
  auto asked = hub2().of(ShadowVerb::ask).size();
  is_hub3_alive = false;
  hub3().is_up = false;
  network.cut(hub3());
  live(4);
  ASSERT_GT(hub2().of(ShadowVerb::ask).size(), asked) << "the audit goes on";
  ASSERT_TRUE(shadow(of_hub3));
  live(7);  // 16.5 s since it was heard: a lease, and what asking hub2 takes
  EXPECT_FALSE(shadow(of_hub3));
  EXPECT_TRUE(ask([&](storage::Reader& r) { return r.find_message(of_hub3); }));
  EXPECT_EQ(metrics.takeovers_total, 1U);
}

}  // namespace
}  // namespace umbra::hub::peering_test
