// What an observer of a session is told: every command and reply in sequence, and never a secret or a piece
// of a message.
#include <gtest/gtest.h>

#include "smtp/base64.h"
#include "smtp/send_session.h"
#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp {
namespace {

using testing::ReceiveDriver;

class Notebook final : public SessionObserver {
 public:
  void heard(std::string_view line, std::string_view context) override { add("<", line, context); }
  void said(std::string_view line, std::string_view context) override { add(">", line, context); }
  std::vector<std::string> lines;
  [[nodiscard]] std::string all() const {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    return text;
  }

 private:
  void add(std::string_view event, std::string_view line, std::string_view context) {
    lines.push_back(std::string(event) + " " + std::string(line) +
                    (context.empty() ? "" : " (" + std::string(context) + ")"));
  }
};

ReceiveSessionLimits open_limits() {
  ReceiveSessionLimits limits;
  limits.auth.use = AuthLimits::Use::offered;
  limits.auth.allow_without_tls = true;
  limits.errors_max = 1000;
  return limits;
}

TEST(SessionObservers, HearEachLineOfAPipelinedGroupAndNoContent) {
  for (std::size_t size : {1UZ, 7UZ, 100000UZ}) {
    ReceiveDriver driver;
    Notebook notes;
    driver.session.observe(&notes);
    driver.feed_split(
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: "
        "x\r\n\r\nhunter2\r\n.\r\n"
        "MAIL FROM:<>\r\nRCPT TO:<e@f.example>\r\nBDAT 9\r\nhunter2\r\nBDAT 9 LAST\r\nhunter2\r\nquit\r\n",
        size);
    EXPECT_EQ(driver.kept.size(), 2U);
    EXPECT_EQ(notes.all(),
              "< EHLO c.example\n< MAIL FROM:<a@b.example>\n< RCPT TO:<c@d.example>\n< DATA\n< . (23 octets "
              "of content)\n"
              "< MAIL FROM:<>\n< RCPT TO:<e@f.example>\n< BDAT 9\n< BDAT 9 LAST\n< quit\n")
        << size;
  }
}

TEST(SessionObservers, AreNeverToldASecret) {
  const std::string plain = encode_base64(std::string("\0user\0hunter2", 13));
  const std::string word = encode_base64("hunter2");
  const std::string long_word(9000, 'h');
  const std::string forms[] = {"AUTH PLAIN " + plain,
                               "auth plain " + plain,
                               "AUTH PLAIN\r\n" + plain,
                               "AUTH LOGIN\r\ndXNlcg==\r\n" + word,
                               "AUTH LOGIN dXNlcg==\r\n" + word,
                               "AUTH  PLAIN  " + plain,
                               "AUTH PLAIN " + plain + "\r\n" + plain,
                               "AUTH NONSENSE " + plain,
                               "AUTH NONSENSE\r\n" + plain,
                               "AUTH=PLAIN " + plain,
                               "AUTHPLAIN " + plain,
                               " AUTH PLAIN " + plain,
                               "\tAUTH PLAIN " + plain,
                               "XAUTH PLAIN " + plain,
                               "AUTH PLAIN " + plain + " " + word,
                               "AUTH PLAIN !" + word,
                               "AUTH SCRAM-SHA-256 " + word + "\r\n" + word,
                               "LOGIN user hunter2",
                               "PASS hunter2",
                               "1 LOGIN user hunter2",
                               "AUTH\tPLAIN\t" + plain,
                               "AUTH PLAIN\r\nhunter2 in the clear",
                               "AUTH PLAIN\r\n" + word + "\n" + word,
                               "AUTH PLAIN " + word + "\n" + word,
                               "AUTH LOGIN\r\n" + long_word + long_word,
                               "AUTH LOGIN " + long_word,
                               "AUTH PLAIN\r\n*\r\n" + plain,
                               "MAIL FROM:<a@b.example>\r\nAUTH PLAIN " + plain + "\r\n" + word};
  for (bool is_allowed : {true, false})
    for (const auto& form : forms)
      for (std::size_t size : {1UZ, 5UZ, 100000UZ}) {
        auto limits = open_limits();
        if (!is_allowed) limits.auth = {};
        ReceiveDriver driver(limits);
        driver.mechanisms = "PLAIN LOGIN SCRAM-SHA-256";
        Notebook notes;
        driver.session.observe(&notes);
        driver.feed_split("EHLO c.example\r\n" + form + "\r\n" + word + "\r\nhunter2\r\nQUIT\r\n", size);
        const auto all = notes.all();
        for (const auto& secret : {std::string("hunter2"), word, plain, std::string("hhhhhhhhhh")}) {
          const bool is_after_all = all.contains(secret);
          EXPECT_FALSE(is_after_all) << form.substr(0, 80) << " told as:\n" << all.substr(0, 2000);
        }
        EXPECT_TRUE(all.starts_with("< EHLO c.example\n<"));
      }
}

TEST(SessionObservers, AreToldNoContentThatIsTakenForCommands) {
  const std::string content =
      "Subject: hunter2\r\nData hunter2\r\nhelp me, hunter2\r\nMAIL hunter2\r\n\r\nhunter2\r\n";
  for (const std::string before :
       {"DATA\r\n", "MAIL FROM:<a@b.example>\r\nDATA\r\n",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@d.example>\r\nDATA\r\n",
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 2 LAST\r\nxx", "BDAT 3\r\nxxx", "BDAT\r\n",
        "DATA now\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\n"}) {
    ReceiveDriver driver(open_limits());
    Notebook notes;
    driver.session.observe(&notes);
    driver.feed("EHLO c.example\r\n" + before + content + ".\r\n");
    EXPECT_FALSE(notes.all().contains("hunter2")) << before << notes.all();
  }
}

TEST(SessionObservers, MayComeLateEvenInTheMiddleOfALogOn) {
  ReceiveDriver driver(open_limits());
  driver.feed("EHLO c.example\r\nAUTH LOGIN\r\nZZZZ");
  Notebook notes;
  driver.session.observe(&notes);
  driver.feed("\r\nZZZZ\r\n");
  driver.session.observe(nullptr);
  driver.feed("NOOP\r\n");
  EXPECT_EQ(notes.all(), "< * (answer in a log-on)\n< * (answer in a log-on)\n");
}

TEST(SessionObservers, SeeWhatIsNoCommandWhileItCanBeNoSecret) {
  ReceiveDriver driver(open_limits());
  Notebook notes;
  driver.session.observe(&notes);
  driver.feed("FOO bar\r\n\x16\x03\x01\x02\r\nMAIL FROM:<not closed\r\nNOOP\n");
  EXPECT_EQ(notes.all(),
            "< FOO bar\n< \x16\x03\x01\x02\n< MAIL FROM:<not closed\n< NOOP (ends with a bare LF)\n");
}

Transaction transaction_of(const Envelope& envelope, std::uint64_t key) {
  Transaction transaction;
  transaction.key = key;
  transaction.envelope = &envelope;
  for (std::uint32_t i = 0; i < envelope.recipients.size(); ++i) transaction.recipients.push_back(i);
  transaction.size = 9;
  return transaction;
}

TEST(SessionObservers, SeeWhatASendingSessionSaysAndHears) {
  Envelope envelope;
  envelope.sender = "a@example.org";
  envelope.recipients.push_back({"b@example.com", "", notify_unset});
  Notebook notes;
  SendSession session("hub.example");
  session.observe(&notes);
  session.feed("220 mx.example ESMTP\r\n");
  session.output().clear();
  session.feed("250-mx.example\r\n250 PIPELINING\r\n");
  session.begin(transaction_of(envelope, 1));
  session.output().clear();
  session.feed("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n");
  session.content("hunter2\r\n");
  session.end_content();
  session.output().clear();
  session.feed("250 2.0.0 queued\r\n");
  session.quit();
  EXPECT_EQ(
      notes.all(),
      "< 220 mx.example ESMTP\n> EHLO hub.example\n< 250-mx.example\n< 250 PIPELINING\n> MAIL "
      "FROM:<a@example.org>\n> RCPT TO:<b@example.com>\n> DATA\n"
      "< 250 2.1.0 ok\n< 250 2.1.5 ok\n< 354 go on\n> . (9 octets of content)\n< 250 2.0.0 queued\n> QUIT\n");
}

TEST(SessionObservers, SeeAChunkAsItsCommandAlone) {
  Envelope envelope;
  envelope.sender = "a@example.org";
  envelope.recipients.push_back({"b@example.com", "", notify_unset});
  SendSession session("hub.example");
  session.feed("220 mx.example ESMTP\r\n");
  session.output().clear();
  session.feed("250-mx.example\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
  Notebook notes;
  session.observe(&notes);
  session.begin(transaction_of(envelope, 1), "hunter2\r\n");
  EXPECT_EQ(notes.all(), "> MAIL FROM:<a@example.org>\n> RCPT TO:<b@example.com>\n> BDAT 9 LAST\n");
}

TEST(SessionObservers, SeeNothingOfWhatASendingSessionLogsOnWith) {
  Notebook notes;
  SendSession session("hub.example", StartTlsUse::never, true);
  session.observe(&notes);
  session.feed("220 mx.example ESMTP\r\n");
  session.output().clear();
  session.feed("250-mx.example\r\n250 AUTH SCRAM-SHA-256\r\n");
  session.auth("SCRAM-SHA-256", "n,,n=user,r=hunter2");
  session.output().clear();
  session.feed("334 " + encode_base64("r=hunter2,s=salt,i=4096") + "\r\n");
  session.auth_respond("c=biws,r=hunter2,p=hunter2");
  session.output().clear();
  session.feed("334 " + encode_base64("v=hunter2") + "\r\n");
  session.auth_respond("");
  session.output().clear();
  session.feed("235 2.7.0 logged on\r\n");
  const auto all = notes.all();
  EXPECT_TRUE(
      all.ends_with("> AUTH SCRAM-SHA-256 *\n< 334 *\n> * (answer in a log-on)\n< 334 *\n> * (answer in a "
                    "log-on)\n< 235 2.7.0 logged on\n"))
      << all;
}

}  // namespace
}  // namespace umbra::smtp
