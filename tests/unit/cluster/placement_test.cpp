#include "cluster/placement.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

TEST(Placement, ChoosesTheReachableHubWithLeastUnderWay) {
  Placement placement;
  std::vector<Candidate> hubs{
      {"a", true, false, 5}, {"b", true, false, 1}, {"c", false, false, 0}, {"d", true, true, 0}};
  EXPECT_EQ(placement.choose(hubs, {}), 1U);
}

TEST(Placement, SkipsTheExcluded) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 5}, {"b", true, false, 1}};
  std::vector<std::string> excluded{"b"};
  EXPECT_EQ(placement.choose(hubs, excluded), 0U);
  excluded.push_back("a");
  EXPECT_EQ(placement.choose(hubs, excluded), std::nullopt);
  EXPECT_EQ(placement.choose({}, {}), std::nullopt);
}

TEST(Placement, TakesEqualsInTurn) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 0}, {"b", true, false, 0}};
  auto first = placement.choose(hubs, {});
  auto second = placement.choose(hubs, {});
  EXPECT_NE(first, second);
}

TEST(Placement, AvoidsAHubWhoseClientsMayNotSendSoMuchWhileThereIsAnother) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 0, "", false, true, true}, {"b", true, false, 9}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 1U);
  hubs[1].is_reachable = false;
  EXPECT_EQ(placement.choose(hubs, {}), 0U);
}

TEST(Placement, PrefersAHubOfTheRightSizeToTheNextHop) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 0, "", true, true, true},
                              {"b", true, false, 9},
                              {"c", true, false, 5, "", true, true, false}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 2U);
  hubs[2].is_reachable = false;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 1U);
}

TEST(Placement, PrefersACompanionThatIsBusierButNotToAnotherZone) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 0, "", false, false}, {"b", true, false, 9}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 1U);
  hubs[1].zone = "east";
  EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::prefer_other_zone, "east", {}}), 0U);
  hubs[1].is_reachable = false;
  EXPECT_EQ(placement.choose(hubs, {}), 0U);
}

std::vector<Candidate> in_zones(std::initializer_list<const char*> zones) {
  std::vector<Candidate> hubs;
  for (const auto* zone : zones) hubs.push_back({"hub" + std::to_string(hubs.size()), true, false, 0, zone});
  return hubs;
}

TEST(Placement, PrefersAnotherZoneEvenIfItIsBusier) {
  Placement placement;
  auto hubs = in_zones({"east", "east", "west"});
  hubs[2].under_way = 9;
  ZoneWish wish{ZonePreference::prefer_other_zone, "east", {}};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(placement.choose(hubs, {}, wish), 2U);
  hubs[2].is_reachable = false;
  EXPECT_TRUE(placement.choose(hubs, {}, wish)) << "preferred is not required";
}

TEST(Placement, SpreadsCopiesOverZones) {
  Placement placement;
  auto hubs = in_zones({"east", "west", "west", "north"});
  ZoneWish wish{ZonePreference::prefer_other_zone, "east", {"west"}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}, wish), 3U);
  wish.taken.push_back("north");
  std::vector<std::string> excluded{"hub3"};
  for (int i = 0; i < 4; ++i)
    EXPECT_NE(placement.choose(hubs, excluded, wish), 0U) << "the owner's zone comes last";
}

TEST(Placement, TakesNoHubOfTheOwnZoneWhereOnlyOthersMayHoldCopies) {
  Placement placement;
  auto hubs = in_zones({"east", "east"});
  EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::only_other_zone, "east", {}}), std::nullopt);
  EXPECT_TRUE(placement.choose(hubs, {}, {ZonePreference::any, "east", {}}));
  hubs.push_back({"far", true, false, 3, "west"});
  EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::only_other_zone, "east", {}}), 2U);
}

TEST(Placement, PrefersTheNextHopButNotAgainstTheRule) {
  std::vector<Candidate> hubs = {{"b", true, false, 0, "east", false},
                                 {"c", true, false, 5, "west", true},
                                 {"d", true, false, 0, "west", false}};
  Placement placement;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::prefer_other_zone, "west", {}}), 1U)
        << "busy, and in the owner's zone";
    EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::only_other_zone, "west", {}}), 0U);
  }
  hubs[1].is_refusing = true;
  EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::prefer_other_zone, "west", {}}), 0U);
}

TEST(Placement, SparesAHubUnderPressureWhileThereIsAnother) {
  Placement placement;
  std::vector<Candidate> hubs{{.hub = "a", .is_reachable = true, .pressure = PressureLevel::high},
                              {.hub = "b", .is_reachable = true, .pressure = PressureLevel::medium},
                              {.hub = "c", .is_reachable = true, .under_way = 9}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 2U);
  std::vector<std::string> excluded{"c"};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, excluded), 1U);
  excluded.push_back("b");
  EXPECT_EQ(placement.choose(hubs, excluded), 0U) << "a message that can be protected is protected";
  hubs[0].pressure = hubs[1].pressure = PressureLevel::normal;
  EXPECT_NE(placement.choose(hubs, {}), 2U) << "it is over";
}

TEST(Placement, SparesTheNextHopAndTheCompanionToo) {
  Placement placement;
  std::vector<Candidate> hubs{
      {.hub = "a", .is_reachable = true, .is_next_hop = true, .pressure = PressureLevel::medium},
      {.hub = "b", .is_reachable = true, .under_way = 5, .is_companion = false}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(placement.choose(hubs, {}), 1U);
  hubs[1].is_reachable = false;
  EXPECT_EQ(placement.choose(hubs, {}), 0U);
}

TEST(Placement, LeavesTheZonesForHighPressureOnly) {
  Placement placement;
  std::vector<Candidate> hubs{
      {.hub = "far", .is_reachable = true, .zone = "west", .pressure = PressureLevel::medium},
      {.hub = "near", .is_reachable = true, .zone = "east"}};
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::prefer_other_zone, "east", {}}), 0U);
  hubs[0].pressure = PressureLevel::high;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::prefer_other_zone, "east", {}}), 1U);
    EXPECT_EQ(placement.choose(hubs, {}, {ZonePreference::only_other_zone, "east", {}}), 0U);
  }
}

}  // namespace
}  // namespace umbra::cluster
