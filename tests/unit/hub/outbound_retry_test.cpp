// When mail is tried again, when it is given up, and what a dead destination costs.
#include "hub/outbound/retry.h"

#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(OutboundRetryLadder, WaitsAsConfigured) {
  std::vector<RetryStep> ladder = DeliveryConfig{}.retry;
  for (std::uint32_t n = 1; n <= 4; ++n) EXPECT_EQ(retry_wait(ladder, n), Duration(1min)) << n;
  for (std::uint32_t n = 5; n <= 10; ++n) EXPECT_EQ(retry_wait(ladder, n), Duration(5min)) << n;
  for (std::uint32_t n : {11U, 12U, 100U, 4'000'000'000U})
    EXPECT_EQ(retry_wait(ladder, n), Duration(10min)) << n;
}

TEST(OutboundRetryLadder, RepeatsTheLastStepOfALadderThatEnds) {
  EXPECT_EQ(retry_wait({{2, 1s}, {1, 5s}}, 3), Duration(5s));
  EXPECT_EQ(retry_wait({{2, 1s}, {1, 5s}}, 9), Duration(5s));
  EXPECT_GT(retry_wait({}, 1), Duration(0));
}

class OutboundRetry : public OutboundTest {
 protected:
  /// The times at which MAIL was said, after the first, in seconds since it.
  std::vector<long> attempt_times;
  void note_attempts(FakeHost& host) {
    host.on_command = [this](const std::string& line) -> std::string {
      if (line.starts_with("RCPT TO:<rcpt")) {
        attempt_times.push_back(
            static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(time.now() - began).count()));
        return "451 4.7.1 greylisted\r\n";
      }
      return "";
    };
    began = time.now();
  }
  Duration began{};
};

TEST_F(OutboundRetry, TriesADeferredMessageAtTheTimesOfTheLadder) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  RowId row = accept();
  run_for(3h);
  std::vector<long> expected = {0};
  for (int i = 0; i < 4; ++i) expected.push_back(expected.back() + 60);
  for (int i = 0; i < 6; ++i) expected.push_back(expected.back() + 300);
  while (expected.back() + 600 <= 3 * 3600) expected.push_back(expected.back() + 600);
  EXPECT_EQ(attempt_times, expected);
  EXPECT_EQ(stored(row)->queue.at(0).attempts, expected.size());
}

TEST_F(OutboundRetry, KeepsTheLadderWhenTheWallClockIsSetBack) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  accept();
  run_for(90s);  // attempts at 0 and 1 minutes
  time.wall_step = -2h;
  run_for(2min);
  time.wall_step = -4h;
  run_for(6min);
  EXPECT_THAT(attempt_times, ElementsAre(0, 60, 120, 180, 240, 540));
}

TEST_F(OutboundRetry, TriesEarlyWhenTheWallClockIsSetForwardALittleAndWaitsNoLongerWhenItIsSetRight) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  accept();
  run_for(70s);
  time.wall_step = 9min;
  run_for(2min);
  time.wall_step = 0h;
  run_for(10min);
  ASSERT_GE(attempt_times.size(), 6U);
  for (std::size_t i = 1; i < attempt_times.size(); ++i) {
    EXPECT_LE(attempt_times[i] - attempt_times[i - 1], 301) << i;
    EXPECT_GE(attempt_times[i] - attempt_times[i - 1], 20) << i;
  }
}

TEST_F(OutboundRetry, NeitherExpiresNorTriesEarlyWhenTheWallClockIsDaysAhead) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  RowId row = accept();
  run_for(70s);
  time.wall_step = 72h;
  run_for(2min);
  time.wall_step = -72h;
  run_for(1min);
  time.wall_step = 72h;
  run_for(6min);
  EXPECT_THAT(attempt_times, ElementsAre(0, 60, 120, 180, 240, 540));
  EXPECT_TRUE(stored(row));
  EXPECT_THAT(host.mails, IsEmpty()) << "nobody is told of a delay or an end";
  time.wall_step = 0h;
  run_for(config.delivery.expiry - 11min);
  EXPECT_TRUE(stored(row));
  run_for(2min);
  EXPECT_FALSE(stored(row)) << "it expires when it is old enough";
}

