// Goal: who is throttled by which policy, how much passes within any minute, and what a client is told.
// Method: virtual time; then sessions over memory streams.
#include "hub/inbound/client_hosts.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>

#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(RateWindows, LetNoMoreThanTheLimitPassWithinAnyMinuteBySteadyUse) {
  RateWindow window;
  auto now = MonotonicTime{} + 1h;
  std::vector<MonotonicTime> passed;
  for (int i = 0; i < 6000; ++i, now += 100ms)  // ten minutes, ten each second
    if (!window.take(now, 60)) passed.push_back(now);
  EXPECT_GE(passed.size(), 10 * 60 * 9 / 10);
  for (std::size_t i = 60; i < passed.size(); ++i) EXPECT_GT(passed[i] - passed[i - 60], 45s) << i;
}

TEST(RateWindows, CountSeveralAtOnce) {
  RateWindow window;
  MonotonicTime now{std::chrono::hours(1)};
  EXPECT_EQ(window.empty_at(), MonotonicTime::min());
  EXPECT_FALSE(window.take(now, 10, 8));
  auto wait = window.take(now, 10, 4);
  ASSERT_TRUE(wait);
  EXPECT_TRUE(window.take(now + *wait - std::chrono::milliseconds(1), 10, 4));
  EXPECT_FALSE(window.take(now + *wait + std::chrono::milliseconds(1), 10, 4));
  EXPECT_FALSE(window.take(now + std::chrono::hours(1), 10, 5000)) << "more than the limit is let pass alone";
  EXPECT_TRUE(window.take(now + std::chrono::hours(1), 10, 1));
  EXPECT_EQ(window.empty_at(), now + std::chrono::hours(1) + 2 * RateWindow::span);
}

TEST(RateWindows, SayHowLongToWait) {
  RateWindow window;
  auto now = MonotonicTime{} + 1h;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(window.take(now, 10));
  auto wait = window.take(now, 10);
  ASSERT_TRUE(wait);
  EXPECT_TRUE(window.take(now + *wait - 1s, 10)) << "not before";
  EXPECT_FALSE(window.take(now + *wait + 1ms, 10));
  EXPECT_FALSE(window.take(now + 1h, 1)) << "an idle client has all of it again";
}

class ThrottleTests : public Inbound {
 protected:
  ThrottlingPolicyConfig& policy(const std::string& name) {
    auto& added = policies.emplace_back();
    added.name = name;
    return added;
  }
  void begin() {
    throttle.configuration_changed();
    start();
  }
  std::string mail(const std::shared_ptr<testing::MemoryPeer>& peer) {
    auto said = say(peer, "MAIL FROM:<a@c.example>\r\n");
    say(peer, "RSET\r\n");
    return said;
  }
  std::shared_ptr<testing::MemoryPeer> greeted(const std::string& from) {
    auto peer = connect(from);
    say(peer, "EHLO c.example\r\n");
    return peer;
  }
};

TEST_F(ThrottleTests, CountAUserWhereverItComesFromAndPreferThePolicyThatNamesIt) {
  auto& all = policy("all");
  all.message_rate_limit = 2;
  all.message_rate_source = ThrottlingPolicyConfig::Source::user;
  auto& apps = policy("apps");
  apps.users = {"app"};
  apps.message_rate_limit = 4;
  apps.message_rate_source = ThrottlingPolicyConfig::Source::user;
  throttle.configuration_changed();
  auto as = [&](const char* address, const char* user) {
    auto client = throttle.client(address, "in");
    EXPECT_FALSE(client.connect());
    if (*user != '\0') client.log_on(address, "in", user);
    return client;
  };
  auto passes = [](Throttle::Client& client) {
    int count = 0;
    while (!client.message()) ++count;
    return count;
  };
  auto anybody = as("192.0.2.1", "");
  EXPECT_EQ(passes(anybody), 2) << "a policy for users is for nobody before they have logged on";
  auto alice = as("192.0.2.1", "alice");
  EXPECT_EQ(passes(alice), 2) << "by user, not by the address that has used up its own";
  auto alice_elsewhere = as("198.51.100.7", "alice");
  EXPECT_EQ(passes(alice_elsewhere), 0);
  auto app = as("192.0.2.1", "app");
  EXPECT_EQ(passes(app), 4);
  auto app_elsewhere = as("198.51.100.7", "app");
  EXPECT_EQ(passes(app_elsewhere), 0);
  auto stranger = as("198.51.100.7", "");
  EXPECT_EQ(passes(stranger), 2);
}

