// Listeners that share an address: who serves whom, how much one source may have, and what becomes of it at a
// reload.
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

class Entrances : public Inbound {
 protected:
  /// One more listener at the address of the first; `clients` in CIDR form, empty: all others.
  ListenerConfig& add(std::string name, const std::vector<std::string>& clients) {
    auto& other = others.emplace_back(config);
    other.name = std::move(name);
    other.host_name = other.name + ".example";
    other.clients.clear();
    for (const auto& text : clients) other.clients.push_back(*AddressRange::parse(text));
    return other;
  }
  /// The host name that a client from there is greeted by.
  std::string greeted(const std::string& from) {
    auto peer = connect(from);
    auto text = peer->received();
    peer->leave();
    time.settle(io);
    if (!text.starts_with("220 ")) return text;
    return text.substr(4, text.find(' ', 4) - 4);
  }
};

TEST_F(Entrances, TheLongestNetworkWinsWhateverTheOrder) {
  add("wide", {"192.0.0.0/8"});
  add("one", {"192.0.2.7", "2001:db8::7"});
  add("middle", {"192.0.2.0/24", "2001:db8::/32"});
  start();
  EXPECT_EQ(greeted("192.0.2.7"), "one.example");
  EXPECT_EQ(greeted("192.0.2.8"), "middle.example");
  EXPECT_EQ(greeted("192.0.3.8"), "wide.example");
  EXPECT_EQ(greeted("198.51.100.1"), "hub.example");
  EXPECT_EQ(greeted("2001:db8::7"), "one.example");
  EXPECT_EQ(greeted("2001:db8::8"), "middle.example");
  EXPECT_EQ(greeted("2001:db9::8"), "hub.example");
}

