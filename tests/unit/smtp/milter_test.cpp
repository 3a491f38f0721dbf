// Goal: a filter is told what the message is, its answers are taken when they follow the protocol, and
// nothing that does not gets into a message or a reply. Method: packets by hand, and a filter played by the
// test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "smtp/milter/conversation.h"

namespace umbra::milter {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Verdict = Conversation::Verdict;
using Want = Conversation::Want;

std::string packet(char letter, std::string_view data = {}) {
  std::string out;
  put_u32(out, static_cast<std::uint32_t>(data.size() + 1));
  out.push_back(letter);
  out.append(data);
  return out;
}
std::string u32(std::uint32_t n) {
  std::string out;
  put_u32(out, n);
  return out;
}
std::string negotiated(std::uint32_t protocol = 0, std::uint32_t actions = 0xff, std::uint32_t version = 6) {
  return packet('O', u32(version) + u32(actions) + u32(protocol));
}

TEST(MilterPackets, AreReadAtEverySplitAndBounded) {
  const std::string octets = packet('c') + packet('y', "550 no\0"s) + packet('a');
  for (std::size_t split = 0; split <= octets.size(); ++split) {
    PacketReader reader;
    std::string letters;
    for (auto part : {std::string_view(octets).substr(0, split), std::string_view(octets).substr(split)}) {
      reader.feed(part);
      while (auto found = reader.next()) letters += found->letter;
    }
    EXPECT_EQ(letters, "cya") << split;
    EXPECT_FALSE(reader.has_rest());
  }
  for (auto length : {std::uint32_t{0}, static_cast<std::uint32_t>(answer_octets_max + 1), 0xffffffffU}) {
    PacketReader reader;
    reader.feed(u32(length) + "cccc");
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.is_malformed());
  }
}

TEST(MilterReplies, AreWhatSmtpAllows) {
  auto line = [](std::string_view text) {
    auto reply = parse_reply(text);
    return reply ? smtp::to_line(*reply) : "bad: " + reply.error();
  };
  EXPECT_EQ(line("550 5.7.1 spam"), "550 5.7.1 spam");
  EXPECT_EQ(line("550 spam"), "550 5.7.1 spam");
  EXPECT_EQ(line("451"), "451 4.7.1");
  EXPECT_EQ(line("421 4.3.2 closing"), "451 4.3.2 closing") << "a message, not the client's connection";
  auto lines = parse_reply("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three");
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->text, "one\ntwo\nthree");
  for (const auto* wrong : {"", "250 ok", "600 no", "55", "55x no", "550x no", "550 4.7.1 differ",
                            "550-no end", "550-a\r\n551 b", "550 a\r\n550 b", "550 a\rb", "550 a\x01", "x"})
    EXPECT_THAT(line(wrong), ::testing::StartsWith("bad: ")) << wrong;
  EXPECT_THAT(line("550 " + std::string(3000, 'x')), ::testing::StartsWith("bad: "));
}

TEST(MilterAnswers, ThatWouldLeaveTheirPlaceAreNone) {
  auto is_taken = [](std::string octets) {
    PacketReader reader;
    reader.feed(octets);
    return parse_answer(*reader.next()).has_value();
  };
  EXPECT_TRUE(is_taken(packet('h', "X-A\0b\n\tc\0"s)));
  EXPECT_TRUE(is_taken(packet('h', "X-A\0b\r\n c\n\0"s))) << "with CRLF, and a line end at the end";
  EXPECT_TRUE(is_taken(packet('+', "<a@example.com>\0"s)));
  EXPECT_TRUE(is_taken(packet('+', "a@example.com\0"s)));
  EXPECT_TRUE(is_taken(packet('2', "<a@example.com>\0NOTIFY=NEVER\0"s)));
  EXPECT_TRUE(is_taken(packet('e', "<>\0"s)));
  EXPECT_TRUE(is_taken(packet('e', "<a@example.com>\0SIZE=1\0"s)));
  EXPECT_TRUE(is_taken(packet('m', u32(1) + "Subject\0\0"s)));
  for (const auto& wrong : {packet('h', "X-A\0b\nBcc: x\0"s),
                            packet('h', "X-A\0b\rc\0"s),
                            packet('h', "X A\0b\0"s),
                            packet('h', "\0b\0"s),
                            packet('h', "X:A\0b\0"s),
                            packet('h', "X-A\0b"s),
                            packet('h', "X-A\0b\0c"s),
                            packet('h', "X-A\0b\n\n c\0"s),
                            packet('i', "\0\0X\0b\0"s),
                            packet('m', "X\0b\0"s),
                            packet('+', "<>\0"s),
                            packet('+', "<a@example.com>x\0"s),
                            packet('+', "a@b\r\nRCPT TO:<c@d>\0"s),
                            packet('+', "nobody\0"s),
                            packet('+', ""),
                            packet('2', "<a@example.com>\0NOTIFY=X\0"s),
                            packet('2', "<a@example.com>\0EVIL\0"s),
                            packet('e', "a b\0"s),
                            packet('y', "550 no"),
                            packet('c', "x"),
                            packet('r', "x"),
                            packet('Z'),
                            packet('\0'),
                            packet('q', "a\x01\0"s)})
    EXPECT_FALSE(is_taken(wrong)) << ::testing::PrintToString(wrong);
}

