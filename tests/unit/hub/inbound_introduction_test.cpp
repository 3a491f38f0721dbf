// Connections that are somebody else's: by the PROXY protocol and by XCLIENT, from those who are listed and
// nobody else.
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

class Introductions : public Inbound {
 protected:
  Introductions() {
    config.networks.clear();
    auto& inner = others.emplace_back(config);
    inner.name = "inner";
    inner.host_name = "inner.example";
    inner.clients = inner.networks = {*AddressRange::parse("192.0.2.0/24")};
  }
  static constexpr const char* proxy = "198.51.100.9";
  void trust_proxy() { config.proxy_protocol = {*AddressRange::parse(proxy)}; }
  void trust_xclient() { config.xclient = {*AddressRange::parse(proxy)}; }
  std::string relays(const std::shared_ptr<testing::MemoryPeer>& peer) {
    return say(peer, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n").contains("250 2.1.5")
               ? "yes"
               : "no";
  }
};

TEST_F(Introductions, AProxySaysWhoseConnectionItIs) {
  trust_proxy();
  start();
  auto peer = connect(proxy);
  EXPECT_EQ(peer->received(), "") << "nothing before the header";
  EXPECT_EQ(say(peer, "PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\n"), "220 inner.example ESMTP Umbra\r\n");
  EXPECT_EQ(relays(peer), "yes");
  say(peer, "DATA\r\nx\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_TRUE(intake.kept[0].body.contains("([192.0.2.7])")) << intake.kept[0].body;
  EXPECT_EQ(intake.kept[0].envelope.client_address, "192.0.2.7");
  auto stranger = connect(proxy);
  EXPECT_EQ(say(stranger, "PROXY TCP6 2001:db8::1 ::1 40000 25\r\n"), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_EQ(relays(stranger), "no");
}

TEST_F(Introductions, WhatStandsBehindTheHeaderIsTheClients) {
  trust_proxy();
  start();
  auto peer = connect(proxy);
  EXPECT_TRUE(say(peer, "PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\nEHLO c\r\nQUIT\r\n")
                  .ends_with("221 2.0.0 inner.example closes the connection\r\n"));
  auto slow = connect(proxy);
  for (char octet : std::string("PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r"))
    EXPECT_EQ(say(slow, std::string(1, octet)), "");
  EXPECT_EQ(say(slow, "\n"), "220 inner.example ESMTP Umbra\r\n");
}

TEST_F(Introductions, AHealthCheckIsTheProxysOwn) {
  trust_proxy();
  start();
  auto peer = connect(proxy);
  EXPECT_EQ(say(peer, std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16)), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_EQ(relays(peer), "no");
}

TEST_F(Introductions, NobodyElseIsBelieved) {
  trust_proxy();
  start();
  auto peer = connect("198.51.100.10");
  EXPECT_EQ(peer->received(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_TRUE(say(peer, "PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\n").starts_with("500 5.5.2"));
  EXPECT_EQ(relays(peer), "no");
  EXPECT_TRUE(say(peer, "XCLIENT ADDR=192.0.2.7\r\n").starts_with("502 5.5.1"));
}

TEST_F(Introductions, AProxyThatSaysNothingGoodIsClosed) {
  trust_proxy();
  start();
  auto chatty = connect(proxy);
  EXPECT_EQ(say(chatty, "EHLO c\r\n"), "");
  EXPECT_TRUE(chatty->is_closed);
  auto silent = connect(proxy);
  auto half = connect(proxy);
  say(half, "PROXY TCP4 ");
  auto gone = connect(proxy);
  gone->leave();
  time.pass(io, 4s);
  EXPECT_FALSE(silent->is_closed);
  time.pass(io, 2s);
  EXPECT_TRUE(silent->is_closed);
  EXPECT_TRUE(half->is_closed);
  EXPECT_EQ(metrics.proxy_headers_refused_total, 4U);
  EXPECT_EQ(metrics.connections, 0);
}

TEST_F(Introductions, LimitsAreAboutTheClientAndNotTheProxy) {
  trust_proxy();
  others[0].limits.connections_per_source_max = 1;
  start();
  auto one = connect(proxy);
  EXPECT_TRUE(say(one, "PROXY TCP4 192.0.2.7 203.0.113.1 1 25\r\n").starts_with("220"));
  auto two = connect(proxy);
  EXPECT_TRUE(
      say(two, "PROXY TCP4 192.0.2.7 203.0.113.1 2 25\r\n").starts_with("421 4.7.0 too many connections"));
  auto other = connect(proxy);
  EXPECT_TRUE(say(other, "PROXY TCP4 192.0.2.8 203.0.113.1 2 25\r\n").starts_with("220"));
}

TEST_F(Introductions, StopsWhileAProxyIsSilent) {
  trust_proxy();
  start();
  auto silent = connect(proxy);
  stop();
  EXPECT_TRUE(silent->is_closed);
}

TEST_F(Introductions, XClientBeginsAnewAsAnotherClient) {
  trust_xclient();
  start();
  auto peer = connect(proxy);
  peer->received();
  EXPECT_TRUE(say(peer, "EHLO proxy.example\r\n")
                  .contains("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"));
  EXPECT_EQ(relays(peer), "no");
  EXPECT_TRUE(say(peer, "XCLIENT ADDR=192.0.2.7\r\n").starts_with("503 5.5.1")) << "in a transaction";
  say(peer, "RSET\r\n");
  EXPECT_TRUE(say(peer, "XCLIENT ADDR=nowhere\r\n").starts_with("501 5.5.4"));
  EXPECT_EQ(say(peer, "XCLIENT ADDR=192.0.2.7 HELO=app.example PROTO=SMTP NAME=[UNAVAILABLE]\r\n"),
            "220 inner.example ESMTP Umbra\r\n");
  EXPECT_TRUE(say(peer, "MAIL FROM:<a@c.example>\r\n").starts_with("503 5.5.1")) << "EHLO is forgotten";
  EXPECT_EQ(relays(peer), "yes");
  say(peer, "DATA\r\nx\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_TRUE(intake.kept[0].body.starts_with(
      "Received: from app.example ([192.0.2.7])\r\n\tby inner.example with SMTP "))
      << intake.kept[0].body;
  EXPECT_EQ(intake.kept[0].envelope.client_helo, "app.example");
  EXPECT_EQ(metrics.connections, 1);
  EXPECT_EQ(metrics.connections_total, 1U);
}

TEST_F(Introductions, WhoMaySayXClientMaySayItAgain) {
  trust_xclient();
  start();
  auto peer = connect(proxy);
  std::string said =
      say(peer, "XCLIENT ADDR=192.0.2.7\r\nEHLO a\r\nXCLIENT ADDR=203.0.113.5\r\nEHLO b\r\nQUIT\r\n");
  EXPECT_TRUE(said.starts_with(
      "220 hub.example ESMTP Umbra\r\n220 inner.example ESMTP Umbra\r\n250-inner.example greets a\r\n"))
      << said;
  EXPECT_TRUE(said.contains("220 hub.example ESMTP Umbra\r\n250-hub.example greets b\r\n")) << said;
  EXPECT_TRUE(said.ends_with("221 2.0.0 hub.example closes the connection\r\n"));
  auto many = connect(proxy);
  for (int i = 0; i < 2000; ++i)
    ASSERT_TRUE(say(many, "XCLIENT ADDR=192.0.2." + std::to_string(i % 200 + 1) + "\r\n")
                    .ends_with("220 inner.example ESMTP Umbra\r\n"));
  EXPECT_EQ(metrics.connections, 1);
}

TEST_F(Introductions, AClientThatIsSpokenForCannotSpeakForOthers) {
  trust_xclient();
  start();
  auto peer = connect("192.0.2.50");
  EXPECT_TRUE(say(peer, "EHLO c\r\nXCLIENT ADDR=203.0.113.5\r\n").contains("502 5.5.1"));
}

TEST_F(Introductions, OneThatHasLoggedOnMayRelay) {
  trust_xclient();
  start();
  auto peer = connect(proxy);
  say(peer, "XCLIENT ADDR=203.0.113.5 LOGIN=somebody\r\n");
  EXPECT_EQ(relays(peer), "yes");
  say(peer, "RSET\r\n");
  auto other = connect(proxy);
  say(other, "XCLIENT ADDR=203.0.113.5 LOGIN=[UNAVAILABLE]\r\n");
  EXPECT_EQ(relays(other), "no");
}

TEST_F(Introductions, XClientLeadsToNobodyWhereNobodyServes) {
  trust_xclient();
  config.clients = {*AddressRange::parse("198.51.100.0/24")};
  start();
  auto peer = connect(proxy);
  peer->received();
  EXPECT_EQ(say(peer, "XCLIENT ADDR=203.0.113.5\r\n"),
            "554 5.7.1 hub.example has no service for 203.0.113.5\r\n");
  EXPECT_EQ(say(peer, "QUIT\r\n"), "221 2.0.0 closing\r\n");
}

TEST_F(Introductions, NothingThatWasReadIsLostBetweenClients) {
  trust_xclient();
  config.networks = {*AddressRange::parse(proxy)};
  start();
  auto peer = connect(proxy);
  say(peer, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nBDAT 3 LAST\r\n");
  // More than a session reads at once while it waits for commands, and another XCLIENT in the first part of
  // it.
  std::string behind = "x\r\nXCLIENT ADDR=192.0.2.7\r\nXCLIENT ADDR=192.0.2.8\r\n";
  for (int i = 0; i < 800; ++i) behind += "NOOP\r\n";
  auto said = say(peer, behind + "QUIT\r\n");
  std::size_t answers = 0;
  for (auto at = said.find("250 2.0.0 ok\r\n"); at != std::string::npos;
       at = said.find("250 2.0.0 ok\r\n", at + 1))
    ++answers;
  EXPECT_EQ(answers, 800U);
  EXPECT_TRUE(said.starts_with(
      "250 2.0.0 queued\r\n220 inner.example ESMTP Umbra\r\n220 inner.example ESMTP Umbra\r\n"))
      << said.substr(0, 200);
  EXPECT_TRUE(said.ends_with("221 2.0.0 inner.example closes the connection\r\n"));
}

TEST_F(Introductions, AReloadTakesTrustAwayFromThoseThatComeFromThenOn) {
  trust_proxy();
  start();
  auto early = connect(proxy);
  EXPECT_TRUE(say(early, "PROXY TCP4 192.0.2.7 203.0.113.1 1 25\r\n").starts_with("220 inner.example"));
  config.proxy_protocol.clear();
  reload();
  auto late = connect(proxy);
  EXPECT_EQ(late->received(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_TRUE(say(late, "PROXY TCP4 192.0.2.7 203.0.113.1 1 25\r\n").starts_with("500 5.5.2"));
  EXPECT_EQ(relays(early), "yes");
}

}  // namespace
}  // namespace umbra::hub
