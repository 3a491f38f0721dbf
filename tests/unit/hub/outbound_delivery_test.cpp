// Delivery over connections: order, reuse, outcomes per recipient, and the step that cannot be undone. This
// file is long because so much can go wrong between EHLO and the last reply.
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OutboundDelivery : public OutboundTest {};

TEST_F(OutboundDelivery, DeliversAFreshMessageAndRemovesItFromTheSpool) {
  FakeHost& host = smart_host();
  start();
  RowId row = accept();
  ASSERT_TRUE(run_until([&] { return counts().messages == 0; }, 1s));
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_EQ(host.mails[0].sender, "<sender@example.org>");
  EXPECT_THAT(host.mails[0].recipients, ElementsAre("<rcpt@example.com>"));
  EXPECT_EQ(host.mails[0].body, "Subject: test\r\n\r\nhello\r\n");
  EXPECT_FALSE(stored(row));
  EXPECT_THAT(events("delivered"), SizeIs(1));
  EXPECT_THAT(events("delivered")[0], HasSubstr("queued as F0"));
  EXPECT_EQ(metrics.recipients_delivered_total, 1U);
}

TEST_F(OutboundDelivery, TellsTheGuardWhenDiscardStatusIsOwed) {
  smart_host();
  config.cluster.members = {{"hub1", {}}, {"hub2", {}}};
  start();
  MailOptions options;
  options.holders = {{"hub2", SpoolId{7}, storage::Holder::State::holds}};
  accept(options);
  run_for(1s);
  EXPECT_EQ(guard.outbox, 1);
  EXPECT_EQ(counts().outbox, 1U);
}

TEST_F(OutboundDelivery, SendsTheNextGroupWithTheContentOfTheLast) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 1;
  start();
  for (int i = 0; i < 5; ++i) accept();
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 5; }, 1s));
  EXPECT_EQ(host.connections, 1);
  int joined = 0;
  for (const auto& write : host.writes)
    if (write.starts_with("Subject:") && write.find("\r\n.\r\nMAIL FROM:") != std::string::npos) ++joined;
  EXPECT_GE(joined, 3);
}

TEST_F(OutboundDelivery, NeedsOneWritePerMessageOnABusyConnection) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 1;
  start();
  host.holds_final_replies = true;
  for (int i = 0; i < 50; ++i) accept();
  run_for(1ms);
  host.let_go();
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 50; }, 1s));
  EXPECT_LE(host.writes.size(), 50U + 4U);
}

TEST_F(OutboundDelivery, SendsAMessageInOneWriteToANextHopWithChunking) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING", "CHUNKING"};
  config.routes[0].connections_max = 1;
  start();
  for (int i = 0; i < 10; ++i) accept();
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 10; }, 1s));
  EXPECT_EQ(host.mails[9].body, "Subject: test\r\n\r\nhello\r\n");
  EXPECT_EQ(host.writes.size(), 11U);  // and EHLO
}

TEST_F(OutboundDelivery, KeepsAConnectionForLaterMailAndQuitsWhenIdle) {
  FakeHost& host = smart_host();
  start();
  for (int i = 0; i < 20; ++i) {
    accept();
    run_for(1s);
  }
  EXPECT_THAT(host.mails, SizeIs(20));
  EXPECT_EQ(host.connections, 1);
  EXPECT_EQ(host.open, 1);
  run_for(config.delivery.idle_timeout + 1s);
  EXPECT_EQ(host.open, 0);
  EXPECT_EQ(host.commands.back(), "QUIT");
  EXPECT_EQ(metrics.connections_out, 0);
}

TEST_F(OutboundDelivery, OpensNoMoreConnectionsThanTheRouteAllows) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 3;
  host.holds_final_replies = true;
  start();
  for (int i = 0; i < 40; ++i) accept();
  run_for(1s);
  EXPECT_EQ(host.open_max, 3);
  host.let_go();
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 40; }, 1s));
  EXPECT_EQ(host.open_max, 3);
}

TEST_F(OutboundDelivery, LeavesALittleMailToABusyConnectionButNotForLong) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  start();
  accept();
  run_for(1ms);
  accept();
  accept();
  run_for(10ms);
  EXPECT_EQ(host.open, 1);
  host.let_go();
  run_for(1ms);
  EXPECT_THAT(host.mails, SizeIs(3));
  EXPECT_EQ(host.connections, 1);
  // The same with a next hop that takes its time.
  host.holds_final_replies = true;
  accept();
  run_for(1ms);
  accept();
  run_for(200ms);
  EXPECT_EQ(host.mails.size(), 5U);
  EXPECT_EQ(host.open, 2);
}