TEST(MilterHeaders, ComeBackOctetByOctetWhenNothingIsChanged) {
  for (const std::string text : {"A: 1\r\nB:2\r\n  folded\r\nC : old\r\n", "", "A: no end"})
    EXPECT_EQ(HeaderSection(text).text(), text);
  for (const auto& [text, end] :
       std::vector<std::pair<std::string, std::size_t>>{{"A: 1\r\n\r\nbody", 6},
                                                        {"\r\nbody", 0},
                                                        {"no field\r\n", 0},
                                                        {"A: 1\r\nno field\r\n", 6},
                                                        {" blank\r\n", 0},
                                                        {"A: 1\r\n b\r\n\r\n", 10}}) {
    std::size_t at = 0;
    std::optional<std::size_t> found;
    for (std::size_t octets = 0; octets <= text.size() && !found; ++octets)
      found = HeaderSection::end_of(std::string_view(text).substr(0, octets), at);
    EXPECT_EQ(found, end) << text;
  }
}

TEST(MilterHeaders, AreAddedInsertedChangedAndRemoved) {
  HeaderSection header("A: 1\r\nB: 2\r\na: 3\r\n");
  header.add("Z", "last\n\tfold", false);
  header.insert(0, "First", "f", false);
  header.insert(3, "Third", " t", true);
  header.change(2, "A", "three", false);
  header.change(1, "B", "", false);
  header.change(9, "New", "n", false);
  header.change(9, "Not", "", false);
  EXPECT_EQ(header.text(), "First: f\r\nA: 1\r\nThird: t\r\nA: three\r\nZ: last\r\n\tfold\r\nNew: n\r\n");
  EXPECT_EQ(HeaderSection("A:  x\r\n y\r\n").fields()[0].value(false), " x\n y");
  EXPECT_EQ(HeaderSection("A:  x\r\n y\r\n").fields()[0].value(true), "  x\n y");
  HeaderSection cut("A: no end");
  cut.add("B", "2", false);
  EXPECT_EQ(cut.text(), "A: no end\r\nB: 2\r\n");
}

class MilterConversation : public ::testing::Test {
 protected:
  MilterConversation() {
    envelope.sender = "s@example.org";
    envelope.client_helo = "client.example";
    envelope.recipients = {{"a@example.com", "", 0}, {"b@example.com", "", 0}};
  }
  /// Plays the filter with these octets; gives the letters that were said to it.
  std::string play(std::string_view answers) {
    Conversation talk(channel,
                      {.host_name = "hub",
                       .listener = "in",
                       .client_address = "192.0.2.1",
                       .client_name = "[192.0.2.1]",
                       .id = "1-2",
                       .octets = 9,
                       .envelope = envelope,
                       .header = header},
                      0xdf);
    std::string said;
    std::size_t given = 0;
    while (true) {
      const auto want = talk.next();
      said += std::exchange(talk.output(), {});
      if (want == Want::over) break;
      if (want == Want::replacement) {
        replacement += talk.take_replacement();
      } else if (want == Want::body) {
        talk.body(std::string_view(body).substr(given, 4));
        given = std::min(body.size(), given + 4);
      } else {
        if (answers.empty()) break;
        talk.feed(answers.substr(0, 1));
        answers.remove_prefix(1);
      }
    }
    outcome = talk.outcome();
    std::string letters;
    while (!said.empty()) {
      const auto length = static_cast<std::size_t>(static_cast<unsigned char>(said[2])) << 8U |
                          static_cast<unsigned char>(said[3]);
      letters += said[4];
      data.push_back(said.substr(5, length - 1));
      said.erase(0, 4 + length);
    }
    return letters;
  }
  static std::string times(int count, const std::string& what) {
    std::string all;
    for (int i = 0; i < count; ++i) all += what;
    return all;
  }

  Channel channel;
  Envelope envelope;
  HeaderSection header{"Subject: x\r\nTo: y\r\n"};
  std::string body = "123456789";
  std::string replacement;
  std::vector<std::string> data;
  Conversation::Outcome outcome;
};

