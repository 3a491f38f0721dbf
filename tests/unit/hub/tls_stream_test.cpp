// TLS over memory: handshakes, trust, resumption, both directions at once, reads of single octets, ends that
// are said and ends that are cut.
#include "hub/net/tls_stream.h"

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/stream_pair.h"

namespace umbra::hub {
namespace {

using testing::PemFolder;
using testing::StreamPair;
using testing::TestAuthority;

struct Side {
  std::unique_ptr<TlsStream> stream;
  std::optional<Result<void>> shaken;
  std::string received;
  std::optional<ErrorCode> read_end;
  std::optional<ErrorCode> written;
};

Task<void> shake(Side* side) {
  side->shaken = co_await side->stream->handshake();
}
Task<void> read_all(Side* side, std::size_t buffer_octets) {
  std::string buffer(buffer_octets, '\0');
  while (true) {
    auto got = co_await side->stream->read_some(asio::buffer(buffer));
    if (got.error) {
      side->read_end = got.error;
      co_return;
    }
    side->received.append(buffer, 0, got.octets);
  }
}
Task<void> write_all(Side* side, std::string octets) {
  side->written = co_await side->stream->write(octets);
}
Task<void> say_end(Side* side) {
  co_await side->stream->finish();
}

class TlsStreamTest : public ::testing::Test {
 protected:
  TlsStreamTest() {
    server_options.is_server = true;
    server_options.identities = {folder.put("server.pem", authority.issue("DNS:mx.example,IP:192.0.2.1"))};
    client_options.authorities = folder.put("ca.pem", authority.pem());
    client_options.peer = TlsOptions::Peer::checked;
  }
  ~TlsStreamTest() override { end(); }

