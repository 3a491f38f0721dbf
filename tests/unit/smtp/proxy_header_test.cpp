#include "smtp/proxy_header.h"

#include <gtest/gtest.h>

#include <random>

namespace umbra::smtp {
namespace {

using State = ProxyHeaderReader::State;

struct Outcome {
  State state = State::more;
  std::string client;
  int port = 0;
  bool is_local = false;
  std::string rest;
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << static_cast<int>(o.state) << " " << o.client << " " << o.port << " " << o.is_local << " "
             << ::testing::PrintToString(o.rest);
}

Outcome read(std::string_view text, std::size_t piece = std::string::npos) {
  ProxyHeaderReader reader;
  Outcome o;
  while (!text.empty() && o.state == State::more) {
    auto input = text.substr(0, piece);
    text.remove_prefix(input.size());
    o.state = reader.feed(input);
    o.rest = std::string(input) + std::string(text);
  }
  if (o.state == State::bad) {
    EXPECT_FALSE(reader.fault().empty());
    o.rest.clear();
  }
  if (o.state == State::done) {
    o.client = reader.header().client;
    o.port = reader.header().client_port;
    o.is_local = reader.header().is_local;
  }
  return o;
}

const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);

/// Version 2: command, family, what stands behind.
std::string binary(char command, char family, const std::string& behind, int length = -1) {
  const auto octets = length < 0 ? behind.size() : static_cast<std::size_t>(length);
  return signature + command + family + static_cast<char>(octets >> 8U) + static_cast<char>(octets & 0xffU) +
         behind;
}

const std::string v4("\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x67\x00\x19",
                     12);  // 192.0.2.1:4711 -> 192.0.2.2:25
const std::string v6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) + std::string(15, '\0') +
                       '\x02' + std::string("\x12\x67\x00\x19", 4);

TEST(ProxyHeader, ReadsVersion1) {
  EXPECT_EQ(read("PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\nEHLO"),
            (Outcome{State::done, "192.0.2.1", 4711, false, "EHLO"}));
  EXPECT_EQ(read("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"),
            (Outcome{State::done, "2001:db8::1", 65535, false, ""}));
  EXPECT_EQ(read("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n").client, "192.0.2.1");
  EXPECT_EQ(read("PROXY UNKNOWN\r\nx"), (Outcome{State::done, "", 0, true, "x"}));
  EXPECT_EQ(read("PROXY UNKNOWN what ever 1\r\nx"), (Outcome{State::done, "", 0, true, "x"}));
  const std::string longest =
      "PROXY TCP6 ffff:f0ff:ffff:ffff:ffff:ffff:ffff:ffff ffff:f0ff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
      "65535\r\n";
  EXPECT_EQ(read(longest).state, State::done);
}

TEST(ProxyHeader, RefusesWhatIsNoVersion1) {
  for (const char* bad : {"EHLO a\r\n",
                          "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                          "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                          "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
                          "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
                          "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
                          "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
                          "PROXY TCP4 ::1 ::1 1 2\r\n",
                          "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
                          "PROXY TCP4 a.example 192.0.2.2 1 2\r\n",
                          "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
                          "PROXY\r\n",
                          "PROXY \r\n",
                          "PROXY TCP4\r\n",
                          "PROXY TCP6 fe80::1%lo ::1 1 2\r\n"})
    EXPECT_EQ(read(bad).state, State::bad) << bad;
  EXPECT_EQ(read(std::string("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", 38)).state, State::bad);
  EXPECT_EQ(read("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n").state, State::done) << "107 octets";
  EXPECT_EQ(read("PROXY UNKNOWN " + std::string(92, 'x') + "\r\n").state, State::bad);
  EXPECT_EQ(read("PROXY UNKNOWN " + std::string(1000, 'x')).state, State::bad) << "without an end";
}

TEST(ProxyHeader, ReadsVersion2) {
  EXPECT_EQ(read(binary('\x21', '\x11', v4) + "EHLO"),
            (Outcome{State::done, "192.0.2.1", 4711, false, "EHLO"}));
  EXPECT_EQ(read(binary('\x21', '\x21', v6) + "\r\n"),
            (Outcome{State::done, "2001:db8::1", 4711, false, "\r\n"}));
  const std::string mapped = std::string(10, '\0') + "\xff\xff\xc0" + std::string("\0\x02\x01", 3);
  EXPECT_EQ(read(binary('\x21', '\x21', mapped + v6.substr(16))).client, "192.0.2.1");
  const std::string tlv = "\x04" + std::string("\x01\x00", 2) + std::string(256, 'n');
  EXPECT_EQ(read(binary('\x21', '\x11', v4 + tlv) + "x"),
            (Outcome{State::done, "192.0.2.1", 4711, false, "x"}))
      << "TLVs are skipped";
  EXPECT_EQ(read(binary('\x21', '\x11', v4 + std::string(65535 - 12, 't')) + "x").rest, "x");
  EXPECT_EQ(read(binary('\x20', '\x00', "") + "x"), (Outcome{State::done, "", 0, true, "x"})) << "LOCAL";
  EXPECT_EQ(read(binary('\x20', '\x11', v4) + "x"), (Outcome{State::done, "", 0, true, "x"}))
      << "LOCAL with addresses, which mean nothing";
  EXPECT_EQ(read(binary('\x21', '\x00', "abc") + "x"), (Outcome{State::done, "", 0, true, "x"})) << "UNSPEC";
}

TEST(ProxyHeader, RefusesWhatIsNoVersion2) {
  EXPECT_EQ(read(binary('\x11', '\x11', v4)).state, State::bad) << "version 1 in binary";
  EXPECT_EQ(read(binary('\x31', '\x11', v4)).state, State::bad);
  EXPECT_EQ(read(binary('\x22', '\x11', v4)).state, State::bad) << "no such command";
  EXPECT_EQ(read(binary('\x21', '\x12', v4)).state, State::bad) << "UDP";
  EXPECT_EQ(read(binary('\x21', '\x31', std::string(216, 'a'))).state, State::bad) << "a Unix socket";
  EXPECT_EQ(read(binary('\x21', '\x11', v4, 11)).state, State::bad) << "shorter than its addresses";
  EXPECT_EQ(read(binary('\x21', '\x21', v4)).state, State::bad);
  EXPECT_EQ(read(binary('\x21', '\x11', v4, 20)).state, State::more) << "the rest has not come";
  EXPECT_EQ(read(std::string("\r\n\r\n\0\r\nQUIT\r", 12)).state, State::bad);
}

TEST(ProxyHeader, IsTheSameHoweverItIsSplit) {
  std::mt19937 random(20261127);
  const std::vector<std::string> headers = {"PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n", "PROXY UNKNOWN\r\n",
                                            binary('\x21', '\x11', v4), binary('\x21', '\x21', v6 + "tlvs"),
                                            binary('\x20', '\x00', "abc")};
  int done = 0;
  for (int n = 0; n < 4000; ++n) {
    auto text = headers[random() % headers.size()] + "220";
    if (n % 2 != 0) text[random() % text.size()] = static_cast<char>(random() % 256);
    const auto whole = read(text);
    if (whole.state == State::done) ++done;
    for (std::size_t piece : {1U, 2U, 3U, 7U, 16U})
      ASSERT_EQ(read(text, piece), whole) << ::testing::PrintToString(text);
  }
  EXPECT_GT(done, 2000);
}

}  // namespace
}  // namespace umbra::smtp
