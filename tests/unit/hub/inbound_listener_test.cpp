#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

constexpr std::string_view closing = "421 4.3.2 this hub is closing, try another\r\n";

TEST_F(Inbound, TurnsAwayMoreClientsThanItsLimit) {
  config.limits.connections_max = 2;
  start();
  auto first = connect();
  auto second = connect();
  auto third = connect();
  EXPECT_EQ(third->received(), "421 4.3.2 hub.example has too many connections, try again later\r\n");
  EXPECT_TRUE(third->is_closed);
  say(first, "QUIT\r\n");
  EXPECT_EQ(connect()->received(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_EQ(metrics.connections_total, 4U);
  EXPECT_EQ(metrics.connections, 2);
}

TEST_F(Inbound, GoesOnAcceptingAfterFailures) {
  start();
  network.fail_accepts(5);
  auto peer = connect();
  EXPECT_EQ(peer->received(), "");
  time.pass(io, 1s);
  EXPECT_EQ(peer->received(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_EQ(log.lines().size(), 1U) << "logged once, not for every attempt";
}

TEST_F(Inbound, ClosesIdleClientsGently) {
  start();
  auto idle = connect();
  auto in_transaction = connect();
  say(in_transaction, "EHLO c\r\nMAIL FROM:<a@c.example>\r\n");
  idle->received();
  listener->close();
  EXPECT_FALSE(network.is_listening());
  time.settle(io);
  EXPECT_EQ(idle->received(), closing);
  EXPECT_TRUE(idle->is_closed);
  EXPECT_EQ(in_transaction->received(), closing);
  EXPECT_TRUE(in_transaction->is_closed);
  EXPECT_EQ(listener->sessions(), 0U);
}

TEST_F(Inbound, AnswersAMessageWhoseEndWasReceivedBeforeItCloses) {
  intake.waits = true;
  start();
  auto peer = in_data();
  say(peer, "x\r\n.\r\n");
  listener->close();
  time.pass(io, 1min);
  EXPECT_EQ(peer->received(), "");
  EXPECT_FALSE(peer->is_closed);
  intake.finish_allowed.set();
  time.settle(io);
  EXPECT_EQ(peer->received(), "250 2.0.0 queued\r\n" + std::string(closing));
  EXPECT_TRUE(peer->is_closed);
  EXPECT_EQ(intake.kept.size(), 1U);
}

TEST_F(Inbound, LetsAMessageThatIsStillComingEndIfItIsQuick) {
  start();
  auto quick = in_data();
  auto slow = in_data();
  auto chunked = connect();
  say(chunked, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nBDAT 4\r\ntext");
  listener->close();
  time.pass(io, 5s);
  EXPECT_EQ(chunked->received(), closing);
  EXPECT_EQ(say(quick, "x\r\n.\r\n"), "250 2.0.0 queued\r\n" + std::string(closing));
  EXPECT_EQ(say(slow, "x\r\n"), "");
  time.pass(io, 6s);
  EXPECT_EQ(slow->received(), closing);
  EXPECT_TRUE(slow->is_closed);
  EXPECT_EQ(intake.kept.size(), 1U);
  EXPECT_EQ(intake.abandoned, 2);
}

TEST_F(Inbound, StopsThoughAClientDoesNotTakeItsLastWord) {
  start();
  auto peer = connect();
  peer->capacity = 0;
  listener->close();
  peer->send("NOOP\r\nNOOP\r\n");
  time.pass(io, 6s);
  EXPECT_TRUE(peer->is_closed);
  EXPECT_EQ(listener->sessions(), 0U);
}

TEST_F(Inbound, KeepsIdleConnectionsSmall) {
  // 10,000 of them have 150 MB: 15 KB each, of which coroutine frames and the socket take about half.
  EXPECT_LE(sizeof(ClientSession), 4096U);
}

TEST_F(Inbound, ASessionEndsWithWhatItBeganWith) {
  start();
  auto early = connect();
  say(early, "EHLO c\r\n");
  config.limits.recipients_max = 1;
  config.networks.clear();
  config.limits.connections_max = 1;
  host_name = "renamed.example";
  reload();
  EXPECT_EQ(say(early, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nRCPT TO:<c@d.example>\r\n"),
            "250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n250 2.1.5 recipient ok\r\n")
      << "as it was";
  EXPECT_EQ(connect()->received(), "421 4.3.2 renamed.example has too many connections, try again later\r\n");
  say(early, "QUIT\r\n");
  auto late = connect();
  EXPECT_EQ(late->received(), "220 renamed.example ESMTP Umbra\r\n");
  say(late, "EHLO c\r\n");
  EXPECT_TRUE(say(late, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n").contains("550 5.7.1"));
}

TEST_F(Inbound, FewerConnectionsDropNobody) {
  start();
  auto one = connect();
  auto two = connect();
  config.limits.connections_max = 1;
  reload();
  one->received();
  two->received();
  EXPECT_EQ(say(one, "NOOP\r\n").substr(0, 4), "250 ");
  EXPECT_EQ(say(two, "NOOP\r\n").substr(0, 4), "250 ");
  EXPECT_EQ(listener->sessions(), 2U);
}

}  // namespace
}  // namespace umbra::hub
