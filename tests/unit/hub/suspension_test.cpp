// What an operator suspends: where it is kept, that delivery waits for it, and that mail does not age
// meanwhile. Method: Suspensions and delivery on one spool, virtual time, a next hop with a script.
#include <boost/asio/co_spawn.hpp>

#include "hub/outbound/message_clock.h"
#include "hub/suspension/suspensions.h"
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using What = Suspension::What;

TEST(SuspensionTexts, AreReadAsTheyWereWritten) {
  SuspensionList list;
  list.now = {{What::listener, "in", WallTime(5s), WallTime::max(), "a \"reason\"\n"},
              {What::delivery, "*", WallTime(7s), WallTime(9s), ""}};
  list.past = {{What::delivery, "route:out", WallTime(1s), WallTime(2s), ""}};
  auto read = parse_suspensions(to_text(list));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->now, list.now);
  EXPECT_EQ(read->past, list.past);
}

TEST(SuspensionTexts, AreRefusedWhereTheyAreNotWhatThisReleaseWrites) {
  for (const char* wrong : {"", "{", "[]", R"({"now":[]})",
                            R"({"now":[{"what":"planet","name":"a","since":1,"reason":""}],"past":[]})",
                            R"({"now":[{"what":"delivery","name":5,"since":1,"reason":""}],"past":[]})",
                            R"({"now":{"a":1},"past":[]})"})
    EXPECT_FALSE(parse_suspensions(wrong)) << wrong;
}

TEST(SuspendedMail, IsThatOfADomainOrASender) {
  const MailPath mail{"route:out", "Someone@Source.example", "x@Back.example"};
  const auto holds = [&](What what, const char* name) {
    return holds_back({what, name, {}, WallTime::max(), ""}, mail);
  };
  for (const char* name : {"someone@source.example", "@source.example", "@SOURCE.example"})
    EXPECT_TRUE(holds(What::sender, name)) << name;
  for (const char* name : {"<>", "one@source.example", "@example", "source.example"})
    EXPECT_FALSE(holds(What::sender, name)) << name;
  EXPECT_TRUE(holds(What::domain, "back.example"));
  EXPECT_FALSE(holds(What::domain, "example"));
  EXPECT_FALSE(holds(What::listener, "*"));
  EXPECT_TRUE(holds_back({What::sender, "<>", {}, WallTime::max(), ""}, {"route:out", "", "x@back.example"}));
  EXPECT_FALSE(holds_back({What::sender, "@back.example", {}, WallTime::max(), ""},
                          {"route:out", "", "x@back.example"}));
}

TEST(SuspendedMail, IsNamedAsItsKindWants) {
  for (const char* good : {"example.com", "a.example"}) EXPECT_EQ(wrong_name(What::domain, good), "") << good;
  for (const char* wrong : {"*", "", "@example.com", "a b"})
    EXPECT_NE(wrong_name(What::domain, wrong), "") << wrong;
  for (const char* good : {"<>", "@example.com", "a@example.com"})
    EXPECT_EQ(wrong_name(What::sender, good), "") << good;
  for (const char* wrong : {"*", "", "@", "example.com", "a@b@"})
    EXPECT_NE(wrong_name(What::sender, wrong), "") << wrong;
}

