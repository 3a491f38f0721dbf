#include "smtp/dsn_parameters.h"

#include <gtest/gtest.h>

#include "base/envelope.h"

namespace umbra::smtp {
namespace {

TEST(Xtext, DecodesUpperCaseHexadecimal) {
  EXPECT_EQ(parse_xtext("a+2Bb+3Dc"), "a+b=c");
  EXPECT_EQ(parse_xtext(""), "");
  for (const char* bad : {"+", "+2", "+2b", "+GG", "a=b", "a b", "\xc3\xbc", "a\x7f"})
    EXPECT_FALSE(parse_xtext(bad)) << bad;
}

TEST(EnvelopeIdParameter, IsPrintableAndShort) {
  EXPECT_TRUE(is_envelope_id("QQ314159"));
  EXPECT_TRUE(is_envelope_id(std::string(100, 'x')));
  EXPECT_FALSE(is_envelope_id(std::string(101, 'x')));
  EXPECT_FALSE(is_envelope_id(""));
  EXPECT_FALSE(is_envelope_id("a+00"));
  EXPECT_FALSE(is_envelope_id("a+C3+BC"));
}

TEST(OriginalRecipientParameter, HasATypeAndDecodes) {
  for (const char* good :
       {"rfc822;a@b", "utf-8;a@b", "UTF-8;\\x{20AC}@b", "utf-8;\\x{0A}\\x{10FFFF}\\x{2B}", "utf-8;a+40b"})
    EXPECT_TRUE(is_original_recipient(good, false)) << good;
  EXPECT_TRUE(is_original_recipient("utf-8;\xe2\x82\xac@b", true));
  for (const char* bad :
       {"", ";", "rfc822", "rfc822;", "rf c;a", "x400;/S=x", "utf-8;\\x{D800}", "utf-8;\\x{110000}",
        "utf-8;\\x{0041}", "utf-8;\\x{A}", "utf-8;\\x{}", "utf-8;\\x{20ac}", "utf-8;\\x{20AC", "utf-8;a b",
        "utf-8;\xe2\x82@b", "rfc822;+2", "rfc822;\xe2\x82\xac"})
    EXPECT_FALSE(is_original_recipient(bad, true)) << bad;
  EXPECT_FALSE(is_original_recipient("utf-8;\xe2\x82\xac@b", false));
  EXPECT_TRUE(is_original_recipient("rfc822;" + std::string(493, 'x'), false));
  EXPECT_FALSE(is_original_recipient("rfc822;" + std::string(494, 'x'), false));
}

TEST(NotifyParameter, IsNeverOrAList) {
  EXPECT_EQ(parse_notify("never"), notify_never);
  EXPECT_EQ(parse_notify("SUCCESS,FAILURE,DELAY"), notify_success | notify_failure | notify_delay);
  EXPECT_EQ(parse_notify("DELAY,DELAY"), notify_delay);
  for (const char* bad : {"", ",", "NEVER,", "SUCCESS,NEVER", ",DELAY", "DELAYED"})
    EXPECT_FALSE(parse_notify(bad)) << bad;
}

}  // namespace
}  // namespace umbra::smtp
