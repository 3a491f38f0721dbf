// Who owns a message whose hand-over ended without an answer.
#include "cluster/hand_over.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

using What = HandOverDecision::What;

const SpoolId spool2{2};
const SpoolId spool3{3};

Answer says(const char* hub, SpoolId spool, Knows knows, std::uint32_t generation = 0, SpoolId owner = {}) {
  return {hub, spool, Epoch{7}, knows, Generation{generation}, owner == SpoolId{} ? "" : "somebody", owner};
}

Receiver receiver(std::optional<Answer> answer = std::nullopt, bool is_gone = false) {
  return {"hub2", spool2, Epoch{7}, is_gone, std::move(answer)};
}

TEST(HandOver, IsTheReceiversWhenItOwnsTheOfferedGenerationOrALaterOne) {
  for (std::uint32_t generation : {4U, 5U}) {
    auto decision =
        decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::live, generation)), {});
    EXPECT_EQ(decision.what, What::follow);
    EXPECT_EQ(decision.hub, "hub2");
    EXPECT_EQ(decision.generation, Generation{generation});
  }
}

TEST(HandOver, IsOursAgainWhenTheReceiverDoesNotHaveIt) {
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::unknown)), {}).what,
            What::own);
  // A shadow of the generation before is no ownership.
  EXPECT_EQ(
      decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::held, 3, SpoolId{1})), {}).what,
      What::own);
}

TEST(HandOver, WaitsForAReceiverThatIsNotGoneAndHasNotAnswered) {
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(), {}).what, What::wait);
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::pending)), {}).what,
            What::wait);
}

// A chain of hand-overs of which nobody knows the end: each asks the next one, and the last one must not wait
// for the first.
TEST(HandOver, DoesNotWaitForWhoeverWaitsForIt) {
  auto has_it_not = says("hub2", spool2, Knows::held, 3, SpoolId{1});
  Answer gave_it_to_us[] = {says("hub3", spool3, Knows::pending, 2)};
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(has_it_not), gave_it_to_us).what, What::own);
  for (std::uint32_t generation : {0U, 3U, 4U}) {
    Answer may_own_it_yet[] = {says("hub3", spool3, Knows::pending, generation)};
    EXPECT_EQ(decide_hand_over(Generation{3}, receiver(has_it_not), may_own_it_yet).what, What::wait)
        << generation;
  }
  // The receiver itself: it hands on what it had long before. It refuses our offer from now on.
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::pending, 1)), {}).what,
            What::own);
  EXPECT_EQ(decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::pending, 4)), {}).what,
            What::wait);
}

TEST(HandOver, IsFinishedWhenAnybodySaysDone) {
  auto decision = decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::done, 4)), {});
  EXPECT_EQ(decision.what, What::finish);
  EXPECT_EQ(decision.spool, spool2);
}

TEST(HandOver, BelongsToAReceiverThatIsGoneSoThatItsHoldersTakeItOverByTheUsualRules) {
  auto decision = decide_hand_over(Generation{3}, receiver(std::nullopt, true), {});
  EXPECT_EQ(decision.what, What::follow);
  EXPECT_EQ(decision.spool, spool2);
  EXPECT_EQ(decision.generation, Generation{4});
}

TEST(HandOver, FollowsWhoTookItOverMeanwhile) {
  Answer others[] = {says("hub3", spool3, Knows::live, 5)};
  auto decision = decide_hand_over(Generation{3}, receiver(std::nullopt, true), others);
  EXPECT_EQ(decision.what, What::follow);
  EXPECT_EQ(decision.spool, spool3);
  EXPECT_EQ(decision.generation, Generation{5});
}

TEST(HandOver, FollowsTheOwnerForWhomTheReceiverHoldsAShadowOfALaterGeneration) {
  auto decision = decide_hand_over(Generation{3}, receiver(says("hub2", spool2, Knows::held, 5, spool3)), {});
  EXPECT_EQ(decision.what, What::follow);
  EXPECT_EQ(decision.spool, spool3);
}

}  // namespace
}  // namespace umbra::cluster
