// Goal: the one binary form of envelopes keeps everything, and what is cut or wrong is refused.
#include "base/envelope.h"

#include <gtest/gtest.h>

namespace umbra {
namespace {

Envelope handed_on() {
  Envelope envelope;
  envelope.sender = "sender@example.org";
  envelope.recipients = {{"a@example.com", "rfc822;a", notify_failure}, {"b@example.com", "", notify_unset}};
  envelope.protection.copies = 2;
  envelope.trail = {"hub-a", "hub-b"};
  return envelope;
}

TEST(Envelope, KeepsTheTrail) {
  auto decoded = decode_envelope(encode(handed_on()));
  ASSERT_TRUE(decoded) << decoded.error().what;
  EXPECT_EQ(*decoded, handed_on());
}

TEST(Envelope, WithoutATrailIsAsHubsOfTheReleaseBeforeWriteIt) {
  auto envelope = handed_on();
  auto with = encode(envelope);
  envelope.trail.clear();
  auto without = encode(envelope);
  EXPECT_EQ(with.size(), without.size() + 1 + 2 * (1 + 5) + 1)
      << "a number, the hubs, and one more octet of flags";
  EXPECT_TRUE(decode_envelope(without)->trail.empty());
}

TEST(Envelope, KeepsTheFiltersItWaitsFor) {
  for (bool has_trail : {false, true}) {
    auto envelope = handed_on();
    if (!has_trail) envelope.trail.clear();
    envelope.waits_for = {"spam", "sign"};
    auto octets = encode(envelope);
    auto decoded = decode_envelope(octets);
    ASSERT_TRUE(decoded) << decoded.error().what;
    EXPECT_EQ(*decoded, envelope);
    for (std::size_t length = 0; length < octets.size(); ++length)
      EXPECT_FALSE(decode_envelope(std::string_view(octets).substr(0, length))) << length;
    for (const std::string& name : {std::string(), std::string(65, 'x'), std::string("a\nb")}) {
      envelope.waits_for.back() = name;
      EXPECT_FALSE(decode_envelope(encode(envelope))) << name;
    }
  }
}

TEST(Envelope, RefusesATrailThatIsCutOrWrong) {
  auto good = encode(handed_on());
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(decode_envelope(std::string_view(good).substr(0, length))) << length;
  EXPECT_FALSE(decode_envelope(good + "x"));
  for (const std::string& hub : {std::string(), std::string(65, 'x'), std::string("a\nb")}) {
    auto envelope = handed_on();
    envelope.trail.push_back(hub);
    EXPECT_FALSE(decode_envelope(encode(envelope))) << hub;
  }
  auto none = good.substr(0, good.size() - 12);
  none.back() = '\0';  // a trail of no hubs
  EXPECT_FALSE(decode_envelope(none));
}

}  // namespace
}  // namespace umbra
