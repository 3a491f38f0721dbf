// The notations of the configuration file.
#include <gtest/gtest.h>

#include "hub/config/config.h"
#include "hub/config/domain_pattern.h"
#include "hub/config/units.h"
#include "hub/inbound/source.h"

namespace umbra::hub {
namespace {

TEST(ConfigUnits, ReadsDurationsWithTheirUnits) {
  EXPECT_EQ(parse_duration("500ms"), Parsed<Duration>(500ms));
  EXPECT_EQ(parse_duration("10s"), Parsed<Duration>(10s));
  EXPECT_EQ(parse_duration("5min"), Parsed<Duration>(5min));
  EXPECT_EQ(parse_duration("5 min"), Parsed<Duration>(5min));
  EXPECT_EQ(parse_duration("48h"), Parsed<Duration>(48h));
  EXPECT_EQ(parse_duration("1d"), Parsed<Duration>(24h));
  EXPECT_EQ(parse_duration("0"), Parsed<Duration>(0s));
}

TEST(ConfigUnits, RefusesDurationsThatSayTooLittleOrTooMuch) {
  for (const auto* text : {"", "10", "s", "-1s", "1.5h", "10 sec", "10m", "1h30min", "99999999999999999999s",
                           "9999999999d", " 10s", "10s "}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ConfigUnits, WritesTheShortestExactDuration) {
  EXPECT_EQ(format_duration(48h), "2d");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(120s), "2min");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(0s), "0");
}

TEST(ConfigUnits, ReadsSizesInDecimalAndBinary) {
  EXPECT_EQ(parse_size("65536"), Parsed<std::uint64_t>(65536));
  EXPECT_EQ(parse_size("50MB"), Parsed<std::uint64_t>(50'000'000));
  EXPECT_EQ(parse_size("256KiB"), Parsed<std::uint64_t>(262'144));
  EXPECT_EQ(parse_size("2GiB"), Parsed<std::uint64_t>(2ULL << 30));
  for (const auto* text : {"", "MB", "-1", "1.5MB", "50mb", "50 MBs", "99999999999999TiB"})
    EXPECT_FALSE(parse_size(text)) << text;
  EXPECT_EQ(format_size(50ULL << 20), "50MiB");
  EXPECT_EQ(format_size(1000), "1000");
}

TEST(ConfigUnits, ReadsEndpointsOfBothFamiliesAndNames) {
  EXPECT_EQ(parse_endpoint("127.0.0.1:25"), Parsed<Endpoint>(Endpoint{"127.0.0.1", 25}));
  EXPECT_EQ(parse_endpoint("[::1]:2525"), Parsed<Endpoint>(Endpoint{"::1", 2525}));
  EXPECT_EQ(parse_endpoint("mx.example.com", 25), Parsed<Endpoint>(Endpoint{"mx.example.com", 25}));
  EXPECT_EQ(parse_endpoint("[2001:db8::1]", 25), Parsed<Endpoint>(Endpoint{"2001:db8::1", 25}));
}

TEST(ConfigUnits, RefusesEndpointsThatAreNot) {
  for (const auto* text :
       {"", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:25", "[::1", "[::1]25",
        "[::1]:", "[127.0.0.1]:25", "a b:25", "-x.example:25", "mx..example:25"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

TEST(AddressRange, ContainsWhatItsPrefixSays) {
  auto range = AddressRange::parse("192.0.2.0/25");
  ASSERT_TRUE(range);
  EXPECT_TRUE(range->contains("192.0.2.127"));
  EXPECT_FALSE(range->contains("192.0.2.128"));
  EXPECT_TRUE(range->contains("::ffff:192.0.2.1"));
  EXPECT_FALSE(range->contains("::1"));
  EXPECT_FALSE(range->contains("nonsense"));

  auto one = AddressRange::parse("2001:db8::5");
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->contains("2001:db8::5"));
  EXPECT_FALSE(one->contains("2001:db8::6"));
}

TEST(AddressRange, FromOneAddressToAnother) {
  auto range = AddressRange::parse("192.0.2.5-192.0.2.9");
  ASSERT_TRUE(range);
  for (const char* inside : {"192.0.2.5", "192.0.2.7", "::ffff:192.0.2.9"})
    EXPECT_TRUE(range->contains(inside)) << inside;
  for (const char* outside : {"192.0.2.4", "192.0.2.10", "::1"})
    EXPECT_FALSE(range->contains(outside)) << outside;
  for (const char* wrong : {"192.0.2.9-192.0.2.5", "192.0.2.1-::1", "192.0.2.1-", "-192.0.2.1",
                            "192.0.2.0/24-192.0.3.0", "192.0.2.1-192.0.2.2-192.0.2.3"})
    EXPECT_FALSE(AddressRange::parse(wrong)) << wrong;
}

TEST(AddressRange, KnowsWhatLiesInWhat) {
  const auto range = [](const char* text) { return AddressRange::parse(text).value(); };
  EXPECT_TRUE(range("10.0.0.0/8").covers(range("10.1.0.0-10.1.0.9")));
  EXPECT_FALSE(range("10.1.0.0-10.1.0.9").covers(range("10.0.0.0/8")));
  EXPECT_TRUE(range("10.0.0.0-10.0.0.9").meets(range("10.0.0.9-10.0.0.20")));
  EXPECT_FALSE(range("10.0.0.0-10.0.0.9").meets(range("10.0.0.10-10.0.0.20")));
  EXPECT_TRUE(range("10.0.0.0/24").is_same_as(range("10.0.0.0-10.0.0.255")));
  EXPECT_LT(range("10.0.0.0-10.0.1.0").extent(), range("10.0.0.255-10.0.255.0").extent());
  EXPECT_EQ(range("10.0.0.255-10.0.1.0").extent(), range("10.0.0.0/31").extent());
}

TEST(AddressRange, KeepsTheFamiliesApartWhenItMeansEverybody) {
  auto every_v6 = AddressRange::parse("::/0");
  auto every_v4 = AddressRange::parse("0.0.0.0/0");
  ASSERT_TRUE(every_v6 && every_v4);
  EXPECT_TRUE(every_v6->contains("2001:db8::1"));
  EXPECT_FALSE(every_v6->contains("192.0.2.1"));
  EXPECT_FALSE(every_v6->contains("::ffff:192.0.2.1"));
  EXPECT_TRUE(every_v4->contains("192.0.2.1"));
  EXPECT_FALSE(every_v4->contains("2001:db8::1"));
}

TEST(AddressRange, KnowsIpv4HoweverItIsWritten) {
  for (const char* text : {"192.0.2.1", "0.0.0.0/0", "::ffff:192.0.2.1", "::ffff:0:0/96"})
    EXPECT_TRUE(AddressRange::parse(text)->is_ipv4()) << text;
  for (const char* text : {"::/0", "::1", "2001:db8::/32", "::ff00:c000:201", "::ffff:0:0:1", "::/96"})
    EXPECT_FALSE(AddressRange::parse(text)->is_ipv4()) << text;
}

TEST(AddressRange, OneCustomerIsOneSource) {
  EXPECT_EQ(source_of("192.0.2.1"), source_of("::ffff:192.0.2.1"));
  EXPECT_NE(source_of("192.0.2.1"), source_of("192.0.2.2"));
  EXPECT_EQ(source_of("2001:db8::1"), source_of("2001:db8::ffff:1"));
  EXPECT_NE(source_of("2001:db8::1"), source_of("2001:db8:0:1::1"));
  EXPECT_EQ(source_of("fe80::1%eth0"), source_of("fe80::2"));
}

TEST(DomainPattern, CoversItsDomainsInAnyCase) {
  EXPECT_TRUE(covers("example.com", "EXAMPLE.com"));
  EXPECT_FALSE(covers("example.com", "a.example.com"));
  EXPECT_TRUE(covers("*.example.com", "a.b.Example.Com"));
  EXPECT_FALSE(covers("*.example.com", "example.com"));
  EXPECT_FALSE(covers("*.example.com", ".example.com"));
  EXPECT_FALSE(covers("*.example.com", "badexample.com"));
  EXPECT_TRUE(covers("*", "anything"));
}

TEST(AddressRange, TakesTheScopeOfALinkLocalClientForNothing) {
  auto range = AddressRange::parse("fe80::/10");
  ASSERT_TRUE(range);
  EXPECT_TRUE(range->contains("fe80::1%eth0"));
}

TEST(AddressRange, RefusesBitsBehindThePrefixAndOtherSlips) {
  for (const auto* text : {"10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129", "10.0.0.0/", "10.0.0/8",
                           "10.0.0.0/8/8", "10.0.0.0/-1", "", "all"}) {
    EXPECT_FALSE(AddressRange::parse(text)) << text;
  }
}

}  // namespace
}  // namespace umbra::hub
