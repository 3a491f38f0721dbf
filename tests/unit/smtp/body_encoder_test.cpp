// Bodies on their way out: dot-stuffing, and never a bare CR or LF, however the body is cut.
#include "smtp/body_encoder.h"

#include <gtest/gtest.h>

namespace umbra::smtp {
namespace {

std::string encode(std::string_view body, bool dot_stuffing = true) {
  BodyEncoder encoder(dot_stuffing);
  std::string out;
  encoder.encode(body, out);
  encoder.finish(out);
  return out;
}

TEST(BodyEncoder, DoublesADotAtTheBeginningOfALine) {
  EXPECT_EQ(encode(".\r\n..a\r\nb.\r\n"), "..\r\n...a\r\nb.\r\n");
  EXPECT_EQ(encode(".\r\n..a\r\nb.\r\n", false), ".\r\n..a\r\nb.\r\n");
}

TEST(BodyEncoder, LeavesPlainTextAlone) {
  EXPECT_EQ(encode("Subject: x\r\n\r\nhello\r\n"), "Subject: x\r\n\r\nhello\r\n");
  EXPECT_EQ(encode(""), "");
}

TEST(BodyEncoder, CompletesTheLastLine) {
  EXPECT_EQ(encode("a"), "a\r\n");
  EXPECT_EQ(encode("a\r"), "a\r\n");
  EXPECT_EQ(encode("a\r\nb"), "a\r\nb\r\n");
}

TEST(BodyEncoder, LetsNoBareLineEndOut) {
  EXPECT_EQ(encode("a\nb\r\n"), "a\r\nb\r\n");
  EXPECT_EQ(encode("a\rb\r\n"), "a b\r\n");
  EXPECT_EQ(encode("a\r\r\nb\r\n"), "a \r\nb\r\n");
  // An end of data smuggled with bare line ends stays inside the message.
  EXPECT_EQ(encode("a\n.\nMAIL FROM:<x>\r\n"), "a\r\n..\r\nMAIL FROM:<x>\r\n");
  EXPECT_EQ(encode("a\n.\r\nb\r\n"), "a\r\n..\r\nb\r\n");
  EXPECT_EQ(encode("a\r.\rb\r\n"), "a . b\r\n");
}

TEST(BodyEncoder, GivesTheSameForEverySplit) {
  const std::string body = ".a\r\n\r\n.\r\nb\rc\nd\r\r\n.\n..e\r";
  for (bool dots : {true, false}) {
    const std::string whole = encode(body, dots);
    for (std::size_t i = 0; i <= body.size(); ++i) {
      for (std::size_t j = i; j <= body.size(); ++j) {
        BodyEncoder encoder(dots);
        std::string out;
        encoder.encode(std::string_view(body).substr(0, i), out);
        encoder.encode(std::string_view(body).substr(i, j - i), out);
        encoder.encode(std::string_view(body).substr(j), out);
        encoder.finish(out);
        ASSERT_EQ(out, whole) << i << ' ' << j;
      }
    }
  }
}

}  // namespace
}  // namespace umbra::smtp
