#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

constexpr std::string_view envelope =
    "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n";

TEST_F(Inbound, TakesAMessageWithItsTraceHeaderFirst) {
  start();
  auto peer = connect();
  EXPECT_EQ(peer->received(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_TRUE(say(peer, envelope).ends_with("250 HELP\r\n250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n"));
  EXPECT_EQ(say(peer, "DATA\r\n"), "354 end data with <CR><LF>.<CR><LF>\r\n");
  EXPECT_EQ(say(peer, "Subject: x\r\n\r\n..\r\n.\r\n"), "250 2.0.0 queued\r\n");
  EXPECT_EQ(say(peer, "QUIT\r\n"), "221 2.0.0 hub.example closes the connection\r\n");
  EXPECT_TRUE(peer->is_closed);

  ASSERT_EQ(intake.kept.size(), 1U);
  const auto& kept = intake.kept[0];
  EXPECT_EQ(kept.body,
            "Received: from c.example ([192.0.2.7])\r\n"
            "\tby hub.example with ESMTP id 9f86d081884c7d65-10000000002\r\n"
            "\tfor <b@d.example>;\r\n"
            "\tTue, 02 Jan 2024 03:04:05 +0000\r\n"
            "Subject: x\r\n\r\n.\r\n");
  EXPECT_EQ(kept.envelope.sender, "a@c.example");
  EXPECT_EQ(kept.envelope.client_address, "192.0.2.7");
  EXPECT_EQ(kept.envelope.client_helo, "c.example");
  EXPECT_EQ(intake.policy, ShadowPolicy::require);
  EXPECT_EQ(metrics.connections_total, 1U);
  EXPECT_EQ(metrics.connections, 0);
}

TEST_F(Inbound, DoesNotTellOneRecipientOfTheOthers) {
  start();
  auto peer = connect();
  say(peer, envelope);
  say(peer, "RCPT TO:<c@d.example>\r\nDATA\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_FALSE(intake.kept[0].body.contains("for <"));
}

TEST_F(Inbound, AnswersAPipelinedBatchWithOneWrite) {
  start();
  auto peer = connect();
  const auto before = peer->writes;
  say(peer, std::string(envelope) + "DATA\r\n");
  EXPECT_EQ(peer->writes, before + 1);
  say(peer, "x\r\n.\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\n");
  EXPECT_EQ(peer->writes, before + 2);
}

TEST_F(Inbound, DoesNotAnswerTheFinalDotBeforeTheMessageIsSafe) {
  intake.waits = true;
  start();
  auto peer = in_data();
  EXPECT_EQ(say(peer, "x\r\n.\r\nNOOP\r\n"), "");
  time.pass(io, 20min);
  EXPECT_EQ(peer->received(), "");
  intake.finish_allowed.set();
  EXPECT_EQ(say(peer, ""), "250 2.0.0 queued\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(metrics.accept_seconds.counts.back(), 1U);  // over 60 s
}

TEST_F(Inbound, RefusesRecipientsOfClientsThatMayNotRelay) {
  start();
  auto peer = connect("203.0.113.9");
  EXPECT_TRUE(say(peer, envelope).ends_with("550 5.7.1 relaying denied for 203.0.113.9\r\n"));
  EXPECT_EQ(say(peer, "DATA\r\n"), "554 5.5.1 no valid recipients\r\n");
  EXPECT_EQ(metrics.messages_rejected_total, 1U);
  ASSERT_EQ(log.lines().size(), 1U);
  EXPECT_TRUE(log.lines()[0].contains("203.0.113.9")) << log.lines()[0];
  EXPECT_TRUE(say(connect("2001:db8::9"), envelope).ends_with("250 2.1.5 recipient ok\r\n"));
}

TEST_F(Inbound, LetsNobodyRelayWhenNoNetworkIsNamed) {
  config.networks.clear();
  start();
  EXPECT_TRUE(say(connect("127.0.0.1"), envelope).ends_with("550 5.7.1 relaying denied for 127.0.0.1\r\n"));
}

TEST_F(Inbound, ClosesOnAClientThatKeepsTryingToRelay) {
  config.limits.errors_max = 2;
  start();
  auto peer = connect("203.0.113.9");
  say(peer, envelope);
  EXPECT_EQ(
      say(peer, "RCPT TO:<b@d.example>\r\nRCPT TO:<b@d.example>\r\nRCPT TO:<b@d.example>\r\n"),
      "550 5.7.1 relaying denied for 203.0.113.9\r\n421 4.7.0 too many refused recipients, closing\r\n");
  EXPECT_TRUE(peer->is_closed);
}

TEST_F(Inbound, SaysWhatTheIntakeSaysAtMail) {
  intake.refusal = smtp::Reply{452, "4.3.1", "spool is full"};
  start();
  EXPECT_TRUE(say(connect(), "EHLO c\r\nMAIL FROM:<a@c.example> SIZE=77\r\n")
                  .ends_with("\r\n452 4.3.1 spool is full\r\n"));
  EXPECT_EQ(intake.announced, 77U);
  EXPECT_EQ(metrics.messages_deferred_total, 1U);
}

TEST_F(Inbound, KeepsNothingOfAMessageWhoseClientLeft) {
  start();
  auto peer = in_data();
  say(peer, "half a message\r\n");
  peer->leave();
  time.settle(io);
  EXPECT_EQ(intake.abandoned, 1);
  EXPECT_TRUE(intake.kept.empty());
  EXPECT_EQ(metrics.connections, 0);
}

TEST_F(Inbound, KeepsAMessageWhoseClientLeftAfterTheFinalDot) {
  intake.waits = true;
  start();
  auto peer = in_data();
  say(peer, "x\r\n.\r\n");
  peer->leave();
  time.settle(io);
  intake.finish_allowed.set();
  time.settle(io);
  EXPECT_EQ(intake.kept.size(), 1U);
  EXPECT_EQ(intake.abandoned, 0);
}

TEST_F(Inbound, RefusesABadBodyAfterItsEndAndGoesOn) {
  start();
  auto peer = in_data();
  EXPECT_EQ(say(peer, "bare\nline feed\r\n"), "");
  EXPECT_EQ(say(peer, ".\r\nNOOP\r\n"), "554 5.6.0 bare CR or LF: lines end with CRLF\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(intake.abandoned, 1);
  EXPECT_EQ(metrics.messages_rejected_total, 1U);
  ASSERT_EQ(log.lines().size(), 1U);
  EXPECT_TRUE(log.lines()[0].contains("9f86d081884c7d65-10000000002") && log.lines()[0].contains("rejected"))
      << log.lines()[0];
}

TEST_F(Inbound, AbandonsAMessageGivenUpBetweenChunks) {
  start();
  auto peer = connect();
  say(peer, envelope);
  EXPECT_EQ(say(peer, "BDAT 4\r\ntextRSET\r\n"), "250 2.0.0 4 octets taken\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(intake.abandoned, 1);
  say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nBDAT 4\r\ntext");
  peer->leave();
  time.settle(io);
  EXPECT_EQ(intake.abandoned, 2);
}

TEST_F(Inbound, ClosesWithoutAWordWhenTheFateIsNotKnown) {
  intake.answer = {};
  start();
  auto peer = in_data();
  EXPECT_EQ(say(peer, "x\r\n.\r\nNOOP\r\n"), "");
  EXPECT_TRUE(peer->is_closed);
  EXPECT_EQ(intake.abandoned, 0);
}

TEST_F(Inbound, Notes8bitTextThatWasNotDeclared) {
  start();
  auto peer = in_data();
  say(peer, "\xc3\xbc\r\n.\r\nMAIL FROM:<a@c.example> BODY=8BITMIME\r\nRCPT TO:<b@d.example>\r\nDATA\r\n");
  say(peer, "\xc3\xbc\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 2U);
  EXPECT_TRUE(intake.kept[0].is_noted_8bit);
  EXPECT_FALSE(intake.kept[0].envelope.body_8bit);
  EXPECT_FALSE(intake.kept[1].is_noted_8bit);
  EXPECT_TRUE(intake.kept[1].envelope.body_8bit);
}

TEST_F(Inbound, CountsProtocolErrors) {
  start();
  say(connect(), "WHAT\r\nMAIL\r\n");
  EXPECT_EQ(metrics.protocol_errors_total, 2U);
}

TEST_F(Inbound, TakesALongMessageThroughBuffersThatGrow) {
  config.limits.message_octets_max = 10'000'000;
  start();
  auto peer = in_data();
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += std::to_string(i) + std::string(90, 'x') + "\r\n.." + std::to_string(i) + "\r\n";
  EXPECT_EQ(say(peer, text + ".\r\n"), "250 2.0.0 queued\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  std::string expected;
  for (int i = 0; i < 20'000; ++i)
    expected += std::to_string(i) + std::string(90, 'x') + "\r\n." + std::to_string(i) + "\r\n";
  EXPECT_TRUE(intake.kept[0].body.ends_with(expected));
}

TEST_F(Inbound, KeepsBackARefusalAndNotTheHubThatCloses) {
  config.tarpit = 5s;
  start();
  auto peer = connect("203.0.113.9");
  EXPECT_TRUE(say(peer, "EHLO c.example\r\n").contains("250 HELP"));
  EXPECT_EQ(say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n"), "")
      << "the replies before it go with it";
  time.pass(io, 4s);
  EXPECT_EQ(peer->received(), "");
  time.pass(io, 1s);
  EXPECT_EQ(peer->received(), "250 2.1.0 sender ok\r\n550 5.7.1 relaying denied for 203.0.113.9\r\n");
  EXPECT_EQ(say(peer, "RCPT TO:<b@d.example>\r\n"), "");
  listener->close();
  time.settle(io);
  EXPECT_TRUE(peer->received().ends_with("421 4.3.2 this hub is closing, try another\r\n"));
}

TEST_F(Inbound, SaysTimeoutToASilentClient) {
  start();
  auto peer = connect();
  peer->received();
  time.pass(io, 5min - 1s);
  EXPECT_EQ(peer->received(), "");
  time.pass(io, 2s);
  EXPECT_EQ(peer->received(), "421 4.4.2 timeout, closing\r\n");
  EXPECT_TRUE(peer->is_closed);
  EXPECT_EQ(metrics.connections, 0);
}

TEST_F(Inbound, GivesEachCommandItsTimeWholeLinesOnly) {
  start();
  auto peer = connect();
  for (int i = 0; i < 3; ++i) {
    time.pass(io, 4min);
    EXPECT_NE(say(peer, "NOOP\r\n"), "");
  }
  for (const char* octet : {"N", "O"}) {
    time.pass(io, 2min);
    EXPECT_EQ(say(peer, octet), "");
  }
  time.pass(io, 2min);
  EXPECT_EQ(peer->received(), "421 4.4.2 timeout, closing\r\n");
}

TEST_F(Inbound, SaysTimeoutInTheMiddleOfAMessage) {
  start();
  auto peer = in_data();
  say(peer, "half");
  time.pass(io, 3min + 1s);
  EXPECT_EQ(peer->received(), "421 4.4.2 timeout, closing\r\n");
  EXPECT_EQ(intake.abandoned, 1);
  EXPECT_TRUE(peer->is_closed);
}

TEST_F(Inbound, CutsOffAClientThatDrips) {
  start();
  auto peer = in_data();
  int minutes = 0;
  while (!peer->is_closed && minutes < 100) {
    say(peer, "x");
    time.pass(io, 1min);
    ++minutes;
  }
  EXPECT_GE(minutes, 55);
  EXPECT_LE(minutes, 62);
  EXPECT_EQ(intake.abandoned, 1);
}

TEST_F(Inbound, ClosesOnAClientThatDoesNotReadItsReplies) {
  start();
  auto peer = connect();
  peer->capacity = 10;
  say(peer, "NOOP\r\n");
  peer->capacity = 0;
  peer->send("NOOP\r\n");
  time.pass(io, 5min + 1s);
  EXPECT_TRUE(peer->is_closed);
  EXPECT_EQ(metrics.connections, 0);
}

}  // namespace
}  // namespace umbra::hub