  static std::shared_ptr<const TlsContext> make(const TlsOptions& options) {
    auto made = TlsContext::make(options, WallClock::now());
    UMBRA_ASSERT(made);
    return *made;
  }
  void run() {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  void end() {
    for (auto* side : {&client, &server})
      if (side->stream) side->stream->close();
    run();
    EXPECT_EQ(scope.running(), 0U);
    client = {};
    server = {};
    pair.reset();
  }
  /// Connects; true when both sides are content.
  bool connect(const TlsServerName& wanted = {"mx.example", {"mx.example"}, ""},
               std::size_t piece = SIZE_MAX) {
    end();
    if (!server_context) server_context = make(server_options);
    if (!client_context) client_context = make(client_options);
    pair = std::make_unique<StreamPair>(io);
    pair->to_client->piece = pair->to_server->piece = piece;
    client.stream = std::make_unique<TlsStream>(io, std::move(pair->client), client_context, wanted);
    server.stream = std::make_unique<TlsStream>(io, std::move(pair->server), server_context);
    scope.spawn("client", shake(&client));
    scope.spawn("server", shake(&server));
    run();
    // What comes behind the handshake: tickets; the server's no to a client's certificate.
    if (client.shaken && *client.shaken) scope.spawn("client reads", read_all(&client, 4096));
    run();
    return client.shaken && *client.shaken && server.shaken && *server.shaken;
  }
  [[nodiscard]] std::string client_problem() const {
    return client.shaken && !*client.shaken ? client.shaken->error().what : "";
  }
  [[nodiscard]] std::string server_problem() const {
    return server.shaken && !*server.shaken ? server.shaken->error().what : "";
  }

  asio::io_context io;
  TaskScope scope{io};
  PemFolder folder;
  TestAuthority authority{"the authority"};
  TestAuthority other{"another authority"};
  TlsOptions server_options;
  TlsOptions client_options;
  std::shared_ptr<const TlsContext> server_context;
  std::shared_ptr<const TlsContext> client_context;
  std::unique_ptr<StreamPair> pair;
  Side client;
  Side server;
};

TEST_F(TlsStreamTest, CarriesBothDirectionsAtOnceInPiecesOfAnySize) {
  std::string up;
  std::string down;
  for (int i = 0; i < 40'000; ++i) up += std::to_string(i);
  for (int i = 0; i < 30'000; ++i) down += std::to_string(i * 7);
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}, std::size_t{1000}, SIZE_MAX}) {
    ASSERT_TRUE(connect({"mx.example", {"mx.example"}, ""}, piece)) << client_problem();
    EXPECT_EQ(client.stream->version(), "TLSv1.3");
    EXPECT_TRUE(client.stream->cipher().starts_with("TLS_")) << client.stream->cipher();
    pair->to_client->capacity = pair->to_server->capacity = 1000;
    scope.spawn("server reads", read_all(&server, 64 << 10));
    scope.spawn("up", write_all(&client, up));
    scope.spawn("down", write_all(&server, down));
    run();
    EXPECT_TRUE(client.written && !*client.written);
    EXPECT_EQ(server.received, up);
    EXPECT_EQ(client.received, down);
  }
}

TEST_F(TlsStreamTest, TellsAnEndThatWasSaidFromOneThatWasCut) {
  ASSERT_TRUE(connect());
  scope.spawn("server reads", read_all(&server, 100));
  scope.spawn("write", write_all(&client, "last words"));
  scope.spawn("end", say_end(&client));
  run();
  EXPECT_EQ(server.received, "last words");
  EXPECT_EQ(server.read_end, ErrorCode{asio::error::eof});
  // The other direction is still open.
  scope.spawn("write", write_all(&server, "goodbye"));
  run();
  EXPECT_TRUE(server.written && !*server.written);

  ASSERT_TRUE(connect());
  scope.spawn("server reads", read_all(&server, 100));
  scope.spawn("write", write_all(&client, "last words"));
  run();
  pair->to_server->end();
  run();
  EXPECT_EQ(server.read_end, ErrorCode{asio::error::connection_aborted})
      << "whoever cuts the connection cannot fake its end";
}

TEST_F(TlsStreamTest, DamagedOctetsEndTheStream) {
  ASSERT_TRUE(connect());
  scope.spawn("server reads", read_all(&server, 100));
  pair->to_server->octets = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
  pair->to_server->readable.set();
  run();
  EXPECT_EQ(server.read_end, ErrorCode{asio::error::connection_aborted});
  EXPECT_EQ(server.received, "");
  scope.spawn("write", write_all(&server, "x"));
  run();
  EXPECT_TRUE(server.written && *server.written);
}

TEST_F(TlsStreamTest, PlainOctetsAreABrokenHandshakeAtAnySplit) {
  const std::string injected = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@d.example>\r\n";
  for (std::size_t piece = 1; piece <= injected.size(); ++piece) {
    end();
    server_context = make(server_options);
    pair = std::make_unique<StreamPair>(io);
    pair->to_server->piece = piece;
    pair->to_server->octets = injected;
    server.stream = std::make_unique<TlsStream>(io, std::move(pair->server), server_context);
    scope.spawn("server", shake(&server));
    run();
    EXPECT_FALSE(server_problem().empty()) << piece;
    scope.spawn("server reads", read_all(&server, 100));
    run();
    EXPECT_EQ(server.received, "");
  }
}

TEST_F(TlsStreamTest, ChecksTheServersNameAndAuthority) {
  EXPECT_TRUE(connect({"mx.example", {"mx.example"}, ""})) << client_problem();
  EXPECT_TRUE(connect({"mx.example", {"other.example", "mx.example"}, ""}));
  EXPECT_TRUE(connect({"192.0.2.1", {"192.0.2.1"}, ""})) << client_problem();
  EXPECT_FALSE(connect({"mx.example", {"other.example"}, ""}));
  EXPECT_TRUE(client_problem().contains("hostname mismatch")) << client_problem();
  EXPECT_TRUE(server_problem().contains("alert")) << server_problem();
  EXPECT_FALSE(connect({"mx.example", {"192.0.2.2"}, ""}));
  EXPECT_FALSE(connect({"mx.example", {".mx.example"}, ""}));

  server_options.identities = {folder.put("deep.pem", authority.issue("DNS:a.mx.example"))};
  server_context.reset();
  EXPECT_TRUE(connect({"mx.example", {".mx.example"}, ""})) << client_problem();

  server_options.identities = {folder.put("other.pem", other.issue("DNS:mx.example"))};
  server_context.reset();
  EXPECT_FALSE(connect());
  EXPECT_TRUE(client_problem().contains("certificate verify failed")) << client_problem();
  client_options.peer = TlsOptions::Peer::unchecked;
  client_context.reset();
  EXPECT_TRUE(connect({"mx.example", {}, ""}));
}

TEST_F(TlsStreamTest, RefusesACertificateOutsideItsTime) {
  auto now = WallClock::now();
  using std::chrono::hours;
  for (auto [from, until] :
       {std::pair{now - hours(48), now - hours(1)}, std::pair{now + hours(1), now + hours(48)}}) {
    server_options.identities = {folder.put("server.pem", authority.issue("DNS:mx.example", from, until))};
    server_context.reset();
    EXPECT_FALSE(connect());
    EXPECT_TRUE(client_problem().contains("expired") || client_problem().contains("not yet valid"))
        << client_problem();
  }
}

TEST_F(TlsStreamTest, KnowsClientsByTheirCertificates) {
  server_options.authorities = folder.put("ca.pem", authority.pem());
  server_options.peer = TlsOptions::Peer::asked;
  ASSERT_TRUE(connect());
  EXPECT_TRUE(server.stream->peer_names().dns.empty()) << "none was shown";

  client_options.identities = {
      folder.put("client.pem", authority.issue("DNS:app.example,URI:umbra://hub/a"))};
  client_context.reset();
  ASSERT_TRUE(connect());
  EXPECT_EQ(server.stream->peer_names().dns, std::vector<std::string>{"app.example"});
  EXPECT_EQ(server.stream->peer_names().uris, std::vector<std::string>{"umbra://hub/a"});

  client_options.identities = {folder.put("client.pem", other.issue("DNS:app.example"))};
  client_context.reset();
  ASSERT_TRUE(connect());
  EXPECT_TRUE(server.stream->peer_names().dns.empty()) << "of another authority: as good as none";

  server_options.peer = TlsOptions::Peer::checked;
  server_context.reset();
  EXPECT_FALSE(connect());
  EXPECT_TRUE(server_problem().contains("certificate verify failed")) << server_problem();
  client_options.identities.clear();
  client_context.reset();
  EXPECT_FALSE(connect());
  client_options.identities = {folder.put("client.pem", authority.issue("DNS:app.example"))};
  client_context.reset();
  EXPECT_TRUE(connect());
}

TEST_F(TlsStreamTest, ShowsTheCertificateOfTheNameThatIsAskedFor) {
  server_options.identities.push_back(folder.put("two.pem", authority.issue("DNS:two.example")));
  server_options.identities.push_back(folder.put("three.pem", authority.issue("DNS:*.three.example")));
  EXPECT_TRUE(connect({"mx.example", {"mx.example"}, ""}));
  EXPECT_TRUE(connect({"two.example", {"two.example"}, ""})) << client_problem();
  EXPECT_TRUE(connect({"a.three.example", {"a.three.example"}, ""}));
  EXPECT_TRUE(connect({"unknown.example", {"mx.example"}, ""})) << "the first one is for whom names no other";
}

TEST_F(TlsStreamTest, RefusesVersionsThatAreTooOld) {
  server_options.minimum_version = TlsVersion::v1_3;
  ASSERT_TRUE(connect());
  SSL_CTX_set_max_proto_version(client_context->get(), TLS1_2_VERSION);
  EXPECT_FALSE(connect());
  server_options.minimum_version = TlsVersion::v1_2;
  server_context.reset();
  ASSERT_TRUE(connect());
  EXPECT_EQ(client.stream->version(), "TLSv1.2");
  EXPECT_EQ(SSL_CTX_get_options(server_context->get()) & SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_RENEGOTIATION);
}

TEST_F(TlsStreamTest, ResumesSessionsOfTheSameServerAlone) {
  for (int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    client_context = make(client_options);
    server_context = make(server_options);
    SSL_CTX_set_max_proto_version(client_context->get(), version);
    const TlsServerName one{"mx.example", {"mx.example"}, "mx.example 192.0.2.1:25"};
    ASSERT_TRUE(connect(one));
    EXPECT_FALSE(client.stream->is_resumed());
    ASSERT_TRUE(connect(one));
    EXPECT_TRUE(client.stream->is_resumed());
    EXPECT_TRUE(server.stream->is_resumed());
    ASSERT_TRUE(connect({"mx.example", {"mx.example"}, "mx.example 192.0.2.2:25"}));
    EXPECT_FALSE(client.stream->is_resumed());
    // Other files, other keys: what was checked against the former ones is checked again.
    server_context = make(server_options);
    ASSERT_TRUE(connect(one));
    EXPECT_FALSE(client.stream->is_resumed());
  }
}

TEST_F(TlsStreamTest, ARememberedSessionIsTheOldestToGo) {
  client_context = make(client_options);
  for (int i = 0; i < 1200; ++i)
    client_context->remember("host " + std::to_string(i), SessionPtr(SSL_SESSION_new()));
  EXPECT_EQ(client_context->session_for("host 199"), nullptr);
  EXPECT_NE(client_context->session_for("host 200"), nullptr);
  EXPECT_NE(client_context->session_for("host 1199"), nullptr);
}

TEST_F(TlsStreamTest, BothEndsKnowAKeyThatNoOtherSessionHas) {
  ASSERT_TRUE(connect());
  auto key = client.stream->export_key("EXPORTER-test");
  EXPECT_EQ(key.size(), 32U);
  EXPECT_EQ(key, server.stream->export_key("EXPORTER-test"));
  EXPECT_NE(key, client.stream->export_key("EXPORTER-other"));
  ASSERT_TRUE(connect());
  EXPECT_NE(key, client.stream->export_key("EXPORTER-test"));
}

TEST_F(TlsStreamTest, ClosingEndsAHandshakeUnderWay) {
  server_context = make(server_options);
  pair = std::make_unique<StreamPair>(io);
  server.stream = std::make_unique<TlsStream>(io, std::move(pair->server), server_context);
  scope.spawn("server", shake(&server));
  run();
  EXPECT_FALSE(server.shaken);
  server.stream->close();
  run();
  EXPECT_TRUE(server_problem().contains("lost")) << server_problem();
}

}  // namespace
}  // namespace umbra::hub