class NamedHosts final : public Resolver {
 public:
  Task<Result<std::vector<std::string>>> addresses(std::string host) override {
    if (is_failing) co_return failure(std::errc::timed_out, "resolve " + host);
    auto found = names.find(host);
    co_return found == names.end() ? std::vector<std::string>{} : found->second;
  }
  Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string) override {
    co_return std::vector<MailExchanger>{};
  }
  std::map<std::string, std::vector<std::string>> names;
  bool is_failing = false;
};

TEST_F(ThrottleTests, FindAClientByTheNameOfItsHost) {
  auto& apps = policy("apps");
  apps.hosts = {"app.example", "other.example"};
  apps.message_rate_limit = 1;
  NamedHosts dns;
  dns.names["app.example"] = {"192.0.2.1", "2001:db8::1"};
  throttle.configuration_changed();
  ClientHosts hosts({io, random, network, dns}, policies, throttle, log);
  hosts.start();
  const auto is_throttled = [&](const char* address) {
    time.settle(io);
    auto client = throttle.client(address, "in");
    return !client.message() && client.message().has_value();
  };
  EXPECT_TRUE(is_throttled("192.0.2.1"));
  EXPECT_TRUE(is_throttled("2001:db8::1"));
  EXPECT_FALSE(is_throttled("192.0.2.2"));
  EXPECT_THAT(log.lines(), Contains(HasSubstr("other.example")))
      << "nobody has that name: the operator hears of it";
  dns.is_failing = true;
  time.pass(io, 5min);
  EXPECT_TRUE(is_throttled("192.0.2.1")) << "what is known stays while DNS does not answer";
  dns.is_failing = false;
  dns.names["app.example"] = {"192.0.2.2"};
  time.pass(io, 2min);
  EXPECT_FALSE(is_throttled("192.0.2.1"));
  EXPECT_TRUE(is_throttled("192.0.2.2"));
  bool is_done = false;
  asio::co_spawn(io, hosts.stop(), [&](const std::exception_ptr&) { is_done = true; });
  time.settle(io);
  EXPECT_TRUE(is_done);
}

TEST_F(ThrottleTests, RefuseForNowAndSayWhen) {
  policy("apps").message_rate_limit = 3;
  begin();
  auto peer = greeted("192.0.2.7");
  for (int i = 0; i < 3; ++i) EXPECT_THAT(mail(peer), StartsWith("250"));
  EXPECT_THAT(mail(peer), StartsWith("450 4.7.1 at most 3 messages a minute, try again in "));
  EXPECT_EQ(metrics.throttled_total, 1U);
  auto other = greeted("192.0.2.8");
  EXPECT_THAT(mail(other), StartsWith("250")) << "another address";
  auto again = greeted("192.0.2.7");
  EXPECT_THAT(mail(again), StartsWith("450")) << "another connection is no way round it";
  time.pass(io, 2min);
  EXPECT_THAT(mail(greeted("192.0.2.7")), StartsWith("250"));
}

TEST_F(ThrottleTests, TakeAnIpv6NetworkForOneClient) {
  policy("apps").message_rate_limit = 1;
  begin();
  EXPECT_THAT(mail(greeted("2001:db8::1")), StartsWith("250"));
  EXPECT_THAT(mail(greeted("2001:db8::ffff:1")), StartsWith("450"));
  EXPECT_THAT(mail(greeted("2001:db8:0:1::1")), StartsWith("250"));
}

TEST_F(ThrottleTests, ChooseTheMostSpecificPolicy) {
  policy("all").message_rate_limit = 1;
  auto& wide = policy("wide");
  wide.networks = {*AddressRange::parse("192.0.2.0/24")};
  wide.message_rate_limit = 2;
  auto& narrow = policy("narrow");
  narrow.networks = {*AddressRange::parse("192.0.2.7")};
  auto& elsewhere = policy("elsewhere");
  elsewhere.networks = {*AddressRange::parse("192.0.2.7")};
  elsewhere.listeners = {"another"};
  elsewhere.message_rate_limit = 1;
  begin();
  auto narrow_peer = greeted("192.0.2.7");
  for (int i = 0; i < 20; ++i) EXPECT_THAT(mail(narrow_peer), StartsWith("250")) << "without a limit";
  auto wide_peer = greeted("192.0.2.8");
  EXPECT_THAT(mail(wide_peer), StartsWith("250"));
  EXPECT_THAT(mail(wide_peer), StartsWith("250"));
  EXPECT_THAT(mail(wide_peer), StartsWith("450"));
  auto peer = greeted("203.0.113.1");
  EXPECT_THAT(mail(peer), StartsWith("250"));
  EXPECT_THAT(mail(peer), StartsWith("450"));
}

