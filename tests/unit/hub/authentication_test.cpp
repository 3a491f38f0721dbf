// Password files, the SASL dialogs over them, and log-ons at a listener.
#include <crypt.h>
#include <gmock/gmock.h>

#include "hub/authentication/password_authenticator.h"
#include "hub/authentication/sasl_server.h"
#include "smtp/base64.h"
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using smtp::decode_base64;
using smtp::encode_base64;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::string_literals;

/// openssl passwd -6 -salt abcdefgh 'correct horse'
constexpr const char* hash =
    "$6$abcdefgh$yIZAF3gQPvtKZO/9qOJKffAKKbtS3ef3qmwyugk4uWVjX8YZf/GV3A8SkFxEPY0T56CcilGrHKLffBsp6dLMG.";

std::string sha512_hash(const std::string& password) {
  crypt_data data{};
  return crypt_r(password.c_str(), "$6$rounds=1000$abcdefgh$", &data);
}

std::string scram_line(const std::string& user, const std::string& password,
                       const std::string& salt = "0123456789abcdef") {
  char salted[32], client[32], server[32], stored[32];
  UMBRA_ASSERT(gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password.c_str(), 4096, salt.data(),
                                                 salt.size(), salted, client, server, stored) == GSASL_OK);
  return user + ":SCRAM-SHA-256$4096:" + encode_base64(salt) + "$" + encode_base64({stored, 32}) + ":" +
         encode_base64({server, 32}) + "\n";
}

PasswordFile users_of(const std::string& text) {
  auto file = PasswordFile::parse(text);
  if (!file) ADD_FAILURE() << file.error().line << ": " << file.error().what;
  return std::move(*file);
}

std::string problem_of(const std::string& text) {
  auto file = PasswordFile::parse(text);
  if (file) return "";
  return std::to_string(file.error().line) + ": " + file.error().what;
}

TEST(PasswordFiles, HoldHashesAndKeysOfUsers) {
  auto users = users_of("# who may send\n\nalice:" + sha512_hash("right") + "\n" +
                        scram_line("bob@example.com", "secret") + "ü x:" + sha512_hash("y"));
  EXPECT_EQ(users.size(), 3U);
  ASSERT_NE(users.find("alice"), nullptr);
  EXPECT_TRUE(is_password_of(*users.find("alice"), "right"));
  EXPECT_FALSE(is_password_of(*users.find("alice"), "Right"));
  EXPECT_FALSE(is_password_of(*users.find("alice"), ""));
  EXPECT_FALSE(is_password_of(*users.find("alice"), "right\0x"s));
  EXPECT_FALSE(is_password_of(*users.find("alice"), std::string(2000, 'x')));
  EXPECT_TRUE(is_password_of(*users.find("bob@example.com"), "secret"));
  EXPECT_FALSE(is_password_of(*users.find("bob@example.com"), "secret2"));
  EXPECT_EQ(users.find("Alice"), nullptr);
  EXPECT_NE(users.find("ü x"), nullptr);
  EXPECT_FALSE(users.has_scram()) << "not everybody has keys";
  EXPECT_TRUE(users_of(scram_line("a", "b") + "a:" + sha512_hash("b")).has_scram());
}

