// The way of a message from its header: dates and Received fields of real systems, forged fields, and
// anything at all.
#include "smtp/hops.h"

#include <gtest/gtest.h>

#include <random>

#include "base/iso_time.h"

namespace umbra::smtp {
namespace {

std::string when(std::string_view text) {
  auto time = parse_date_time(text);
  return time ? iso_time(*time) : "none";
}

TEST(DateTime, IsReadInTheFormsOfAllSystems) {
  EXPECT_EQ(when("Tue, 02 Jan 2024 03:04:05 +0000"), "2024-01-02T03:04:05.000Z");
  EXPECT_EQ(when("Fri, 27 Nov 2026 23:10:00 +0100 (CET)"), "2026-11-27T22:10:00.000Z");
  EXPECT_EQ(when("27 Nov 2026 23:10 -0530"), "2026-11-28T04:40:00.000Z");
  EXPECT_EQ(when("Fri,27 Nov 2026 23:10:00 GMT"), "2026-11-27T23:10:00.000Z");
  EXPECT_EQ(when("Fri, 7 Nov 97 09:55:06 -0600"), "1997-11-07T15:55:06.000Z");
  EXPECT_EQ(when("7 nov 126 9:55:06 EST"), "2026-11-07T14:55:06.000Z")
      << "years of three digits are counted from 1900";
  EXPECT_EQ(when("Thu, 31 Dec 1998 23:59:60 Z"), "1999-01-01T00:00:00.000Z");
  EXPECT_EQ(when("Fri, 27 Nov 2026 23:10:00.1234567 +0000"), "2026-11-27T23:10:00.000Z");
  EXPECT_EQ(when("Fri, 27 Nov 2026 23:10:00 Q"), "2026-11-27T23:10:00.000Z") << "military letters are -0000";
  for (const char* text :
       {"", "yesterday", "Fri, 27 Nov 2026", "Fri, 27 Nov 2026 23:10:00", "Fri, 31 Feb 2026 23:10:00 +0000",
        "Fri, 27 Now 2026 23:10:00 +0000", "Fri, 27 Nov 2026 25:10:00 +0000", "Fri, 27 Nov 2026 23:10:00 +00",
        "(27 Nov 2026 23:10:00 +0000"})
    EXPECT_EQ(when(text), "none") << text;
}

TEST(ReceivedOf, Postfix) {
  auto read = parse_received(
      " from client.example (unknown [192.0.2.7])\r\n\tby mx.example (Postfix) with ESMTPS id "
      "4TabcD0xyz\r\n\tfor <bob@example.net>; Fri, 27 Nov 2026 23:10:00 +0100 (CET)");
  EXPECT_EQ(read.from, "client.example");
  EXPECT_EQ(read.from_address, "192.0.2.7");
  EXPECT_EQ(read.by, "mx.example");
  EXPECT_EQ(read.with, "ESMTPS");
  EXPECT_EQ(read.id, "4TabcD0xyz");
  EXPECT_EQ(read.recipient, "bob@example.net");
  EXPECT_EQ(iso_time(*read.time), "2026-11-27T22:10:00.000Z");
}

TEST(ReceivedOf, Exchange) {
  auto read = parse_received(
      " from AM0PR01MB1234.eurprd01.prod.exchangelabs.com (2603:10a6:208:1f::22) by\r\n "
      "AM0PR01MB5678.eurprd01.prod.exchangelabs.com with Microsoft SMTP Server (version=TLS1_2,\r\n"
      " cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.1234.5; Fri, 27 Nov 2026\r\n 23:10:00 +0000");
  EXPECT_EQ(read.by, "AM0PR01MB5678.eurprd01.prod.exchangelabs.com");
  EXPECT_EQ(read.with, "Microsoft");
  EXPECT_EQ(read.id, "15.20.1234.5");
  EXPECT_TRUE(read.time);
}

TEST(ReceivedOf, CommentsAndQuotedStringsMayHoldAnything) {
  auto read = parse_received(
      " from \"by forged with id ;\" (a comment (with by nested; parts) and \\) more [192.0.2.1]) by "
      "real.example; 27 Nov 2026 23:10:00 +0000");
  EXPECT_EQ(read.from, "by forged with id ;");
  EXPECT_EQ(read.from_address, "192.0.2.1");
  EXPECT_EQ(read.by, "real.example");
  EXPECT_TRUE(read.time);
}

TEST(ReceivedOf, MissingPartsStayEmpty) {
  EXPECT_EQ(parse_received(""), Received{});
  auto read = parse_received(" by localhost; not a date");
  EXPECT_EQ(read.by, "localhost");
  EXPECT_EQ(read.date, "not a date");
  EXPECT_FALSE(read.time);
}

constexpr std::string_view of_hub_2 =
    "Umbra-Hop: hub=hub-2; host=hub-2.example; id=00000000000000bb-2; attempt=1\r\n"
    "Received: from hub-1.example ([192.0.2.1])\r\n\tby hub-2.example with ESMTP id "
    "00000000000000bb-2;\r\n\tFri, 27 Nov 2026 23:10:02 +0000\r\n";
constexpr std::string_view of_hub_1 =
    "Umbra-Hop: hub=hub-1; host=hub-1.example; id=00000000000000aa-1; attempt=2\r\n"
    "Received: from client ([192.0.2.9]) by hub-1.example with ESMTP id 00000000000000aa-1; Fri, 27 Nov 2026 "
    "23:10:00 +0000\r\n";

TEST(Hops, AreReadFromTheTop) {
  auto read = read_hops(std::string("From mailbox line\r\nReturn-Path: <a@b>\r\nReceived: by mx.example; 27 "
                                    "Nov 2026 23:10:03 +0000\r\n") +
                            std::string(of_hub_2) + "Subject: x\r\n\r\nReceived: in the body\r\n",
                        {});
  ASSERT_EQ(read.hops.size(), 2U);
  EXPECT_FALSE(read.is_cut);
  EXPECT_EQ(read.hops[0].received->by, "mx.example");
  EXPECT_FALSE(read.hops[0].hop);
  EXPECT_EQ(read.hops[0].line, 3U);
  EXPECT_EQ(read.hops[1].hop->hub, "hub-2");
  EXPECT_EQ(read.hops[1].received->from, "hub-1.example");
  EXPECT_EQ(read.hops[1].line, 4U);
  for (const auto& hop : read.hops) EXPECT_EQ(hop.doubt, "");
}

TEST(Hops, WhatIsBelowAHubIsBelievedOnlyOfOnesOwnHosts) {
  const auto message = std::string(of_hub_2) + std::string(of_hub_1) +
                       "Received: from evil by client; 27 Nov 2026 23:09:00 +0000\r\n\r\n";
  auto read = read_hops(message, {});
  ASSERT_EQ(read.hops.size(), 3U);
  EXPECT_EQ(read.hops[0].doubt, "");
  EXPECT_EQ(read.hops[1].doubt, "it was in the message when hub-2.example took it");
  EXPECT_EQ(read.hops[2].doubt, "it was in the message when hub-2.example took it");
  read = read_hops(message, {"HUB-1.example"});
  EXPECT_EQ(read.hops[1].doubt, "");
  EXPECT_EQ(read.hops[2].doubt, "it was in the message when hub-1.example took it");
}

TEST(Hops, ForgedFieldsAreNotBelieved) {
  // On top of the real one of hub-1 came in: one that stands alone, one with the id of another message, a
  // copy of the real one, and nonsense.
  const std::string alone =
      "Umbra-Hop: hub=hub-1; host=hub-1.example; id=00000000000000aa-7\r\nX-Other: y\r\n";
  const std::string misfit =
      "Umbra-Hop: hub=hub-3; host=hub-3.example; id=00000000000000cc-7\r\nReceived: by other.example; 27 Nov "
      "2026 23:09:00 +0000\r\n";
  const std::string nonsense =
      "Umbra-Hop: =;=;=\r\nReceived: by other.example; 27 Nov 2026 23:09:00 +0000\r\n";
  auto read = read_hops(std::string(of_hub_1) + alone + misfit + std::string(of_hub_1) + nonsense + "\r\n",
                        {"hub-1.example", "hub-3.example", "other.example"});
  ASSERT_EQ(read.hops.size(), 5U);
  EXPECT_EQ(read.hops[0].doubt, "");
  EXPECT_NE(read.hops[1].doubt.find("no Received field right below it"), std::string::npos);
  EXPECT_NE(read.hops[2].doubt.find("another id and another host"), std::string::npos);
  EXPECT_NE(read.hops[3].doubt.find("a field above it has the same id"), std::string::npos);
  EXPECT_NE(read.hops[4].doubt.find("not in the form of one"), std::string::npos);
  EXPECT_TRUE(read.hops[4].has_hop_field);
  EXPECT_FALSE(read.hops[4].hop);
}

TEST(Hops, AnotherOwnersFieldFitsByTheId) {
  // Taken over: hub-2 sends what hub-1 had accepted.
  auto read = read_hops(
      "Umbra-Hop: hub=hub-2; host=hub-2.example; id=00000000000000aa-1\r\nReceived: by hub-1.example with "
      "ESMTP id 00000000000000aa-1; 27 Nov 2026 23:10:00 +0000\r\n\r\n",
      {});
  ASSERT_EQ(read.hops.size(), 1U);
  EXPECT_EQ(read.hops[0].doubt, "");
}

TEST(Hops, AreBounded) {
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "Received: by a; 27 Nov 2026 23:10:00 +0000\r\n";
  auto read = read_hops(many, {});
  EXPECT_EQ(read.hops.size(), hops_max);
  EXPECT_TRUE(read.is_cut);
  EXPECT_TRUE(read_hops("Received: by a\r\nX-Long: " + std::string(header_octets_read_max, 'x'), {}).is_cut);
  const auto deep = "Received: from " + std::string(500'000, '(') + " by a" + std::string(400'000, ')') +
                    "; " + std::string(100'000, '(') + "\r\n\r\n";
  EXPECT_EQ(read_hops(deep, {}).hops.size(), 1U);
  EXPECT_EQ(read_hops("", {}).hops.size(), 0U);
  EXPECT_EQ(read_hops("no header at all", {}).hops.size(), 0U);
}

/// Pieces of headers in any order, and octets of any value: nothing may go wrong, and nothing grow beyond
/// what is there.
TEST(Hops, TakeWhateverComes) {
  const std::vector<std::string> pieces = {"Received:",
                                           "Umbra-Hop:",
                                           " from a",
                                           " by b",
                                           " with ESMTP",
                                           " id 1",
                                           "(",
                                           ")",
                                           "\\",
                                           "\"",
                                           ";",
                                           "[",
                                           "]",
                                           "192.0.2.1",
                                           "=",
                                           "hub=h",
                                           "; id=00000000000000aa-1",
                                           "27 Nov 2026 23:10:00 +0000",
                                           ",",
                                           "\r\n",
                                           "\n",
                                           "\r\n ",
                                           "\t",
                                           "for <",
                                           ">",
                                           "owner=1/accepted/h/",
                                           "copies=a,b",
                                           std::string(1, '\0'),
                                           "\xff\xfe",
                                           "From ",
                                           ":"};
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    std::mt19937_64 random(seed);
    auto below = [&random](std::uint64_t bound) { return static_cast<std::size_t>(random() % bound); };
    std::string text;
    const auto count = below(60);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (below(8) == 0)
        text.push_back(static_cast<char>(below(256)));
      else
        text += pieces[below(pieces.size())];
    }
    auto read = read_hops(text, {"b"});
    ASSERT_LE(read.hops.size(), hops_max);
    std::size_t octets = 0;
    for (const auto& hop : read.hops)
      if (hop.received)
        octets += hop.received->from.size() + hop.received->by.size() + hop.received->id.size() +
                  hop.received->date.size();
    ASSERT_LE(octets, 2 * text.size() + 10) << seed;
  }
}

}  // namespace
}  // namespace umbra::smtp
