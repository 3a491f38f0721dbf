// Replies of next hops: every split gives the same reply; what cannot be a reply is malformed and never more
// than bounded.
#include "smtp/reply_parser.h"

#include <gtest/gtest.h>

namespace umbra::smtp {
namespace {

using Status = ReplyParser::Status;

Reply parse_whole(std::string_view octets) {
  ReplyParser parser;
  auto step = parser.feed(octets);
  EXPECT_EQ(step.status, Status::complete) << octets;
  EXPECT_EQ(step.consumed, octets.size());
  return parser.take();
}

std::string problem_of(std::string_view octets) {
  ReplyParser parser;
  auto step = parser.feed(octets);
  EXPECT_EQ(step.status, Status::malformed) << octets;
  return parser.problem();
}

TEST(ReplyParser, ReadsCodeEnhancedCodeAndText) {
  Reply reply = parse_whole("250 2.1.5 recipient ok\r\n");
  EXPECT_EQ(reply.code, 250);
  EXPECT_EQ(reply.enhanced, "2.1.5");
  EXPECT_EQ(reply.text, "recipient ok");
}

TEST(ReplyParser, JoinsLinesAndDropsTheRepeatedEnhancedCode) {
  Reply reply = parse_whole("550-5.7.1 refused\r\n550-5.7.1 by policy\r\n550 5.7.1 today\r\n");
  EXPECT_EQ(reply.enhanced, "5.7.1");
  EXPECT_EQ(reply.text, "refused\nby policy\ntoday");
}

TEST(ReplyParser, TakesOnlyAnEnhancedCodeOfTheSameClass) {
  EXPECT_EQ(parse_whole("550 4.7.1 odd\r\n").enhanced, "");
  EXPECT_EQ(parse_whole("550 4.7.1 odd\r\n").text, "4.7.1 odd");
  EXPECT_EQ(parse_whole("354 3.0.0 go on\r\n").enhanced, "");
  EXPECT_EQ(parse_whole("250 2.0.0\r\n").enhanced, "2.0.0");
  EXPECT_EQ(parse_whole("250 2.0.0x\r\n").enhanced, "");
  EXPECT_EQ(parse_whole("250 2.1234.0 x\r\n").enhanced, "");
  EXPECT_EQ(parse_whole("250 2..0 x\r\n").enhanced, "");
}

TEST(ReplyParser, ToleratesBareLineFeedsAndMissingText) {
  EXPECT_EQ(parse_whole("250\n").code, 250);
  EXPECT_EQ(parse_whole("250-a\n250\r\n").text, "a\n");
  EXPECT_EQ(parse_whole("250 \r\n").text, "");
}

TEST(ReplyParser, ShowsControlCharactersAsQuestionMarks) {
  EXPECT_EQ(parse_whole(std::string_view("250 a\0b\x1b[2Jc\td\r\n", 16)).text, "a?b?[2Jc d");
}

TEST(ReplyParser, StopsAtTheEndOfOneReply) {
  ReplyParser parser;
  std::string_view two = "250 one\r\n354 two\r\n";
  auto step = parser.feed(two);
  ASSERT_EQ(step.status, Status::complete);
  EXPECT_EQ(parser.take().text, "one");
  two.remove_prefix(step.consumed);
  ASSERT_EQ(parser.feed(two).status, Status::complete);
  EXPECT_EQ(parser.take().code, 354);
}

TEST(ReplyParser, GivesTheSameReplyForEverySplit) {
  const std::string octets = "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 2.0.0 last\r\n";
  const Reply whole = parse_whole(octets);
  for (std::size_t i = 0; i <= octets.size(); ++i) {
    for (std::size_t j = i; j <= octets.size(); ++j) {
      ReplyParser parser;
      Status status = Status::incomplete;
      for (auto part : {octets.substr(0, i), octets.substr(i, j - i), octets.substr(j)})
        if (!part.empty()) status = parser.feed(part).status;
      ASSERT_EQ(status, Status::complete) << i << ' ' << j;
      ASSERT_EQ(parser.take(), whole) << i << ' ' << j;
    }
  }
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
  for (auto octets : {"hello\r\n", "\r\n", "25\r\n", "150 x\r\n", "650 x\r\n", "2x0 x\r\n", "250x\r\n",
                      "250\tx\r\n", "250-a\r\n251 b\r\n", "250-a\r\n\r\n", "220-a\r\n 220 b\r\n"})
    EXPECT_NE(problem_of(octets), "") << octets;
}

TEST(ReplyParser, BoundsTheLengthOfAReply) {
  ReplyParser endless_line;
  std::string piece(1000, 'x');
  Status status = endless_line.feed("250 ").status;
  std::size_t fed = 0;
  while (status == Status::incomplete && fed < 200) {
    status = endless_line.feed(piece).status;
    ++fed;
  }
  EXPECT_EQ(status, Status::malformed);
  EXPECT_LE(fed, 66U);

  ReplyParser endless_lines;
  std::size_t lines = 0;
  do {
    status = endless_lines.feed("250-x\r\n").status;
    ++lines;
  } while (status == Status::incomplete && lines < 100'000);
  EXPECT_EQ(status, Status::malformed);
  EXPECT_EQ(lines, ReplyParser::reply_lines_max + 1);
}

TEST(ReplyParser, StaysMalformed) {
  ReplyParser parser;
  EXPECT_EQ(parser.feed("what\r\n").status, Status::malformed);
  EXPECT_EQ(parser.feed("250 ok\r\n").status, Status::malformed);
}

TEST(ReplyParser, KnowsEnhancedCodes) {
  for (auto good : {"2.0.0", "4.999.1", "5.1.123"}) EXPECT_TRUE(is_enhanced_code(good)) << good;
  for (auto bad : {"", "3.0.0", "2.0", "2.0.0 ", "2.0.1234", "20.0.0"})
    EXPECT_FALSE(is_enhanced_code(bad)) << bad;
}

}  // namespace
}  // namespace umbra::smtp