TEST(PasswordFiles, NameTheLineOfWhatIsWrongAndNoSecret) {
  const auto good = "alice:" + sha512_hash("right") + "\n";
  const std::string secret = "hunter2hunter2hunter2hunter2hunter2";
  for (const auto& [text, what] : std::vector<std::pair<std::string, const char*>>{
           {"", "0: names no user"},
           {"# nobody\n", "0: names no user"},
           {good + secret, "2: expected user:hash"},
           {good + ":" + secret, "2: the name of the user is empty"},
           {good + " bob:" + secret, "2: the name of the user"},
           {good + "bob:" + secret, "2: not a hash of crypt(3)"},
           {good + "bob:", "2: the password is missing"},
           {good + "bob:$6$abcdefgh$\n", "2: the hash is not complete"},
           {good + "bob:$1$abcdefgh$irWbblnpmw.5z7wgBnprh0\n", "2: the method of this hash is too weak"},
           {good + "bob:$99$abcdefgh$irWbblnpmw.5z7wgBnprh0\n",
            "2: not a hash that crypt(3) of this system knows"},
           {good + "bob:" + sha512_hash("x") + "\r\n", "2: the line ends with CR LF"},
           {good + "bob:" + sha512_hash("x") + " \n", "2: the secret has blanks"},
           {good + good, "2: this user has a hash already"},
           {good + scram_line("bob", "x") + scram_line("bob", "x"),
            "3: this user has keys for SCRAM already"},
           {good + "bob:$6$rounds=9999999$abcdefgh$irWbblnpmw.5z7wgBnprh0irWbblnpmw\n",
            "2: more than 1000000 rounds"},
           {good + "bob:$2b$16$abcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdef\n",
            "2: a cost over 15"},
           {good + "bob:SCRAM-SHA-256$4095:AAAA$AAAA:AAAA\n", "2: expected 4096 to 1000000 iterations"},
           {good + "bob:SCRAM-SHA-256$9999999999999999999999:AAAA$AAAA:AAAA\n",
            "2: expected 4096 to 1000000 iterations"},
           {good + "bob:SCRAM-SHA-256$4096:AAA$AAAA:AAAA\n", "2: the salt is not base 64"},
           {good + "bob:SCRAM-SHA-256$4096:AAAA$AAAA:AAAA\n",
            "2: the keys are not base 64 of 32 octets each"},
           {good + "bob:SCRAM-SHA-256$4096$AAAA\n", "2: expected SCRAM-SHA-256$iterations"},
       }) {
    EXPECT_THAT(problem_of(text), HasSubstr(what));
    EXPECT_THAT(problem_of(text), Not(HasSubstr("hunter2")));
  }
  auto users = users_of(good + "bob:" + hash);
  EXPECT_TRUE(is_password_of(*users.find("bob"), "correct horse"));
}

TEST(PasswordFiles, SomeoneWhoIsNotThereLooksLikeSomeoneWhoIs) {
  const auto text = scram_line("first", "x") + scram_line("second", "y", "a salt of twenty oct");
  auto users = users_of(text);
  auto again = users_of(text + scram_line("third", "z"));
  std::set<std::size_t> lengths;
  for (int i = 0; i < 100; ++i) {
    const auto name = "nobody" + std::to_string(i);
    const auto keys = users.scram_of(name);
    EXPECT_EQ(keys.salt, users.scram_of(name).salt);
    EXPECT_EQ(keys.salt.substr(0, 16), again.scram_of(name).salt.substr(0, 16))
        << "a new user changes nothing for the others";
    EXPECT_EQ(keys.iterations, 4096U);
    EXPECT_NE(keys.salt, users.scram_of(name + "x").salt);
    lengths.insert(keys.salt.size());
    EXPECT_EQ(&users.decoy(name), &users.decoy(name));
  }
  EXPECT_EQ(lengths, (std::set<std::size_t>{16, 20}));
}

/// The client's side, by the same library.
class SaslClient {
 public:
  SaslClient(const std::string& mechanism, const std::string& user, const std::string& password,
             const std::string& acts_for = "") {
    gsasl_init(&library_);
    gsasl_client_start(library_, mechanism.c_str(), &session_);
    gsasl_property_set(session_, GSASL_AUTHID, user.c_str());
    gsasl_property_set(session_, GSASL_PASSWORD, password.c_str());
    if (!acts_for.empty()) gsasl_property_set(session_, GSASL_AUTHZID, acts_for.c_str());
  }
  ~SaslClient() {
    gsasl_finish(session_);
    gsasl_done(library_);
  }
  SaslClient(const SaslClient&) = delete;
  SaslClient& operator=(const SaslClient&) = delete;
  std::string step(const std::string& challenge) {
    char* out = nullptr;
    std::size_t octets = 0;
    result = gsasl_step(session_, challenge.data(), challenge.size(), &out, &octets);
    std::string text(out == nullptr ? "" : out, octets);
    gsasl_free(out);
    return text;
  }
  int result = GSASL_NEEDS_MORE;

