#include "smtp/receive_session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp {
namespace {

using testing::ReceiveDriver;
using namespace std::chrono_literals;

constexpr std::string_view begin = "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n";

ReceiveSessionLimits small_limits() {
  ReceiveSessionLimits limits;
  limits.body = {.message_octets_max = 60,
                 .line_octets_max = 30,
                 .header_octets_max = 50,
                 .hops_max = 2,
                 .own_hops_max = 1};
  limits.command_octets_max = 64;
  limits.recipients_max = 2;
  limits.errors_max = 4;
  return limits;
}

TEST(ReceiveSession, RefusesMailBeforeEhlo) {
  ReceiveDriver driver;
  EXPECT_EQ(driver.feed("MAIL FROM:<a@c.example>\r\n"),
            "220 hub.example ESMTP Umbra\r\n503 5.5.1 EHLO or HELO first\r\n");
}

TEST(ReceiveSession, HandsOverTheEnvelopeAsItWasGiven) {
  ReceiveDriver driver;
  driver.feed(
      "EHLO c.example\r\nMAIL FROM:<a@c.example> BODY=8BITMIME RET=FULL ENVID=X+2B1 SIZE=9\r\n"
      "RCPT TO:<b@d.example> NOTIFY=NEVER ORCPT=rfc822;z@d.example\r\nRCPT "
      "TO:<postmaster>\r\nDATA\r\nx\r\n.\r\n");
  ASSERT_EQ(driver.kept.size(), 1U);
  const auto& e = driver.kept[0].envelope;
  EXPECT_EQ(e.sender, "a@c.example");
  EXPECT_EQ(e.envelope_id, "X+2B1");
  EXPECT_EQ(e.dsn_return, DsnReturn::full);
  EXPECT_TRUE(e.body_8bit);
  EXPECT_FALSE(e.smtputf8);
  ASSERT_EQ(e.recipients.size(), 2U);
  EXPECT_EQ(e.recipients[0], (Recipient{"b@d.example", "rfc822;z@d.example", notify_never}));
  EXPECT_EQ(e.recipients[1].address, "postmaster@hub.example");
  EXPECT_EQ(driver.session.hello_name(), "c.example");
  EXPECT_TRUE(driver.session.is_extended());
}

TEST(ReceiveSession, ForgetsTheEnvelopeBetweenTransactions) {
  ReceiveDriver driver;
  driver.feed(
      "EHLO c.example\r\nMAIL FROM:<a@c.example> BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=1\r\nRCPT "
      "TO:<b@d.example>\r\nRSET\r\n"
      "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n");
  ASSERT_EQ(driver.kept.size(), 1U);
  Envelope expected;
  expected.recipients = {{"c@d.example", "", notify_unset}};
  EXPECT_EQ(driver.kept[0].envelope, expected);
}

TEST(ReceiveSession, DoesNotSay354BeforeTheDriverIsReady) {
  ReceiveDriver driver;
  driver.refuse_data = Reply{451, "4.3.0", "not now"};
  driver.feed(begin);
  EXPECT_EQ(driver.feed("DATA\r\n"), "451 4.3.0 not now\r\n");
  EXPECT_EQ(driver.feed("RCPT TO:<b@d.example>\r\n"), "503 5.5.1 MAIL first\r\n");
  driver.feed(begin);
  EXPECT_EQ(driver.feed("BDAT 4\r\nQUIT"), "451 4.3.0 not now\r\n");
  EXPECT_EQ(driver.feed("BDAT 4 LAST\r\nQUIT"), "503 5.5.1 an earlier chunk was refused\r\n");
  EXPECT_EQ(driver.begun, 2);
}

TEST(ReceiveSession, SaysNothingOfAMessageBeforeItsEnd) {
  ReceiveDriver driver;
  driver.feed(begin);
  driver.feed("DATA\r\n");
  for (const char* piece : {"text", "\r", "\n", ".", "\r"}) EXPECT_EQ(driver.feed(piece), "");
  EXPECT_TRUE(driver.kept.empty());
  EXPECT_EQ(driver.feed("\n"), "250 2.0.0 queued\r\n");
  EXPECT_EQ(driver.kept.size(), 1U);
}

TEST(ReceiveSession, GivesUpTheMessageWhenTheClientDoesBetweenChunks) {
  for (const char* end :
       {"RSET\r\n", "EHLO again.example\r\n", "QUIT\r\n", "BDAT 1 FIRST\r\nx", "BDAT x\r\n"}) {
    ReceiveDriver driver;
    driver.feed(begin);
    driver.feed("BDAT 4\r\ntext");
    EXPECT_TRUE(driver.session.is_body_open());
    driver.feed(end);
    const bool stays_open =
        end == std::string_view("BDAT x\r\n");  // closes: the driver gives the message up itself
    EXPECT_EQ(driver.abandoned, stays_open ? 0 : 1) << end;
    driver.feed("BDAT 4 LAST\r\ntext");
    EXPECT_TRUE(driver.kept.empty()) << end;
  }
}

TEST(ReceiveSession, ClosesWhenToldTo) {
  ReceiveDriver driver;
  driver.feed(begin);
  driver.feed("BDAT 4\r\ntext");
  driver.session.close_with({421, "4.3.2", "closing"});
  EXPECT_EQ(driver.feed("BDAT 4 LAST\r\ntext"), "421 4.3.2 closing\r\n");
  EXPECT_TRUE(driver.is_closed);
  EXPECT_EQ(driver.abandoned, 1);
  EXPECT_TRUE(driver.kept.empty());
}

TEST(ReceiveSession, ClosesAfterAMessageAnsweredWith421) {
  ReceiveDriver driver;
  driver.answer = {421, "4.3.2", "closing"};
  driver.feed(begin);
  EXPECT_EQ(driver.feed("BDAT 4 LAST\r\ntextNOOP\r\n"), "421 4.3.2 closing\r\n");
  EXPECT_TRUE(driver.is_closed);
}

TEST(ReceiveSession, KeepsBackTheReplyToAFailedCommandOnly) {
  ReceiveSessionLimits limits;
  limits.tarpit = std::chrono::seconds(5);
  ReceiveDriver driver(limits);
  driver.feed("EHLO c.example\r\nNOOP\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  EXPECT_TRUE(driver.pauses.empty());
  driver.feed("RCPT TO:<nobody@d.example>\r\nBANANA\r\n");
  EXPECT_EQ(driver.pauses, (std::vector<Duration>(2, std::chrono::seconds(5))));
  driver.pauses.clear();
  driver.answer = {550, "5.7.1", "not this message"};
  driver.feed("DATA\r\nx\r\n.\r\nMAIL FROM:<a@c.example>\r\n");
  EXPECT_TRUE(driver.pauses.empty()) << "the reply to a message is not one to a command";
  driver.refuse_mail = Reply{452, "4.3.1", "later"};
  driver.feed("RSET\r\nMAIL FROM:<a@c.example>\r\n");
  EXPECT_TRUE(driver.pauses.empty()) << "who is to come later did nothing wrong";
}

TEST(ReceiveSession, KeepsBackNoReplyToAChunkAndNoneThatCloses) {
  ReceiveSessionLimits limits;
  limits.errors_max = 2;
  limits.tarpit = std::chrono::seconds(5);
  ReceiveDriver driver(limits);
  driver.feed("EHLO c.example\r\nBDAT 3\r\nabcBDAT 3 LAST\r\nabc");
  EXPECT_TRUE(driver.pauses.empty());
  driver.feed("BANANA\r\n");
  EXPECT_TRUE(driver.is_closed);
  EXPECT_TRUE(driver.pauses.empty());
}

TEST(ReceiveSession, KeepsBackTheReplyToASenderAsThePolicySays) {
  ReceiveDriver driver;
  driver.delay_mail = std::chrono::seconds(10);
  driver.feed("EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  EXPECT_EQ(driver.pauses, (std::vector<Duration>{std::chrono::seconds(10)}));
}

TEST(ReceiveSession, AsksForAFlushBeforeRepliesGrowLong) {
  ReceiveDriver driver;
  std::string noops;
  for (int i = 0; i < 10'000; ++i) noops += "HELP\r\n";
  const auto said = driver.feed(noops);
  EXPECT_GT(driver.flushes, 20);
  EXPECT_EQ(said.size(), 29U + 10'000U * said.substr(29).find("214-", 4));
}

TEST(ReceiveSession, KeepsNoMoreOfALongLineThanItsLimit) {
  ReceiveDriver driver;
  driver.feed("");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(driver.feed(std::string(1000, 'x')), "");
  EXPECT_EQ(driver.feed("\r\n"), "500 5.5.2 command line over 2048 octets\r\n");
  EXPECT_EQ(driver.feed("NOOP\r\n"), "250 2.0.0 ok\r\n");
  // A chunk's size may hide behind the limit; a bare LF may be anywhere.
  EXPECT_EQ(driver.feed("BDAT 5" + std::string(3000, ' ') + "\r\nRSET\r\n"),
            "500 5.5.2 command line over 2048 octets\r\n");
  EXPECT_TRUE(driver.is_closed);
  ReceiveDriver other;
  other.feed("");
  other.feed(std::string(3000, 'x'));
  EXPECT_EQ(other.feed("\nNOOP\r\n"), "500 5.5.2 command line over 2048 octets\r\n");
  EXPECT_TRUE(other.is_closed);
}

TEST(ReceiveSession, TellsOfUndeclared8bitText) {
  ReceiveDriver driver;
  driver.feed(begin);
  driver.feed("DATA\r\n\xc3\xbc\r\n");
  EXPECT_TRUE(driver.session.body_has_8bit());
  EXPECT_FALSE(driver.session.envelope().body_8bit);
  EXPECT_EQ(driver.feed(".\r\n"), "250 2.0.0 queued\r\n");
}

/// Conversations that touch every command and every state, some of them broken.
const std::vector<std::string> conversations = {
    std::string(begin) + "DATA\r\nReceived: a\r\n\r\n..x\r\n.\r\n" +
        "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nsecond\r\n.\r\nQUIT\r\nNOOP\r\n",
    std::string(begin) + "BDAT 6\r\na\r\nb\r\nRSET\r\n" + std::string(begin) +
        "BDAT 3\r\na\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n",
    std::string(begin) + "BDAT 3\r\na\r\nBDAT 70\r\n" + std::string(70, 'x') +
        "BDAT 4 LAST\r\nQUITRSET\r\nNOOP\r\n",
    std::string(begin) + "BDAT 3 X\r\na\r\nBDAT 70 LAST\r\n" + std::string(70, 'x') + "NOOP\r\n",
    std::string(begin) +
        "DATA\r\na\n.\r\nb\r.\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n",
    std::string(begin) + "RCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nDATA\r\n" + std::string(40, 'y') +
        "\r\n.\r\nVRFY x\r\nHELP\r\n",
    std::string(begin) +
        "DATA\r\nReceived: by hub.example id 1\r\n\t\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: "
        "b\r\n\r\n.\r\nNOOP\r\n",
    "NOOP\r\n" + std::string(100, 'z') + "\r\nBAD\r\nBAD\r\nBAD\r\nBAD\r\nBAD\r\nNOOP\r\n",
    "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<nobody@d.example>\r\nDATA\r\nBDAT "
    "5\r\nNOOP\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n",
    "HELO c.example\r\nBDAT 6\r\nQUIT\r\nNOOP\rx\r\nNOOP \nNOOP\r\n",
    "HELO c.example\r\nBDAT -6\r\nQUIT\r\n",
};

TEST(ReceiveSession, SaysAndKeepsTheSameHoweverTheInputIsSplit) {
  for (const auto& text : conversations) {
    ReceiveDriver whole(small_limits());
    const auto said = whole.feed(text);
    const std::string_view view = text;
    for (std::size_t at = 0; at <= text.size(); ++at) {
      ReceiveDriver split(small_limits());
      auto split_said = split.feed(view.substr(0, at));
      split_said += split.feed(view.substr(at));
      ASSERT_EQ(split_said, said) << text << " at " << at;
      ASSERT_EQ(split.kept, whole.kept) << text << " at " << at;
      ASSERT_EQ(split.abandoned, whole.abandoned) << text << " at " << at;
      ASSERT_EQ(split.is_closed, whole.is_closed) << text << " at " << at;
    }
    ReceiveDriver octets(small_limits());
    ASSERT_EQ(octets.feed_split(text, 1), said) << text;
    ASSERT_EQ(octets.kept, whole.kept) << text;
  }
}

TEST(ReceiveSession, AnswersEveryCommandOnceWithAnEnhancedCode) {
  for (const auto& text : conversations) {
    ReceiveDriver driver(small_limits());
    const auto said = driver.feed(text);
    std::string_view rest = said;
    while (!rest.empty()) {
      const auto end = rest.find("\r\n");
      ASSERT_NE(end, std::string_view::npos);
      const auto line = rest.substr(0, end);
      rest.remove_prefix(end + 2);
      if (line.starts_with("220") || line.starts_with("354")) continue;
      if (line.starts_with("250") && !line.substr(4).starts_with("2.")) continue;  // EHLO, HELO
      ASSERT_GE(line.size(), 10U);
      EXPECT_EQ(line[0], line[4]) << line;
      EXPECT_EQ(line[5], '.') << line;
    }
  }
}

TEST(ReceiveSession, OffersNothingThatIsOffAndKnowsNothingOfIt) {
  ReceiveSessionLimits limits;
  limits.extensions = {false, false, false, false, false, false};
  ReceiveDriver all_off(limits);
  all_off.take_output();
  EXPECT_EQ(all_off.feed("EHLO c\r\n"),
            "250-hub.example greets c\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n");
  for (const char* parameter : {"SIZE=5", "BODY=8BITMIME", "BODY=7BIT", "SMTPUTF8", "RET=HDRS", "ENVID=a"})
    EXPECT_EQ(all_off.feed(std::string("MAIL FROM:<a@c.example> ") + parameter + "\r\n"),
              "555 5.5.4 parameter not known\r\n")
        << parameter;
  EXPECT_EQ(all_off.feed("MAIL FROM:<a@c.example>\r\n"), "250 2.1.0 sender ok\r\n");
  for (const char* parameter : {"NOTIFY=NEVER", "ORCPT=rfc822;a@b.example"})
    EXPECT_EQ(all_off.feed(std::string("RCPT TO:<b@d.example> ") + parameter + "\r\n"),
              "555 5.5.4 parameter not known\r\n")
        << parameter;
  EXPECT_EQ(all_off.feed("RCPT TO:<b@d.example>\r\n"), "250 2.1.5 recipient ok\r\n");
}

TEST(ReceiveSession, ReadsAChunkThatItDoesNotOfferToItsEnd) {
  ReceiveSessionLimits limits;
  limits.extensions.chunking = false;
  ReceiveDriver driver(limits);
  driver.feed("EHLO c\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  EXPECT_EQ(driver.feed("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
            "502 5.5.1 command not offered here\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(driver.begun, 0);
  driver.feed("MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  driver.feed("DATA\r\n");
  EXPECT_EQ(driver.feed("x\r\n.\r\n"), "250 2.0.0 queued\r\n") << "by DATA";
}

TEST(ReceiveSession, GreetsWithItsBanner) {
  ReceiveSessionLimits limits;
  limits.banner = "mail";
  ReceiveDriver driver(limits);
  EXPECT_EQ(driver.take_output(), "220 hub.example mail\r\n");
}

/// The repetitions of a line.
std::string times(std::size_t count, std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += line;
  return text;
}

ReceiveSessionLimits talkative_limits() {
  ReceiveSessionLimits limits;
  limits.commands_at_once = 10;
  limits.commands_without_mail_max = 50;
  return limits;
}

TEST(ReceiveSession, WritesRepliesAfterSoManyCommandsThatOthersHaveTheirTurn) {
  ReceiveDriver driver(talkative_limits());
  driver.feed("EHLO c.example\r\n" + times(40, "NOOP\r\n"));
  EXPECT_EQ(driver.flushes, 4);
  EXPECT_TRUE(driver.rests.empty());
}

TEST(ReceiveSession, RestsWhenACommandFollowsTheOtherAndNoMailComes) {
  for (std::string_view line : {"NOOP\r\n", "RSET\r\n", "EHLO c.example\r\n", "VRFY a\r\n"}) {
    for (std::size_t split : {std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
      ReceiveDriver driver(talkative_limits());
      auto said = driver.feed_split("EHLO c.example\r\n" + times(99, line), split);
      EXPECT_EQ(driver.rests, std::vector<Duration>(5, 1s)) << line << " in pieces of " << split;
      EXPECT_EQ(driver.rests.size() + static_cast<std::size_t>(driver.flushes), 10U);
      EXPECT_FALSE(driver.is_closed) << "it is served, if slowly";
      if (line.starts_with("NOOP"))
        EXPECT_EQ(std::ranges::count(said, '\n'),
                  99 + std::ranges::count(ReceiveDriver().feed("EHLO c.example\r\n"), '\n'));
    }
  }
}

TEST(ReceiveSession, DoesNotRestWhoSendsALargeMessageInChunks) {
  auto limits = talkative_limits();
  limits.body.message_octets_max = 1'000'000;
  for (auto [octets, rests] :
       {std::pair{std::size_t{600}, std::size_t{0}}, std::pair{std::size_t{10}, std::size_t{5}}}) {
    ReceiveDriver driver(limits);
    const std::string chunk = times(octets / 10, "12345678\r\n");
    driver.feed(std::string(begin) + times(97, "BDAT " + std::to_string(octets) + "\r\n" + chunk) +
                "BDAT 0 LAST\r\n");
    EXPECT_EQ(driver.kept.size(), 1U);
    EXPECT_EQ(driver.rests.size(), rests) << octets;
  }
}

TEST(ReceiveSession, DoesNotRestWhoSendsMail) {
  ReceiveDriver driver(talkative_limits());
  const std::string mail = "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nx\r\n.\r\n";
  driver.feed("EHLO c.example\r\n" + times(40, "NOOP\r\n") + times(100, mail));
  EXPECT_TRUE(driver.rests.empty());
  EXPECT_EQ(driver.kept.size(), 100U);
  // One that is not taken is no mail.
  driver.answer = {451, "4.3.0", "later"};
  driver.feed(times(30, mail));
  EXPECT_EQ(driver.rests.size(), 4U);
}

}  // namespace
}  // namespace umbra::smtp
