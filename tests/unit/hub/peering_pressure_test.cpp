// Goal: hubs tell one another how short of something they are, copies go to those that are not while there
// are any, and what was told does not stick. Method: one hub's Peering on virtual time; the other hubs are
// played by the test.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowVerb;
using ::testing::StartsWith;

class PeeringPressure : public PeeringTest {
 protected:
  void SetUp() override {
    hub2().keywords += "\nXLEVEL";
    make();
    start();
    pass(5s);
  }
  FakeMember& hub2() { return member("10.0.0.2"); }
  FakeMember& hub3() { return member("10.0.0.3"); }
  void tell(Caller& by, PressureLevel level) {
    ASSERT_THAT(say(by, smtp::format_level(level)), StartsWith("250 2.0.0 "));
  }
  PressureLevel known() { return peering->members().find("hub2")->pressure; }
  std::vector<PressureLevel> told() {
    std::vector<PressureLevel> levels;
    for (const auto& command : hub2().of(ShadowVerb::level)) levels.push_back(command.level);
    return levels;
  }
  /// So many messages get their copy; how many of these came to hub2.
  std::size_t copies_to_hub2(std::size_t messages) {
    auto before = hub2().of(ShadowVerb::copy).size();
    auto all = before + hub3().of(ShadowVerb::copy).size();
    for (std::size_t i = 0; i < messages; ++i) put(own_message({}));
    peering->copier().protect_later();
    pass(10s);
    EXPECT_EQ(hub2().of(ShadowVerb::copy).size() + hub3().of(ShadowVerb::copy).size(), all + messages)
        << "a message is left unprotected";
    return hub2().of(ShadowVerb::copy).size() - before;
  }

  std::unique_ptr<Caller> caller;
};

TEST_F(PeeringPressure, IsToldWhenItChangesAndOnceInEachSession) {
  EXPECT_TRUE(told().empty()) << "there is nothing to tell";
  using enum PressureLevel;
  peering->set_pressure(medium);
  pass(1s);
  peering->set_pressure(medium);
  pass(1s);
  EXPECT_EQ(told(), (std::vector{medium}));
  network.cut(hub2());
  pass(5s);
  EXPECT_EQ(told(), (std::vector{medium, medium}));
  peering->set_pressure(high);
  pass(1s);
  peering->set_pressure(normal);
  pass(1s);
  EXPECT_EQ(told(), (std::vector{medium, medium, high, normal}));
  EXPECT_TRUE(hub3().of(ShadowVerb::level).empty()) << "it does not offer the keyword";
}

TEST_F(PeeringPressure, CopiesGoToAnotherHubAndComeBack) {
  EXPECT_GT(copies_to_hub2(8), 0U);
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{100}), StartsWith("235 "));
  for (auto level : {PressureLevel::medium, PressureLevel::high}) {
    tell(*caller, level);
    EXPECT_EQ(copies_to_hub2(8), 0U);
  }
  tell(*caller, PressureLevel::normal);
  EXPECT_GT(copies_to_hub2(8), 0U);
}

TEST_F(PeeringPressure, AHubUnderPressureIsBetterThanNoCopy) {
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{100}), StartsWith("235 "));
  tell(*caller, PressureLevel::high);
  hub3().is_up = false;
  network.cut(hub3());
  pass(1s);
  EXPECT_EQ(copies_to_hub2(3), 3U);
}

TEST_F(PeeringPressure, EndsWithTheSessionInWhichItWasTold) {
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{100}), StartsWith("235 "));
  tell(*caller, PressureLevel::high);
  EXPECT_EQ(known(), PressureLevel::high);
  // Told again in a new session before the old one is known to be lost.
  std::unique_ptr<Caller> later;
  ASSERT_THAT(call(later, "hub2", spool2, Epoch{1}, Sequence{101}), StartsWith("235 "));
  tell(*later, PressureLevel::medium);
  EXPECT_THAT(say(*caller, "QUIT\r\n"), StartsWith("221 "));
  settle();
  EXPECT_EQ(known(), PressureLevel::medium);
  EXPECT_THAT(say(*later, "QUIT\r\n"), StartsWith("221 "));
  settle();
  EXPECT_EQ(known(), PressureLevel::normal);
}

TEST_F(PeeringPressure, AHubThatIsShortStillTakesCopies) {
  peering->set_pressure(PressureLevel::medium);
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{100}), StartsWith("235 "));
  smtp::CopyOffer offer;
  offer.id = {spool2, 1};
  offer.generation = Generation{1};
  Envelope envelope;
  envelope.recipients = {{"r@example.com", "", notify_unset}};
  offer.envelope = encode(envelope);
  offer.body = "body\n";
  offer.body_octets = 5;
  offer.offered = {{"hub1", spool->id()}};
  EXPECT_THAT(say(*caller, smtp::format_copy(offer)), StartsWith("250 "));
  EXPECT_TRUE(shadow(offer.id));
}

}  // namespace
}  // namespace umbra::hub::peering_test