TEST_F(OutboundRetry, KeepsTheLadderOverARestart) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  accept();
  run_for(5min + 30s);  // attempts at 0, 1, 2, 3, 4 minutes
  stop();
  start();
  run_for(10min);
  EXPECT_THAT(attempt_times, ElementsAre(0, 60, 120, 180, 240, 540, 840));
}

TEST_F(OutboundRetry, GivesUpAtExpiryAndTellsTheSenderWhy) {
  FakeHost& host = smart_host();
  config.delivery.delay_warning = Duration{0};
  start();
  note_attempts(host);
  RowId row = accept();
  run_for(config.delivery.expiry - 1min);
  EXPECT_TRUE(stored(row));
  EXPECT_THAT(host.mails, IsEmpty());
  run_for(2min);
  EXPECT_FALSE(stored(row));
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_EQ(host.mails[0].sender, "<>");
  EXPECT_THAT(host.mails[0].body, HasSubstr("Action: failed\r\nStatus: 4.4.7\r\n"));
  EXPECT_THAT(host.mails[0].body, HasSubstr("greylisted"));
  EXPECT_THAT(events("expired"), SizeIs(1));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundRetry, ExpiresNullSenderMailWithoutAWord) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  MailOptions options;
  options.sender = "";
  accept(options);
  run_for(config.delivery.expiry + 1min);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_THAT(host.mails, IsEmpty());
}

TEST_F(OutboundRetry, WarnsOfADelayOnce) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  RowId row = accept();
  run_for(config.delivery.delay_warning - 1min);
  EXPECT_THAT(host.mails, IsEmpty());
  run_for(2min);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Action: delayed\r\n"));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Will-Retry-Until: "));
  EXPECT_THAT(events("delayed"), SizeIs(1));
  EXPECT_EQ(stored(row)->alarm_at, stored(row)->envelope.expires_at);
  auto tries = attempt_times.size();
  run_for(20h);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_GT(attempt_times.size(), tries + 100) << "a warning stops no attempts";
  // The warning changed neither the count of attempts nor their rhythm.
  EXPECT_EQ(attempt_times.back() - attempt_times.at(attempt_times.size() - 2), 600);
}

TEST_F(OutboundRetry, WarnsNobodyWhoDidNotWantIt) {
  FakeHost& host = smart_host();
  start();
  note_attempts(host);
  MailOptions options;
  options.adjust = [](Envelope& e) { e.recipients[0].notify = notify_failure; };
  accept(options);
  run_for(10h);
  EXPECT_THAT(host.mails, IsEmpty());
}

// ---- bounce profiles

TEST_F(OutboundRetry, KeepsTheScheduleOfEachProfileToTheSecond) {
  const std::vector<std::pair<std::string, std::vector<long>>> waits = {
      {"exchange", {60, 60, 60, 60, 300, 300, 300, 300, 300, 300, 600}},
      {"esa", {60, 120, 240, 480, 960, 1920, 3600}}};
  for (const auto& [profile, ladder] : waits) {
    SCOPED_TRACE(profile);
    attempt_times.clear();
    FakeHost& host = smart_host();
    host.mails.clear();
    route().bounce_profile = profile;
    const long expiry = profile == "esa" ? 72 * 3600 : 48 * 3600;
    start();
    note_attempts(host);
    RowId row = accept();
    std::vector<long> expected = {0};
    for (std::size_t i = 0; expected.back() + ladder[std::min(i, ladder.size() - 1)] < expiry; ++i)
      expected.push_back(expected.back() + ladder[std::min(i, ladder.size() - 1)]);
    run_for(std::chrono::seconds(expiry) - 1s);
    EXPECT_EQ(attempt_times, expected);
    EXPECT_TRUE(stored(row));
    EXPECT_THAT(host.mails, SizeIs(profile == "esa" ? 0 : 1)) << "a warning of the delay";
    run_for(20s);
    EXPECT_FALSE(stored(row));
    ASSERT_THAT(host.mails, SizeIs(profile == "esa" ? 1 : 2));
    EXPECT_THAT(host.mails.back().body, HasSubstr("Action: failed\r\nStatus: 4.4.7\r\n"));
    stop();
  }
}