TEST_F(OutboundDelivery, ChangesTheConnectionAfterItsNumberOfMessages) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 1;
  config.routes[0].messages_per_connection_max = 10;
  start();
  for (int i = 0; i < 35; ++i) accept();
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 35; }, 1s));
  EXPECT_EQ(host.connections, 4);
  std::map<int, int> per_connection;
  for (const auto& mail : host.mails) ++per_connection[mail.connection];
  for (auto [connection, count] : per_connection) EXPECT_LE(count, 10) << connection;
}

TEST_F(OutboundDelivery, SendsOnlyWhatRemainsAfterMixedResults) {
  FakeHost& host = smart_host();
  int attempts = 0;
  host.on_command = [&](const std::string& line) -> std::string {
    if (line.find("later@") != std::string::npos && ++attempts == 1) return "450 4.2.2 full\r\n";
    if (line.find("never@") != std::string::npos) return "550 5.1.1 unknown\r\n";
    return "";
  };
  start();
  MailOptions options;
  options.recipients = {"now@example.com", "later@example.com", "never@example.com"};
  RowId row = accept(options);
  run_for(1s);
  auto message = stored(row);
  ASSERT_TRUE(message);
  ASSERT_THAT(message->progress, SizeIs(3));
  EXPECT_EQ(message->progress[0].state, storage::RecipientOutcome::State::delivered);
  EXPECT_EQ(message->progress[1].state, storage::RecipientOutcome::State::pending);
  EXPECT_EQ(message->progress[2].state, storage::RecipientOutcome::State::failed);
  EXPECT_THAT(message->last_error, HasSubstr("450 4.2.2"));
  // The original, and the notification for the one that failed.
  ASSERT_THAT(host.mails, SizeIs(2));
  EXPECT_THAT(host.mails[0].recipients, ElementsAre("<now@example.com>"));
  EXPECT_EQ(host.mails[1].sender, "<>");
  EXPECT_THAT(host.mails[1].recipients, ElementsAre(HasSubstr("<sender@example.org>")));
  EXPECT_THAT(host.mails[1].body, HasSubstr("never@example.com"));
  EXPECT_THAT(host.mails[1].body, testing::Not(HasSubstr("later@example.com")));
  run_for(61s);
  ASSERT_THAT(host.mails, SizeIs(3));
  EXPECT_THAT(host.mails[2].recipients, ElementsAre("<later@example.com>"));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, NeverBouncesMailOfTheNullSender) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT") ? "550 5.1.1 unknown\r\n" : "";
  };
  start();
  MailOptions options;
  options.sender = "";
  accept(options);
  run_for(1s);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(metrics.notifications_total, 0U);
  ASSERT_THAT(events("bounced"), SizeIs(1));
  EXPECT_THAT(events("bounced")[0], HasSubstr("dropped"));
}

TEST_F(OutboundDelivery, ABounceThatBouncesEndsThere) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT") ? "550 5.1.1 unknown\r\n" : "";
  };
  start();
  accept();
  run_for(1s);
  EXPECT_EQ(metrics.notifications_total, 1U);
  EXPECT_THAT(events("bounced"), SizeIs(2));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, SendsNoReportToWhoAskedForNone) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING"};
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT TO:<rcpt") ? "550 5.1.1 unknown\r\n" : "";
  };
  start();
  for (auto notify : {notify_never, notify_success, notify_delay}) {
    MailOptions options;
    options.adjust = [notify](Envelope& e) { e.recipients[0].notify = notify; };
    accept(options);
  }
  run_for(1s);
  EXPECT_EQ(metrics.notifications_total, 0U);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, ReportsRelayingWhenTheNextHopSendsNoReports) {
  FakeHost& host = smart_host();
  MailOptions options;
  options.adjust = [](Envelope& e) { e.recipients[0].notify = notify_success | notify_failure; };
  start();
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].recipients[0], HasSubstr("NOTIFY=SUCCESS,FAILURE"));
  host.extensions = {"PIPELINING"};
  run_for(1min);
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(3));
  EXPECT_EQ(host.mails[2].sender, "<>");
  EXPECT_THAT(host.mails[2].body, HasSubstr("Action: relayed\r\n"));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, HandsANotificationOverToBeProtectedInACluster) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT TO:<rcpt") ? "550 5.1.1 unknown\r\n" : "";
  };
  config.cluster.members = {{"hub1", {}}, {"hub2", {}}};
  start();
  MailOptions options;
  options.holders = {{"hub2", SpoolId{7}, storage::Holder::State::holds}};
  accept(options);
  run_for(1s);
  EXPECT_THAT(guard.to_protect, SizeIs(1));
}