 private:
  Gsasl* library_ = nullptr;
  Gsasl_session* session_ = nullptr;
};

/// A whole dialog; the client speaks first.
SaslServer::Step talk(SaslServer& server, SaslClient& client) {
  auto said = client.step("");
  auto step = server.step(said);
  while (step == SaslServer::Step::challenge) {
    said = client.step(server.challenge());
    if (client.result != GSASL_OK && client.result != GSASL_NEEDS_MORE) return SaslServer::Step::refused;
    step = server.step(said);
  }
  return step;
}

class SaslServers : public ::testing::Test {
 protected:
  std::shared_ptr<const PasswordFile> users = std::make_shared<const PasswordFile>(
      users_of(scram_line("alice", "right") + scram_line("bo,b=", "other")));
};

TEST_F(SaslServers, ScramProvesBothSides) {
  for (const auto& [user, password] : {std::pair{"alice", "right"}, std::pair{"bo,b=", "other"}}) {
    SaslServer server("SCRAM-SHA-256", users);
    SaslClient client("SCRAM-SHA-256", user, password);
    EXPECT_EQ(talk(server, client), SaslServer::Step::success);
    EXPECT_EQ(client.result, GSASL_OK) << "the server's proof is right";
    EXPECT_EQ(server.user(), user);
  }
  for (const auto& [user, password] : {std::pair{"alice", "wrong"}, std::pair{"nobody", "right"}}) {
    SaslServer server("SCRAM-SHA-256", users);
    SaslClient client("SCRAM-SHA-256", user, password);
    EXPECT_EQ(talk(server, client), SaslServer::Step::refused);
    EXPECT_NE(client.result, GSASL_OK);
  }
}

TEST_F(SaslServers, PlainAndLoginAskForThePasswordToBeChecked) {
  for (const char* mechanism : {"PLAIN", "LOGIN"}) {
    SaslServer server(mechanism, users);
    SaslClient client(mechanism, "alice", "any");
    auto step = server.step(std::nullopt);
    EXPECT_EQ(step, SaslServer::Step::challenge);
    while (step == SaslServer::Step::challenge) step = server.step(client.step(server.challenge()));
    EXPECT_EQ(step, SaslServer::Step::check_password);
    EXPECT_EQ(server.user(), "alice");
    EXPECT_EQ(server.take_password(), "any");
  }
  SaslServer login("LOGIN", users);
  EXPECT_EQ(login.step("alice"), SaslServer::Step::challenge);
  EXPECT_EQ(login.challenge(), "Password:");
  EXPECT_EQ(login.step("right"), SaslServer::Step::check_password);
}

TEST_F(SaslServers, NobodyActsForAnother) {
  SaslServer same("PLAIN", users);
  EXPECT_EQ(same.step("alice\0alice\0right"s), SaslServer::Step::check_password);
  SaslServer other("PLAIN", users);
  EXPECT_EQ(other.step("bob\0alice\0right"s), SaslServer::Step::refused);
  SaslServer scram("SCRAM-SHA-256", users);
  SaslClient client("SCRAM-SHA-256", "alice", "right", "bob");
  EXPECT_EQ(talk(scram, client), SaslServer::Step::refused);
}