TEST_F(OutboundRetry, BouncesAfterTheLastRetryOfItsProfile) {
  FakeHost& host = smart_host();
  config.bounce_profiles = {
      {.name = "esa", .retry = {{0, 60s}}, .retries_max = 2}};  // replaces the one that is known
  route().bounce_profile = "esa";
  start();
  note_attempts(host);
  RowId row = accept();
  run_for(119s);
  EXPECT_TRUE(stored(row));
  run_for(2s);
  EXPECT_THAT(attempt_times, ElementsAre(0, 60, 120));
  EXPECT_FALSE(stored(row));
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Action: failed\r\nStatus: 4.7.1\r\n"));
  EXPECT_THAT(host.mails[0].body, HasSubstr("greylisted"));
}

TEST_F(OutboundRetry, EndsEachRecipientByTheProfileOfItsRoute) {
  FakeHost& host = smart_host();
  RouteConfig other = route();
  other.name = "partner";
  other.domains = {"partner.example"};
  other.bounce_profile = "short";
  config.routes.push_back(other);
  config.bounce_profiles = {{.name = "short",
                             .retry = {{0, 10min}},
                             .expiry = 1h,
                             .delay_warning = 30min,
                             .report_to = "postmaster@example.org"}};
  start();
  note_attempts(host);
  MailOptions options;
  options.recipients = {"rcpt1@partner.example", "rcpt2@example.com", "rcpt3@partner.example"};
  RowId row = accept(options);
  run_for(31min);
  ASSERT_THAT(host.mails, SizeIs(1)) << "a warning, of those whose profile says so";
  EXPECT_THAT(host.mails[0].body, HasSubstr("To: <postmaster@example.org>"));
  EXPECT_THAT(host.mails[0].body, testing::Not(HasSubstr("rcpt2")));
  run_for(28min);
  EXPECT_EQ(stored(row)->queue.size(), 2U);
  run_for(2min);
  ASSERT_THAT(host.mails, SizeIs(2));
  EXPECT_THAT(host.mails[1].recipients, ElementsAre(HasSubstr("<postmaster@example.org>")));
  EXPECT_THAT(host.mails[1].body, HasSubstr("rcpt1@partner.example"));
  EXPECT_THAT(host.mails[1].body, HasSubstr("rcpt3@partner.example"));
  EXPECT_THAT(host.mails[1].body, testing::Not(HasSubstr("rcpt2")));
  auto rest = stored(row);
  ASSERT_TRUE(rest);
  ASSERT_THAT(rest->queue, SizeIs(1));
  EXPECT_EQ(rest->alarm_at, rest->envelope.accepted_at + config.delivery.delay_warning);
  EXPECT_THAT(events("expired"), SizeIs(2));
  run_for(config.delivery.delay_warning);
  EXPECT_THAT(host.mails, SizeIs(3)) << "the other sender's warning";
  run_for(config.delivery.expiry);
  EXPECT_THAT(host.mails, SizeIs(4));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundRetry, ReportsAsTheProfileSays) {
  FakeHost& host = smart_host();
  config.bounce_profiles = {{.name = "curt",
                             .retry = {{0, 1min}},
                             .expiry = 5min,
                             .delay_warning = Duration{0},
                             .format = BounceProfileConfig::Format::plain,
                             .returned = BounceProfileConfig::Returned::nothing}};
  route().bounce_profile = "curt";
  start();
  note_attempts(host);
  accept();
  run_for(6min);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Content-Type: text/plain; charset=us-ascii\r\n"));
  EXPECT_THAT(host.mails[0].body,
              HasSubstr("<rcpt@example.com>: delivery time expired; last: 451 4.7.1 greylisted"));
  EXPECT_THAT(host.mails[0].body, testing::Not(HasSubstr("Subject: test")));
}

TEST_F(OutboundRetry, SendsNoMoreRecipientsAMinuteThanTheRouteAllows) {
  FakeHost& host = smart_host();
  route().recipient_rate_limit = 10;
  start();
  for (int i = 0; i < 15; ++i) {
    MailOptions options;
    options.recipients = {"a@example.com", "b@example.com"};
    accept(options);
  }
  run_for(2s);
  EXPECT_THAT(host.mails, SizeIs(5));
  run_for(10min);
  EXPECT_THAT(host.mails, SizeIs(15));
  EXPECT_EQ(counts().messages, 0U);
  for (std::size_t i = 5; i < host.mails.size(); ++i)
    EXPECT_GT(host.mails[i].at - host.mails[i - 5].at, Duration(45s)) << i;
}

