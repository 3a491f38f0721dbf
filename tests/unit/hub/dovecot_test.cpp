// Dovecot's authentication protocol: what is understood, what ends it, and a client that goes on when the
// server went away.
#include <gmock/gmock.h>

#include "smtp/base64.h"
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;
using Kind = DovecotProtocol::Answer::Kind;

constexpr const char* opening =
    "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nMECH\tLOGIN\tplaintext\nMECH\tX-"
    "HIDDEN\tprivate\nMECH\tEXTERNAL\n"
    "MECH\tSCRAM-SHA-256-PLUS\nMECH\tSCRAM-SHA-256\tmutual-auth\nSPID\t12\nCUID\t3\nCOOKIE\t0123\nDONE\n";

TEST(DovecotProtocols, UnderstandAtAnySplit) {
  const std::string wire =
      std::string(opening) +
      "FAIL\t1\tuser=a\ttemp\nFAIL\t2\tuser=a\treason=go\001taway\nOK\t3\tuser=a\nCONT\t4\t" +
      smtp::encode_base64("r=1") +
      "\nCONT\t5\t\nFAIL\t6\tcode=temp_fail\nNEWS\tof\ta\tlater\tversion\nFAIL\t7\n";
  for (std::size_t piece = 1; piece < 60; ++piece) {
    DovecotProtocol protocol;
    for (std::size_t at = 0; at < wire.size(); at += piece)
      ASSERT_TRUE(protocol.feed(std::string_view(wire).substr(at, piece))) << protocol.problem();
    ASSERT_TRUE(protocol.is_ready());
    EXPECT_EQ(protocol.mechanisms(), "PLAIN LOGIN SCRAM-SHA-256");
  }
  DovecotProtocol protocol;
  protocol.feed(std::string(wire).substr(0, wire.find("\nOK") + 1));
  auto answers = protocol.take_answers();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers[0].is_temporary);
  EXPECT_FALSE(answers[1].is_temporary);
  EXPECT_EQ(answers[1].reason, "go\taway");
  EXPECT_FALSE(protocol.feed("OK\t3\tuser=a\001tb\n")) << "a name with a control character is none";
  DovecotProtocol other;
  other.feed(opening);
  ASSERT_TRUE(other.feed("OK\t3\tuser=alice\tother=1\nCONT\t4\tcj0x\nCONT\t5\n"));
  answers = other.take_answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].user, "alice");
  EXPECT_EQ(answers[1].octets, "r=1");
  EXPECT_EQ(answers[1].kind, Kind::challenge);
  EXPECT_EQ(answers[2].octets, "");
}