TEST_F(OutboundDelivery, CountsALostFinalReplyAsPossibleDuplicateAndTriesAgain) {
  FakeHost& host = smart_host();
  host.on_message = [&](const ReceivedMail&) { return host.mails.empty() ? "CLOSE" : ""; };
  start();
  accept();
  run_for(1s);
  EXPECT_EQ(metrics.possible_duplicates_total, 1U);
  EXPECT_THAT(events("possible_duplicate"), SizeIs(1));
  EXPECT_EQ(counts().messages, 1U);
  EXPECT_EQ(metrics.recipients_delivered_total, 0U);
  run_for(61s);
  EXPECT_THAT(host.mails, SizeIs(2));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, WaitsForTheFinalReplyNoLongerThanItsDeadline) {
  FakeHost& host = smart_host();
  host.on_message = [&](const ReceivedMail&) { return host.mails.empty() ? "SILENCE" : ""; };
  start();
  accept();
  run_for(config.delivery.data_reply_timeout - 1s);
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
  run_for(2s);
  EXPECT_EQ(metrics.possible_duplicates_total, 1U);
  run_for(2min);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, SaysWhileAFinalReplyIsAwaited) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  start();
  RowId row = accept();
  EXPECT_FALSE(outbound->awaits_final_reply(row));
  run_for(1s);
  EXPECT_TRUE(outbound->awaits_final_reply(row));
  writer.is_held = true;
  host.let_go();
  drain();
  EXPECT_TRUE(outbound->awaits_final_reply(row));  // answered, not durable yet
  writer.let_go();
  drain();
  EXPECT_FALSE(outbound->awaits_final_reply(row));
}

TEST_F(OutboundDelivery, GoesOnAfter421WithTheMessageThatWasNotAnswered) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 1;
  int answered = 0;
  host.on_message = [&](const ReceivedMail&) -> std::string {
    return ++answered % 3 == 0 ? "421 4.3.2 enough\r\n" : "";
  };
  start();
  for (int i = 0; i < 9; ++i) accept();
  run_for(1s);
  // Every third was deferred; none of the others lost its attempt.
  EXPECT_EQ(metrics.recipients_deferred_total, 3U);
  EXPECT_THAT(host.mails, SizeIs(6));
  run_for(30min);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_THAT(host.mails, SizeIs(9));
}

TEST_F(OutboundDelivery, TriesAtOnceAgainWhenAKeptConnectionWasClosedMeanwhile) {
  FakeHost& host = smart_host();
  int mails = 0;
  host.on_command = [&](const std::string& line) -> std::string {
    return line.starts_with("MAIL") && ++mails == 2 ? "CLOSE" : "";
  };
  start();
  accept();
  run_for(1s);
  accept();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(2));
  EXPECT_EQ(metrics.recipients_deferred_total, 0U);
  EXPECT_EQ(host.connections, 2);
}

TEST_F(OutboundDelivery, DefersWhenAFreshConnectionIsClosedBeforeAnyReply) {
  FakeHost& host = smart_host();
  host.on_command = [&](const std::string& line) -> std::string {
    return line.starts_with("MAIL") ? "CLOSE" : "";
  };
  start();
  accept();
  run_for(30s);
  EXPECT_EQ(metrics.recipients_deferred_total, 1U);
  EXPECT_EQ(host.connections, 1);
}

// ---- the guard

