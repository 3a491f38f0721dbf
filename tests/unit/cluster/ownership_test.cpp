// Goal: every row of docs/xshadow.md sections 6 to 8. Method: answers in, decision out.
#include "cluster/ownership.h"

#include <gtest/gtest.h>

#include <vector>

namespace umbra::cluster {
namespace {

const SpoolId spool_a{0xa}, spool_b{0xb}, spool_c{0xc};

Answer answer(const char* hub, SpoolId spool, Knows knows, std::uint32_t generation = 0) {
  return {hub, spool, Epoch{5}, knows, Generation{generation}, "", SpoolId{0}};
}
Answer held(const char* hub, SpoolId spool, std::uint32_t generation, const char* owner,
            SpoolId owner_spool) {
  return {hub, spool, Epoch{5}, Knows::held, Generation{generation}, owner, owner_spool};
}

using Return = ReturnDecision::What;
using Take = TakeoverDecision::What;

TEST(DecideReturn, OwnsAgainWhatHoldersStillHold) {
  std::vector<Answer> answers{held("b", spool_b, 1, "a", spool_a), answer("c", spool_c, Knows::unknown)};
  EXPECT_EQ(decide_return(Generation{1}, spool_a, answers).what, Return::own);
}

TEST(DecideReturn, CedesToTheHubThatTookOver) {
  std::vector<Answer> answers{answer("b", spool_b, Knows::live, 2), answer("c", spool_c, Knows::unknown)};
  auto decision = decide_return(Generation{1}, spool_a, answers);
  EXPECT_EQ(decision.what, Return::cede);
  EXPECT_EQ(decision.hub, "b");
  EXPECT_EQ(decision.spool, spool_b);
  EXPECT_EQ(decision.generation, Generation{2});
}

TEST(DecideReturn, CedesToTheOwnerThatAHolderNames) {
  std::vector<Answer> answers{held("c", spool_c, 3, "b", spool_b)};
  auto decision = decide_return(Generation{1}, spool_a, answers);
  EXPECT_EQ(decision.what, Return::cede);
  EXPECT_EQ(decision.hub, "b");
}

TEST(DecideReturn, FollowsTheLatestGeneration) {
  std::vector<Answer> answers{answer("b", spool_b, Knows::live, 2), answer("c", spool_c, Knows::waiting, 3)};
  EXPECT_EQ(decide_return(Generation{1}, spool_a, answers).hub, "c");
}

TEST(DecideReturn, WaitsForAnOwnerOfAnEarlierGeneration) {
  for (auto knows : {Knows::live, Knows::waiting})
    EXPECT_EQ(decide_return(Generation{2}, spool_a, std::vector{answer("b", spool_b, knows, 1)}).what,
              Return::wait);
  // One of a later generation owns it: the other finds out by itself.
  std::vector<Answer> answers{answer("b", spool_b, Knows::live, 1), answer("c", spool_c, Knows::live, 3)};
  EXPECT_EQ(decide_return(Generation{2}, spool_a, answers).what, Return::cede);
}

TEST(DecideReturn, WaitsForAHolderThatTakesThisHubForAnotherOwner) {
  EXPECT_EQ(decide_return(Generation{1}, spool_a, std::vector{held("b", spool_b, 2, "a", spool_a)}).what,
            Return::wait);
}

TEST(DecideReturn, HearsNothingOfItsGenerationFromWhoGaveAnEarlierOneAway) {
  EXPECT_FALSE(answer("b", spool_b, Knows::pending, 1).is_undecided(Generation{2}));
  EXPECT_TRUE(answer("b", spool_b, Knows::pending, 2).is_undecided(Generation{2}));
  EXPECT_TRUE(answer("b", spool_b, Knows::pending).is_undecided(Generation{2}));
}

TEST(DecideReturn, GivesWayToAnOwnerOfTheSameGeneration) {
  // A hand-over whose both ends were away, and a holder that took over the generation before.
  std::vector<Answer> answers{answer("b", spool_b, Knows::live, 2), answer("c", spool_c, Knows::unknown)};
  EXPECT_EQ(decide_return(Generation{2}, spool_a, answers).what, Return::cede);
}

TEST(DecideTakeover, EndsTheStalemateOfTwoThatGaveWayToOneAnother) {
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_b, "a", std::vector{held("b", spool_b, 2, "a", spool_a)}).what,
      Take::take);
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{held("a", spool_a, 2, "b", spool_b)}).what,
      Take::wait);
}

