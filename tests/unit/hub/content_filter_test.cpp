// Goal: what a content filter is spared and what it may write, apart from sockets
// (tests/end_to_end/test_content_filter.py has those).
#include <gtest/gtest.h>

#include "hub/filter/circuit_breaker.h"
#include "hub/filter/message_buffer.h"

namespace umbra::hub {
namespace {

constexpr MonotonicTime start{};
constexpr Duration retry_after = std::chrono::seconds(10);

CircuitBreaker broken() {
  CircuitBreaker breaker;
  for (unsigned i = 0; i < CircuitBreaker::failures_max; ++i) {
    EXPECT_TRUE(breaker.ask(start));
    breaker.failed(start, retry_after);
  }
  return breaker;
}

TEST(CircuitBreaker, OpensAfterFailuresOnEndOnly) {
  CircuitBreaker breaker;
  for (int i = 0; i < 10; ++i) {
    breaker.failed(start, retry_after);
    breaker.failed(start, retry_after);
    breaker.succeeded();
  }
  EXPECT_FALSE(breaker.is_open());
  EXPECT_TRUE(broken().is_open());
}

TEST(CircuitBreaker, LetsOneTryAtATime) {
  auto breaker = broken();
  EXPECT_FALSE(breaker.ask(start + retry_after - Duration{1}));
  EXPECT_TRUE(breaker.ask(start + retry_after));
  EXPECT_FALSE(breaker.ask(start + retry_after * 100)) << "while one tries";
  breaker.failed(start + retry_after, retry_after);
  EXPECT_FALSE(breaker.ask(start + retry_after * 2 - Duration{1}));
  EXPECT_TRUE(breaker.ask(start + retry_after * 2));
  breaker.given_up();
  EXPECT_TRUE(breaker.ask(start + retry_after * 2)) << "one that was given up has tried nothing";
  breaker.succeeded();
  EXPECT_FALSE(breaker.is_open());
  EXPECT_TRUE(breaker.ask(start));
  EXPECT_TRUE(breaker.ask(start));
}

TEST(CircuitBreaker, DoesNotCountWhatBeganBeforeItOpened) {
  auto breaker = broken();
  breaker.failed(start + retry_after * 5, retry_after);
  EXPECT_TRUE(breaker.ask(start + retry_after)) << "the time of the next try is not put off";
}

TEST(LineEnds, AreCrlfAtEverySplit) {
  const std::string octets = "a\r\nb\nc\rd\r\r\n\n\r";
  const std::string expected = "a\r\nb\r\nc\r\nd\r\n\r\n\r\n\r\n";
  for (std::size_t split = 0; split <= octets.size(); ++split) {
    LineEnds ends;
    auto normal = ends.normalize(std::string_view(octets).substr(0, split)) +
                  ends.normalize(std::string_view(octets).substr(split)) + ends.end();
    EXPECT_EQ(normal, expected) << split;
  }
}

}  // namespace
}  // namespace umbra::hub
