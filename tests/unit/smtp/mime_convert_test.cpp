// 8-bit mail made 7-bit: the content is the same after decoding; what cannot be converted is refused with a
// reason.
#include "smtp/mime_convert.h"

#include <gtest/gtest.h>

#include "smtp/address.h"

namespace umbra::smtp {
namespace {

std::string decode_quoted(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out.push_back(text[i]);
    } else if (text.substr(i + 1, 2) == "\r\n") {
      i += 2;
    } else {
      out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
      i += 2;
    }
  }
  return out;
}

TEST(MimeConvert, QuotesWhatMustBeQuoted) {
  EXPECT_EQ(to_quoted_printable("caf\xc3\xa9 = 1\r\n"), "caf=C3=A9 =3D 1\r\n");
  EXPECT_EQ(to_quoted_printable("end \r\nend\t\r\n"), "end=20\r\nend=09\r\n");
  EXPECT_EQ(to_quoted_printable("last "), "last=20");
}

TEST(MimeConvert, KeepsLinesShortAndTheContentWhole) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 7 == 0 ? "\xc3\xa9 " : "word ";
  text += "\r\n.\r\n";
  std::string quoted = to_quoted_printable(text);
  EXPECT_EQ(decode_quoted(quoted), text);
  std::size_t start = 0;
  for (auto end = quoted.find("\r\n"); end != std::string::npos; end = quoted.find("\r\n", start)) {
    EXPECT_LE(end - start, 76U);
    start = end + 2;
  }
}

TEST(MimeConvert, WritesBase64) {
  EXPECT_EQ(to_base64("Man"), "TWFu\r\n");
  EXPECT_EQ(to_base64("Ma"), "TWE=\r\n");
  EXPECT_EQ(to_base64("M"), "TQ==\r\n");
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64(std::string(57, 'a')).size(), 78U);
  EXPECT_EQ(to_base64(std::string(58, 'a')).find("\r\n"), 76U);
}

TEST(MimeConvert, EncodesABodyAndSaysHow) {
  auto converted = to_seven_bit(
      "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
      "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
      "caf\xc3\xa9\r\n");
  ASSERT_TRUE(converted);
  EXPECT_EQ(*converted,
            "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n");
}

TEST(MimeConvert, ChoosesBase64WhereItIsShorter) {
  std::string body;
  for (int i = 0; i < 200; ++i) body += "\xd0\xb6";
  auto converted =
      to_seven_bit("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body + "\r\n");
  ASSERT_TRUE(converted);
  EXPECT_NE(converted->find("Content-Transfer-Encoding: base64\r\n\r\n"), std::string::npos);
  EXPECT_TRUE(is_ascii(*converted));
}

TEST(MimeConvert, LabelsAMessageWithoutMime) {
  auto converted = to_seven_bit("From: a@b\r\n\r\n\xe9\r\n");
  ASSERT_TRUE(converted);
  EXPECT_NE(converted->find("MIME-Version: 1.0\r\n"), std::string::npos);
  EXPECT_NE(converted->find("charset=unknown-8bit"), std::string::npos);
}

TEST(MimeConvert, LeavesSevenBitMailAlone) {
  EXPECT_EQ(*to_seven_bit("From: a\r\n\r\nplain\r\n"), "From: a\r\n\r\nplain\r\n");
}

TEST(MimeConvert, RefusesWhatItCannotConvert) {
  EXPECT_FALSE(to_seven_bit("Subject: caf\xc3\xa9\r\n\r\nx\r\n"));
  EXPECT_FALSE(to_seven_bit("Content-Type: Multipart/mixed; boundary=x\r\n\r\n\xc3\xa9\r\n"));
  EXPECT_FALSE(to_seven_bit("Content-Type:\r\n message/rfc822\r\n\r\n\xc3\xa9\r\n"));
  EXPECT_FALSE(to_seven_bit("Content-Transfer-Encoding: binary\r\n\r\n\xc3\xa9\r\n"));
  EXPECT_FALSE(to_seven_bit("no empty line \xc3\xa9\r\n"));
}

}  // namespace
}  // namespace umbra::smtp