TEST_F(OutboundDelivery, SendsNoFinalDotWhenTheMessageIsNotOurs) {
  for (bool has_chunking : {false, true}) {
    FakeHost& host = smart_host();
    host = FakeHost{};
    if (has_chunking) host.extensions = {"PIPELINING", "CHUNKING"};
    guard.is_sure = false;
    guard.verdict = DeliveryGuard::Verdict::stop;
    start();
    RowId row = accept();
    run_for(1min);
    EXPECT_THAT(host.mails, IsEmpty());
    for (const auto& write : host.writes) EXPECT_EQ(write.find("\r\n.\r\n"), std::string::npos);
    for (const auto& command : host.commands) EXPECT_FALSE(command.starts_with("BDAT"));
    EXPECT_TRUE(stored(row)) << "the guard deals with the spool";
    EXPECT_EQ(metrics.recipients_deferred_total, 0U);
    stop();
    guard.is_sure = true;
    spool->write([row](storage::Writer& w) { return w.forget_message(row); }, 1, [](const Result<void>&) {});
    drain();
  }
}

TEST_F(OutboundDelivery, CountsADeliveryWhoseOwnershipCouldNotBeConfirmed) {
  FakeHost& host = smart_host();
  guard.is_sure = false;
  guard.verdict = DeliveryGuard::Verdict::go_possible_duplicate;
  start();
  accept();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(1));
  EXPECT_EQ(metrics.possible_duplicates_total, 1U);
  EXPECT_EQ(guard.asked, 1);
}

TEST_F(OutboundDelivery, AsksTheGuardForEveryMessage) {
  FakeHost& host = smart_host();
  start();
  for (int i = 0; i < 10; ++i) accept();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(10));
  EXPECT_EQ(guard.asked_now, 20) << "right before each final dot, and when its reply has come";
  EXPECT_EQ(guard.asked, 0);
}

TEST_F(OutboundDelivery, SendsNothingOfAForgottenMessage) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  config.routes[0].connections_max = 1;
  start();
  accept();
  RowId waiting = accept();
  RowId queued = accept();
  run_for(1s);
  for (auto row : {waiting, queued}) {  // done, as another hub says
    spool->write(
        [row](storage::Writer& w) {
          return w.finish_message(row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
        },
        1, [](const Result<void>&) {});
    outbound->forget(row);
  }
  host.let_go();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(1));
}

// ---- records

TEST_F(OutboundDelivery, KeepsABoundedNumberOfOutcomesUnrecorded) {
  FakeHost& host = smart_host();
  config.routes[0].connections_max = 2;
  start();
  std::size_t before = 0;
  // From here nothing is committed.
  host.holds_final_replies = true;
  for (int i = 0; i < 300; ++i) accept();
  writer.is_held = true;
  host.let_go();
  run_for(1min);
  EXPECT_LE(host.mails.size() - before, 2 * 64U + 4U);
  EXPECT_GE(host.mails.size() - before, 64U);
  writer.let_go();
  run_for(1min);
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_THAT(host.mails, SizeIs(300));
}

TEST_F(OutboundDelivery, WaitsOutAFullDiskAndDeliversNothingTwice) {
  FakeHost& host = smart_host();
  start();
  RowId row = accept();
  disk->set_capacity(0);
  run_for(5s);
  EXPECT_TRUE(stored(row));
  disk->set_capacity(UINT64_MAX);
  run_for(5s);
  EXPECT_FALSE(stored(row));
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(OutboundDelivery, StopsInTheMiddleOfEverything) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  start();
  for (int i = 0; i < 100; ++i) accept();
  run_for(1ms);
  stop();
  host.held.clear();
  host.holds_final_replies = false;
  std::size_t before = host.mails.size();
  EXPECT_EQ(counts().messages, 100U);
  start();
  run_for(90s);  // those whose end of data was out wait for their next attempt
  EXPECT_EQ(counts().messages, 0U);
  EXPECT_EQ(host.mails.size() - before, 100U);
}

// ---- what a next hop cannot take

TEST_F(OutboundDelivery, BouncesWhatTheNextHopCannotTake) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING", "SIZE 10"};
  start();
  MailOptions utf8;
  utf8.adjust = [](Envelope& e) { e.smtputf8 = true; };
  accept(utf8);
  run_for(1s);
  ASSERT_THAT(events("bounced"), testing::Not(IsEmpty()));
  EXPECT_THAT(events("bounced")[0], HasSubstr("5.6.7"));
  accept();
  run_for(1s);
  EXPECT_THAT(events("bounced").at(2), HasSubstr("5.3.4"));
}

