#include "cluster/placement.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

TEST(Placement, ChoosesTheReachableHubWithLeastUnderWay) {
  Placement placement;
  std::vector<Candidate> hubs{{"a", true, false, 5}, {"b", true, false, 1}, {"c", false, false, 0}, {"d", true, true, 0}};
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

}  // namespace
}  // namespace umbra::cluster
