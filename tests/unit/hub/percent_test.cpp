// Percent-coding, and which addresses are meant: what every query and search goes by.
#include "hub/percent.h"

#include <gtest/gtest.h>

#include "hub/address_match.h"

namespace umbra::hub {
namespace {

TEST(PercentCoding, GivesBackEveryOctet) {
  std::string all;
  for (int octet = 0; octet < 256; ++octet) all.push_back(static_cast<char>(octet));
  const auto coded = percent_encoded(all);
  EXPECT_EQ(percent_decoded(coded), all);
  for (char c : coded)
    EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)) || std::string_view("%.-_@").contains(c)) << c;
}

// It stands so in requests that a spool keeps.
TEST(PercentCoding, IsAsItWas) {
  EXPECT_EQ(percent_encoded("a.b-c_d@e ~+<>ü/"), "a.b-c_d@e%20%7E%2B%3C%3E%C3%BC%2F");
}

TEST(PercentCoding, RefusesWhatIsCutOffOrNoNumber) {
  for (const char* wrong : {"%", "a%4", "%zz", "%4g", "%%20"}) EXPECT_FALSE(percent_decoded(wrong)) << wrong;
  EXPECT_EQ(percent_decoded("a+b%2bc"), "a+b+c");
  EXPECT_EQ(percent_decoded(""), "");
}

TEST(AddressMatch, IsByAddressDomainOrNullSender) {
  for (const char* wanted : {"", "A@Example.com", "@EXAMPLE.COM"})
    EXPECT_TRUE(matches_address("a@example.com", wanted)) << wanted;
  for (const char* wanted : {"<>", "b@example.com", "@ample.com", "example.com", "@"})
    EXPECT_FALSE(matches_address("a@example.com", wanted)) << wanted;
  EXPECT_TRUE(matches_address("", "<>"));
  EXPECT_TRUE(matches_address("<>", "<>"));
  EXPECT_FALSE(matches_address("", "@example.com"));
  EXPECT_FALSE(matches_address("a@sub.example.com", "@example.com"));
}

}  // namespace
}  // namespace umbra::hub
