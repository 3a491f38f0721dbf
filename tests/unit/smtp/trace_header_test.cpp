#include "smtp/trace_header.h"

#include <gtest/gtest.h>

#include <chrono>

namespace umbra::smtp {
namespace {

Trace example() {
  using namespace std::chrono;
  return {.client_name = "client.example",
          .client_address = "192.0.2.1",
          .host_name = "hub.example",
          .id = MessageId{SpoolId{0x9f86d081884c7d65}, 0x10000000002},
          .recipient = "bob@example.net",
          .time = WallTime{sys_days{2024y / January / 2}.time_since_epoch() + 3h + 4min + 5s}};
}

TEST(ReceivedField, NamesClientHostIdAndSingleRecipient) {
  EXPECT_EQ(received_field(example()),
            "Received: from client.example ([192.0.2.1])\r\n"
            "\tby hub.example with ESMTP id 9f86d081884c7d65-10000000002\r\n"
            "\tfor <bob@example.net>;\r\n"
            "\tTue, 02 Jan 2024 03:04:05 +0000\r\n");
}

TEST(ReceivedField, SaysHowTheMessageCame) {
  auto trace = example();
  trace.is_extended = false;
  trace.recipient = {};
  trace.client_address = "2001:db8::1";
  EXPECT_EQ(received_field(trace),
            "Received: from client.example ([IPv6:2001:db8::1])\r\n"
            "\tby hub.example with SMTP id 9f86d081884c7d65-10000000002;\r\n"
            "\tTue, 02 Jan 2024 03:04:05 +0000\r\n");
  trace.smtputf8 = true;
  EXPECT_NE(received_field(trace).find(" with UTF8SMTP id "), std::string::npos);
}

TEST(ReceivedField, KeepsEveryLineShortWhateverTheNames) {
  auto trace = example();
  const std::string name(255, 'n');
  const std::string recipient(254, 'r');
  trace.client_name = trace.host_name = name;
  trace.recipient = recipient;
  std::string_view rest;
  const auto field = received_field(trace);
  for (rest = field; !rest.empty();) {
    auto end = rest.find("\r\n");
    ASSERT_NE(end, std::string_view::npos);
    EXPECT_LE(end, 300U);
    rest.remove_prefix(end + 2);
  }
  EXPECT_TRUE(is_own_received_field(field, name));
}

TEST(ReceivedField, OfThisHostIsKnownAgain) {
  auto field = received_field(example());
  EXPECT_TRUE(is_own_received_field(field, "hub.example"));
  EXPECT_TRUE(is_own_received_field(field, "HUB.example"));
  EXPECT_FALSE(is_own_received_field(field, "ub.example"));
  EXPECT_FALSE(is_own_received_field(field, "hub.example.net"));
  EXPECT_FALSE(is_own_received_field(field, "client.example"));
  EXPECT_FALSE(is_own_received_field("Received: by hub.example with SMTP id 12345; then", "hub.example"));
  EXPECT_FALSE(is_own_received_field("Received: from by", "hub.example"));
  EXPECT_FALSE(is_own_received_field("", "hub.example"));
}

TEST(DateTime, IsRfc5322InUtc) {
  EXPECT_EQ(date_time(WallTime{}), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(date_time(WallTime{std::chrono::seconds{1709210096}}), "Thu, 29 Feb 2024 12:34:56 +0000");
}

}  // namespace
}  // namespace umbra::smtp