TEST_F(SaslServers, NonsenseIsRefused) {
  for (const auto& response : {"x"s, ""s, "\0"s, "\0\0"s, "\0alice\0right\0x"s, "\0alice\0"s, "\0\0right"s,
                               std::string(9000, 'a'), "a\0"s}) {
    SaslServer server("PLAIN", users);
    auto step = server.step(response);
    if (step == SaslServer::Step::check_password) {
      const auto* user = users->find(server.user());
      EXPECT_TRUE(user == nullptr || !is_password_of(*user, server.take_password())) << response;
    }
  }
  for (const auto& response :
       {"n,,n=alice"s, "n,,n=alice,r="s, "n,,m=x,n=alice,r=abc"s, "\xff\xff"s, "n,,n=,r=abc"s}) {
    SaslServer server("SCRAM-SHA-256", users);
    EXPECT_EQ(server.step(response), SaslServer::Step::refused) << response;
  }
  SaslServer bound("SCRAM-SHA-256", users);  // to a channel: that is another mechanism
  ASSERT_EQ(bound.step("p=tls-unique,,n=alice,r=abc"), SaslServer::Step::challenge);
  const auto nonce = bound.challenge().substr(0, bound.challenge().find(','));
  EXPECT_EQ(bound.step("c=" + encode_base64("p=tls-unique,,") + "," + nonce +
                       ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            SaslServer::Step::refused);
  SaslServer replay("SCRAM-SHA-256", users);
  ASSERT_EQ(replay.step("n,,n=alice,r=abc"), SaslServer::Step::challenge);
  EXPECT_EQ(replay.step("c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            SaslServer::Step::refused);
}

// ---- at a listener

class InboundAuth : public Inbound {
 protected:
  InboundAuth() {
    config.name = "in";
    config.authentication.mode = ListenerAuthenticationConfig::Mode::offered;
    config.authentication.allow_without_tls = true;
    config.authentication.passwords = "alice:" + sha512_hash("right") + "\n";
  }
  ~InboundAuth() override { stop(); }
  std::shared_ptr<testing::MemoryPeer> greeted(const std::string& from = "203.0.113.9") {
    auto peer = connect(from);
    say(peer, "EHLO c.example\r\n");
    return peer;
  }
  static std::string plain(const std::string& user, const std::string& password) {
    return "AUTH PLAIN " + encode_base64("\0"s + user + "\0"s + password) + "\r\n";
  }
  [[nodiscard]] bool is_logged(std::string_view text) const {
    return std::ranges::any_of(log.lines(), [&](const auto& line) { return line.contains(text); });
  }
};

constexpr const char* mail = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nhello\r\n.\r\n";

TEST_F(InboundAuth, WhoHasLoggedOnMayRelayFromAnywhere) {
  start();
  auto peer = greeted();
  EXPECT_THAT(say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nRSET\r\n"),
              HasSubstr("550 5.7.1"));
  EXPECT_EQ(say(peer, plain("alice", "right")), "235 2.7.0 logged on\r\n");
  EXPECT_TRUE(say(peer, mail).ends_with("250 2.0.0 queued\r\n"));
  ASSERT_EQ(intake.kept.size(), 1U);
  EXPECT_THAT(intake.kept[0].body, HasSubstr("by hub.example with ESMTPA id "));
  EXPECT_EQ(intake.kept[0].user, "alice");
  EXPECT_EQ(metrics.authentications_total, 1U);
}

TEST_F(InboundAuth, AWrongPasswordAndAnUnknownUserAreAnsweredAlikeAfterTheTarpit) {
  start();
  for (const auto& [user, password] : {std::pair{"alice", "wrong"}, std::pair{"nobody", "right"}}) {
    auto peer = greeted();
    EXPECT_EQ(say(peer, plain(user, password)), "");
    time.pass(io, 4900ms);
    EXPECT_EQ(peer->received(), "");
    time.pass(io, 200ms);
    EXPECT_EQ(peer->received(), "535 5.7.8 authentication failed\r\n");
    EXPECT_THAT(say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n"), HasSubstr("550 5.7.1"));
  }
  EXPECT_EQ(metrics.authentication_failures_total, 2U);
}

TEST_F(InboundAuth, CommandsAreServedWhileAPasswordIsBeingChecked) {
  lane.is_held = true;
  start();
  auto slow = greeted();
  EXPECT_EQ(say(slow, plain("alice", "right")), "");
  auto other = greeted("192.0.2.7");
  EXPECT_TRUE(say(other, mail).ends_with("250 2.0.0 queued\r\n"));
  EXPECT_EQ(lane.held.size(), 1U);
  lane.release();
  time.settle(io);
  EXPECT_EQ(slow->received(), "235 2.7.0 logged on\r\n");
}

TEST_F(InboundAuth, OnlySoManyPasswordsWait) {
  lane.is_held = true;
  start();
  std::vector<std::shared_ptr<testing::MemoryPeer>> peers;
  for (std::size_t i = 0; i < PasswordLane::waiting_max; ++i) {
    peers.push_back(greeted());
    EXPECT_EQ(say(peers.back(), plain("alice", "right")), "");
  }
  auto late = greeted();
  EXPECT_EQ(say(late, plain("alice", "right")),
            "454 4.7.0 authentication is not possible now, try again later\r\n");
  EXPECT_EQ(metrics.authentications_unavailable_total, 1U);
  lane.release();
  time.settle(io);
  for (auto& peer : peers) EXPECT_EQ(peer->received(), "235 2.7.0 logged on\r\n");
  EXPECT_EQ(say(late, plain("alice", "right")), "235 2.7.0 logged on\r\n");
}

TEST_F(InboundAuth, AClientThatLeavesWhileItsPasswordIsCheckedHarmsNobody) {
  lane.is_held = true;
  start();
  auto peer = greeted();
  say(peer, plain("alice", "right"));
  peer->leave();
  time.settle(io);
  lane.release();
  time.settle(io);
  EXPECT_TRUE(peer->is_closed);
  auto half = greeted();
  say(half, "AUTH LOGIN\r\n");
  half->leave();
  time.settle(io);
  EXPECT_TRUE(half->is_closed);
}

TEST_F(InboundAuth, NoWordOfAPasswordIsLogged) {
  config.authentication.tarpit = 0s;
  start();
  auto peer = greeted();
  say(peer, plain("alice", "sesame-one") + plain("sesame-two", "sesame-three") + "AUTH LOGIN\r\n" +
                encode_base64("sesame-four") + "\r\n" + encode_base64("sesame-five") + "\r\n");
  say(peer, "AUTH PLAIN sesame\r\n");
  EXPECT_TRUE(is_logged("log-on refused"));
  EXPECT_TRUE(is_logged("\"user\":\"alice\""));
  EXPECT_FALSE(is_logged("sesame"));
  for (const auto& word : {"sesame-one"s, "sesame-two"s, "sesame-four"s})
    EXPECT_FALSE(is_logged(encode_base64(word)));
}

TEST_F(InboundAuth, ScramIsOfferedWhereEveryUserHasKeys) {
  start();
  auto peer = connect();
  EXPECT_THAT(say(peer, "EHLO c.example\r\n"), HasSubstr("250-AUTH PLAIN LOGIN\r\n"));
  config.authentication.passwords = scram_line("alice", "right");
  reload();
  EXPECT_THAT(say(peer, "EHLO c.example\r\n"), HasSubstr("250-AUTH PLAIN LOGIN\r\n"))
      << "a session goes on as it began";
  peer = connect();
  EXPECT_THAT(say(peer, "EHLO c.example\r\n"), HasSubstr("250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"));
  SaslClient client("SCRAM-SHA-256", "alice", "right");
  auto said = say(peer, "AUTH SCRAM-SHA-256 " + encode_base64(client.step("")) + "\r\n");
  ASSERT_TRUE(said.starts_with("334 ")) << said;
  said = say(peer, encode_base64(client.step(*decode_base64(said.substr(4, said.size() - 6)))) + "\r\n");
  ASSERT_TRUE(said.starts_with("334 ")) << said;
  client.step(*decode_base64(said.substr(4, said.size() - 6)));
  EXPECT_EQ(client.result, GSASL_OK);
  EXPECT_EQ(say(peer, "\r\n"), "235 2.7.0 logged on\r\n");
}

}  // namespace
}  // namespace umbra::hub