// ---- destinations that cannot be reached

TEST_F(OutboundRetry, ProbesADeadDestinationWithOneMessage) {
  FakeHost& host = smart_host();
  host.refuses_connections = true;
  start();
  for (int i = 0; i < 300; ++i) accept();
  run_for(1s);
  auto operations = spool->statistics().operations;
  EXPECT_EQ(host.connect_times.size(), 1U);
  run_for(1h);
  // 4 waits of 1 min, 6 of 5 min, then 10 min each: one connection per wait.
  std::vector<long> gaps;
  for (std::size_t i = 1; i < host.connect_times.size(); ++i)
    gaps.push_back(static_cast<long>(
        std::chrono::duration_cast<std::chrono::seconds>(host.connect_times[i] - host.connect_times[i - 1])
            .count()));
  EXPECT_THAT(gaps, ElementsAre(60, 60, 60, 60, 300, 300, 300, 300, 300, 300, 600, 600));
  // One row was written per probe, however many wait.
  EXPECT_EQ(spool->statistics().operations - operations, gaps.size());
  host.refuses_connections = false;
  run_for(10min + 1s);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_THAT(host.mails, SizeIs(300));
}

TEST_F(OutboundRetry, OpensOneConnectionToProbe) {
  FakeHost& host = smart_host();
  host.refuses_connections = true;
  start();
  for (int i = 0; i < 100; ++i) accept();
  run_for(30s);
  host.refuses_connections = false;
  host.greeting = "";  // takes the connection and says nothing
  run_for(2min);
  EXPECT_EQ(host.open, 1);
  for (int i = 0; i < 100; ++i) accept();
  run_for(1min);
  EXPECT_EQ(host.open, 1) << "fresh mail does not probe by itself";
}

TEST_F(OutboundRetry, ShowsTheReasonOnTheMessageThatProbed) {
  FakeHost& host = smart_host();
  host.refuses_connections = true;
  start();
  RowId row = accept();
  run_for(1s);
  EXPECT_THAT(stored(row)->last_error, HasSubstr("4.4.1 connect to 192.0.2.1:25"));
  EXPECT_THAT(events("deferred"), SizeIs(1));
}

TEST_F(OutboundRetry, HoldsOnlyTheDeadDestinationBack) {
  RouteConfig one{"one", {"one.example"}, {{{"192.0.2.1", 25}, 0}}};
  RouteConfig two{"two", {"two.example"}, {{{"192.0.2.2", 25}, 0}}};
  config.routes = {one, two};
  network.hosts["192.0.2.1:25"].refuses_connections = true;
  FakeHost& living = network.hosts["192.0.2.2:25"];
  start();
  MailOptions both;
  both.recipients = {"a@one.example", "b@two.example"};
  RowId row = accept(both);
  run_for(1s);
  ASSERT_THAT(living.mails, SizeIs(1));
  EXPECT_THAT(living.mails[0].recipients, ElementsAre("<b@two.example>"));
  auto message = stored(row);
  ASSERT_TRUE(message);
  ASSERT_THAT(message->queue, SizeIs(1));
  EXPECT_EQ(message->queue[0].destination, "route:one");
  network.hosts["192.0.2.1:25"].refuses_connections = false;
  run_for(61s);
  EXPECT_THAT(network.hosts["192.0.2.1:25"].mails, SizeIs(1));
  EXPECT_THAT(living.mails, SizeIs(1));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundRetry, DefersWhileTheResolverIsInTrouble) {
  RouteConfig all{"out", {"*"}, {}};
  config.routes = {all};
  resolver.failing.insert("example.com");
  start();
  RowId row = accept();
  run_for(1s);
  EXPECT_THAT(stored(row)->last_error, HasSubstr("4.4.3"));
  resolver.failing.clear();
  resolver.mx["example.com"] = {{10, "mx.example.com"}};
  resolver.a["mx.example.com"] = {"192.0.2.7"};
  run_for(61s);
  EXPECT_THAT(network.hosts["192.0.2.7:25"].mails, IsEmpty());  // nobody listens there yet
  EXPECT_TRUE(stored(row));
}

}  // namespace
}  // namespace umbra::hub
