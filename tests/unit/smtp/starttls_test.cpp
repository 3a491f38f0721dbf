// Nothing that was said before TLS is known after it, and nothing that was not encrypted is taken for
// something that was: in both directions, at every split.
#include <gtest/gtest.h>

#include <random>

#include "smtp/send_session.h"
#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp {
namespace {

using testing::ReceiveDriver;

constexpr std::string_view whole_mail =
    "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nSubject: "
    "x\r\n\r\nhello\r\n.\r\nQUIT\r\n";

ReceiveSessionLimits offering(StartTlsOffer offer = StartTlsOffer::offered) {
  ReceiveSessionLimits limits;
  limits.starttls = offer;
  return limits;
}

/// What a client hears that has TLS from the first octet, but for the greeting.
struct Heard {
  std::string said;
  std::vector<testing::KeptMessage> kept;
  bool operator==(const Heard&) const = default;
};
Heard after_tls(ReceiveDriver& driver) {
  Heard heard;
  heard.said = driver.feed(whole_mail);
  heard.kept = driver.kept;
  return heard;
}
Heard fresh() {
  ReceiveDriver driver(offering());
  driver.session.tls_started();
  EXPECT_EQ(driver.take_output(), "220 hub.example ESMTP Umbra\r\n");
  return after_tls(driver);
}

TEST(StartTls, NothingBehindItIsObeyedAtAnySplit) {
  const std::string wire =
      "EHLO c.example\r\nSTARTTLS\r\nMAIL FROM:<evil@c.example>\r\nRCPT TO:<b@d.example>\r\n";
  const auto command_end = wire.find("MAIL");
  for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
    ReceiveDriver driver(offering());
    auto said = driver.feed(wire.substr(0, cut));
    if (cut == command_end) {
      // The rest comes when the handshake is awaited: it is for the TLS layer, which refuses it.
      EXPECT_EQ(driver.handshakes, 1);
      continue;
    }
    said += driver.feed(wire.substr(cut));
    EXPECT_EQ(driver.handshakes, 0) << cut;
    EXPECT_TRUE(driver.is_closed) << cut;
    EXPECT_TRUE(said.ends_with("554 5.5.0 octets behind STARTTLS that are not encrypted, closing\r\n"))
        << said;
    EXPECT_FALSE(said.contains("2.1.0"));
  }
}

TEST(StartTls, WhateverWasSaidBeforeLeavesNoTrace) {
  const auto expected = fresh();
  ASSERT_EQ(expected.kept.size(), 1U);
  const std::vector<std::string> lines = {"HELO evil.example",
                                          "EHLO evil.example",
                                          "MAIL FROM:<evil@c.example> SMTPUTF8 RET=FULL",
                                          "RCPT TO:<evil@d.example>",
                                          "RCPT TO:<nobody@d.org>",
                                          "RSET",
                                          "BDAT 5\r\nevil.",
                                          "BDAT 4 LAST\r\nevil",
                                          "DATA\r\nevil\r\n.",
                                          "NOOP",
                                          "VRFY x",
                                          "FROBNICATE",
                                          "STARTTLS evil"};
  std::mt19937 random(7);
  int upgraded = 0;
  for (int run = 0; run < 3000; ++run) {
    ReceiveDriver driver(offering(run % 2 == 0 ? StartTlsOffer::offered : StartTlsOffer::required));
    std::string before;
    for (auto n = random() % 12; n > 0; --n) before += lines[random() % lines.size()] + "\r\n";
    driver.feed_split(before, 1 + random() % 40);
    if (driver.is_closed) continue;
    driver.feed_split("RSET\r\nEHLO c.example\r\nSTARTTLS\r\n", 1 + random() % 20);
    if (driver.handshakes == 0) continue;
    ++upgraded;
    driver.kept.clear();
    EXPECT_EQ(after_tls(driver), expected) << before;
  }
  EXPECT_GT(upgraded, 1000);
}

// ---- the other direction

constexpr const char* with_starttls = "250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n";

