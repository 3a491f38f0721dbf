// Goal: two hubs come to the same list of differences, and to the same answer to which of them are unsafe.
// Method: both compare.
#include "cluster/configuration.h"

#include <gtest/gtest.h>

namespace umbra::cluster {
namespace {

using namespace std::chrono_literals;

const Configuration usual = {{"ownership", "majority"}, {"members", "a,b,c"},   {"lease", "10000ms"},
                             {"heartbeat", "1000ms"},   {"routes", "sha256:1"}, {"message_size", "1000"}};

Configuration with(const std::string& key, const std::string& value) {
  auto changed = usual;
  changed[key] = value;
  return changed;
}

void expect_refused(const Configuration& a, const Configuration& b, bool is_refused) {
  for (const auto& found : {compare(a, b), compare(b, a)}) {
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].is_refused, is_refused) << found[0].key;
    EXPECT_EQ(found[0].why.empty(), !is_refused);
  }
}

TEST(Configuration, TheSameIsNoDifference) {
  EXPECT_TRUE(compare(usual, usual).empty());
}

TEST(Configuration, ADifferenceNamesKeyAndBothValues) {
  EXPECT_EQ(compare(usual, with("routes", "sha256:2")),
            (std::vector<Difference>{{"routes", "sha256:1", "sha256:2", false, ""}}));
}

// Each hub tells where it stands.
TEST(Configuration, AnotherZoneIsNoDifference) {
  auto here = usual;
  auto there = usual;
  here["zone"] = "east";
  there["zone"] = "west";
  EXPECT_TRUE(compare(here, there).empty());
}

TEST(Configuration, AKeyThatOnlyOneOfThemHasSaysNothing) {
  EXPECT_TRUE(compare(usual, with("news", "1")).empty());
  EXPECT_TRUE(compare(with("news", "1"), usual).empty());
  EXPECT_TRUE(compare(usual, {}).empty());
}

TEST(Configuration, AnotherOwnershipOrListOfAMajorityIsRefused) {
  expect_refused(usual, with("ownership", "pairwise"), true);
  expect_refused(usual, with("members", "a,b,d"), true);
  auto pair = with("ownership", "pairwise");
  auto other = pair;
  other["members"] = "a,b";
  expect_refused(pair, other, false);
}

TEST(Configuration, ALeaseThatDoesNotBridgeTheOthersHeartbeatsIsRefused) {
  expect_refused(usual, with("lease", "3000ms"), false);
  expect_refused(usual, with("lease", "2999ms"), true);
  expect_refused(usual, with("heartbeat", "3333ms"), false);
  expect_refused(usual, with("heartbeat", "3334ms"), true);
  EXPECT_EQ(compare(usual, with("lease", "2999ms"))[0].why,
            "a lease of 2999ms is shorter than 3 heartbeats of 1000ms");
}

TEST(Configuration, TimesAndSizesThatAreNoneAreUnknown) {
  EXPECT_EQ(time_of(usual, "lease"), 10s);
  for (const auto* bad : {"", "ms", "-1ms", "10s", "3600001ms", "99999999999999999999ms", "1e3ms"}) {
    EXPECT_EQ(time_of(with("lease", bad), "lease"), std::nullopt) << bad;
    // It differs, and nothing is concluded from what it cannot be.
    expect_refused(usual, with("lease", bad), false);
  }
  EXPECT_EQ(message_octets_max_of(usual), 1000U);
  EXPECT_EQ(message_octets_max_of(with("message_size", "none")), std::nullopt);
  EXPECT_EQ(message_octets_max_of({}), std::nullopt);
}

}  // namespace
}  // namespace umbra::cluster