TEST_F(MilterConversation, TellsEveryStageAndTakesChangesAtTheEnd) {
  auto letters =
      play(negotiated() + times(12, packet('c')) + packet('p') + packet('h', "X-A\0b\0"s) +
           packet('b', "new") + packet('b', " body") + packet('-', "<a@example.com>\0"s) + packet('c'));
  EXPECT_EQ(letters, "ODCHDMDRDRDTLLNBBBDE");
  EXPECT_EQ(outcome.verdict, Verdict::pass) << outcome.problem;
  EXPECT_EQ(outcome.edits.size(), 2U);
  EXPECT_TRUE(outcome.has_new_body);
  EXPECT_EQ(replacement, "new body");
  EXPECT_THAT(data, ::testing::Contains("<s@example.org>\0SIZE=9\0"s));
  EXPECT_THAT(data, ::testing::Contains("Subject\0x\0"s));
  EXPECT_TRUE(channel.is_reusable());
  data.clear();
  EXPECT_EQ(play(times(11, packet('c'))), "DMDRDRDTLLNBBBDE")
      << "the next message of the client begins with MAIL";
  EXPECT_EQ(outcome.verdict, Verdict::pass);
}

TEST_F(MilterConversation, LeavesOutWhatIsNotWantedAndWaitsForNoSilentStage) {
  EXPECT_EQ(play(negotiated(no_connect | no_hello | no_recipient | no_data | no_header | no_end_of_header |
                            no_body) +
                 times(2, packet('c'))),
            "ODDMDDE");
  EXPECT_EQ(outcome.verdict, Verdict::pass);
  channel = {};
  auto silent = silent_connect | silent_hello | silent_sender | silent_recipient | silent_data |
                silent_header | silent_end_of_header | silent_body;
  EXPECT_EQ(play(negotiated(silent) + packet('a')), "ODCHDMDRDRDTLLNBBBDE");
  EXPECT_EQ(outcome.verdict, Verdict::pass);
}

TEST_F(MilterConversation, EndsAtTheFirstVerdict) {
  EXPECT_EQ(play(negotiated() + packet('a')), "ODCQ");
  EXPECT_EQ(outcome.verdict, Verdict::pass);
  EXPECT_FALSE(channel.is_reusable()) << "said of the client, it would hold for all its messages";
  channel = {};
  EXPECT_EQ(play(negotiated() + times(3, packet('c')) + packet('y', "550 5.1.1 nobody\0"s)), "ODCHDMDRA")
      << "one recipient refused: the message is";
  EXPECT_EQ(outcome.verdict, Verdict::refuse);
  EXPECT_EQ(smtp::to_line(outcome.reply), "550 5.1.1 nobody");
  play(packet('t'));
  EXPECT_EQ(outcome.reply.code, 451);
  play(packet('d'));
  EXPECT_EQ(outcome.verdict, Verdict::discard);
  channel = {};
  EXPECT_EQ(play(negotiated(0, 0xff, 2) + times(12, packet('c'))), "ODCHDMDRDRLLNBBBDE")
      << "an old filter does not know DATA";
  EXPECT_EQ(outcome.verdict, Verdict::pass);
}

TEST_F(MilterConversation, SkipsTheRestOfABody) {
  EXPECT_EQ(play(negotiated(may_skip_body) + times(9, packet('c')) + packet('s') + packet('c')),
            "ODCHDMDRDRDTLLNBDE");
  EXPECT_EQ(outcome.verdict, Verdict::pass);
}

TEST_F(MilterConversation, FailsOnWhatMustNotBeSaid) {
  const std::string to_end = negotiated() + times(12, packet('c'));
  for (const auto& [answers, why] : std::vector<std::pair<std::string, std::string>>{
           {packet('c'), "negotiation"},
           {negotiated(0, 0, 1), "version"},
           {negotiated(0, 0, 7), "version"},
           {negotiated(0x40000000), "stages"},
           {packet('O', "short"), "negotiation"},
           {negotiated() + packet('h', "X-A\0b\0"s), "before the end"},
           {negotiated() + packet('b', "x"), "before the end"},
           {negotiated() + packet('s'), "skip"},
           {negotiated() + packet('f'), "cannot"},
           {negotiated() + packet('?'), "not known"},
           {negotiated() + u32(0), "length"},
           {to_end + packet('q', "why\0"s), "not asked for"},
           {negotiated(0, 0) + times(12, packet('c')) + packet('h', "X-A\0b\0"s), "not asked for"},
           {negotiated(0, 0) + times(12, packet('c')) + packet('b', "x"), "not asked for"},
           {to_end + times(2001, packet('h', "X-A\0b\0"s)), "too many"},
           {to_end + times(20, packet('h', "X-A\0"s + std::string(60'000, 'x') + "\0"s)), "too many"}}) {
    channel = {};
    play(answers);
    EXPECT_EQ(outcome.verdict, Verdict::failed) << why;
    EXPECT_THAT(outcome.problem, HasSubstr(why));
    EXPECT_TRUE(outcome.edits.empty());
  }
}

}  // namespace
}  // namespace umbra::milter