SendSession greeted(StartTlsUse use, std::string_view hello = with_starttls) {
  SendSession session("hub.example", use);
  session.feed("220 mx.example ESMTP\r\n");
  EXPECT_EQ(std::exchange(session.output(), ""), "EHLO hub.example\r\n");
  session.feed(hello);
  return session;
}
std::string said(SendSession& session) {
  return std::exchange(session.output(), "");
}

TEST(StartTls, IsSaidWhereOfferedAndHelloIsSaidAgain) {
  auto session = greeted(StartTlsUse::if_offered);
  EXPECT_EQ(said(session), "STARTTLS\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::tls);
  EXPECT_TRUE(session.awaits_reply());
  session.feed("220 2.0.0 go\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::handshake);
  session.tls_started();
  EXPECT_EQ(said(session), "EHLO hub.example\r\n");
  EXPECT_TRUE(session.awaits_hello_after_tls());
  session.feed("250-mx.example\r\n250 STARTTLS\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::ready);
  EXPECT_FALSE(session.next_hop().pipelining) << "what was offered before TLS is forgotten";
  EXPECT_FALSE(session.awaits_hello_after_tls());
}

TEST(StartTls, OctetsBehindTheReplyEndTheSessionAtAnySplit) {
  for (const std::string injected : {"250 fake\r\n", "2", "\r\n", "250-mx\r\n250 PIPELINING\r\n"}) {
    const std::string wire = "220 go\r\n" + injected;
    for (std::size_t cut = 0; cut < wire.size(); ++cut) {
      auto session = greeted(StartTlsUse::always);
      said(session);
      session.feed(wire.substr(0, cut));
      session.feed(wire.substr(cut));
      EXPECT_EQ(session.phase(), SendSession::Phase::over) << cut;
      EXPECT_EQ(session.over_reason().code, 0);
      EXPECT_TRUE(session.over_reason().text.contains("not encrypted")) << session.over_reason().text;
    }
  }
}

TEST(StartTls, AReplyThatWasThereBeforeTheCommandEndsTheSession) {
  const std::string wire = std::string(with_starttls) + "220 go\r\n";
  for (std::size_t cut = std::string_view(with_starttls).size() + 1; cut <= wire.size(); ++cut) {
    auto session = greeted(StartTlsUse::if_offered, wire.substr(0, cut));
    session.feed(wire.substr(cut));
    EXPECT_EQ(session.phase(), SendSession::Phase::over) << cut;
  }
}

TEST(StartTls, ARefusalIsTakenOrEndsTheSession) {
  for (const char* reply : {"454 4.7.0 not now\r\n", "502 5.5.1 no\r\n"}) {
    auto session = greeted(StartTlsUse::if_offered);
    said(session);
    session.feed(reply);
    EXPECT_EQ(session.phase(), SendSession::Phase::ready);
    EXPECT_TRUE(session.next_hop().pipelining);
    session = greeted(StartTlsUse::always);
    said(session);
    session.feed(reply);
    EXPECT_EQ(session.phase(), SendSession::Phase::over);
    EXPECT_EQ(to_wire(session.over_reason()), reply);
  }
  for (const char* nonsense : {"250 ok\r\n", "354 go on\r\n"}) {
    auto session = greeted(StartTlsUse::if_offered);
    said(session);
    session.feed(nonsense);
    EXPECT_EQ(session.phase(), SendSession::Phase::over) << nonsense;
  }
}

TEST(StartTls, WithoutTheOfferMailGoesOnOrNot) {
  EXPECT_EQ(greeted(StartTlsUse::if_offered, "250-mx\r\n250 PIPELINING\r\n").phase(),
            SendSession::Phase::ready);
  EXPECT_EQ(greeted(StartTlsUse::never).phase(), SendSession::Phase::ready);
  auto session = greeted(StartTlsUse::always, "250-mx\r\n250 PIPELINING\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over);
  EXPECT_EQ(session.over_reason().text, "4.7.4 the next hop does not offer STARTTLS");
  session = greeted(StartTlsUse::always, "502 5.5.1 what\r\n");
  EXPECT_EQ(said(session), "HELO hub.example\r\n");
  session.feed("250 mx\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over) << "HELO offers nothing";
}

}  // namespace
}  // namespace umbra::smtp