TEST(DecideTakeover, FollowsTheOtherOwnerOfTheSameGeneration) {
  // Two owned generation 2; "b", of whom this copy is, gave way to "d" or is gone.
  const SpoolId spool_d{0xd};
  auto gave_way = held("b", spool_b, 2, "d", spool_d);
  auto owns = answer("d", spool_d, Knows::live, 2);
  auto third = held("c", spool_c, 2, "d", spool_d);
  for (const auto& answers :
       {std::vector{gave_way, third, owns}, std::vector{owns, third, gave_way}, std::vector{owns}}) {
    auto decision = decide_takeover(Generation{2}, spool_b, "a", answers);
    EXPECT_EQ(decision.what, Take::follow);
    EXPECT_EQ(decision.hub, "d");
    EXPECT_EQ(decision.spool, spool_d);
    EXPECT_EQ(decision.generation, Generation{2});
  }
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_b, "a", std::vector{answer("d", spool_d, Knows::waiting, 2)}).what,
      Take::follow);
  auto later = std::vector{owns, answer("c", spool_c, Knows::live, 3)};
  EXPECT_EQ(decide_takeover(Generation{2}, spool_b, "a", later).hub, "c");
  // Said by the one that this copy is of: there is no second one.
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_b, "a", std::vector{answer("b", spool_b, Knows::live, 2)}).what,
      Take::take);
}

TEST(DecideTakeover, WaitsForTheOtherOwnerOfTheSameGenerationThatDoesNotAnswer) {
  // "b" is its holder, and takes over from it should it be gone: then there is a later generation.
  const SpoolId spool_d{0xd};
  auto gave_way = held("b", spool_b, 2, "d", spool_d);
  EXPECT_EQ(decide_takeover(Generation{2}, spool_b, "a", std::vector{gave_way}).what, Take::wait);
  EXPECT_EQ(decide_takeover(Generation{2}, spool_b, "a",
                            std::vector{gave_way, answer("d", spool_d, Knows::unknown)})
                .what,
            Take::wait);
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_d, "b", std::vector{held("a", spool_a, 2, "b", spool_b)}).what,
      Take::take)
      << "and it does not wait for those that wait for it";
  EXPECT_EQ(decide_takeover(Generation{2}, spool_b, "a",
                            std::vector{gave_way, answer("c", spool_c, Knows::live, 3)})
                .hub,
            "c");
  // Nobody waits for ever where each gave way to the next.
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_b, "a", std::vector{gave_way, held("d", spool_d, 2, "a", spool_a)})
          .what,
      Take::take);
}

TEST(DecideReturn, TakesDoneAsAFactFromAnyGeneration) {
  std::vector<Answer> answers{answer("b", spool_b, Knows::live, 4), answer("c", spool_c, Knows::done, 1)};
  EXPECT_EQ(decide_return(Generation{3}, spool_a, answers).what, Return::finish);
}

TEST(DecideTakeover, TakesWhatNobodyKnows) {
  std::vector<Answer> answers{answer("c", spool_c, Knows::unknown)};
  EXPECT_EQ(decide_takeover(Generation{1}, spool_a, "b", answers).what, Take::take);
  EXPECT_EQ(decide_takeover(Generation{1}, spool_a, "b", {}).what, Take::take);
}

TEST(DecideTakeover, LetsExactlyOneOfSeveralHoldersGoFirst) {
  EXPECT_EQ(
      decide_takeover(Generation{1}, spool_a, "c", std::vector{held("b", spool_b, 1, "a", spool_a)}).what,
      Take::wait);
  EXPECT_EQ(
      decide_takeover(Generation{1}, spool_a, "b", std::vector{held("c", spool_c, 1, "a", spool_a)}).what,
      Take::take);
}

