// This hub's side of logging on, against this hub's other side and against a server that cheats.
#include "hub/authentication/sasl_client.h"

#include <gmock/gmock.h>

#include "smtp/base64.h"

namespace umbra::hub {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const PasswordFile> users() {
  const std::string salt = "0123456789abcdef";
  char salted[32], client[32], server[32], stored[32];
  UMBRA_ASSERT(gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, "right", 4096, salt.data(), salt.size(),
                                                 salted, client, server, stored) == GSASL_OK);
  auto file =
      PasswordFile::parse("relay:SCRAM-SHA-256$4096:" + smtp::encode_base64(salt) + "$" +
                          smtp::encode_base64({stored, 32}) + ":" + smtp::encode_base64({server, 32}) + "\n");
  UMBRA_ASSERT(file);
  return std::make_shared<const PasswordFile>(std::move(*file));
}

/// What the server thinks at the end.
SaslServer::Step talk(SaslClient& client, SaslServer& server) {
  auto first = client.begin();
  if (!first) return SaslServer::Step::refused;
  auto step = server.step(*first);
  while (step == SaslServer::Step::challenge) {
    auto answer = client.answer(server.challenge());
    if (!answer) return SaslServer::Step::refused;
    step = server.step(*answer);
  }
  return step;
}

TEST(SaslClients, TakeTheBestThatIsOffered) {
  EXPECT_EQ(SaslClient::best_of("GSSAPI LOGIN PLAIN SCRAM-SHA-256"), "SCRAM-SHA-256");
  EXPECT_EQ(SaslClient::best_of("LOGIN plain"), "PLAIN");
  EXPECT_EQ(SaslClient::best_of("  LOGIN"), "LOGIN");
  EXPECT_EQ(SaslClient::best_of("CRAM-MD5 SCRAM-SHA-256-PLUS"), "");
  EXPECT_EQ(SaslClient::best_of(""), "");
}

TEST(SaslClients, LogOnByEachMechanism) {
  for (const char* mechanism : {"SCRAM-SHA-256", "PLAIN", "LOGIN"}) {
    SaslClient client(mechanism, "relay", "right");
    SaslServer server(mechanism, users());
    auto step = talk(client, server);
    EXPECT_TRUE(client.is_complete()) << mechanism;
    EXPECT_EQ(server.user(), "relay");
    if (std::string_view(mechanism) == "SCRAM-SHA-256")
      EXPECT_EQ(step, SaslServer::Step::success);
    else
      EXPECT_EQ(server.take_password(), "right");
  }
  SaslClient wrong("SCRAM-SHA-256", "relay", "wrong");
  SaslServer server("SCRAM-SHA-256", users());
  EXPECT_EQ(talk(wrong, server), SaslServer::Step::refused);
  EXPECT_FALSE(wrong.is_complete());
}

TEST(SaslClients, AServerThatProvesNothingIsNotBelieved) {
  SaslClient silent("SCRAM-SHA-256", "relay", "right");
  ASSERT_TRUE(silent.begin());
  EXPECT_FALSE(silent.is_complete()) << "235 at once";
  SaslClient cheated("SCRAM-SHA-256", "relay", "right");
  SaslServer server("SCRAM-SHA-256", users());
  ASSERT_EQ(server.step(*cheated.begin()), SaslServer::Step::challenge);
  ASSERT_TRUE(cheated.answer(server.challenge()));
  EXPECT_FALSE(cheated.is_complete());
  EXPECT_FALSE(cheated.answer("v=" + smtp::encode_base64(std::string(32, 'x'))));
  EXPECT_FALSE(cheated.is_complete());
}

TEST(SaslClients, WhatAServerMayAskForIsBounded) {
  for (const char* iterations : {"1", "4095", "1000001", "99999999999999999999", "-1", "x", ""}) {
    SaslClient client("SCRAM-SHA-256", "relay", "right");
    const auto first = **client.begin();
    const auto nonce = first.substr(first.find("r="));
    auto answer = client.answer(nonce + "more,s=AAAAAAAA,i=" + iterations);
    ASSERT_FALSE(answer) << iterations;
    EXPECT_THAT(answer.error().what, HasSubstr("iterations"));
  }
  for (const char* challenge :
       {"", "x", "r=abc", "e=other-error", "r=abc,s=AAAA,i=4096", "v=AAAA", "m=x,r=abc,s=AAAA,i=4096"}) {
    SaslClient client("SCRAM-SHA-256", "relay", "right");
    ASSERT_TRUE(client.begin());
    EXPECT_FALSE(client.answer(challenge)) << challenge;
  }
}

}  // namespace
}  // namespace umbra::hub
