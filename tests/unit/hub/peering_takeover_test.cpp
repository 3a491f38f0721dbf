// Goal: a message has one owner, also where a copy does not tell of all the others. Method: one hub's Peering on virtual time as a
// holder; the other hubs are played by the test.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::AskAnswer;
using smtp::AskKind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TakeOverTests : public PeeringTest {
 protected:
  TakeOverTests() {
    for (auto& [address, m] : network.members) m.is_up = false;
  }
};

TEST_F(TakeOverTests, LeavesACopyToTheOtherOwnerWhenItsOwnGaveWayToIt) {
  // hub2 and hub3 came to own the same generation, and hub2 gave way: hub3 is delivering it.
  start();
  auto& hub2 = member("10.0.0.2");
  auto& hub3 = member("10.0.0.3");
  hub2.is_up = hub3.is_up = true;
  hub2.knows = [](MessageId id) { return AskAnswer{id, AskKind::held, Generation{1}, "hub3", spool3}; };
  hub3.knows = [](MessageId id) { return AskAnswer{id, AskKind::live, Generation{1}, "", {}}; };
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(1s);
  auto id = hold_shadow(1, Epoch{1});
  for (int i = 0; i < 65; ++i) {
    (void)say(*caller, smtp::format_beat(Epoch{1}, Sequence{2}));
    pass(1s);
  }
  EXPECT_FALSE(ask([id](storage::Reader& r) { return r.find_message(id); })) << "it has two owners";
  EXPECT_EQ(metrics.messages_recovered_total, 0U);
  EXPECT_FALSE(shadow(id));
}

TEST_F(TakeOverTests, RemembersTheEndOfWhatItTookFromASpoolThatIsGone) {
  // hub2 gave a copy to hub3, after this hub's, and lost its disk; hub3 is away, will ask, and is named nowhere.
  for (bool is_restarted : {false, true}) {
    start();
    const SpoolId lost{is_restarted ? 0x2221U : 0x2220U};
    std::unique_ptr<Caller> hub2;
    ASSERT_THAT(call(hub2, "hub2", lost, Epoch{1}, Sequence{1}), StartsWith("235 "));
    smtp::CopyOffer offer;
    offer.id = {lost, 7};
    offer.generation = Generation{1};
    auto m = own_message({});
    offer.envelope = encode(m.envelope);
    offer.body = "body\n";
    offer.body_octets = 5;
    offer.offered = {{"hub1", spool->id()}};
    ASSERT_THAT(say(*hub2, smtp::format_copy(offer)), StartsWith("250 "));
    ASSERT_THAT(call(hub2, "hub2", SpoolId{lost.value + 0x1000}, Epoch{1}, Sequence{1}), StartsWith("235 "));
    pass(5s);
    if (is_restarted) {
      stop();
      start();
      ASSERT_THAT(call(hub2, "hub2", SpoolId{lost.value + 0x1000}, Epoch{1}, Sequence{2}), StartsWith("235 "));
      pass(config.cluster.return_wait + 40s);
    }
    auto row = ask([&](storage::Reader& r) { return r.find_message(offer.id); });
    ASSERT_TRUE(row);
    must([&](storage::Writer& w) { return w.finish_message(*row, std::nullopt, SpoolId{}); });
    pass(30s);
    std::unique_ptr<Caller> hub3;
    ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
    EXPECT_THAT(say(*hub3, smtp::format_ask({offer.id})), HasSubstr(to_string(offer.id) + " done 2")) << is_restarted;
    stop();
  }
}

TEST_F(TakeOverTests, FindsOutWhoOwnsACopyThoughItMayTakeNothingOverItself) {
  config.cluster.ownership = OwnershipMode::majority;
  start();
  auto& hub3 = member("10.0.0.3");
  hub3.is_up = true;
  hub3.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {  // this hub is never let in, and has no lease
    if (c.verb == smtp::ShadowVerb::epochs) return smtp::Reply{451, "4.3.0", "not now"};
    if (c.verb == smtp::ShadowVerb::beat) return smtp::Reply{250, "2.0.0", "lease 0"};
    return std::nullopt;
  };
  std::unique_ptr<Caller> hub2;
  ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  auto owned = hold_shadow(1, Epoch{1});
  auto nobodys = hold_shadow(2, Epoch{1});
  hub3.knows = [owned](MessageId id) { return id == owned ? AskAnswer{id, AskKind::live, Generation{2}, "", {}} : AskAnswer{}; };
  ASSERT_THAT(call(hub2, "hub2", SpoolId{0x2220}, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(60s);
  EXPECT_FALSE(shadow(owned)) << "hub3 has it; once it is done nobody will know of it any more";
  EXPECT_TRUE(shadow(nobodys));
  EXPECT_FALSE(ask([nobodys](storage::Reader& r) { return r.find_message(nobodys); }));
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
}

}  // namespace
}  // namespace umbra::hub::peering_test