class SuspensionTests : public OutboundTest {
 protected:
  ~SuspensionTests() override { end(); }
  void begin() {
    start();
    suspensions = std::make_unique<Suspensions>(io, *spool, log);
    outbound->set_suspensions(*suspensions);
    suspensions->on_change([this] { outbound->suspensions_changed(); });
    suspensions->start();
  }
  void end() {
    if (!suspensions) return;
    bool is_done = false;
    asio::co_spawn(io, suspensions->stop(), [&](const std::exception_ptr&) { is_done = true; });
    EXPECT_TRUE(run_until([&] { return is_done; }));
    stop();
    suspensions.reset();
  }
  void suspend(What what, const std::string& name, Duration span = {}, const std::string& reason = {}) {
    Suspension one{what,
                   name,
                   {},
                   span == Duration{}
                       ? WallTime::max()
                       : WallClock::now() + std::chrono::duration_cast<WallClock::duration>(span),
                   reason};
    bool is_good = false;
    asio::co_spawn(io, suspensions->suspend(one), [&](const std::exception_ptr&, const Result<void>& result) {
      is_good = result.has_value();
    });
    run_for(5ms);
    EXPECT_TRUE(is_good);
  }
  bool resume(What what, const std::string& name) {
    std::optional<Result<bool>> answer;
    asio::co_spawn(io, suspensions->resume(what, name),
                   [&](const std::exception_ptr&, Result<bool> result) { answer = std::move(result); });
    run_for(5ms);
    return answer && *answer && **answer;
  }
  std::unique_ptr<Suspensions> suspensions;
};

TEST_F(SuspensionTests, KeepTheMailOfADestinationUntilItIsResumed) {
  FakeHost& host = smart_host();
  RouteConfig other = route();
  other.name = "other";
  other.domains = {"other.example"};
  other.hosts = {{{"192.0.2.2", 25}, 0}};
  config.routes.push_back(other);
  FakeHost& other_host = network.hosts["192.0.2.2:25"];
  begin();
  accept();
  run_for(5s);
  ASSERT_THAT(host.mails, SizeIs(1));
  suspend(What::delivery, "route:out", {}, "the back end moves");
  run_for(5s);
  EXPECT_EQ(host.open, 0) << "kept connections end";
  for (int i = 0; i < 100; ++i) accept();
  MailOptions options;
  options.recipients = {"a@other.example"};
  accept(options);
  run_for(1h);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(other_host.mails, SizeIs(1)) << "nobody else waits";
  EXPECT_EQ(counts().messages, 100U);
  EXPECT_TRUE(resume(What::delivery, "route:out"));
  EXPECT_FALSE(resume(What::delivery, "route:out"));
  run_for(10s);
  EXPECT_THAT(host.mails, SizeIs(101));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(SuspensionTests, EndWhatIsBeingSentAndGiveTheRestBack) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  route().connections_max = 2;
  begin();
  for (int i = 0; i < 10; ++i) accept();
  run_for(1s);
  suspend(What::delivery, "*");
  const auto held = host.held.size();
  EXPECT_GT(held, 0U);
  host.let_go();
  run_for(1h);
  EXPECT_EQ(host.mails.size() + counts().messages, 10U)
      << "what had its final dot is recorded, the rest waits";
  EXPECT_LT(host.mails.size(), 10U);
  EXPECT_EQ(host.open, 0);
  resume(What::delivery, "*");
  run_for(1min);
  EXPECT_THAT(host.mails, SizeIs(10));
}

TEST_F(SuspensionTests, LastOverARestartAndEndByThemselves) {
  FakeHost& host = smart_host();
  begin();
  suspend(What::delivery, "*", 10min, "a reason");
  suspend(What::listener, "in");
  accept();
  end();
  begin();
  EXPECT_TRUE(suspensions->is_suspended(What::delivery, "anything"))
      << "nothing is delivered before it is known what is suspended";
  run_for(1min);
  ASSERT_THAT(suspensions->list(), SizeIs(2));
  EXPECT_EQ(suspensions->list()[0].reason, "a reason");
  EXPECT_TRUE(suspensions->is_suspended(What::listener, "in"));
  EXPECT_FALSE(suspensions->is_suspended(What::listener, "other"));
  run_for(8min);
  EXPECT_THAT(host.mails, IsEmpty());
  run_for(2min);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(suspensions->list(), SizeIs(1)) << "the listener is still";
}

