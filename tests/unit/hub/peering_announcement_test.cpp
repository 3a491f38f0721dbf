// Goal: what a hub tells every other one comes to each of them in its latest state: once in each session,
// again when it has changed, never two calls at a time. Method: one hub's Peering; the announcement is a
// number (XPOLL) that the test changes.
#include "hub/peering/announcement.h"

#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::ShadowVerb;
using ::testing::ElementsAre;

class PeeringAnnouncement : public PeeringTest {
 protected:
  void SetUp() override {
    member("10.0.0.2").keywords += "\nXGONE";
    make();
    peering->members().on_change([this](Member&) { announcement->tell(); });
    announcement.emplace(
        Runtime{io, random, network, resolver, nullptr}, peering->members(),
        Announcement::What{
            .keyword = smtp::gone_capability,
            .task_name = "announce",
            .timeout = 5s,
            .command = [this] { return number == 0 ? std::string() : smtp::format_poll(number); },
            .not_offered = [this](Member& m) { without.push_back(m.name()); }});
  }
  void TearDown() override {
    scope.spawn("stop", announcement->stop());
    stop();
    pass(10s);
  }
  void change(std::size_t to) {
    number = to;
    announcement->changed();
    settle();
  }
  std::vector<std::size_t> told() {
    std::vector<std::size_t> numbers;
    for (const auto& command : member("10.0.0.2").of(ShadowVerb::poll)) numbers.push_back(command.limit);
    return numbers;
  }

  std::size_t number = 1;
  std::vector<std::string> without;
  std::optional<Announcement> announcement;
};

TEST_F(PeeringAnnouncement, IsMadeOnceInEachSessionAndAgainWhenItHasChanged) {
  start();
  pass(5s);
  announcement->tell();
  pass(1s);
  EXPECT_THAT(told(), ElementsAre(1));
  EXPECT_THAT(without, ElementsAre("hub3")) << "it does not offer the keyword";
  change(2);
  EXPECT_THAT(told(), ElementsAre(1, 2));
  network.cut(member("10.0.0.2"));
  pass(5s);
  EXPECT_THAT(told(), ElementsAre(1, 2, 2));
}

TEST_F(PeeringAnnouncement, GoesOutOneAtATimeAndTheLatest) {
  start();
  pass(2s);
  member("10.0.0.2").is_slow = true;
  for (std::size_t i = 2; i <= 9; ++i) change(i);
  EXPECT_THAT(told(), ElementsAre(1, 2)) << "2 is not answered yet";
  member("10.0.0.2").is_slow = false;
  network.let_go(member("10.0.0.2"));
  pass(100ms);
  EXPECT_THAT(told(), ElementsAre(1, 2, 9));
}

TEST_F(PeeringAnnouncement, IsMadeAgainAtTheNextChangeWhenItWasNotTaken) {
  bool is_refusing = true;
  member("10.0.0.2").answers = [&](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == ShadowVerb::poll && is_refusing) return smtp::Reply{451, "4.3.0", "Try again"};
    return std::nullopt;
  };
  start();
  pass(5s);
  auto tried = told().size();
  ASSERT_GE(tried, 1U);
  EXPECT_LE(tried, 4U) << "not over and over";
  is_refusing = false;
  announcement->tell();  // some member has changed
  pass(1s);
  announcement->tell();
  pass(1s);
  EXPECT_EQ(told().size(), tried + 1);
}

TEST_F(PeeringAnnouncement, IsMadeInTheNextSessionWhenItsAnswerWasLost) {
  bool is_mute = true;
  member("10.0.0.2").answers = [&](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == ShadowVerb::poll && std::exchange(is_mute, false)) return smtp::Reply{};
    return std::nullopt;
  };
  start();
  pass(15s);
  EXPECT_THAT(told(), ElementsAre(1, 1));
}

TEST_F(PeeringAnnouncement, OfNothingIsNotMade) {
  number = 0;
  start();
  pass(5s);
  EXPECT_TRUE(told().empty());
  change(3);
  EXPECT_THAT(told(), ElementsAre(3));
}

}  // namespace
}  // namespace umbra::hub::peering_test