TEST_F(Entrances, EachHasItsOwnRightsAndLimits) {
  auto& applications = add("applications", {"192.0.2.0/28"});
  applications.limits.recipients_max = 1;
  config.networks.clear();
  start();
  auto stranger = connect("192.0.2.200");
  EXPECT_TRUE(
      say(stranger, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n").contains("550 5.7.1"));
  auto application = connect("192.0.2.1");
  EXPECT_TRUE(say(application,
                  "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nRCPT TO:<c@d.example>\r\n")
                  .ends_with("250 2.1.5 recipient ok\r\n452 4.5.3 too many recipients\r\n"));
}

TEST_F(Entrances, AClientOfNoListenerIsRefusedAndMayQuit) {
  config.clients = {*AddressRange::parse("192.0.2.0/24")};
  start();
  auto peer = connect("198.51.100.1");
  EXPECT_EQ(peer->received(), "554 5.7.1 hub.example has no service for 198.51.100.1\r\n");
  EXPECT_FALSE(peer->is_closed);
  EXPECT_TRUE(say(peer, "EHLO c\r\nMA").starts_with("503 5.5.1 "));
  EXPECT_TRUE(say(peer, "IL FROM:<>\r\n").starts_with("503 5.5.1 "));
  EXPECT_EQ(say(peer, "quit\r\n"), "221 2.0.0 closing\r\n");
  EXPECT_TRUE(peer->is_closed);
  auto silent = connect("198.51.100.1");
  auto chatter = connect("198.51.100.1");
  for (int i = 0; i < 30; ++i) say(chatter, "NOOP\r\n");
  EXPECT_TRUE(chatter->is_closed);
  time.pass(io, 6s);
  EXPECT_TRUE(silent->is_closed);
  EXPECT_EQ(metrics.connections_not_served_total, 3U);
  EXPECT_EQ(metrics.connections_total, 3U);
}

TEST_F(Entrances, AReloadMovesClientsThatComeFromThenOn) {
  start();
  auto early = connect("192.0.2.7");
  say(early, "EHLO c\r\n");
  add("applications", {"192.0.2.7"});
  reload();
  EXPECT_EQ(greeted("192.0.2.7"), "applications.example");
  EXPECT_EQ(greeted("192.0.2.8"), "hub.example");
  EXPECT_EQ(say(early, "NOOP\r\n"), "250 2.0.0 ok\r\n") << "what has begun ends as it began";
  auto application = connect("192.0.2.7");
  say(application, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\n");
  others.clear();
  reload();
  EXPECT_EQ(greeted("192.0.2.7"), "hub.example");
  EXPECT_TRUE(network.is_listening());
  EXPECT_EQ(say(application, "x\r\n.\r\n"),
            "250 2.0.0 queued\r\n421 4.3.2 this listener is closing, try another\r\n");
  EXPECT_TRUE(application->is_closed);
  EXPECT_EQ(say(early, "NOOP\r\n"), "250 2.0.0 ok\r\n");
  EXPECT_EQ(intake.kept.size(), 1U);
}

TEST_F(Entrances, AListenerThatIsRenamedGoesOn) {
  add("applications", {"192.0.2.7"});
  start();
  auto peer = connect("192.0.2.7");
  others[0].name = "services";
  others[0].host_name = "services.example";
  reload();
  EXPECT_EQ(greeted("192.0.2.7"), "services.example");
  EXPECT_TRUE(say(peer, "NOOP\r\n").ends_with("250 2.0.0 ok\r\n"));
}

TEST_F(Entrances, OneSourceLeavesRoomForOthers) {
  config.limits.connections_max = 420;
  config.limits.connections_per_source_percent = 10;
  start();
  std::vector<std::shared_ptr<testing::MemoryPeer>> flood;
  std::string last;
  while (true) {
    flood.push_back(connect("192.0.2.7"));
    last = flood.back()->received();
    if (!last.starts_with("220 ")) break;
    ASSERT_LT(flood.size(), 420U);
  }
  // n of 420 with n = (420 - n) / 10.
  EXPECT_EQ(flood.size(), 39U);
  EXPECT_EQ(last, "421 4.7.0 too many connections from your address, try again later\r\n");
  EXPECT_EQ(metrics.connections_per_source_refused_total, 1U);
  EXPECT_EQ(greeted("192.0.2.8"), "hub.example");
  say(flood[0], "QUIT\r\n");
  EXPECT_EQ(greeted("192.0.2.7"), "hub.example") << "one has left";
}

TEST_F(Entrances, CountsANetworkOf64BitsAsOneSource) {
  config.limits.connections_per_source_max = 2;
  start();
  auto one = connect("2001:db8::1");
  auto two = connect("2001:db8::2");
  auto three = connect("2001:db8::3");
  EXPECT_TRUE(three->received().starts_with("421 4.7.0"));
  EXPECT_EQ(greeted("2001:db8:0:1::1"), "hub.example");
  EXPECT_EQ(greeted("192.0.2.1"), "hub.example");
}

TEST_F(Entrances, EndsASessionThatIsTooOldBetweenTransactions) {
  config.limits.session_timeout = 10min;
  start();
  auto peer = connect();
  say(peer, "EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  for (int minutes = 0; minutes < 12; ++minutes) {
    time.pass(io, 1min);
    EXPECT_FALSE(peer->is_closed);
    say(peer, "NOOP\r\n");
  }
  say(peer, "DATA\r\n");
  EXPECT_EQ(say(peer, "x\r\n.\r\n"),
            "250 2.0.0 queued\r\n421 4.4.2 the session has lasted long enough, connect again\r\n");
  EXPECT_TRUE(peer->is_closed);
}

TEST_F(Entrances, AnybodyMaySendToTheDomainsThatAreAccepted) {
  config.networks.clear();
  config.accepted_domains = {"example.com", "*.example.net"};
  start();
  auto peer = connect("198.51.100.1");
  say(peer, "EHLO c\r\nMAIL FROM:<a@c.example>\r\n");
  auto code = [&](const std::string& recipient) {
    return say(peer, "RCPT TO:<" + recipient + ">\r\n").substr(0, 3);
  };
  EXPECT_EQ(code("a@example.com"), "250");
  EXPECT_EQ(code("a@EXAMPLE.com"), "250");
  EXPECT_EQ(code("a@b.example.net"), "250");
  EXPECT_EQ(code("\"x@elsewhere.example\"@example.com"), "250");
  EXPECT_EQ(code("a@example.net"), "550");
  EXPECT_EQ(code("a@badexample.com"), "550");
  EXPECT_EQ(code("a@b.example.com"), "550");
  EXPECT_EQ(code("\"x@example.com\"@elsewhere.example"), "550");
  EXPECT_EQ(code("a@[192.0.2.1]"), "550");
}

TEST_F(Entrances, TheBannerStandsBehindTheHostName) {
  config.banner = "mail service";
  config.host_name = "mx.example";
  start();
  auto peer = connect();
  EXPECT_EQ(peer->received(), "220 mx.example mail service\r\n");
  EXPECT_TRUE(say(peer, "EHLO c\r\n").starts_with("250-mx.example greets c\r\n"));
  say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\n");
  say(peer, "x\r\n.\r\n");
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_TRUE(intake.kept[0].body.contains("by mx.example with ESMTP")) << intake.kept[0].body;
}

}  // namespace
}  // namespace umbra::hub
