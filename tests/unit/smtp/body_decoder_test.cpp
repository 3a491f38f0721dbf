#include "smtp/body_decoder.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace umbra::smtp {
namespace {

const std::string host = "hub.example";

struct Outcome {
  std::string body;  // empty when refused: what came out before does not count
  std::string refusal;
  std::string rest;  // what was not taken
  bool has_8bit = false;
  bool ended = false;
  std::uint64_t octets = 0;
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << "body " << ::testing::PrintToString(o.body) << ", refusal " << o.refusal << ", rest "
             << ::testing::PrintToString(o.rest) << (o.has_8bit ? ", 8-bit" : "")
             << (o.ended ? ", ended " : ", not ended ") << o.octets;
}

constexpr BodyLimits small{.message_octets_max = 200,
                           .line_octets_max = 40,
                           .header_octets_max = 100,
                           .hops_max = 2,
                           .own_hops_max = 1};
constexpr BodyLimits wide{.message_octets_max = 400,
                          .line_octets_max = 80,
                          .header_octets_max = 300,
                          .hops_max = 2,
                          .own_hops_max = 1};

/// Feeds `pieces` one after the other.
Outcome decode(const std::vector<std::string_view>& pieces, const BodyLimits& limits = small,
               BodyDecoder::Framing framing = BodyDecoder::Framing::dot) {
  BodyDecoder decoder(limits, host);
  decoder.begin(framing);
  Outcome o;
  for (auto piece : pieces) {
    while (!piece.empty() && !decoder.ended()) o.body += decoder.feed(piece);
    o.rest += piece;
  }
  if (framing == BodyDecoder::Framing::counted) o.body += decoder.finish();
  if (auto refusal = decoder.refusal()) {
    o.refusal = to_line(*refusal);
    o.body.clear();
  }
  o.has_8bit = decoder.has_8bit();
  o.ended = decoder.ended();
  o.octets = decoder.octets();
  return o;
}

TEST(BodyDecoder, RemovesTheDotThatWasStuffed) {
  EXPECT_EQ(decode({"..\r\n...\r\na.\r\n. \r\n.a\r\n.\r\nQUIT\r\n"}).body, ".\r\n..\r\na.\r\n \r\na\r\n");
  EXPECT_EQ(decode({"..\r\n.\r\nQUIT\r\n"}).rest, "QUIT\r\n");
  EXPECT_EQ(decode({".\r\n"}).body, "");
  EXPECT_TRUE(decode({".\r\n"}).ended);
}

TEST(BodyDecoder, GivesViewsOfTheInputWhenNothingIsRemoved) {
  BodyDecoder decoder(small, host);
  decoder.begin(BodyDecoder::Framing::dot);
  const std::string text = "one\r\ntwo\r\n.\r\n";
  std::string_view input = text;
  auto out = decoder.feed(input);
  EXPECT_EQ(out, "one\r\ntwo\r\n");
  EXPECT_EQ(out.data(), text.data());
}

TEST(BodyDecoder, EndsDataOnlyAtCrlfDotCrlf) {
  for (const std::string before : {"\n", "\r", "\r\n", "\r\r", "\n\r", "\n\n", "\r\r\n", "x"}) {
    for (const std::string after : {"\n", "\r", "\r\n", "\r\r", "\n\r", "\n\n", "\r\r\n", " \r\n", "z"}) {
      const bool is_end = before.ends_with("\r\n") && after == "\r\n";
      const auto o = decode({"text" + before + "." + after + "SECOND\r\n.\r\n"});
      EXPECT_TRUE(o.ended);
      if (is_end) {
        EXPECT_EQ(o.rest, "SECOND\r\n.\r\n") << ::testing::PrintToString(before + "." + after);
      } else {
        EXPECT_EQ(o.rest, "") << ::testing::PrintToString(before + "." + after);
        const bool is_clean =
            (before == "\r\n" || before == "x") && (after == "\r\n" || after == " \r\n" || after == "z");
        EXPECT_EQ(o.refusal.empty(), is_clean) << ::testing::PrintToString(before + "." + after);
      }
    }
  }
  for (const char* alone : {"\n.\r\n", "\r.\r\n", "x.\r\n", ".\n", ".\r", "..\r\n"})
    EXPECT_FALSE(decode({alone}).ended) << ::testing::PrintToString(alone);
}

TEST(BodyDecoder, RefusesWithTheCodeOfTheFault) {
  EXPECT_EQ(decode({"a\nb\r\n.\r\n"}).refusal, "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode({"a\rb\r\n.\r\n"}).refusal, "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode({std::string_view("a\0b\r\n.\r\n", 8)}).refusal, "554 5.6.0 NUL octet in the message");
  EXPECT_EQ(decode({"\r\n" + std::string(38, 'x') + "\r\n.\r\n"}).refusal, "");
  EXPECT_EQ(decode({"\r\n" + std::string(39, 'x') + "\r\n.\r\n"}).refusal, "554 5.6.0 line over 40 octets");
  EXPECT_EQ(decode({"\r\n.." + std::string(37, 'x') + "\r\n.\r\n"}).refusal, "");
  EXPECT_EQ(decode({"\r\n" + std::string(99, '\r') + "\r\n.\r\n"}).refusal,
            "554 5.6.0 bare CR or LF: lines end with CRLF");
  std::string header;
  for (int i = 0; i < 10; ++i) header += "X-A: 3456\r\n";
  EXPECT_EQ(decode({header + "\r\n.\r\n"}).refusal, "552 5.3.4 message header over 100 octets");
  EXPECT_EQ(decode({"\r\n" + header + "\r\n.\r\n"}).refusal, "");
  std::string text;
  for (int i = 0; i < 20; ++i) text += "12345678\r\n";
  EXPECT_EQ(decode({text + "\r\n.\r\n"}).refusal, "552 5.3.4 message over 200 octets");
  EXPECT_EQ(decode({text + ".\r\n"}).refusal, "");
}

TEST(BodyDecoder, CountsHopsInTheHeaderOnly) {
  const std::string hop = "Received: by a;\r\n\tx\r\n";
  EXPECT_EQ(decode({hop + hop + "\r\n" + hop + hop + ".\r\n"}).refusal, "");
  EXPECT_EQ(decode({hop + hop + hop + "\r\n.\r\n"}).refusal, "554 5.4.6 routing loop: more than 2 hops");
  // Without an empty line, and with a line that is no field, which begins the text.
  EXPECT_EQ(decode({hop + "RECEIVED : a\r\n" + "received:\r\n.\r\n"}).refusal,
            "554 5.4.6 routing loop: more than 2 hops");
  EXPECT_EQ(decode({hop + hop + "no field\r\n" + hop + ".\r\n"}).refusal, "");
  EXPECT_EQ(decode({"From me\r\n" + hop + hop + hop + ".\r\n"}).refusal,
            "554 5.4.6 routing loop: more than 2 hops");
  EXPECT_EQ(decode({"Received-SPF: a\r\nX-Received: b\r\nReceived\r\n.\r\n"}).refusal, "");
}

TEST(BodyDecoder, CountsItsOwnHops) {
  const std::string own = "Received: by hub.example\r\n\tid 9f86d081884c7d65-1; x\r\n";
  EXPECT_EQ(decode({own + "\r\n.\r\n"}).refusal, "");
  EXPECT_EQ(decode({own + own + "\r\n.\r\n"}, wide).refusal, "554 5.4.6 routing loop: was here 2 times");
  EXPECT_EQ(decode({own + own + ".\r\n"}, wide).refusal, "554 5.4.6 routing loop: was here 2 times");
}

TEST(BodyDecoder, NotesOctetsAbove127) {
  EXPECT_FALSE(decode({"a\x7f\r\n.\r\n"}).has_8bit);
  EXPECT_TRUE(decode({"a\x80\r\n.\r\n"}).has_8bit);
  EXPECT_EQ(decode({"a\xff\r\n.\r\n"}).body, "a\xff\r\n");
}

TEST(BodyDecoder, TakesCountedOctetsAsTheyAre) {
  const auto counted = BodyDecoder::Framing::counted;
  EXPECT_EQ(decode({"..\r\n.\r\n."}, small, counted).body, "..\r\n.\r\n.\r\n");
  EXPECT_EQ(decode({"a\r", "\nb"}, small, counted).body, "a\r\nb\r\n");
  EXPECT_EQ(decode({}, small, counted).body, "");
  EXPECT_EQ(decode({"a\r"}, small, counted).refusal, "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode({"a\n"}, small, counted).refusal, "554 5.6.0 bare CR or LF: lines end with CRLF");
  EXPECT_EQ(decode({"a\r\n"}, small, counted).octets, 3U);
}

TEST(BodyDecoder, IsReadyForTheNextMessage) {
  BodyDecoder decoder(small, host);
  decoder.begin(BodyDecoder::Framing::dot);
  std::string_view input = "Received: a\nb\r\nReceived: x\r\n\xff\r\n.\r\n";
  while (!decoder.ended()) decoder.feed(input);
  EXPECT_TRUE(decoder.refusal());
  decoder.begin(BodyDecoder::Framing::dot);
  input = "..a\r\n.\r\n";
  EXPECT_EQ(decoder.feed(input), ".a\r\n");
  EXPECT_TRUE(decoder.ended());
  EXPECT_FALSE(decoder.refusal());
  EXPECT_FALSE(decoder.has_8bit());
  EXPECT_EQ(decoder.octets(), 4U);
}

/// Texts that come near every rule: made of the pieces that matter.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> parts = {"\r\n",
                                                 "\r\n",
                                                 "\r\n",
                                                 ".",
                                                 "..",
                                                 "\r",
                                                 "\n",
                                                 std::string(1, '\0'),
                                                 "x",
                                                 "Received: by hub.example id 9f86d081884c7d65-1; ",
                                                 "Received: a\r\n",
                                                 "\r\n\t",
                                                 "\r\n\r\n",
                                                 "X-A: b\r\n",
                                                 "\xc3\xbc",
                                                 "0123456789012345678901234567",
                                                 ":",
                                                 " ",
                                                 "\r\n.\r\n"};
  // Most texts are of harmless pieces: otherwise nearly all would be refused for a bare CR.
  const bool is_wild = random() % 4 == 0;
  std::string text;
  for (auto count = random() % 24; count > 0; --count) {
    const auto& part = parts[random() % parts.size()];
    if (is_wild || (part != "\r" && part != "\n" && part[0] != '\0')) text += part;
  }
  return text + "\r\n.\r\nrest";
}

