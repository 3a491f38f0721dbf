// Goal: an offer of ownership (XHAND) that was made long ago is not taken: the giver may be gone meanwhile,
// and another hub own the message. Method: one hub's Peering on virtual time as the receiver; the other hubs
// are played by the test.
#include "hub/peering/hand_over_record.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using ::testing::StartsWith;

class LateOfferTests : public PeeringTest {
 protected:
  LateOfferTests() { start(); }
  void SetUp() override {
    ASSERT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
    pass(2s);
  }
  std::string offer(std::uint64_t number) {
    HandOverRecord record;
    record.envelope = own_message({}).envelope;
    record.alarm_at = record.envelope.expires_at;
    smtp::HandOffer hand;
    hand.copy.id = id;
    hand.copy.generation = Generation{2};
    hand.copy.envelope = encode(record);
    hand.copy.body = "body\n";
    hand.copy.body_octets = 5;
    hand.number = number;
    hand.keep = true;
    return smtp::format_hand(hand);
  }
  bool is_owned() {
    return ask([this](storage::Reader& r) { return r.find_message(id); }).has_value();
  }
  const MessageId id{spool2, 7};
  std::unique_ptr<Caller> hub2;
};

TEST_F(LateOfferTests, IsNotTakenByAHubThatStoodStill) {
  member("10.0.0.2").is_slow = true;
  time.jump(1min);  // stopped, and goes on: what came meanwhile is read
  EXPECT_THAT(say(*hub2, offer(1)), StartsWith("451 4.4.1 "));
  EXPECT_FALSE(is_owned());
  member("10.0.0.2").is_slow = false;
  network.let_go(member("10.0.0.2"));
  pass(3s);  // a beat is answered: the giver is there
  EXPECT_THAT(say(*hub2, offer(2)), StartsWith("250 "));
  EXPECT_TRUE(is_owned());
}

TEST_F(LateOfferTests, IsNotTakenOfARunThatWasEndedElsewhere) {
  std::unique_ptr<Caller> hub3;
  ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  EXPECT_THAT(say(*hub3, smtp::format_over({{"hub2", spool2, Epoch{2}}})), StartsWith("250 "));
  EXPECT_THAT(say(*hub2, offer(1)), StartsWith("554 "));
  EXPECT_FALSE(is_owned());
  // Nor after a restart.
  stop();
  start();
  EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{1}, Sequence{2}), StartsWith("554 "));
  EXPECT_THAT(call(hub2, "hub2", spool2, Epoch{2}, Sequence{2}), StartsWith("235 "));
}

TEST_F(LateOfferTests, IsNotTakenOfASpoolThatWasReplacedElsewhere) {
  std::unique_ptr<Caller> hub3;
  ASSERT_THAT(call(hub3, "hub3", spool3, Epoch{1}, Sequence{1}), StartsWith("235 "));
  EXPECT_THAT(say(*hub3, smtp::format_over({{"hub2", spool2, Epoch{INT64_MAX}}})), StartsWith("250 "));
  EXPECT_THAT(say(*hub2, offer(1)), StartsWith("554 "));
  member("10.0.0.2").is_up = false;
  network.cut(member("10.0.0.2"));
  EXPECT_THAT(call(hub2, "hub2", SpoolId{0x2220}, Epoch{1}, Sequence{1}), StartsWith("235 "))
      << "its new spool is welcome";
}

// A copy that lay unread in a session while the message moved on.
class LateCopyTests : public LateOfferTests {
 protected:
  std::string copy(std::uint32_t generation) {
    smtp::CopyOffer copy;
    copy.id = id;
    copy.generation = Generation{generation};
    copy.envelope = encode(own_message({}).envelope);
    copy.body = "body\n";
    copy.body_octets = 5;
    copy.offered = {{"hub1", spool->id()}};
    return smtp::format_copy(copy);
  }
};

TEST_F(LateCopyTests, IsRefusedWhenALaterOwnerHasTheMessage) {
  EXPECT_THAT(say(*hub2, smtp::format_done({{1, id, Generation{1}, false, {}, true}})), StartsWith("250 "));
  EXPECT_THAT(say(*hub2, copy(1)), StartsWith("550 "));
  EXPECT_FALSE(shadow(id));
  EXPECT_THAT(say(*hub2, copy(2)), StartsWith("250 ")) << "the later owner's own";
}

TEST_F(LateCopyTests, IsRefusedWhenTheMessageIsDoneWhateverItsGeneration) {
  EXPECT_THAT(say(*hub2, smtp::format_done({{1, id, Generation{2}, true, {}}})), StartsWith("250 "));
  EXPECT_THAT(say(*hub2, copy(3)), StartsWith("550 "));
  EXPECT_FALSE(shadow(id));
}

TEST_F(LateCopyTests, IsRefusedWhenThisHubHasOwnedAndDeliveredTheMessage) {
  ASSERT_THAT(say(*hub2, offer(1)), StartsWith("250 "));
  auto row = ask([this](storage::Reader& r) { return r.find_message(id); });
  ASSERT_TRUE(row);
  must([&](storage::Writer& w) {
    return w.finish_message(*row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
  });
  peering->delivered(id, Generation{2});
  EXPECT_THAT(say(*hub2, copy(1)), StartsWith("550 "));
  EXPECT_FALSE(shadow(id));
}

}  // namespace
}  // namespace umbra::hub::peering_test