TEST(DovecotProtocols, EndAtNonsense) {
  const std::string good = opening;
  std::string many = "VERSION\t1\t0\n";
  for (int i = 0; i < 60; ++i) many += "MECH\tM" + std::to_string(i) + "\n";
  std::string lines = "VERSION\t1\t0\n";
  for (int i = 0; i < 300; ++i) lines += "SPID\t1\n";
  for (const auto& wire : {"VERSION\t2\t0\n"s,
                           "VERSION\n"s,
                           "MECH\tPLAIN\n"s,
                           "DONE\n"s,
                           "HTTP/1.1 400 Bad Request\r\n"s,
                           "VERSION\t1\t0\nDONE\n"s,
                           "VERSION\t1\t0\nMECH\n"s,
                           "VERSION\t1\t0\nMECH\tpl ain\n"s,
                           many,
                           lines,
                           std::string(40'000, 'x'),
                           good + std::string(40'000, 'x'),
                           good + "OK\n",
                           good + "OK\tx\tuser=a\n",
                           good + "OK\t1\n",
                           good + "OK\t1\tuser=\n",
                           good + "OK\t1\tuser=" + std::string(300, 'a') + "\n",
                           good + "CONT\t1\t!\n",
                           good + "OK\t99999999999\tuser=a\n",
                           good + "FAIL\t-1\n"}) {
    DovecotProtocol protocol;
    EXPECT_FALSE(protocol.feed(wire)) << wire.substr(0, 100);
    EXPECT_NE(protocol.problem(), "");
  }
}

TEST(DovecotProtocols, SayWhatTheServerReads) {
  EXPECT_EQ(DovecotProtocol::greeting(17), "VERSION\t1\t1\nCPID\t17\n");
  EXPECT_EQ(DovecotProtocol::request(7, "PLAIN", {"192.0.2.1", true}, "\0a\0b"s),
            "AUTH\t7\tPLAIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.1\tresp=AGEAYg==\n");
  EXPECT_EQ(DovecotProtocol::request(8, "LOGIN", {"192.0.2.1", false}, std::nullopt),
            "AUTH\t8\tLOGIN\tservice=smtp\tnologin\trip=192.0.2.1\n");
  EXPECT_EQ(DovecotProtocol::response(7, ""), "CONT\t7\t\n");
}

class DovecotClients : public Inbound {
 protected:
  DovecotClients() {
    config.name = "in";
    dovecot = std::make_shared<DovecotAuthenticator>(
        io, scope, "socket", [this](MonotonicTime) { return connect_out(); }, log);
  }
  ~DovecotClients() override {
    dovecot->close();
    time.pass(io, 2min);
  }
  Task<Result<std::unique_ptr<Stream>>> connect_out() {
    ++attempts;
    if (!is_listening) co_return failure(std::errc::connection_refused, "connect");
    server = std::make_shared<testing::MemoryPeer>(io, Endpoint{"socket", 0});
    co_return std::make_unique<testing::MemoryStream>(server);
  }
  void begin() {
    dovecot->start();
    time.settle(io);
  }
  std::string serve(std::string_view octets) {
    server->send(octets);
    time.settle(io);
    return server->received();
  }
  /// One step; `outcome` when it has ended.
  struct Asked {
    std::unique_ptr<AuthExchange> exchange;
    std::optional<AuthStep> outcome;
  };
  std::shared_ptr<Asked> ask(const std::string& mechanism, std::optional<std::string> initial) {
    auto asked = std::make_shared<Asked>();
    asked->exchange = dovecot->begin(mechanism, {"192.0.2.9", true});
    go_on(asked, std::move(initial));
    return asked;
  }
  void go_on(const std::shared_ptr<Asked>& asked, std::optional<std::string> response) {
    asked->outcome.reset();
    scope.spawn("step", step(asked, std::move(response)));
    time.settle(io);
  }
  static Task<void> step(std::shared_ptr<Asked> asked, std::optional<std::string> response) {
    asked->outcome = co_await asked->exchange->step(std::move(response));
  }

  TaskScope scope{io};
  bool is_listening = true;
  int attempts = 0;
  std::shared_ptr<testing::MemoryPeer> server;
  std::shared_ptr<DovecotAuthenticator> dovecot;
};

TEST_F(DovecotClients, AnswersComeToThoseWhoAsked) {
  begin();
  EXPECT_THAT(server->received(), HasSubstr("VERSION\t1\t1\nCPID\t"));
  EXPECT_EQ(dovecot->mechanisms(), "PLAIN");
  serve(opening);
  EXPECT_EQ(dovecot->mechanisms(), "PLAIN LOGIN SCRAM-SHA-256");
  auto one = ask("PLAIN", "\0a\0b"s);
  auto two = ask("LOGIN", std::nullopt);
  EXPECT_EQ(server->received(),
            "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.9\tresp=AGEAYg=="
            "\nAUTH\t2\tLOGIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.9\n");
  serve("OK\t77\tuser=evil\nCONT\t2\t" + smtp::encode_base64("Username:") + "\nFAIL\t1\tuser=a\n");
  ASSERT_TRUE(one->outcome && two->outcome);
  EXPECT_EQ(one->outcome->kind, AuthStep::Kind::refused);
  EXPECT_EQ(two->outcome->kind, AuthStep::Kind::challenge);
  EXPECT_EQ(two->outcome->octets, "Username:");
  go_on(two, "alice");
  EXPECT_EQ(serve("OK\t2\tuser=alice@example.com\n"), "CONT\t2\tYWxpY2U=\n");
  ASSERT_TRUE(two->outcome);
  EXPECT_EQ(two->outcome->kind, AuthStep::Kind::success);
  EXPECT_EQ(two->outcome->user, "alice@example.com");
  auto three = ask("PLAIN", "\0a\0b"s);
  serve("FAIL\t3\ttemp\n");
  EXPECT_EQ(three->outcome->kind, AuthStep::Kind::unavailable);
}

TEST_F(DovecotClients, WhoGivesUpIsForgottenThere) {
  begin();
  serve(opening);
  auto one = ask("LOGIN", std::nullopt);
  serve("CONT\t1\t\n");
  one->exchange.reset();
  time.settle(io);
  EXPECT_THAT(server->received(), HasSubstr("CANCEL\t1\n"));
}

TEST_F(DovecotClients, WhileItIsAwayEverybodyIsToldAtOnceAndItIsFoundAgain) {
  is_listening = false;
  begin();
  EXPECT_EQ(ask("PLAIN", "x")->outcome->kind, AuthStep::Kind::unavailable);
  time.pass(io, 10s);
  EXPECT_GE(attempts, 9);
  EXPECT_LE(attempts, 12) << "once a second";
  EXPECT_EQ(std::ranges::count_if(log.lines(), [](const auto& line) { return line.contains("is away"); }), 1);
  is_listening = true;
  time.pass(io, 2s);
  serve(opening);
  auto half = ask("LOGIN", std::nullopt);
  serve("CONT\t1\t\n");
  auto waits = ask("PLAIN", "x");
  EXPECT_FALSE(waits->outcome);
  server->leave();
  time.settle(io);
  ASSERT_TRUE(waits->outcome);
  EXPECT_EQ(waits->outcome->kind, AuthStep::Kind::unavailable);
  time.pass(io, 2s);
  serve(opening);
  go_on(half, "alice");
  ASSERT_TRUE(half->outcome);
  EXPECT_EQ(half->outcome->kind, AuthStep::Kind::unavailable) << "the new connection knows nothing of it";
  auto again = ask("PLAIN", "x");
  serve("OK\t3\tuser=alice\n");
  EXPECT_EQ(again->outcome->kind, AuthStep::Kind::success);
}

TEST_F(DovecotClients, SilenceIsBounded) {
  begin();
  time.pass(io, 9s);
  EXPECT_EQ(attempts, 1);
  time.pass(io, 3s);
  EXPECT_EQ(attempts, 2) << "it has not said what it offers";
  serve(opening);
  auto slow = ask("PLAIN", "x");
  time.pass(io, 59s);
  EXPECT_FALSE(slow->outcome);
  time.pass(io, 2s);
  ASSERT_TRUE(slow->outcome);
  EXPECT_EQ(slow->outcome->kind, AuthStep::Kind::unavailable);
  EXPECT_TRUE(dovecot->is_there());
  serve("OK\t1\tuser=alice\n");
  EXPECT_TRUE(dovecot->is_there()) << "an answer that comes too late is for nobody";
}

TEST_F(DovecotClients, NonsenseEndsTheConnectionAndNobodyGetsIn) {
  begin();
  serve(opening);
  auto one = ask("PLAIN", "x");
  serve("OK\t1\tuser=\n");
  ASSERT_TRUE(one->outcome);
  EXPECT_EQ(one->outcome->kind, AuthStep::Kind::unavailable);
  EXPECT_TRUE(server->is_closed);
}

TEST_F(DovecotClients, OnlySoManyWait) {
  begin();
  serve(opening);
  std::vector<std::shared_ptr<Asked>> all;
  for (std::size_t i = 0; i < DovecotAuthenticator::log_ons_max; ++i) all.push_back(ask("PLAIN", "x"));
  EXPECT_FALSE(all.back()->outcome);
  EXPECT_EQ(ask("PLAIN", "x")->outcome->kind, AuthStep::Kind::unavailable);
  dovecot->close();
  time.settle(io);
  for (const auto& one : all) EXPECT_EQ(one->outcome->kind, AuthStep::Kind::unavailable);
}

}  // namespace
}  // namespace umbra::hub
