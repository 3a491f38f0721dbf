#include "smtp/address.h"

#include <gtest/gtest.h>

#include <string>

namespace umbra::smtp {
namespace {

std::string letters(std::size_t count) {
  return std::string(count, 'a');
}

std::string mailbox_of(std::string_view path, Utf8 utf8 = Utf8::forbidden) {
  auto parsed = parse_path(path, utf8);
  return parsed ? std::string(parsed->mailbox) : "error: " + std::string(parsed.error());
}

TEST(Path, IsReadUpToItsClosingBracket) {
  auto path = parse_path("<a@b.example> SIZE=1", Utf8::forbidden);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->mailbox, "a@b.example");
  EXPECT_EQ(path->octets, 13U);
  EXPECT_TRUE(path->is_ascii);
  EXPECT_EQ(mailbox_of("<>"), "");
}

TEST(Path, TakesEveryFormOfMailbox) {
  for (const char* mailbox :
       {"a@b", "first.last@sub.example.net", "!#$%&'*+-/=?^_`{|}~@b.example", "\"a b\"@b.example",
        "\"\"@b.example", "\"a\\\"b\\\\\"@b.example", "\"a@b\"@c.example", "\"<>\"@c.example",
        "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@[ipv6:::1]", "a@xn--bcher-kva.example", "1@2.example",
        "POSTMASTER"})
    EXPECT_EQ(mailbox_of("<" + std::string(mailbox) + ">"), mailbox);
}

TEST(Path, DropsASourceRouteThatIsWellFormed) {
  EXPECT_EQ(mailbox_of("<@one.example,@[192.0.2.1]:a@b.example>"), "a@b.example");
  for (const char* bad :
       {"<@one.example:>", "<@:a@b>", "<@one.example a@b>", "<@one.example,two.example:a@b>", "<@one.example",
        "<@one.example,:a@b>", "<@one.example:postmaster>", "<@-x:a@b>"})
    EXPECT_TRUE(mailbox_of(bad).starts_with("error: ")) << bad << mailbox_of(bad);
}

TEST(Path, RefusesWhatIsNoPath) {
  for (const char* bad : {"",
                          "a@b",
                          "<",
                          "<a",
                          "<a@",
                          "<a@b",
                          "<@b>",
                          "<a@@b>",
                          "<a@b@c>",
                          "< a@b>",
                          "<a @b>",
                          "<a@b >",
                          "<a@b.>",
                          "<a@.b>",
                          "<a@b..c>",
                          "<.a@b>",
                          "<a.@b>",
                          "<a..b@c>",
                          "<a@-b>",
                          "<a@b->",
                          "<a@b_c>",
                          "<a b@c>",
                          "<\"a@b>",
                          "<\"a\"b@c>",
                          "<\"a\\\">",
                          "<a@[192.0.2]>",
                          "<a@[192.0.2.256]>",
                          "<a@[192.0.2.1>",
                          "<a@[]>",
                          "<a@[IPv6:]>",
                          "<a@[2001:db8::1]>",
                          "<a@[IPv6:192.0.2.1]>",
                          "<a@[x-tag:1]>",
                          "<bob>",
                          "<\"postmaster\">",
                          "<a(comment)@b>",
                          "<a\t@b>",
                          "<a,b@c>"})
    EXPECT_TRUE(mailbox_of(bad).starts_with("error: ")) << bad << " -> " << mailbox_of(bad);
}

TEST(Path, KeepsTheLengthLimits) {
  const std::string domain_252 = letters(63) + "." + letters(63) + "." + letters(63) + "." + letters(60);
  EXPECT_EQ(mailbox_of("<" + letters(64) + "@b>"), letters(64) + "@b");
  EXPECT_EQ(mailbox_of("<" + letters(65) + "@b>"), "error: local part over 64 octets");
  EXPECT_EQ(mailbox_of("<a@" + letters(63) + ">"), "a@" + letters(63));
  EXPECT_EQ(mailbox_of("<a@" + letters(64) + ">"), "error: bad domain");
  EXPECT_EQ(mailbox_of("<a@" + domain_252 + ">"), "a@" + domain_252);  // 256 octets
  EXPECT_EQ(mailbox_of("<aa@" + domain_252 + ">"), "error: path over 256 octets");
  EXPECT_EQ(mailbox_of("<a@" + domain_252 + ".bbb>"), "error: domain over 255 octets");
}

TEST(Path, TakesUtf8OnlyWhenAllowedAndWellFormed) {
  EXPECT_EQ(mailbox_of("<\xc3\xbc@b.example>", Utf8::allowed), "\xc3\xbc@b.example");
  EXPECT_EQ(mailbox_of("<a@b\xc3\xbc.example>", Utf8::allowed), "a@b\xc3\xbc.example");
  EXPECT_FALSE(parse_path("<\xc3\xbc@b.example>", Utf8::allowed)->is_ascii);
  EXPECT_TRUE(mailbox_of("<\xc3\xbc@b.example>").starts_with("error: "));
  EXPECT_TRUE(mailbox_of("<a@b\xc3\xbc.example>").starts_with("error: "));
  EXPECT_EQ(mailbox_of("<\xc3@b.example>", Utf8::allowed), "error: address is not UTF-8");
}

TEST(Utf8Text, IsWellFormedOrNot) {
  for (const char* good : {"", "plain", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good));
  for (const char* bad : {"\x80",
                          "\xbf",
                          "\xc0\x80",
                          "\xc1\xbf",
                          "\xc2",
                          "\xc2 ",
                          "\xe0\x80\x80",
                          "\xe0\x9f\xbf",
                          "\xed\xa0\x80",
                          "\xed\xbf\xbf",
                          "\xe2\x82",
                          "\xe2\x82 ",
                          "\xf0\x80\x80\x80",
                          "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80",
                          "\xff",
                          "\xfe",
                          "\xf0\x90\x80",
                          "a\xc3"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(HelloName, ToleratesUnderscoresButNothingThatCouldForgeAField) {
  for (const char* good : {"client.example", "localhost", "my_host", "[192.0.2.1]", "[IPv6:::1]", "1.2.3.4"})
    EXPECT_TRUE(is_hello_name(good)) << good;
  for (const char* bad :
       {"", "a b", "a..b", ".a", "a(b)", "a;b", "[1.2.3]", "[x]", "<a>", "a@b", "a:b", "-a", "\xc3\xbc"})
    EXPECT_FALSE(is_hello_name(bad)) << bad;
}

TEST(DomainOf, IsWhatFollowsTheLastAt) {
  EXPECT_EQ(domain_of("a@b.example"), "b.example");
  EXPECT_EQ(domain_of("\"a@b\"@c.example"), "c.example");
  EXPECT_EQ(domain_of("postmaster"), "");
}

TEST(Mailbox, IsCheckedWhole) {
  EXPECT_TRUE(is_mailbox("a@b", Utf8::forbidden));
  EXPECT_FALSE(is_mailbox("a@b ", Utf8::forbidden));
  EXPECT_FALSE(is_mailbox("a", Utf8::forbidden));
  EXPECT_FALSE(is_mailbox("a@", Utf8::forbidden));
  EXPECT_TRUE(is_mailbox("\xc3\xbc@b", Utf8::allowed));
  EXPECT_FALSE(is_mailbox("\xc3\xbc@b", Utf8::forbidden));
}

}  // namespace
}  // namespace umbra::smtp
