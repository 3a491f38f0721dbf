// TLS at a listener: STARTTLS and implicit, injection, client certificates, reloads in the middle, handshakes
// that never end.
#include "hub/net/tls_store.h"
#include "tests/support/certificates.h"
#include "tests/support/tls_talker.h"
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::PemFolder;
using testing::TestAuthority;
using testing::TlsTalker;

class InboundTls : public Inbound {
 protected:
  InboundTls() {
    hub_config.hub_name = "hub1";
    config.name = "in";
    config.tls.files = folder.put("server.pem", authority.issue("DNS:hub.example"));
    client_options.authorities = folder.put("ca.pem", authority.pem());
    client_options.peer = TlsOptions::Peer::checked;
  }
  ~InboundTls() override { stop(); }
  void begin(ListenerTlsConfig::Mode mode) {
    config.tls.mode = mode;
    hub_config.listeners = {config};
    tls = std::make_unique<TlsStore>(hub_config);
    ASSERT_TRUE(tls->load(log));
    start();
  }
  bool shake(const std::shared_ptr<testing::MemoryPeer>& peer, TlsTalker& talker) {
    for (int turn = 0; turn < 6; ++turn) {
      talker.take(peer->received());
      bool done = talker.shake();
      peer->send(talker.give());
      time.settle(io);
      if (done) return true;
    }
    return false;
  }
  std::string say_tls(const std::shared_ptr<testing::MemoryPeer>& peer, TlsTalker& talker,
                      const std::string& text) {
    talker.write(text);
    peer->send(talker.give());
    time.settle(io);
    talker.take(peer->received());
    return talker.read();
  }

  PemFolder folder;
  TestAuthority authority{"the authority"};
  Config hub_config;
  TlsOptions client_options;
};

constexpr const char* mail =
    "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nhello\r\n.\r\n";

TEST_F(InboundTls, TakesMailAfterStartTlsAndSaysSoInTheTrace) {
  begin(ListenerTlsConfig::Mode::starttls);
  auto peer = connect();
  EXPECT_TRUE(say(peer, "EHLO plain.example\r\n").contains("250-STARTTLS\r\n"));
  EXPECT_EQ(say(peer, "STARTTLS\r\n"), "220 2.0.0 ready to start TLS\r\n");
  TlsTalker talker(client_options);
  ASSERT_TRUE(shake(peer, talker));
  auto said = say_tls(peer, talker, mail);
  EXPECT_FALSE(said.contains("STARTTLS")) << said;
  EXPECT_TRUE(said.ends_with("250 2.0.0 queued\r\n")) << said;
  EXPECT_EQ(say_tls(peer, talker, "QUIT\r\n"), "221 2.0.0 hub.example closes the connection\r\n");
  EXPECT_TRUE(talker.was_told_the_end());
  EXPECT_TRUE(peer->is_closed);
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_TRUE(intake.kept[0].body.starts_with(
      "Received: from c.example ([192.0.2.7])\r\n\tby hub.example with ESMTPS id "));
  EXPECT_TRUE(intake.kept[0].body.contains("\r\n\ttls TLS_")) << intake.kept[0].body;
  EXPECT_EQ(metrics.tls_connections_total, 1U);
  EXPECT_EQ(metrics.tls_handshake_failures_total, 0U);
}

TEST_F(InboundTls, SpeaksTlsFromTheFirstOctetWhereItIsImplicit) {
  begin(ListenerTlsConfig::Mode::implicit);
  auto peer = connect();
  EXPECT_EQ(peer->received(), "");
  TlsTalker talker(client_options);
  ASSERT_TRUE(shake(peer, talker));
  talker.take(peer->received());
  EXPECT_EQ(talker.read(), "220 hub.example ESMTP Umbra\r\n");
  EXPECT_TRUE(say_tls(peer, talker, mail).ends_with("250 2.0.0 queued\r\n"));
}

TEST_F(InboundTls, NothingInjectedBehindStartTlsIsObeyed) {
  begin(ListenerTlsConfig::Mode::starttls);
  auto peer = connect();
  peer->received();
  auto said =
      say(peer, "EHLO c.example\r\nSTARTTLS\r\nMAIL FROM:<evil@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  EXPECT_TRUE(said.ends_with("554 5.5.0 octets behind STARTTLS that are not encrypted, closing\r\n")) << said;
  EXPECT_TRUE(peer->is_closed);

  // And when it comes a moment later, it is a broken handshake.
  peer = connect();
  say(peer, "EHLO c.example\r\nSTARTTLS\r\n");
  said = say(peer, "MAIL FROM:<evil@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  EXPECT_TRUE(peer->is_closed);
  EXPECT_FALSE(said.contains("250"));
  EXPECT_EQ(metrics.tls_handshake_failures_total, 1U);
}

TEST_F(InboundTls, GivesUpAHandshakeThatDoesNotCome) {
  begin(ListenerTlsConfig::Mode::implicit);
  auto peer = connect();
  time.pass(io, 59s);
  EXPECT_FALSE(peer->is_closed);
  time.pass(io, 2s);
  EXPECT_TRUE(peer->is_closed);
  // A hub that stops does not wait so long.
  peer = connect();
  listener->close();
  time.pass(io, 11s);
  EXPECT_TRUE(peer->is_closed);
}

TEST_F(InboundTls, AReloadLeavesSessionsAloneAndServesTheNextOnes) {
  begin(ListenerTlsConfig::Mode::starttls);
  auto peer = connect();
  say(peer, "EHLO c.example\r\nSTARTTLS\r\n");
  TlsTalker talker(client_options);
  ASSERT_TRUE(shake(peer, talker));
  say_tls(peer, talker, "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nhel");

  folder.put("server.pem", authority.issue("DNS:new.example"));
  EXPECT_EQ(tls->reload(log, metrics).at(0).problem, "");
  EXPECT_EQ(say_tls(peer, talker, "lo\r\n.\r\n"), "250 2.0.0 queued\r\n");
  EXPECT_EQ(talker.server_name(), "hub.example");
  auto next = connect();
  say(next, "EHLO c.example\r\nSTARTTLS\r\n");
  TlsTalker next_talker(client_options);
  ASSERT_TRUE(shake(next, next_talker));
  EXPECT_EQ(next_talker.server_name(), "new.example");
}

TEST_F(InboundTls, ACertificateMayGiveTheRightToRelayFromAnywhere) {
  config.tls.client_certificates = ListenerTlsConfig::ClientCertificates::request;
  config.tls.client_ca = client_options.authorities;
  config.tls.client_names = {"app.example"};
  begin(ListenerTlsConfig::Mode::starttls);
  TestAuthority other("another");
  for (const auto& [pem, may_relay] : {std::pair{authority.issue("DNS:App.Example"), true},
                                       std::pair{authority.issue("DNS:other.example"), false},
                                       std::pair{other.issue("DNS:app.example"), false}}) {
    client_options.identities = {folder.put("client.pem", pem)};
    auto peer = connect("203.0.113.9");
    say(peer, "EHLO c.example\r\nSTARTTLS\r\n");
    TlsTalker talker(client_options);
    ASSERT_TRUE(shake(peer, talker));
    auto said =
        say_tls(peer, talker, "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
    EXPECT_EQ(said.contains("250 2.1.5"), may_relay) << said;
  }
}

}  // namespace
}  // namespace umbra::hub
