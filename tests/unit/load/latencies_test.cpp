#include "load/latencies.h"

#include <gtest/gtest.h>

#include "load/message_maker.h"

namespace umbra::load {
namespace {

TEST(Latencies, GivesQuantilesWithinOnePercent) {
  Latencies latencies;
  for (std::uint64_t i = 1; i <= 100'000; ++i) latencies.add(i);
  EXPECT_EQ(latencies.max(), 100'000U);
  EXPECT_NEAR(static_cast<double>(latencies.quantile(0.5)), 50'000, 500);
  EXPECT_NEAR(static_cast<double>(latencies.quantile(0.99)), 99'000, 990);
  EXPECT_EQ(latencies.quantile(1.0), 100'000U);
}

TEST(Latencies, IsExactForSmallValues) {
  Latencies latencies;
  for (std::uint64_t i = 0; i < 100; ++i) latencies.add(i);
  EXPECT_EQ(latencies.quantile(0.5), 49U);
  EXPECT_EQ(latencies.quantile(0), 0U);
}

TEST(Latencies, IsZeroWithoutValuesAndHoldsHugeOnes) {
  Latencies latencies;
  EXPECT_EQ(latencies.quantile(0.99), 0U);
  latencies.add(~0ULL);
  EXPECT_EQ(latencies.count(), 1U);
  EXPECT_EQ(latencies.max(), ~0ULL);
}

TEST(MessageMaker, MakesMessagesOfTheWantedSizeWithNoBareLineEnds) {
  for (std::size_t size = 500; size < 700; ++size) {
    MessageMaker maker("cccccccc", "a@b.example", "c@d.example", size, true, false);
    auto wire = maker.make(3);
    EXPECT_EQ(wire.size(), size);
    for (std::size_t i = 0; i < wire.size(); ++i) {
      if (wire[i] == '\n') {
        EXPECT_EQ(wire[i - 1], '\r');
      }
      if (wire[i] == '\r') {
        EXPECT_EQ(wire[i + 1], '\n');
      }
    }
    EXPECT_TRUE(wire.ends_with("\r\n"));
  }
}

TEST(MessageMaker, WritesTheTokenOfEachMessage) {
  MessageMaker maker("cccccccc", "a@b.example", "c@d.example", 1000, false, false);
  EXPECT_EQ(maker.token(12), "cccccccc-00000012");
  EXPECT_NE(maker.make(12).find("X-Umbra-Load: cccccccc-00000012 "), std::string_view::npos);
  EXPECT_EQ(maker.make(13).find("00000012"), std::string_view::npos);
}

}  // namespace
}  // namespace umbra::load
