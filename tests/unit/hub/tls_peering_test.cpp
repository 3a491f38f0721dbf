// Mutual TLS between hubs: who gets a session, and who does not, whatever they prove and wherever they come
// from.
#include "tests/support/certificates.h"
#include "tests/support/tls_talker.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using umbra::testing::PemFolder;
using umbra::testing::TestAuthority;
using umbra::testing::TlsTalker;

class TlsPeering : public PeeringTest {
 protected:
  TlsPeering() {
    config.cluster.secret.clear();
    config.cluster.tls.ca = folder.put("ca.pem", authority.pem());
    config.cluster.tls.files = folder.put("hub1.pem", authority.issue("DNS:hub1"));
    options.authorities = config.cluster.tls.ca;
    options.peer = TlsOptions::Peer::checked;
  }
  ~TlsPeering() override { stop(); }
  void begin() {
    tls = std::make_unique<TlsStore>(config);
    ASSERT_TRUE(tls->load(log));
    start();
  }
  std::string exchange(umbra::testing::MemoryPeer& peer, TlsTalker& talker, const std::string& text) {
    talker.write(text);
    peer.send(talker.give());
    settle();
    talker.take(peer.received());
    return talker.read();
  }
  /// Connects with that certificate and says it is `name`: the code of the last reply, 0 when there is no
  /// session.
  int call_as(const std::string& name, const std::optional<umbra::testing::Pem>& shown,
              const std::string& key_prefix = "", const std::string& label = "EXPORTER-umbra-xshadow-1") {
    options.identities.clear();
    if (shown) options.identities = {folder.put("caller.pem", *shown)};
    auto peer = network.inbound.connect_from("10.0.0.2");
    settle();
    TlsTalker talker(options);
    bool is_shaken = false;
    for (int turn = 0; turn < 6 && !is_shaken; ++turn) {
      talker.take(peer->received());
      is_shaken = talker.shake();
      peer->send(talker.give());
      settle();
    }
    talker.take(peer->received());
    if (!is_shaken || !talker.read().starts_with("220 ") || peer->is_closed) return 0;
    smtp::HubHello hello{name, spool2, Epoch{1}, Sequence{1}, std::string(64, 'b')};
    auto said = exchange(*peer, talker, smtp::format_hub(hello, 1));
    auto challenge = smtp::parse_challenge(said.substr(4, said.find("\r\n") - 4));
    EXPECT_TRUE(challenge) << said;
    if (!challenge) return 0;
    auto key = key_prefix + talker.export_key(label);
    bool is_right =
        smtp::proofs_equal(challenge->proof, smtp::hub_proof(key, "server", hello, challenge->server));
    EXPECT_EQ(is_right, label == "EXPORTER-umbra-xshadow-1" && key_prefix == config.cluster.secret);
    said =
        exchange(*peer, talker, smtp::format_proof(smtp::hub_proof(key, "client", hello, challenge->server)));
    int code = std::stoi(said.substr(0, 3));
    peer->leave();
    settle();
    return code;
  }

  PemFolder folder;
  TestAuthority authority{"the cluster"};
  TestAuthority other{"another cluster"};
  TlsOptions options;
};

TEST_F(TlsPeering, TakesAHubByItsCertificateAlone) {
  begin();
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2")), 235);
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:x.example,URI:umbra://hub/hub2")), 235);
}

TEST_F(TlsPeering, RefusesWhoIsNotThatHubWhereverItComesFrom) {
  begin();
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub3")), 535);
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:HUB2")), 535);
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:*,DNS:hub*,IP:10.0.0.2")), 535);
  EXPECT_EQ(call_as("hub2", authority.issue("URI:umbra://hub/hub22")), 535);
  auto refused = metrics.hub_protocol_errors_total;
  EXPECT_EQ(refused, 4U);
  EXPECT_EQ(call_as("hub2", other.issue("DNS:hub2")), 0);
  EXPECT_EQ(call_as("hub2", std::nullopt), 0);
  auto now = WallClock::now();
  using std::chrono::hours;
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2", now - hours(9), now - hours(1))), 0);
  EXPECT_EQ(metrics.hub_protocol_errors_total, refused + 3);
}

TEST_F(TlsPeering, AsksForTheSecretTooWhereThereIsOne) {
  config.cluster.secret = secret;
  begin();
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2"), secret), 235);
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2"), "another secret"), 535);
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2"), ""), 535);
}

TEST_F(TlsPeering, AProofOfAnotherChannelIsWorthNothing) {
  begin();
  EXPECT_EQ(call_as("hub2", authority.issue("DNS:hub2"), "", "EXPORTER-another"), 535);
}

TEST_F(TlsPeering, SpeaksPlainlyWithNobody) {
  begin();
  auto peer = network.inbound.connect_from("10.0.0.2");
  settle();
  EXPECT_EQ(peer->received(), "");
  peer->send("XHUB 1 hub2\r\n");
  settle();
  EXPECT_TRUE(peer->is_closed);
  EXPECT_FALSE(peer->received().contains("220"));
  // Nor with the hubs that it calls: the fake ones of this test greet in the clear.
  pass(5s);
  for (const auto& [address, member] : network.members) EXPECT_TRUE(member.commands.empty()) << address;
  bool is_said = std::ranges::any_of(
      log.lines(), [](const std::string& line) { return line.contains("TLS handshake failed"); });
  EXPECT_TRUE(is_said);
}

TEST_F(TlsPeering, AReloadIsForTheNextSession) {
  begin();
  EXPECT_EQ(call_as("hub2", other.issue("DNS:hub2")), 0);
  folder.put("ca.pem", authority.pem() + other.pem());
  EXPECT_EQ(tls->reload(log, metrics).at(0).problem, "");
  EXPECT_EQ(call_as("hub2", other.issue("DNS:hub2")), 235);
}

}  // namespace
}  // namespace umbra::hub::peering_test
