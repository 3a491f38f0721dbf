// Which kept mail a filter means, and the words for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/safety_net/filter.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class KeptFilterTest : public testing::Test {
 protected:
  KeptFilterTest() {
    RouteConfig smart;
    smart.name = "smart";
    smart.domains = {"one.example"};
    smart.hosts = {{{"mx.one.example", 25}, 10}};
    RouteConfig rest;
    rest.name = "rest";
    rest.domains = {"*"};
    routes_ = {smart, rest};
    message_.ended_at = WallTime(std::chrono::seconds(1000));
    message_.envelope.sender = "Boss@Source.example";
    message_.envelope.recipients = {
        {"a@one.example", "", 0}, {"b@two.example", "", 0}, {"c@two.example", "", 0}};
    message_.delivered = {{0, "route:smart mx.one.example 192.0.2.7:25", "250"},
                          {1, "two.example mx2.two.example", "250"}};
  }
  std::vector<std::uint32_t> meant(std::string_view query) {
    auto filter = parse_kept_filter(query);
    EXPECT_TRUE(filter) << query;
    Router router(routes_);
    return filter ? matching_recipients(message_, *filter, router) : std::vector<std::uint32_t>{99};
  }
  std::vector<RouteConfig> routes_;
  storage::KeptMessage message_;
};

TEST_F(KeptFilterTest, MeansDeliveredRecipientsOnly) {
  EXPECT_THAT(meant(""), ElementsAre(0, 1));
}

TEST_F(KeptFilterTest, ByTimeWithBothEnds) {
  EXPECT_THAT(meant("from=1000000000&until=1000000000"), ElementsAre(0, 1));
  EXPECT_THAT(meant("from=1000000001"), IsEmpty());
  EXPECT_THAT(meant("until=999999999"), IsEmpty());
}

TEST_F(KeptFilterTest, BySenderAndRecipient) {
  EXPECT_THAT(meant("sender=boss%40source.EXAMPLE"), ElementsAre(0, 1));
  EXPECT_THAT(meant("sender=@source.example"), ElementsAre(0, 1));
  EXPECT_THAT(meant("sender=@example"), IsEmpty());
  EXPECT_THAT(meant("sender=%3C%3E"), IsEmpty());
  EXPECT_THAT(meant("recipient=B@two.example"), ElementsAre(1));
  EXPECT_THAT(meant("recipient=c@two.example"), IsEmpty());
  message_.envelope.sender.clear();
  EXPECT_THAT(meant("sender=%3C%3E"), ElementsAre(0, 1));
}

TEST_F(KeptFilterTest, ByHostRouteAndDomain) {
  for (const auto* name :
       {"smart", "route:smart", "mx.one.example", "MX.one.example", "192.0.2.7", "192.0.2.7:25"})
    EXPECT_THAT(meant(std::string("next_hop=") + name), ElementsAre(0)) << name;
  for (const auto* name : {"two.example", "mx2.two.example"})
    EXPECT_THAT(meant(std::string("next_hop=") + name), ElementsAre(1)) << name;
  EXPECT_THAT(meant("next_hop=mx"), IsEmpty());
  EXPECT_THAT(meant("next_hop=192.0.2.7:26"), IsEmpty());
  EXPECT_THAT(meant("next_hop=route"), IsEmpty());
  EXPECT_THAT(meant("next_hop=rest"), IsEmpty());
}

TEST_F(KeptFilterTest, WhatAnotherHubDeliveredIsLookedUpInTheRoutes) {
  message_.delivered.clear();
  EXPECT_THAT(meant(""), ElementsAre(0, 1, 2));
  EXPECT_THAT(meant("next_hop=smart"), ElementsAre(0));
  EXPECT_THAT(meant("next_hop=two.example"), ElementsAre(1, 2));
}

TEST_F(KeptFilterTest, RecipientsThatAreNotThereAreLeftOut) {
  message_.delivered.push_back({77, "x y", ""});
  EXPECT_THAT(meant(""), ElementsAre(0, 1));
}

TEST_F(KeptFilterTest, WritesWhatItReads) {
  for (const auto* query : {"from=0&until=9",
                            "from=5&until=7&sender=%3C%3E&recipient=a%2Bb@example.com&next_hop=mx%3A25&"
                            "shadows=1&unprotected=1"}) {
    auto filter = parse_kept_filter(query);
    ASSERT_TRUE(filter) << query;
    EXPECT_EQ(to_query(*filter), query);
  }
}

TEST_F(KeptFilterTest, RefusesWhatItDoesNotKnow) {
  for (const auto* query :
       {"from=x", "from=-1", "from=", "until=1x", "from=9&until=8", "sender=", "sender=%4", "sender=%zz",
        "shadows=2", "shadows=", "unprotected=yes", "limit=5", "nonsense", "=1", "&"})
    EXPECT_FALSE(parse_kept_filter(query)) << query;
  EXPECT_FALSE(parse_kept_filter("sender=" + std::string(2000, 'a')));
  EXPECT_TRUE(parse_kept_filter("limit=5&from=1", {"limit"}));
}

}  // namespace
}  // namespace umbra::hub