TEST(DecideTakeover, DoesNotWaitForACopyOfAnotherOwnerOrAnEarlierGeneration) {
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "c", std::vector{held("b", spool_b, 1, "a", spool_a)}).what,
      Take::take);
  EXPECT_EQ(
      decide_takeover(Generation{1}, spool_a, "c", std::vector{held("b", spool_b, 1, "d", SpoolId{0xd})})
          .what,
      Take::take);
}

TEST(DecideTakeover, FollowsALaterOwner) {
  std::vector<Answer> answers{answer("c", spool_c, Knows::live, 2)};
  auto decision = decide_takeover(Generation{1}, spool_a, "b", answers);
  EXPECT_EQ(decision.what, Take::follow);
  EXPECT_EQ(decision.hub, "c");
}

TEST(DecideTakeover, WaitsForWhoHoldsALaterCopy) {
  // Also of the same owner, which lost the message once and took it over again: this hub was away and holds
  // the older copy.
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{held("c", spool_c, 4, "a", spool_a)}).what,
      Take::wait);
  // That another hub owns it, who holds the copy may only have concluded: it has to say so itself before this
  // copy follows it.
  std::vector<Answer> answers{held("c", spool_c, 2, "d", SpoolId{0xd}),
                              answer("d", SpoolId{0xd}, Knows::unknown)};
  EXPECT_EQ(decide_takeover(Generation{1}, spool_a, "b", answers).what, Take::wait);
  answers[1] = answer("d", SpoolId{0xd}, Knows::live, 2);
  auto decision = decide_takeover(Generation{1}, spool_a, "b", answers);
  EXPECT_EQ(decision.what, Take::follow);
  EXPECT_EQ(decision.hub, "d");
}

TEST(DecideTakeover, LeavesItToAnOwnerOfAnEarlierGeneration) {
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{answer("c", spool_c, Knows::live, 1)}).what,
      Take::wait);
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{answer("a", spool_a, Knows::live, 1)}).what,
      Take::take)
      << "whose copy this is does not know of it: both would wait";
}

TEST(DecideTakeover, DropsWhatIsDoneAndWaitsForWhatWillBeKnownInAMoment) {
  EXPECT_EQ(
      decide_takeover(Generation{1}, spool_a, "b", std::vector{answer("c", spool_c, Knows::done, 1)}).what,
      Take::drop);
  EXPECT_EQ(
      decide_takeover(Generation{1}, spool_a, "b", std::vector{answer("c", spool_c, Knows::pending)}).what,
      Take::wait);
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{answer("c", spool_c, Knows::pending, 2)}).what,
      Take::wait);
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{answer("c", spool_c, Knows::pending, 1)}).what,
      Take::take)
      << "it gave an earlier generation away, and says nothing of this one";
  EXPECT_EQ(
      decide_takeover(Generation{2}, spool_a, "b", std::vector{answer("c", spool_c, Knows::waiting, 1)}).what,
      Take::wait);
}

TEST(DecideAudit, FollowsTheTable) {
  auto decide = [](Knows knows, std::uint32_t generation, std::uint64_t epoch) {
    Answer a{"a", spool_a, Epoch{epoch}, knows, Generation{generation}, "", SpoolId{0}};
    return decide_audit(Generation{2}, Epoch{5}, a);
  };
  EXPECT_EQ(decide(Knows::live, 2, 5), AuditDecision::keep);
  EXPECT_EQ(decide(Knows::pending, 0, 5), AuditDecision::keep);
  EXPECT_EQ(decide(Knows::waiting, 2, 5), AuditDecision::keep);
  EXPECT_EQ(decide(Knows::done, 2, 5), AuditDecision::drop);
  EXPECT_EQ(decide(Knows::unknown, 0, 5), AuditDecision::drop);
  EXPECT_EQ(decide(Knows::unknown, 0, 6), AuditDecision::take);
  EXPECT_EQ(decide(Knows::live, 1, 6), AuditDecision::follow);
  EXPECT_EQ(decide(Knows::held, 3, 6), AuditDecision::follow);
}

}  // namespace
}  // namespace umbra::cluster
