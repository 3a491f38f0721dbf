// AUTH in a receiving session: what dialogs cannot say. TLS, tarpit, any split; base 64; and the sending
// side's order of things.
#include <gtest/gtest.h>

#include "smtp/base64.h"
#include "smtp/send_session.h"
#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp {
namespace {

using namespace std::chrono_literals;
using testing::ReceiveDriver;

ReceiveSessionLimits with_auth(AuthLimits::Use use = AuthLimits::Use::offered,
                               bool allow_without_tls = true) {
  ReceiveSessionLimits limits;
  limits.starttls = StartTlsOffer::offered;
  limits.auth.use = use;
  limits.auth.allow_without_tls = allow_without_tls;
  limits.auth.tarpit = 5s;
  return limits;
}

TEST(Base64, HasOneSpellingForEachStringOfOctets) {
  for (const std::string octets : {"", "a", "ab", "abc", "\xff\xfe\xfd\xfc", "hello world"})
    EXPECT_EQ(decode_base64(encode_base64(octets)), octets);
  EXPECT_EQ(encode_base64(std::string("\0a\0right", 8)), "AGEAcmlnaHQ=");
  for (std::string_view bad : {"=", "====", "A", "AA", "AAA", "AA=A", "A===", "QR==", "QUJ=", "QUI=QUI=",
                               "QU I=", "QUI=\n", "QU-_", "QUI", "\xffQUI"})
    EXPECT_EQ(decode_base64(bad), std::nullopt) << bad;
  EXPECT_EQ(decode_base64("QQ=="), "A");
  EXPECT_EQ(decode_base64("QUI="), "AB");
}

TEST(ReceiveAuth, IsOfferedAndTakenAfterTlsOnly) {
  for (auto use : {AuthLimits::Use::offered, AuthLimits::Use::required}) {
    ReceiveDriver driver(with_auth(use, false));
    EXPECT_FALSE(driver.feed("EHLO c.example\r\n").contains("AUTH"));
    EXPECT_EQ(driver.feed("AUTH PLAIN AGEAcmlnaHQ=\r\n"),
              "538 5.7.11 encryption is needed for it: STARTTLS first\r\n");
    if (use == AuthLimits::Use::required)
      EXPECT_EQ(driver.feed("MAIL FROM:<a@b.example>\r\n"), "530 5.7.0 STARTTLS and AUTH first\r\n");
    EXPECT_EQ(driver.words.size(), 0U);
    driver.feed("STARTTLS\r\n");
    EXPECT_TRUE(driver.feed("EHLO c.example\r\n").contains("250-AUTH PLAIN LOGIN\r\n"));
    EXPECT_EQ(driver.feed("AUTH PLAIN AGEAcmlnaHQ=\r\n"), "235 2.7.0 logged on\r\n");
    EXPECT_EQ(driver.feed("MAIL FROM:<a@b.example>\r\n"), "250 2.1.0 sender ok\r\n");
  }
}

TEST(ReceiveAuth, IsForgottenWhenTlsBegins) {
  ReceiveDriver driver(with_auth(AuthLimits::Use::required));
  driver.feed("EHLO c.example\r\nAUTH PLAIN AGEAcmlnaHQ=\r\nSTARTTLS\r\n");
  EXPECT_EQ(driver.handshakes, 1);
  EXPECT_FALSE(driver.session.is_authenticated());
  EXPECT_TRUE(
      driver.feed("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n").ends_with("530 5.7.0 AUTH first\r\n"));
}

TEST(ReceiveAuth, FailuresAreCountedThroughTls) {
  ReceiveDriver driver(with_auth());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(driver.feed("EHLO c.example\r\nAUTH PLAIN AGEAd3Jvbmc=\r\n")
                    .ends_with("535 5.7.8 authentication failed\r\n"));
  driver.feed("STARTTLS\r\n");
  EXPECT_TRUE(driver.feed("EHLO c.example\r\nAUTH PLAIN AGEAcmlnaHQ=\r\n")
                  .ends_with("421 4.7.0 too many failed log-ons, closing\r\n"));
  EXPECT_TRUE(driver.is_closed);
}

TEST(ReceiveAuth, OnlyAFailedLogOnIsKeptBack) {
  ReceiveDriver driver(with_auth());
  driver.feed("EHLO c.example\r\nAUTH PLAIN AGEAYXdheQ==\r\nAUTH PLAIN\r\n*\r\n");
  EXPECT_TRUE(driver.pauses.empty());
  driver.feed("AUTH PLAIN AGEAd3Jvbmc=\r\n");
  EXPECT_EQ(driver.pauses, std::vector<Duration>{5s});
  driver.feed("AUTH PLAIN AGEAcmlnaHQ=\r\n");
  EXPECT_EQ(driver.pauses.size(), 1U);
}

TEST(ReceiveAuth, SaysTheSameAtAnySplit) {
  const std::string wire =
      "EHLO c.example\r\nAUTH LOGIN\r\nYQ==\r\nd3Jvbmc=\r\nAUTH PLAIN\r\n*\r\nAUTH "
      "PLAIN\r\nAGEAcmlnaHQ=\r\nMAIL FROM:<a@b.example> AUTH=a@b.example\r\nQUIT\r\n";
  ReceiveDriver whole(with_auth());
  const auto expected = whole.feed(wire);
  EXPECT_TRUE(expected.contains("235 2.7.0")) << expected;
  for (std::size_t piece = 1; piece < 40; ++piece) {
    ReceiveDriver driver(with_auth());
    EXPECT_EQ(driver.feed_split(wire, piece), expected) << piece;
  }
}

TEST(ReceiveAuth, AnEndlessLineOfALogOnIsBounded) {
  ReceiveDriver driver(with_auth());
  driver.feed("EHLO c.example\r\nAUTH PLAIN\r\n");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(driver.feed(std::string(1000, 'A')), "");
  EXPECT_EQ(driver.feed("\r\n"), "500 5.5.2 line over 12288 octets\r\n");
  EXPECT_EQ(driver.feed("NOOP\r\n"), "250 2.0.0 ok\r\n");
}

TEST(ReceiveAuth, TheParameterOfMailIsUnknownWhereNobodyLogsOn) {
  ReceiveDriver driver;
  driver.feed("EHLO c.example\r\n");
  EXPECT_EQ(driver.feed("MAIL FROM:<a@b.example> AUTH=<>\r\n"), "555 5.5.4 parameter not known\r\n");
}

// ---- the sending side

std::string said(SendSession& session) {
  return std::exchange(session.output(), "");
}

SendSession at_log_on(StartTlsUse use = StartTlsUse::never) {
  SendSession session("hub.example", use, true);
  session.feed("220 mx.example ESMTP\r\n");
  said(session);
  session.feed("250-mx.example\r\n250-AUTH SCRAM-SHA-256 PLAIN\r\n250 PIPELINING\r\n");
  return session;
}

TEST(SendAuth, IsReadyOnlyWhenBothSidesAgree) {
  auto session = at_log_on();
  ASSERT_EQ(session.phase(), SendSession::Phase::log_on);
  EXPECT_FALSE(session.can_begin());
  EXPECT_EQ(session.next_hop().auth_mechanisms, "SCRAM-SHA-256 PLAIN");
  session.auth("SCRAM-SHA-256", "n,,n=a,r=b");
  EXPECT_EQ(said(session), "AUTH SCRAM-SHA-256 biwsbj1hLHI9Yg==\r\n");
  session.feed("334 " + encode_base64("r=bc") + "\r\n");
  ASSERT_EQ(session.phase(), SendSession::Phase::challenge);
  EXPECT_EQ(session.auth_challenge(), "r=bc");
  session.auth_respond("c=biws");
  EXPECT_EQ(said(session), "Yz1iaXdz\r\n");
  session.feed("334 \r\n");
  EXPECT_EQ(session.auth_challenge(), "");
  session.auth_respond("");
  EXPECT_EQ(said(session), "\r\n");
  session.feed("235 2.7.0 welcome\r\n");
  ASSERT_EQ(session.phase(), SendSession::Phase::logged_on);
  EXPECT_FALSE(session.can_begin());
  session.auth_accept();
  EXPECT_TRUE(session.can_begin());
}

TEST(SendAuth, ARefusalEndsTheSessionAndIsTold) {
  for (const char* reply : {"535 5.7.8 no\r\n", "454 4.7.0 later\r\n", "502 5.5.1 what\r\n"}) {
    auto session = at_log_on();
    session.auth("PLAIN", std::string("\0a\0b", 4));
    said(session);
    session.feed(reply);
    EXPECT_EQ(session.phase(), SendSession::Phase::over);
    EXPECT_TRUE(session.is_log_on_refused());
    EXPECT_EQ(to_wire(session.over_reason()), reply);
  }
}

TEST(SendAuth, NonsenseEndsTheSession) {
  for (const char* reply : {"250 ok\r\n", "354 go\r\n", "334 not base 64\r\n", "234 x\r\n"}) {
    auto session = at_log_on();
    session.auth("PLAIN", std::nullopt);
    EXPECT_EQ(said(session), "AUTH PLAIN\r\n");
    session.feed(reply);
    EXPECT_EQ(session.phase(), SendSession::Phase::over) << reply;
    EXPECT_FALSE(session.is_log_on_refused());
  }
  // An answer that was there before the question.
  auto session = at_log_on();
  session.auth("PLAIN", "");
  session.feed("235 2.7.0 welcome\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over);
}

TEST(SendAuth, ComesAfterTls) {
  SendSession session("hub.example", StartTlsUse::always, true);
  session.feed("220 mx\r\n");
  said(session);
  session.feed("250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n");
  EXPECT_EQ(said(session), "STARTTLS\r\n");
  session.feed("220 go\r\n");
  session.tls_started();
  said(session);
  session.feed("250-mx\r\n250 AUTH LOGIN\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::log_on);
  EXPECT_EQ(session.next_hop().auth_mechanisms, "LOGIN") << "what was offered before TLS is forgotten";
}

}  // namespace
}  // namespace umbra::smtp