TEST_F(OutboundDelivery, BouncesOrConvertsEightBitMailAsTheRouteSays) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING"};
  MailOptions options;
  options.body = "Subject: x\r\n\r\ncaf\xc3\xa9\r\n";
  options.adjust = [](Envelope& e) { e.body_8bit = true; };
  start();
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_EQ(host.mails[0].sender, "<>");
  EXPECT_THAT(host.mails[0].body, HasSubstr("Status: 5.6.3"));
  stop();
  route().eight_bit = RouteConfig::EightBit::convert;
  start();
  accept(options);
  options.with_body = false;
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(3));
  for (int i : {1, 2}) EXPECT_THAT(host.mails[static_cast<std::size_t>(i)].body, HasSubstr("caf=C3=A9"));
}

TEST_F(OutboundDelivery, SaysEightBitOnlyWhereItIsOffered) {
  FakeHost& host = smart_host();
  MailOptions options;
  options.body = "Subject: x\r\n\r\ncaf\xc3\xa9\r\n";
  options.adjust = [](Envelope& e) { e.body_8bit = true; };
  start();
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].sender, HasSubstr("BODY=8BITMIME"));
}

TEST_F(OutboundDelivery, ConvertsInTheMiddleOfABusyConnection) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING"};
  config.routes[0].connections_max = 1;
  config.routes[0].eight_bit = RouteConfig::EightBit::convert;
  start(false);
  host.holds_final_replies = true;
  for (int i = 0; i < 20; ++i) {
    MailOptions options;
    options.body = "Subject: " + std::to_string(i) + "\r\n\r\ncaf\xc3\xa9\r\n";
    options.adjust = [i](Envelope& e) { e.body_8bit = i % 2 == 1; };
    options.with_body = i % 4 == 1;
    accept(options);
  }
  run_for(1s);
  host.let_go();
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(20));
  std::set<std::string> bodies;
  for (const auto& mail : host.mails) bodies.insert(mail.body);
  EXPECT_EQ(bodies.size(), 20U);
  EXPECT_EQ(host.connections, 1);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, SendsTheRestAtOnceWhenTheNextHopTakesFewRecipientsAtATime) {
  FakeHost& host = smart_host();
  int taken = 0;
  host.on_command = [&](const std::string& line) -> std::string {
    if (line.starts_with("MAIL")) taken = 0;
    return line.starts_with("RCPT") && ++taken > 10 ? "452 4.5.3 too many recipients\r\n" : "";
  };
  start();
  MailOptions options;
  options.recipients.clear();
  for (int i = 0; i < 45; ++i) options.recipients.push_back("r" + std::to_string(i) + "@example.com");
  accept(options);
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(5));
  EXPECT_THAT(host.mails[4].recipients, SizeIs(5));
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundDelivery, SpeaksHeloToAnOldNextHop) {
  FakeHost& host = smart_host();
  host.knows_ehlo = false;
  start();
  for (int i = 0; i < 3; ++i) accept();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(3));
}

// ---- bodies from the spool

TEST_F(OutboundDelivery, StreamsALargeBodyFromTheSpool) {
  FakeHost& host = smart_host();
  start();
  MailOptions options;
  options.body = "Subject: big\r\n\r\n";
  for (int i = 0; i < 100'000; ++i) options.body += ".line " + std::to_string(i) + " of a long message\r\n";
  options.with_body = false;
  accept(options);
  ASSERT_TRUE(run_until([&] { return !host.mails.empty(); }, 1s));
  EXPECT_TRUE(host.mails[0].body == options.body);
  for (const auto& write : host.writes) EXPECT_LE(write.size(), 256U << 10);
}

TEST_F(OutboundDelivery, NeverEndsABodyThatIsNotWhole) {
  FakeHost& host = smart_host();
  start(false);
  for (std::size_t missing : {std::size_t{1}, std::size_t{200'000}}) {
    MailOptions options;
    options.body = std::string(300'000 - missing, 'x') + "\r\n";
    options.with_body = false;
    options.hand_over = false;
    options.adjust = [](Envelope&) {};
    RowId row = accept(options);
    // Handed over with a larger size than the spool has octets.
    auto message = stored(row);
    ReadyMessage ready{*message, nullptr};
    ready.message.size += missing;
    outbound->deliver(ready);
  }
  run_for(1s);
  EXPECT_THAT(host.mails, IsEmpty());
  EXPECT_EQ(metrics.recipients_deferred_total, 2U);
}

}  // namespace
}  // namespace umbra::hub
