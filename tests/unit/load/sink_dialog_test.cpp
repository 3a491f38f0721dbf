#include "load/sink_dialog.h"

#include <gtest/gtest.h>

#include <vector>

#include "load/message_maker.h"

namespace umbra::load {
namespace {

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override {
    return (state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL);
  }

 private:
  std::uint64_t state_ = 42;
};

struct Recorder final : SinkObserver {
  void delivered(std::string_view token, std::string_view recipient, std::uint64_t octets) override {
    lines.push_back("delivered " + std::string(token) + " " + std::string(recipient) + " " +
                    std::to_string(octets));
  }
  void withheld(std::string_view token, std::string_view recipient, std::uint64_t) override {
    lines.push_back("withheld " + std::string(token) + " " + std::string(recipient));
  }
  void refused(std::string_view token, std::string_view recipient, int code) override {
    lines.push_back("refused " + std::string(token) + " " + std::string(recipient) + " " +
                    std::to_string(code));
  }
  std::vector<std::string> lines;
};

struct SinkDialogTest : testing::Test {
  /// Feeds `octets` in pieces of `piece`; stops early when the dialog ends.
  SinkDialog::Next feed(const std::string& octets, std::size_t piece = std::string::npos) {
    SinkDialog dialog(options, random, recorder, statistics);
    std::size_t at = 0;
    auto next = SinkDialog::Next::go_on;
    while (at < octets.size() && next == SinkDialog::Next::go_on) {
      auto fed = dialog.feed(std::string_view(octets).substr(at, piece), out);
      next = fed.next;
      at += fed.consumed;
    }
    return next;
  }
  std::string envelope(const std::string& recipient = "load-0@x.example") {
    return "EHLO c.example\r\nMAIL FROM:<a@b.example> SIZE=10\r\nRCPT TO:<" + recipient +
           "> NOTIFY=NEVER\r\n";
  }
  std::string message(const std::string& body = "hello\r\n") {
    return "X-Umbra-Load: aaaaaaaa-00000001 " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  SinkOptions options;
  CountingRandom random;
  Recorder recorder;
  SinkStatistics statistics;
  std::string out;
};

TEST_F(SinkDialogTest, TakesAMessageWhateverThePiecesItComesIn) {
  MessageMaker maker("bbbbbbbb", "a@b.example", "load-0@x.example", 1500, false, true);
  std::string input = envelope() + "DATA\r\n" + std::string(maker.make(7)) + "QUIT\r\n";
  for (std::size_t piece = 1; piece < input.size(); piece = piece < 120 ? piece + 1 : piece * 2) {
    recorder.lines.clear();
    EXPECT_EQ(feed(input, piece), SinkDialog::Next::quit) << piece;
    ASSERT_EQ(recorder.lines.size(), 1U) << piece;
    EXPECT_EQ(recorder.lines[0], "delivered bbbbbbbb-00000007 load-0@x.example 1500") << piece;
  }
  EXPECT_EQ(statistics.damaged, 0U);
  EXPECT_EQ(statistics.bare_line_ends, 0U);
}

TEST_F(SinkDialogTest, TakesChunksWhateverThePiecesTheyComeIn) {
  MessageMaker maker("bbbbbbbb", "a@b.example", "load-0@x.example", 1500, true, true);
  auto content = std::string(maker.make(7));
  std::string input = envelope() + "BDAT 700\r\n" + content.substr(0, 700) + "BDAT " +
                      std::to_string(content.size() - 700) + " LAST\r\n" + content.substr(700) + "QUIT\r\n";
  for (std::size_t piece : {1UL, 2UL, 3UL, 50UL, 713UL, 5000UL}) {
    recorder.lines.clear();
    EXPECT_EQ(feed(input, piece), SinkDialog::Next::quit) << piece;
    ASSERT_EQ(recorder.lines.size(), 1U) << piece;
    EXPECT_EQ(recorder.lines[0], "delivered bbbbbbbb-00000007 load-0@x.example 1500") << piece;
  }
  EXPECT_EQ(statistics.damaged, 0U);
}

TEST_F(SinkDialogTest, NoticesABodyThatWasChangedOnItsWay) {
  MessageMaker maker("bbbbbbbb", "a@b.example", "load-0@x.example", 1500, false, true);
  auto wire = std::string(maker.make(7));
  wire[wire.size() - 20] ^= 1;
  feed(envelope() + "DATA\r\n" + wire);
  EXPECT_EQ(statistics.messages, 1U);
  EXPECT_EQ(statistics.damaged, 1U);
}

TEST_F(SinkDialogTest, NoticesABodyThatWasShortened) {
  feed(envelope() + "DATA\r\nX-Umbra-Load: aaaaaaaa-00000001 8\r\n\r\nhello\r\n.\r\n");
  EXPECT_EQ(statistics.damaged, 1U);
}

TEST_F(SinkDialogTest, CountsMessagesWithLineEndsThatStandAlone) {
  for (const char* body : {"a\nb\r\n", "a\rb\r\n", "a\r\r\n"})
    feed(envelope() + "DATA\r\n" + message(body) + ".\r\n");
  EXPECT_EQ(statistics.messages, 3U);
  EXPECT_EQ(statistics.bare_line_ends, 3U);
}

TEST_F(SinkDialogTest, EndsDataOnlyAtCrLfDotCrLf) {
  feed(envelope() + "DATA\r\n" + message() + "\n.\nmore\r\n.\r\n");
  EXPECT_EQ(statistics.messages, 1U);
  ASSERT_EQ(recorder.lines.size(), 1U);
  EXPECT_NE(out.find("250 2.0.0 Ok: taken"), std::string::npos);
}

TEST_F(SinkDialogTest, LooksForTheTokenInTheHeaderOnly) {
  feed(envelope() + "DATA\r\nSubject: x\r\n\r\nX-Umbra-Load: aaaaaaaa-00000001 3\r\n.\r\n");
  ASSERT_EQ(recorder.lines.size(), 1U);
  EXPECT_EQ(recorder.lines[0].substr(0, 12), "delivered - ");
}

TEST_F(SinkDialogTest, RecordsEveryRecipient) {
  feed(envelope() + "RCPT TO:<load-1@x.example>\r\nDATA\r\n" + message() + ".\r\n");
  EXPECT_EQ(recorder.lines.size(), 2U);
}

TEST_F(SinkDialogTest, WithholdsTheFirstRepliesWhenToldSo) {
  options.withhold = 2;
  auto input = envelope() + "DATA\r\n" + message() + ".\r\n";
  EXPECT_EQ(feed(input), SinkDialog::Next::withhold);
  EXPECT_EQ(feed(input), SinkDialog::Next::withhold);
  EXPECT_EQ(feed(input), SinkDialog::Next::go_on);
  EXPECT_EQ(statistics.withheld, 2U);
  EXPECT_EQ(statistics.messages, 1U);
  EXPECT_EQ(recorder.lines[0].substr(0, 9), "withheld ");
}

TEST_F(SinkDialogTest, RefusesWithTheOddsItWasGiven) {
  options.odds_4xx = 0.25;
  options.odds_5xx = 0.25;
  options.odds_disconnect = 0.1;
  constexpr unsigned messages = 2000;
  for (unsigned i = 0; i < messages; ++i) {
    feed(envelope("load-0.aaaaaaaa-00000001@x.example") + "DATA\r\n" + message() + ".\r\nRSET\r\n");
  }
  EXPECT_NEAR(static_cast<double>(statistics.deferred) / messages, 0.25, 0.05);
  EXPECT_NEAR(static_cast<double>(statistics.rejected) / messages, 0.25, 0.05);
  EXPECT_NEAR(static_cast<double>(statistics.disconnects) / messages, 0.1, 0.03);
  EXPECT_EQ(statistics.messages + statistics.deferred + statistics.rejected + statistics.disconnects,
            messages);
}

TEST_F(SinkDialogTest, HandsOutADelayedReplyOnlyWhenAsked) {
  options.delays = true;
  SinkDialog dialog(options, random, recorder, statistics);
  auto input = envelope() + "DATA\r\n" + message() + ".\r\nNOOP\r\n";
  auto fed = dialog.feed(input, out);
  EXPECT_EQ(fed.next, SinkDialog::Next::pause);
  EXPECT_EQ(fed.consumed, input.size() - 6);
  EXPECT_EQ(out.find("taken"), std::string::npos);
  EXPECT_EQ(dialog.take_final_reply().substr(0, 4), "250 ");
}

TEST_F(SinkDialogTest, OffersOnlyWhatItWasToldTo) {
  options.pipelining = options.eight_bit = options.chunking = options.smtputf8 = false;
  feed("EHLO c\r\nBDAT 3 LAST\r\n");
  for (const char* word : {"PIPELINING", "8BITMIME", "CHUNKING", "SMTPUTF8"})
    EXPECT_EQ(out.find(word), std::string::npos) << word;
  EXPECT_NE(out.find("250-DSN"), std::string::npos);
  EXPECT_NE(out.find("500 "), std::string::npos);
}

}  // namespace
}  // namespace umbra::load