TEST_F(ThrottleTests, CountAllClientsOfAPolicyTogetherOrNone) {
  auto& together = policy("together");
  together.message_rate_source = ThrottlingPolicyConfig::Source::all;
  together.message_rate_limit = 2;
  auto& none = policy("none");
  none.networks = {*AddressRange::parse("192.0.2.9")};
  none.message_rate_source = ThrottlingPolicyConfig::Source::none;
  none.message_rate_limit = 1;
  begin();
  EXPECT_THAT(mail(greeted("192.0.2.7")), StartsWith("250"));
  EXPECT_THAT(mail(greeted("192.0.2.8")), StartsWith("250"));
  EXPECT_THAT(mail(greeted("192.0.2.10")), StartsWith("450"));
  auto free = greeted("192.0.2.9");
  for (int i = 0; i < 5; ++i) EXPECT_THAT(mail(free), StartsWith("250"));
}

TEST_F(ThrottleTests, LimitRecipientsAndConnections) {
  auto& one = policy("one");
  one.recipient_rate_limit = 2;
  one.connections_max = 2;
  one.connection_rate_limit = 3;
  begin();
  auto peer = greeted("192.0.2.7");
  say(peer, "MAIL FROM:<a@c.example>\r\n");
  EXPECT_THAT(say(peer, "RCPT TO:<b@d.example>\r\nRCPT TO:<c@d.example>\r\n"), StartsWith("250"));
  EXPECT_THAT(say(peer, "RCPT TO:<d@d.example>\r\n"), StartsWith("450 4.7.1 at most 2 recipients a minute"));
  EXPECT_THAT(say(peer, "DATA\r\n"), StartsWith("354")) << "those that were taken are";
  say(peer, "x\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_EQ(intake.kept[0].envelope.recipients.size(), 2U);
  auto second = connect("192.0.2.7");
  EXPECT_THAT(second->received(), StartsWith("220"));
  auto third = connect("192.0.2.7");
  EXPECT_THAT(third->received(), StartsWith("421 4.7.0 at most 2 connections at once"));
  EXPECT_TRUE(third->is_closed);
  say(second, "QUIT\r\n");
  EXPECT_THAT(connect("192.0.2.7")->received(), StartsWith("220"));
  say(peer, "QUIT\r\n");
  EXPECT_THAT(connect("192.0.2.7")->received(), HasSubstr("at most 3 connections a minute, try again in "));
}

TEST_F(ThrottleTests, ShareALimitAmongTheHubsOfTheCluster) {
  auto& shared = policy("shared");
  shared.scope = ThrottlingPolicyConfig::Scope::cluster;
  shared.message_rate_limit = 4;
  hubs = 2;
  begin();
  auto peer = greeted("192.0.2.7");
  EXPECT_THAT(mail(peer), StartsWith("250"));
  EXPECT_THAT(mail(peer), StartsWith("250"));
  EXPECT_THAT(mail(peer), StartsWith("450 4.7.1 at most 2 messages"));
  hubs = 1;
  EXPECT_THAT(mail(peer), StartsWith("250")) << "the other hub is gone: its part is this one's";
}

TEST_F(ThrottleTests, FollowTheConfigurationWithTheNextConnection) {
  policy("all").message_rate_limit = 2;
  begin();
  auto peer = greeted("192.0.2.7");
  EXPECT_THAT(mail(peer), StartsWith("250"));
  policies.clear();
  policy("all").message_rate_limit = 1;
  throttle.configuration_changed();
  EXPECT_THAT(mail(peer), StartsWith("250")) << "it goes on as it began";
  EXPECT_THAT(mail(greeted("192.0.2.7")), StartsWith("450 4.7.1 at most 1 messages"))
      << "what was counted stays counted";
}

TEST_F(ThrottleTests, ForgetWhoIsIdleAndStayBounded) {
  policy("all").message_rate_limit = 1'000'000;
  throttle.configuration_changed();
  for (int i = 0; i < 150'000; ++i) {  // in no time: the idle are not looked for with each
    auto client = throttle.client("10." + std::to_string(i >> 16) + "." + std::to_string((i >> 8) & 255) +
                                      "." + std::to_string(i & 255),
                                  "default");
    EXPECT_FALSE(client.connect());
  }
  EXPECT_LE(throttle.sources(), 100'001U);
  time.pass(io, 5min);
  EXPECT_FALSE(throttle.client("192.0.2.1", "default").connect());
  EXPECT_LE(throttle.sources(), 1U);
}

}  // namespace
}  // namespace umbra::hub
