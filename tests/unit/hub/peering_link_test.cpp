// Goal: who asks another hub has an answer, or none, in the time it gave. Method: one hub's Peering on
// virtual time; the other one is played by the test, and slow.
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowCommand;
using smtp::ShadowVerb;
using Kind = Link::Outcome::Kind;

class PeeringLinkTests : public PeeringTest {
 protected:
  PeeringLinkTests() { member("10.0.0.3").is_up = false; }
  FakeMember& hub2() { return member("10.0.0.2"); }
  Link& link() { return *peering->members().find("hub2")->data; }  // nothing else is said on it here
  /// Opens it; from then on what hub2 answers waits. The number of the session.
  std::uint64_t begin_slowly() {
    start();
    pass(2s);
    EXPECT_TRUE(link().is_open());
    hub2().is_slow = true;
    return link().session();
  }
  using Ended = std::optional<std::pair<Link::Outcome, MonotonicTime>>;
  void begin(const std::string& command, Duration timeout, Ended& ended) {
    struct Calling {
      static Task<void> run(Link& link, std::string command, Duration timeout, Ended& to) {
        auto outcome = co_await link.call(std::move(command), timeout);
        to.emplace(std::move(outcome), MonotonicClock::now());
      }
    };
    scope.spawn("call", Calling::run(link(), command, timeout, ended));
    settle();
  }
};

TEST_F(PeeringLinkTests, EndsACallInItsTimeBehindASlowerOne) {
  auto session = begin_slowly();
  hub2().answers = [](const ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == ShadowVerb::poll) return smtp::Reply{250, "2.0.0", "number " + std::to_string(c.limit)};
    return std::nullopt;
  };
  auto began = MonotonicClock::now();
  Ended slow;
  Ended quick;
  Ended next;
  begin(smtp::format_poll(1), 3s, slow);
  begin(smtp::format_poll(2), 500ms, quick);
  pass(400ms);
  EXPECT_FALSE(quick);
  pass(200ms);
  ASSERT_TRUE(quick);
  EXPECT_EQ(quick->first.kind, Kind::lost);
  EXPECT_EQ(quick->second, began + 500ms);
  EXPECT_FALSE(slow);
  EXPECT_TRUE(link().is_open()) << "others wait for the slow one in their own time";
  begin(smtp::format_poll(3), 5s, next);
  pass(1400ms);
  network.let_go(hub2());
  settle();
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->first.kind, Kind::replied);
  EXPECT_EQ(slow->first.reply.text, "number 1");
  ASSERT_TRUE(next) << "nor is the answer that came too late taken for the next one";
  EXPECT_EQ(next->first.reply.text, "number 3");
  EXPECT_EQ(link().session(), session);
}

TEST_F(PeeringLinkTests, EndsTheSessionWhenTheFirstOfThoseThatWaitIsNotAnswered) {
  auto session = begin_slowly();
  Ended first;
  Ended second;
  begin(smtp::format_poll(1), 1s, first);
  begin(smtp::format_poll(2), 10s, second);
  pass(1100ms);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->first.kind, Kind::lost);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->first.kind, Kind::lost);
  hub2().is_slow = false;
  pass(2s);
  EXPECT_TRUE(link().is_open());
  EXPECT_GT(link().session(), session);
}

TEST_F(PeeringLinkTests, EndsTheSessionWithAPieceThatIsLost) {
  auto session = begin_slowly();
  struct Calling {
    static Task<void> run(Link& link, MessageId id) {
      (void)co_await link.call_or_end(smtp::format_chunk(id, "piece", false), 500ms);
    }
  };
  Ended slow;
  begin(smtp::format_poll(1), 3s, slow);
  scope.spawn("call", Calling::run(link(), {spool->id(), 1}));
  pass(600ms);
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->first.kind, Kind::lost);
  EXPECT_TRUE(!link().is_open() || link().session() != session)
      << "hub2 would keep the pieces as long as it lasts";
}

TEST_F(PeeringLinkTests, GivesACallThatEndedInTheQueueItsTimeOnceMoreBeforeTheSessionEnds) {
  auto session = begin_slowly();
  bool is_second_silent = false;
  hub2().answers = [&](const ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb != ShadowVerb::poll || c.limit == 1) return std::nullopt;
    is_second_silent = true;
    return smtp::Reply{};
  };
  Ended first;
  Ended second;
  begin(smtp::format_poll(1), 3s, first);
  begin(smtp::format_poll(2), 1s, second);
  pass(2s);
  network.let_go(hub2());
  settle();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->first.kind, Kind::replied);
  EXPECT_TRUE(is_second_silent);
  pass(900ms);
  EXPECT_TRUE(link().is_open());
  EXPECT_EQ(link().session(), session);
  pass(200ms);
  EXPECT_TRUE(!link().is_open() || link().session() != session) << "there is nobody who answers";
}

}  // namespace
}  // namespace umbra::hub::peering_test
