#include "smtp/xclient.h"

#include <gtest/gtest.h>

#include "tests/unit/smtp/receive_driver.h"

namespace umbra::smtp {
namespace {

TEST(XClient, ReadsEachAttributeInAnyCaseAndOrder) {
  auto said = parse_xclient(
      "addr=192.0.2.1 PORT=4711 Name=mail.example HELO=app.example PROTO=esmtp LOGIN=a+2Bb+40c "
      "DESTADDR=IPV6:::1 DESTPORT=25");
  ASSERT_TRUE(said) << said.error().text;
  EXPECT_EQ(said->address, "192.0.2.1");
  EXPECT_EQ(said->port, 4711);
  EXPECT_EQ(said->name, "mail.example");
  EXPECT_EQ(said->helo, "app.example");
  EXPECT_EQ(said->is_extended, true);
  EXPECT_EQ(said->login, "a+b@c");
  EXPECT_EQ(parse_xclient("ADDR=IPV6:2001:DB8::1")->address, "2001:db8::1");
  EXPECT_EQ(parse_xclient("ADDR=ipv6:::ffff:192.0.2.1")->address, "192.0.2.1") << "as for connections";
  EXPECT_EQ(parse_xclient("NAME=[UNAVAILABLE] HELO=[TEMPUNAVAIL] LOGIN=[unavailable]")->name, "");
  EXPECT_EQ(parse_xclient("HELO=[192.0.2.1]")->helo, "[192.0.2.1]");
  EXPECT_FALSE(parse_xclient("PROTO=SMTP")->address.has_value()) << "stays as it is";
}

TEST(XClient, RefusesWhatIsNoAttribute) {
  for (const char* bad : {"",
                          " ",
                          "ADDR",
                          "ADDR=",
                          "=1",
                          "ADDR=192.0.2.256",
                          "ADDR=192.0.2.01",
                          "ADDR=2001:db8::1",
                          "ADDR=IPV6:192.0.2.1",
                          "ADDR=[UNAVAILABLE]",
                          "ADDR=a.example",
                          "ADDR=192.0.2.1 ADDR=192.0.2.2",
                          "PORT=65536",
                          "PORT=-1",
                          "PORT=a",
                          "PROTO=LMTP",
                          "PROTO=[UNAVAILABLE]",
                          "HELO=a+20b",
                          "HELO=a+0Db",
                          "NAME=a_b+3Cc",
                          "LOGIN=a+",
                          "LOGIN=a+2b",
                          "LOGIN=a+0Ab",
                          "LOGIN=a=b",
                          "COLOUR=red",
                          "DESTADDR=here",
                          "DESTPORT=99999",
                          "ADDR=192.0.2.1+00",
                          "ADDR=192.0.2.1 x"})
    EXPECT_FALSE(parse_xclient(bad)) << bad;
  EXPECT_FALSE(parse_xclient("LOGIN=" + std::string(256, 'a')));
  EXPECT_TRUE(parse_xclient("LOGIN=" + std::string(255, 'a')));
}

TEST(XClient, IsThereForThoseWhoAreTrusted) {
  testing::ReceiveDriver nobody;
  nobody.take_output();
  EXPECT_FALSE(nobody.feed("EHLO c\r\n").contains("XCLIENT"));
  EXPECT_EQ(nobody.feed("XCLIENT ADDR=192.0.2.1\r\n"), "502 5.5.1 command not offered here\r\n");
  testing::ReceiveDriver trusted;
  trusted.trusts = true;
  trusted.take_output();
  EXPECT_TRUE(trusted.feed("EHLO c\r\n")
                  .contains("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"));
  trusted.feed("XCLIENT addr=192.0.2.1\r\nEHLO b\r\n");
  ASSERT_EQ(trusted.introduced.size(), 1U);
  EXPECT_EQ(trusted.introduced[0].address, "192.0.2.1");
  EXPECT_EQ(trusted.left, "EHLO b\r\n") << "for the next session";
}

}  // namespace
}  // namespace umbra::smtp
