// Goal: a hub that was cut off while another one left learns it from the others, and owes nothing for ever;
// and nobody takes the word for a later run. Method: one hub's Peering; the test plays hub2, which tells or
// is told, and hub3, which leaves.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::HubState;
using smtp::ShadowVerb;
using ::testing::StartsWith;

class PeeringDepartures : public PeeringTest {
 protected:
  FakeMember& hub2() { return member("10.0.0.2"); }
  FakeMember& hub3() { return member("10.0.0.3"); }
  void go_away(FakeMember& who) {
    who.is_up = false;
    network.cut(who);
  }
  /// hub3 comes, in that run.
  void hub3_comes(std::uint64_t epoch) {
    ASSERT_THAT(call(third, "hub3", spool3, Epoch{epoch}, Sequence{10 * epoch + ++hellos}),
                StartsWith("235 "));
  }
  std::string hub2_tells(std::uint64_t below) {
    std::unique_ptr<Caller> second;
    EXPECT_THAT(call(second, "hub2", spool2, Epoch{1}, Sequence{10 + ++hellos}), StartsWith("235 "));
    return say(*second, smtp::format_gone({{"hub3", spool3, Epoch{below}}}));
  }
  HubState state_of_hub3() { return peering->members().find("hub3")->state; }
  std::size_t owed_to_hub3() {
    return ask([](storage::Reader& r) { return r.outbox(spool3, 0, 10); }).size();
  }
  void finish_one_that_hub3_holds() {
    auto done = own_message({{"hub3", spool3, Holder::State::holds}});
    put(done);
    must([&](storage::Writer& w) {
      return w.finish_message(done.row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
    });
  }

  std::unique_ptr<Caller> third;
  std::uint64_t hellos = 0;
};

TEST_F(PeeringDepartures, AreToldToEveryHubOfEverySession) {
  hub2().keywords += "\nXGONE";
  make();
  start();
  hub3_comes(4);
  ASSERT_THAT(say(*third, smtp::format_state(HubState::left, Duration{0})), StartsWith("250 "));
  go_away(hub3());
  pass(5s);
  std::vector<smtp::KnownEpoch> gone{{"hub3", spool3, Epoch{5}}};
  ASSERT_EQ(hub2().of(ShadowVerb::gone).size(), 1U);
  EXPECT_EQ(hub2().of(ShadowVerb::gone)[0].runs, gone);
  EXPECT_TRUE(hub3().of(ShadowVerb::gone).empty()) << "it does not offer the keyword";
  network.cut(hub2());
  pass(5s);
  EXPECT_EQ(hub2().of(ShadowVerb::gone).size(), 2U) << "a new session";
  stop();
  make();
  start();
  pass(5s);
  ASSERT_EQ(hub2().of(ShadowVerb::gone).size(), 3U) << "remembered over a restart";
  EXPECT_EQ(hub2().of(ShadowVerb::gone)[2].runs, gone);
}

TEST_F(PeeringDepartures, EndWhatIsOwedToAHubThatThisOneDidNotSeeLeave) {
  make();
  start();
  hub3_comes(4);
  third.reset();
  go_away(hub3());
  finish_one_that_hub3_holds();
  pass(10min);
  ASSERT_EQ(owed_to_hub3(), 1U) << "it may come again";
  EXPECT_THAT(hub2_tells(5), StartsWith("250 "));
  EXPECT_EQ(state_of_hub3(), HubState::left);
  pass(1min);
  EXPECT_EQ(owed_to_hub3(), 0U);
}

TEST_F(PeeringDepartures, SayNothingOfALaterRun) {
  make();
  start();
  hub3_comes(5);
  third.reset();
  go_away(hub3());
  finish_one_that_hub3_holds();
  EXPECT_THAT(hub2_tells(5), StartsWith("250 ")) << "the run before this one had left";
  EXPECT_EQ(state_of_hub3(), HubState::active);
  pass(1min);
  EXPECT_EQ(owed_to_hub3(), 1U);
  // It leaves too, and comes again with the same spool.
  EXPECT_THAT(hub2_tells(6), StartsWith("250 "));
  EXPECT_EQ(state_of_hub3(), HubState::left);
  hub3().is_up = true;
  hub3().epoch = Epoch{6};
  hub3_comes(6);
  EXPECT_EQ(state_of_hub3(), HubState::active);
  EXPECT_THAT(hub2_tells(6), StartsWith("250 "));
  EXPECT_EQ(state_of_hub3(), HubState::active) << "told again";
}

TEST_F(PeeringDepartures, OfThisHubAreNotBelieved) {
  make();
  start();
  std::unique_ptr<Caller> second;
  ASSERT_THAT(call(second, "hub2", spool2, Epoch{1}, Sequence{10}), StartsWith("235 "));
  EXPECT_THAT(
      say(*second, smtp::format_gone({{"hub1", spool->id(), Epoch{100}}, {"nobody", SpoolId{9}, Epoch{1}}})),
      StartsWith("250 "));
  EXPECT_FALSE(peering->members().ended());
}

}  // namespace
}  // namespace umbra::hub::peering_test