TEST(BodyDecoder, GivesTheSameHoweverTheInputIsSplit) {
  std::mt19937 random(20240102);
  int kept = 0;
  for (int n = 0; n < 3000; ++n) {
    const auto text = random_text(random);
    const auto& limits = n % 2 == 0 ? small : wide;
    for (auto framing : {BodyDecoder::Framing::dot, BodyDecoder::Framing::counted}) {
      const auto whole = decode({text}, limits, framing);
      if (whole.refusal.empty()) ++kept;
      const std::string_view view = text;
      for (std::size_t at = 0; at <= text.size(); ++at)
        ASSERT_EQ(decode({view.substr(0, at), view.substr(at)}, limits, framing), whole)
            << ::testing::PrintToString(text) << " at " << at;
      std::vector<std::string_view> octets;
      for (std::size_t at = 0; at < text.size(); ++at) octets.push_back(view.substr(at, 1));
      ASSERT_EQ(decode(octets, limits, framing), whole) << ::testing::PrintToString(text);
    }
  }
  EXPECT_GT(kept, 500);
}

/// The obvious decoder, for whole texts without a fault.
TEST(BodyDecoder, AgreesWithAPlainOne) {
  std::mt19937 random(7);
  int compared = 0;
  for (int n = 0; n < 3000; ++n) {
    const auto text = random_text(random);
    const auto o = decode({text}, BodyLimits{});
    const auto end = text.starts_with(".\r\n") ? 0 : text.find("\r\n.\r\n") + 2;
    ASSERT_EQ(o.rest, text.substr(end + 3));
    if (!o.refusal.empty()) continue;
    std::string expected;
    for (std::size_t line = 0; line < end;) {
      const auto next = text.find("\r\n", line) + 2;
      const std::size_t dot = text[line] == '.' ? 1 : 0;
      expected += text.substr(line + dot, next - line - dot);
      line = next;
    }
    ASSERT_EQ(o.body, expected);
    ++compared;
  }
  EXPECT_GT(compared, 300);
}

TEST(BodyDecoder, KeepsNothingOfARefusedMessageHoweverLong) {
  const BodyLimits limits{.message_octets_max = 1000};
  BodyDecoder bounded(limits, host);
  bounded.begin(BodyDecoder::Framing::dot);
  const std::string line = std::string(998, 'x') + "\r\n";
  std::size_t out = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string_view input = line;
    out += bounded.feed(input).size();
  }
  EXPECT_LE(out, 1000U);
  EXPECT_EQ(bounded.octets(), 10'000'000U);
  std::string_view input = ".\r\n";
  bounded.feed(input);
  EXPECT_TRUE(bounded.ended());
  EXPECT_EQ(bounded.refusal()->code, 552);
}

}  // namespace
}  // namespace umbra::smtp
