// Umbra-Hop: what is written is read again; what is not known is left out; what anybody may write is read
// without harm.
#include "smtp/hop_field.h"

#include <gtest/gtest.h>

#include "base/iso_time.h"

namespace umbra::smtp {
namespace {

using namespace std::chrono_literals;

Hop example() {
  Hop hop;
  hop.hub = "hub-1";
  hop.host = "hub-1.example";
  hop.id = MessageId{SpoolId{0x9f86d081884c7d65}, 0x10000000002};
  hop.received = parse_iso_time("2026-11-27T23:10:00.123Z");
  hop.sent = parse_iso_time("2026-11-27T23:10:00.140Z");
  hop.way = RedundancyWay::copy;
  hop.copies = {"hub-2"};
  hop.copied = 3ms;
  hop.acknowledged = 4ms;
  hop.attempt = 1;
  return hop;
}

std::string_view value_of(std::string_view field) {
  return field.substr(field.find(':') + 1);
}

TEST(HopField, SaysWhatIsKnown) {
  EXPECT_EQ(hop_field(example()),
            "Umbra-Hop: hub=hub-1; host=hub-1.example; id=9f86d081884c7d65-10000000002;\r\n"
            "\treceived=2026-11-27T23:10:00.123Z; sent=2026-11-27T23:10:00.140Z;\r\n"
            "\tredundancy=copy; copies=hub-2; copied=3ms; acknowledged=4ms; attempt=1\r\n");
}

TEST(HopField, LeavesOutWhatIsNotKnown) {
  Hop hop;
  hop.hub = "hub-1";
  hop.host = "hub-1.example";
  EXPECT_EQ(hop_field(hop), "Umbra-Hop: hub=hub-1; host=hub-1.example\r\n");
}

TEST(HopField, IsReadAgain) {
  auto hop = example();
  EXPECT_EQ(parse_hop_field(value_of(hop_field(hop))), hop);
  hop.way = RedundancyWay::delayed;
  hop.copies.clear();
  hop.copied.reset();
  hop.acknowledged.reset();
  hop.filtered = 90min;
  for (std::uint32_t generation = 1; generation <= owner_records_max; ++generation) {
    OwnerRecord owner;
    owner.generation = Generation{generation};
    owner.how = static_cast<OwnerRecord::How>(generation % 5);
    owner.hub = std::string(63, 'h') + std::to_string(generation % 10);
    if (generation % 2 == 0) owner.since = *hop.received;
    hop.owners.push_back(owner);
  }
  auto field = hop_field(hop);
  EXPECT_EQ(parse_hop_field(value_of(field)), hop);
}

TEST(HopField, HasNoLongLineAndNothingButAsciiWhateverIsInIt) {
  auto hop = example();
  hop.host = std::string(100, 'x') + "\r\nBcc: evil\xff;a=b";
  hop.hub = "not a name;\r\nX: y";
  hop.copies = {"good", "bad name", std::string(500, 'y')};
  hop.owners = {{Generation{1}, OwnerRecord::How::accepted, "evil\r\nname", SpoolId{}, WallTime{}, 0},
                {Generation{2}, OwnerRecord::How::taken_over, "hub-2", SpoolId{}, WallTime{}, 0}};
  const auto field = hop_field(hop);
  ASSERT_TRUE(field.ends_with("\r\n"));
  std::string_view rest = field;
  for (bool is_first = true; !rest.empty(); is_first = false) {
    auto end = rest.find("\r\n");
    ASSERT_NE(end, std::string_view::npos);
    auto line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    EXPECT_LE(line.size(), 998U);
    EXPECT_EQ(line.starts_with("\t"), !is_first);
    for (char c : line) EXPECT_TRUE(c == '\t' || (c >= 0x20 && c < 0x7f)) << line;
  }
  EXPECT_EQ(field.find("\nBcc:"), std::string::npos);
  EXPECT_EQ(field.find("not a name"), std::string::npos);
  EXPECT_FALSE(parse_hop_field(value_of(field))) << "its host is no host name: who reads it says so";
}

TEST(HopField, IsNoneWhenItIsNotInThatForm) {
  for (const char* value :
       {"", " ", "hub-1", " hub=hub-1; hub=hub-2", " hub=bad name", " hub=hub-1; id=1",
        " hub=hub-1; received=yesterday", " hub=hub-1; copied=3", " hub=hub-1; copied=-3ms",
        " hub=hub-1; acknowledged=99999999999999ms", " hub=hub-1; attempt=0",
        " hub=hub-1; redundancy=perhaps", " hub=hub-1; copies=", " hub=hub-1; owner=0/accepted/hub-1",
        " hub=hub-1; owner=1/stolen/hub-1", " hub=hub-1; owner=1/accepted/hub-1/never", " attempt=1"})
    EXPECT_FALSE(parse_hop_field(value)) << value;
  EXPECT_TRUE(parse_hop_field(" hub=hub-1; colour=blue;\r\n\tlater=words of a later release"))
      << "unknown parameters are passed over";
  EXPECT_FALSE(parse_hop_field(" hub=hub-1" + std::string(20'000, ' ')));
}

TEST(IsoTime, IsWrittenAndReadInMilliseconds) {
  auto time = parse_iso_time("2026-11-27T23:10:00.123Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(iso_time(*time), "2026-11-27T23:10:00.123Z");
  EXPECT_EQ(iso_time_microseconds(*time + WallClock::duration(45)), "2026-11-27T23:10:00.123045Z");
  EXPECT_EQ(parse_iso_time("2026-11-28T01:10:00.123+02:00"), time);
  EXPECT_EQ(parse_iso_time("2026-11-27 23:10:00.123999999Z"), *time + 999us);
  EXPECT_EQ(iso_time(WallTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso_time(WallTime::max()), "9999-12-31T23:59:59.000Z");
  for (const char* text : {"", "2026", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-27T24:00:00Z",
                           "2026-11-27T23:10:00", "2026-11-27T23:10:00.Z", "2026-11-27T23:10:00Zx"})
    EXPECT_FALSE(parse_iso_time(text)) << text;
}

}  // namespace
}  // namespace umbra::smtp