TEST_F(SuspensionTests, MailDoesNotAgeMeanwhile) {
  FakeHost& host = smart_host();
  config.delivery.delay_warning = Duration{0};
  host.on_command = [](const std::string& line) -> std::string {
    return line.starts_with("RCPT TO:<rcpt") ? "451 4.2.1 not now\r\n" : "";
  };
  begin();
  RowId row = accept();
  run_for(24h);
  suspend(What::delivery, "route:out");
  run_for(72h);
  EXPECT_TRUE(stored(row)) << "it has 24 hours left";
  resume(What::delivery, "route:out");
  run_for(23h);
  EXPECT_TRUE(stored(row));
  run_for(2h);
  EXPECT_FALSE(stored(row));
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Status: 4.4.7"));
}

TEST_F(SuspensionTests, CountTheTimeOfOverlappingOnesOnce) {
  smart_host();
  begin();
  drain();
  const auto from = WallClock::now();
  suspend(What::delivery, "route:out");
  run_for(1h);
  suspend(What::delivery, "*");
  run_for(1h);
  resume(What::delivery, "route:out");
  run_for(1h);
  resume(What::delivery, "*");
  run_for(1h);
  const auto now = WallClock::now();
  auto minutes = [](Duration span) { return std::chrono::round<std::chrono::minutes>(span).count(); };
  auto path = [](const char* destination) {
    return MailPath{destination, "a@source.example", "b@sink.example"};
  };
  EXPECT_EQ(minutes(suspensions->held_back_for(path("route:out"), from, now)), 180);
  EXPECT_EQ(minutes(suspensions->held_back_for(path("elsewhere.example"), from, now)), 120);
  EXPECT_EQ(minutes(suspensions->held_back_for(path("route:out"), from + 90min, now)), 90);
}

