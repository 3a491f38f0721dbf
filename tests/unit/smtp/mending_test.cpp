// Messages of old applications (BodyLimits::mending): what becomes of their lines, and that no line end but
// CRLF.CRLF ends a message.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "smtp/body_decoder.h"
#include "smtp/body_encoder.h"

namespace umbra::smtp {
namespace {

const std::string host = "hub.example";
using Framing = BodyDecoder::Framing;

struct Outcome {
  std::string body;
  std::string refusal;
  std::string rest;
  bool ended = false;
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << ::testing::PrintToString(o.body) << ", refusal " << o.refusal << ", rest "
             << ::testing::PrintToString(o.rest) << (o.ended ? ", ended" : "");
}

BodyLimits limits_with(Mending mending, std::uint32_t line = 40) {
  return {.message_octets_max = 20'000,
          .line_octets_max = line,
          .header_octets_max = 10'000,
          .hops_max = 2,
          .own_hops_max = 1,
          .mending = mending};
}
constexpr Mending line_ends{.line_ends = true};
constexpr Mending long_lines{.long_lines = true};
constexpr Mending both{.line_ends = true, .long_lines = true};

Outcome decode(std::string_view text, const BodyLimits& limits, Framing framing = Framing::dot,
               std::size_t piece_octets = std::string::npos) {
  BodyDecoder decoder(limits, host);
  decoder.begin(framing);
  Outcome o;
  while (!text.empty() && !decoder.ended()) {
    auto piece = text.substr(0, piece_octets);
    text.remove_prefix(piece.size());
    while (!piece.empty() && !decoder.ended()) o.body += decoder.feed(piece);
    o.rest = std::string(piece) + std::string(text);
  }
  if (framing == Framing::counted) o.body += decoder.finish();
  if (auto refusal = decoder.refusal()) {
    o.refusal = to_line(*refusal);
    o.body.clear();
  }
  o.ended = decoder.ended();
  return o;
}

std::string mended(std::string_view text, Mending mending = both) {
  return decode(std::string(text) + "\r\n.\r\n", limits_with(mending)).body;
}

TEST(Mending, MakesLinesOfBareLineFeeds) {
  EXPECT_EQ(mended("Subject: a\nTo: b\n\ntext\nmore\n"), "Subject: a\r\nTo: b\r\n\r\ntext\r\nmore\r\n\r\n");
  EXPECT_EQ(mended("a\r\nb\nc\r\n"), "a\r\nb\r\nc\r\n\r\n");
  EXPECT_EQ(mended("a\r\r\n\r\r\r\nb"), "a\r\n\r\nb\r\n") << "CRs before an LF belong to it";
  EXPECT_EQ(mended("Subject: a\rBcc: b\r\r\rc"), "Subject: a Bcc: b c\r\n") << "a CR begins no line";
  EXPECT_EQ(decode("a\nb\r", limits_with(line_ends), Framing::counted).body, "a\r\nb\r\n");
  EXPECT_EQ(decode("a\nb", limits_with(line_ends), Framing::counted).body, "a\r\nb\r\n");
  EXPECT_EQ(decode("", limits_with(line_ends), Framing::counted).body, "");
}

TEST(Mending, EndsAMessageAtCrlfDotCrlfOnly) {
  for (const auto& mending : {line_ends, both}) {
    for (const std::string before : {"\n", "\r", "\r\n", "\r\r", "\n\r", "\n\n", "\r\r\n", "\n\r\n", "x"}) {
      for (const std::string after : {"\n", "\r", "\r\n", "\r\r", "\n\r", "\n\n", "\r\r\n", " \r\n", "z"}) {
        const bool is_end = before.ends_with("\r\n") && after == "\r\n";
        const auto name = ::testing::PrintToString(before + "." + after);
        const auto o = decode("text" + before + "." + after + "MAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n",
                              limits_with(mending));
        EXPECT_TRUE(o.ended) << name;
        EXPECT_EQ(o.rest, is_end ? "MAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n" : "QUIT\r\n") << name;
        EXPECT_EQ(o.refusal, "") << name;
        if (!is_end)
          EXPECT_TRUE(o.body.ends_with("MAIL FROM:<evil@example.com>\r\n")) << name << " is in the message";
      }
    }
    for (const char* alone : {"\n.\r\n", "\n.\n", "\r.\r", "\r.\r\n", ".\n", ".\r", "x\n.\n\n.\n"})
      EXPECT_FALSE(decode(alone, limits_with(mending)).ended) << ::testing::PrintToString(alone);
  }
}

TEST(Mending, WhatLookedLikeAnEndIsStuffedOnTheWayOut) {
  const auto o =
      decode("a\n.\nMAIL FROM:<evil@example.com>\n.\r\n..\n.\r\n\r\n.\r\n", limits_with(line_ends));
  EXPECT_EQ(o.body, "a\r\n.\r\nMAIL FROM:<evil@example.com>\r\n.\r\n.\r\n.\r\n\r\n");
  BodyEncoder encoder(true);
  std::string wire;
  encoder.encode(o.body, wire);
  encoder.finish(wire);
  EXPECT_FALSE(wire.contains("\r\n.\r\n")) << ::testing::PrintToString(wire);
}

TEST(Mending, RemovesStuffedDotsOfRealLinesOnly) {
  EXPECT_EQ(mended("..a\r\n..b\n..c\r\n.d"), ".a\r\n.b\r\n..c\r\nd\r\n");
  EXPECT_EQ(mended(".\rb"), " b\r\n");
  EXPECT_EQ(mended(".\r\r\nb"), "\r\nb\r\n");
}

TEST(Mending, TheHeaderIsLookedAtAfterwards) {
  EXPECT_EQ(decode("Received: a\nReceived: b\nReceived: c\n\nx\r\n.\r\n", limits_with(line_ends)).refusal,
            "554 5.4.6 routing loop: more than 2 hops");
  EXPECT_EQ(decode("Received: a\nReceived: b\n\nReceived: c\r\n.\r\n", limits_with(line_ends)).refusal, "");
  EXPECT_EQ(decode(std::string("a\nb\0", 4) + "\r\n.\r\n", limits_with(both)).refusal,
            "554 5.6.0 NUL octet in the message");
}

TEST(Mending, OneDoesNotStandForTheOther) {
  EXPECT_EQ(decode("a\nb\r\n.\r\n", limits_with(long_lines)).refusal,
            "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode("a\rb\r\n.\r\n", limits_with(long_lines)).refusal,
            "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode(std::string(5000, '\r') + "\r\n.\r\n", limits_with(long_lines)).refusal,
            "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode("\r\n" + std::string(39, 'x') + "\r\n.\r\n", limits_with(line_ends)).refusal,
            "554 5.6.0 line over 40 octets");
}

TEST(Mending, FoldsFieldsWhereAWordBegins) {
  EXPECT_EQ(mended("Subject: 90123456789012345678901234567"), "Subject: 90123456789012345678901234567\r\n")
      << "38 and CRLF: fits";
  EXPECT_EQ(mended("Subject: one two three four five six seven eight"),
            "Subject: one two three four five six\r\n seven eight\r\n");
  EXPECT_EQ(mended("To: a@example.com,\tb@example.com,\tc@example.com"),
            "To: a@example.com,\tb@example.com,\r\n\tc@example.com\r\n");
  EXPECT_EQ(mended("X: " + std::string(60, 'a')),
            "X:\r\n " + std::string(37, 'a') + "\r\n " + std::string(23, 'a') + "\r\n")
      << "a word that is too long";
  EXPECT_EQ(mended("X: a" + std::string(100, ' ')), "X:\r\n a" + std::string(36, ' ') + "\r\n")
      << "no line of blanks";
  EXPECT_EQ(mended("X: a\r\n " + std::string(60, 'b') + "\r\n\r\nc").substr(0, 6), "X: a\r\n")
      << "a field that goes on";
}

TEST(Mending, BreaksTheText) {
  const std::string top = "X: a\r\n\r\n";
  EXPECT_EQ(mended(top + std::string(100, 'x')), top + std::string(38, 'x') + "\r\n" + std::string(38, 'x') +
                                                     "\r\n" + std::string(24, 'x') + "\r\n");
  EXPECT_EQ(mended(top + "one two three four five six seven eight nine"),
            top + "one two three four five six seven \r\neight nine\r\n");
  EXPECT_EQ(mended(top + std::string(37, 'x') + "=C3=BC"), top + std::string(37, 'x') + "\r\n=C3=BC\r\n")
      << "quoted-printable";
  EXPECT_EQ(mended(top + std::string(36, 'x') + "=C3=BC"), top + std::string(36, 'x') + "\r\n=C3=BC\r\n");
  EXPECT_EQ(mended(top + std::string(35, 'x') + "=C3=BC"), top + std::string(35, 'x') + "=C3\r\n=BC\r\n");
  EXPECT_EQ(mended(top + std::string(37, 'x') + "\xc3\xbcy"),
            top + std::string(37, 'x') + "\r\n\xc3\xbcy\r\n")
      << "UTF-8";
  EXPECT_EQ(mended(top + std::string(35, 'x') + "\xf0\x9f\x8c\x91y"),
            top + std::string(35, 'x') + "\r\n\xf0\x9f\x8c\x91y\r\n");
  EXPECT_EQ(mended(top + std::string(60, '.')).substr(top.size() + 38, 3), "\r\n.")
      << "stuffed on the way out";
  EXPECT_EQ(mended("no field\r\n" + std::string(50, 'x')).substr(10),
            std::string(38, 'x') + "\r\n" + std::string(12, 'x') + "\r\n")
      << "text without a header";
}

std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> parts = {"\r\n",
                                                 "\n",
                                                 "\r",
                                                 "\r\r\n",
                                                 "\n.\n",
                                                 ".\r\n",
                                                 "\r\n.",
                                                 "..",
                                                 ".",
                                                 " ",
                                                 "\t",
                                                 "x",
                                                 "Received: a\r\n",
                                                 "X-A: b\n",
                                                 ":",
                                                 "=",
                                                 "=C3=BC",
                                                 "\xc3\xbc",
                                                 "\xf0\x9f\x8c\x91",
                                                 "word word",
                                                 std::string(30, 'y'),
                                                 std::string(45, 'z'),
                                                 std::string(50, ' '),
                                                 "\r\n\r\n",
                                                 "\n\n"};
  std::string text = random() % 2 == 0 ? "Subject: a\r\n" : "";
  for (auto count = random() % 30; count > 0; --count) text += parts[random() % parts.size()];
  return text;
}

std::string without_blanks(std::string_view text) {
  std::string out;
  for (char c : text)
    if (c != '\r' && c != '\n' && c != ' ' && c != '\t') out += c;
  return out;
}

TEST(Mending, IsTheSameHoweverItIsSplit) {
  std::mt19937 random(20261127);
  for (int n = 0; n < 1500; ++n) {
    const auto text = random_text(random) + "\r\n.\r\nrest";
    for (const auto& mending : {line_ends, long_lines, both})
      for (auto framing : {Framing::dot, Framing::counted}) {
        const auto whole = decode(text, limits_with(mending), framing);
        for (std::size_t piece : {1U, 2U, 3U, 5U, 17U})
          ASSERT_EQ(decode(text, limits_with(mending), framing, piece), whole)
              << ::testing::PrintToString(text) << " in pieces of " << piece;
      }
  }
}

TEST(Mending, LeavesOnlyGoodLinesAndLosesNothingButBlanks) {
  std::mt19937 random(7);
  int kept = 0;
  for (int n = 0; n < 1500; ++n) {
    const auto text = random_text(random);
    auto o = decode(text, limits_with(both), Framing::counted);
    if (!o.refusal.empty()) continue;
    ++kept;
    EXPECT_EQ(without_blanks(o.body), without_blanks(text));
    std::string_view left = o.body;
    while (!left.empty()) {
      const auto end = left.find("\r\n");
      ASSERT_NE(end, std::string_view::npos) << ::testing::PrintToString(text);
      ASSERT_LE(end, 38U) << ::testing::PrintToString(text);
      ASSERT_EQ(left.substr(0, end).find_first_of("\r\n"), std::string_view::npos)
          << ::testing::PrintToString(text);
      left.remove_prefix(end + 2);
    }
    EXPECT_EQ(decode(o.body, limits_with(both), Framing::counted).body, o.body)
        << "what is good stays as it is: " << ::testing::PrintToString(text);
  }
  EXPECT_GT(kept, 700);
}

/// Mended or not, every message ends at the same octet.
TEST(Mending, FindsTheEndWhereTheStrictDecoderDoes) {
  std::mt19937 random(11);
  for (int n = 0; n < 2500; ++n) {
    const auto text = random_text(random) + (n % 3 == 0 ? "\r\n.\r\n" : "") + random_text(random);
    const auto strict = decode(text, limits_with({}));
    for (const auto& mending : {line_ends, long_lines, both}) {
      const auto o = decode(text, limits_with(mending));
      ASSERT_EQ(o.ended, strict.ended) << ::testing::PrintToString(text);
      if (o.ended) ASSERT_EQ(o.rest, strict.rest) << ::testing::PrintToString(text);
      if (strict.ended && strict.refusal.empty())
        ASSERT_EQ(o.body, strict.body) << "clean mail stays as it is: " << ::testing::PrintToString(text);
    }
  }
}

TEST(Mending, HoldsOneLineAtMost) {
  BodyLimits limits = limits_with(both, 1000);
  limits.message_octets_max = 1ULL << 40;
  BodyDecoder decoder(limits, host);
  decoder.begin(Framing::dot);
  const std::string much(100'000, 'x');
  std::uint64_t out = 0;
  for (int i = 0; i < 100; ++i) {
    std::string_view input = much;
    out += decoder.feed(input).size();
  }
  EXPECT_GE(out + 1000, 100U * much.size());
  EXPECT_FALSE(decoder.refusal());
}

}  // namespace
}  // namespace umbra::smtp
