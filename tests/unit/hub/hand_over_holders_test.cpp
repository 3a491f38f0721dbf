// Goal: a message that is being handed over stays as safe as it was: its receiver is no holder before it has
// answered, nor is it forgotten, and nothing is given away that may not be this hub's any more. Method: as in
// hand_over_test.cpp, the giver's side.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowCommand;
using smtp::ShadowVerb;
using ::testing::StartsWith;

class HandOverHoldersTests : public PeeringTest {
 protected:
  FakeMember& hub2() { return member("10.0.0.2"); }
  FakeMember& hub3() { return member("10.0.0.3"); }
  void hand(RowId row) {
    struct Handing {
      static Task<void> run(Peering& peering, RowId row, std::optional<Hander::Outcome>& to) {
        to = co_await peering.hander().hand(row, "hub2", false);
      }
    };
    outcome.reset();
    scope.spawn("hand", Handing::run(*peering, row, outcome));
    settle();
  }
  std::optional<Hander::Outcome> outcome;
};

TEST_F(HandOverHoldersTests, DoesNotForgetAReceiverThatLosesItsDiskMeanwhile) {
  hub3().is_up = false;
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(2s);
  auto m = own_message({{"hub2", spool2, Holder::State::holds}});
  put(m);
  hub2().is_silent = true;  // XHAND is never answered
  hand(m.row);
  ASSERT_TRUE(message(m.row)->receiver);
  pass(5s);
  SpoolId next{0x2424242424242424ULL};
  ASSERT_THAT(call(caller, "hub2", next, Epoch{1}, Sequence{1}), StartsWith("235 "));
  pass(2s);  // what the former spool held is gone, and the hand-over goes on
  auto meanwhile = message(m.row);
  ASSERT_TRUE(meanwhile);
  EXPECT_TRUE(meanwhile->holders.empty());
  ASSERT_TRUE(meanwhile->receiver) << "it may own the message: nobody else can say so";
  EXPECT_EQ(meanwhile->receiver->spool, spool2);
  pass(60s);
  auto row = ask([&](storage::Reader& r) { return r.find_message(m.id); });
  ASSERT_TRUE(row);
  EXPECT_EQ(message(*row)->generation, Generation{3}) << "above the one that the receiver may have owned";
}

TEST_F(HandOverHoldersTests, WithholdsTheLastPieceWhenItMayHaveBeenTakenOverMeanwhile) {
  start();
  pass(2s);
  auto m = own_message({{"hub3", spool3, Holder::State::holds}});
  constexpr std::size_t piece = smtp::shadow_chunk_octets_max;
  m.size = piece + 1000;
  must([&](storage::Writer& w) -> Result<void> {
    for (std::uint32_t i = 0; i < 2; ++i)
      if (auto put = w.put_chunk(m.row, i, std::string(i == 0 ? piece : 1000, 'x')); !put) return put;
    return w.insert_message(m);
  });
  hub2().on_command = [this](const ShadowCommand& c) {
    if (c.verb == ShadowVerb::hand)
      reader.is_held = true;  // stopped between two lines: the offer has left, the body has not
  };
  hand(m.row);
  ASSERT_EQ(hub2().of(ShadowVerb::hand).size(), 1U);
  wake_up_with_its_epoch_ended_by(hub3());
  auto chunks = hub2().of(ShadowVerb::chunk);
  ASSERT_EQ(chunks.size(), 1U) << "nothing is owned there before the last one";
  EXPECT_FALSE(chunks[0].last);
  EXPECT_EQ(outcome, Hander::Outcome::not_now);
  auto after = message(m.row);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->state, storage::MessageState::queued);
  EXPECT_FALSE(after->receiver);
}

}  // namespace
}  // namespace umbra::hub::peering_test