TEST_F(SuspensionTests, OfADomainOrASenderLetOtherMailOfTheDestinationPass) {
  FakeHost& host = smart_host();
  route().domains = {"*"};
  config.delivery.delay_warning = Duration{0};
  begin();
  suspend(What::domain, "back.example");
  suspend(What::sender, "@noisy.example");
  MailOptions to_domain;
  to_domain.recipients = {"a@back.example"};
  MailOptions of_sender;
  of_sender.sender = "x@noisy.example";
  std::vector<RowId> waiting;
  for (int i = 0; i < 200; ++i) {
    waiting.push_back(accept(to_domain));
    waiting.push_back(accept(of_sender));
  }
  accept();
  run_for(1min);
  EXPECT_THAT(host.mails, SizeIs(1)) << "what waits does not stand in its way";
  run_for(72h);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_TRUE(stored(waiting.front())) << "it has not aged";
  EXPECT_THAT(stored(waiting.front())->last_error, HasSubstr("is suspended"));
  run_for(3min);
  EXPECT_TRUE(resume(What::domain, "back.example"));
  run_for(5s);
  EXPECT_THAT(host.mails, SizeIs(201)) << "at once, and nothing else";
  EXPECT_TRUE(resume(What::sender, "@noisy.example"));
  run_for(5s);
  EXPECT_THAT(host.mails, SizeIs(401));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(SuspensionTests, WhatEndsByItselfIsDueAtOnceToo) {
  FakeHost& host = smart_host();
  begin();
  suspend(What::domain, "example.com", 7min);
  accept();
  run_for(6min + 55s);
  EXPECT_THAT(host.mails, IsEmpty());
  run_for(10s);
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(SuspensionTests, MailThatWaitsForItsNextAttemptKeepsItsTimeWhenOtherMailIsResumed) {
  FakeHost& host = smart_host();
  config.delivery.retry = {{0, 4min}};
  host.on_command = [&](const std::string& line) -> std::string {
    return line.starts_with("RCPT TO:<busy") ? "451 4.2.1 not now\r\n" : "";
  };
  begin();
  MailOptions busy;
  busy.recipients = {"busy@other.example"};
  const RowId row = accept(busy);
  suspend(What::domain, "example.com");
  accept();
  run_for(1min);
  const auto due = stored(row)->queue.at(0);
  EXPECT_TRUE(resume(What::domain, "example.com"));
  run_for(5s);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_EQ(stored(row)->queue.at(0), due);
}

TEST_F(SuspensionTests, AHubThatEndsWhileItMakesMailDueGoesOnWithTheRest) {
  FakeHost& host = smart_host();
  begin();
  suspend(What::domain, "example.com");
  std::vector<RowId> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(accept());
  run_for(1min);
  ASSERT_THAT(host.mails, IsEmpty());
  // The order is durable, and one page; the rest is not.
  asio::co_spawn(io, suspensions->resume(What::domain, "example.com"),
                 [](const std::exception_ptr&, const Result<bool>&) {});
  const auto is_one_made = [&] { return stored(rows.front())->queue.at(0).due <= WallClock::now(); };
  for (int steps = 0; steps < 10'000 && !is_one_made(); ++steps) {
    io.restart();
    io.poll_one();
  }
  stop();
  end();
  const auto is_due = [&](RowId row) {
    auto message = stored(row);
    return !message || message->queue.at(0).due <= WallClock::now();
  };
  const auto made = std::ranges::count_if(rows, is_due);
  ASSERT_GT(made, 0);
  ASSERT_LT(made, 1000);
  run_for(1min);
  begin();
  run_for(20s);
  EXPECT_THAT(host.mails, SizeIs(1000));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(SuspensionTests, MailOnHoldDoesNotAge) {
  FakeHost& host = smart_host();
  config.delivery.delay_warning = Duration{0};
  host.on_command = [](const std::string& line) -> std::string {
    return line.starts_with("RCPT TO:<rcpt") ? "451 4.2.1 not now\r\n" : "";
  };
  begin();
  RowId row = accept();
  run_for(24h);
  const auto set_state = [&](storage::MessageState state) {
    outbound->forget(row);
    const auto queue = stored(row)->queue;
    spool->write([&](storage::Writer& w) { return w.set_state(row, state, queue); }, 64,
                 [](const Result<void>&) {});
    drain();
    if (state == storage::MessageState::queued) outbound->look_again();
  };
  set_state(storage::MessageState::held);
  run_for(72h);
  set_state(storage::MessageState::queued);
  run_for(23h);
  EXPECT_TRUE(stored(row)) << "it had 24 hours left";
  run_for(2h);
  EXPECT_FALSE(stored(row));
  EXPECT_THAT(host.mails, SizeIs(1)) << "the report";
}

TEST_F(SuspensionTests, TwoOrdersAtOnceAreBothKept) {
  smart_host();
  begin();
  int done = 0;
  for (const char* name : {"a.example", "b.example", "c.example"})
    asio::co_spawn(
        io, suspensions->suspend({What::delivery, name, {}, WallTime::max(), ""}),
        [&](const std::exception_ptr&, const Result<void>& result) { done += result.has_value() ? 1 : 0; });
  run_for(1s);
  EXPECT_EQ(done, 3);
  EXPECT_THAT(suspensions->list(), SizeIs(3));
  end();
  begin();
  run_for(1s);
  EXPECT_THAT(suspensions->list(), SizeIs(3));
}

TEST_F(SuspensionTests, DeliverNothingWhereTheyCannotBeRead) {
  FakeHost& host = smart_host();
  start();
  spool->write([](storage::Writer& w) { return w.set_note("suspensions", "of a later release"); }, 64,
               [](const Result<void>&) {});
  drain();
  stop();
  begin();
  accept();
  run_for(1min);
  EXPECT_THAT(host.mails, IsEmpty());
  ASSERT_THAT(suspensions->list(), SizeIs(1));
  EXPECT_TRUE(resume(What::delivery, "*"));
  run_for(1min);
  EXPECT_THAT(host.mails, SizeIs(1));
}

}  // namespace
}  // namespace umbra::hub
