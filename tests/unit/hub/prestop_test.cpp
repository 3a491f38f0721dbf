#include "hub/commands/prestop.h"

#include <gtest/gtest.h>

namespace umbra::hub {
namespace {

TEST(Prestop, LeavesOnlyWhenTheSetIsScaledDownPastThePod) {
  EXPECT_TRUE(is_scaled_away("umbra-2", R"({"spec":{"replicas":2}})"));
  EXPECT_FALSE(is_scaled_away("umbra-1", R"({"spec":{"replicas":2}})"));
  EXPECT_TRUE(is_scaled_away("a-long-name-12", R"({"spec":{"replicas":3}})"));
}

TEST(Prestop, CountsFromTheFirstOrdinal) {
  EXPECT_FALSE(is_scaled_away("umbra-6", R"({"spec":{"replicas":2,"ordinals":{"start":5}}})"));
  EXPECT_TRUE(is_scaled_away("umbra-7", R"({"spec":{"replicas":2,"ordinals":{"start":5}}})"));
}

// Nobody is there to hand anything to: what is on the disks stays there.
TEST(Prestop, DoesNotLeaveWhenTheWholeSetGoes) {
  EXPECT_FALSE(is_scaled_away("umbra-2", R"({"spec":{"replicas":0}})"));
  EXPECT_FALSE(is_scaled_away(
      "umbra-2", R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"replicas":1}})"));
}

TEST(Prestop, DoesNotLeaveWhenItCannotTell) {
  for (const char* set :
       {"", "[]", "{}", "{\"spec\":3}", R"({"spec":{"replicas":"2"}})", R"({"spec":{"replicas":-1}})",
        R"({"spec":{}})", R"({"spec":{"replicas":1,"ordinals":3},"metadata":7})", "\xff{"})
    EXPECT_FALSE(is_scaled_away("umbra-2", set)) << set;
  for (const char* name : {"", "umbra", "umbra-", "umbra-x", "umbra-99999999999999999999999"})
    EXPECT_FALSE(is_scaled_away(name, R"({"spec":{"replicas":1}})")) << name;
}

}  // namespace
}  // namespace umbra::hub
