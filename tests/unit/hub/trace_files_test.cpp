// The files of the tracking log, searched: both formats, by name of field, newest first, several files, cut
// lines, files that go, limits, and lines that are anything but records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/iso_time.h"
#include "hub/logs/memory_log.h"
#include "hub/logs/record_logs.h"
#include "hub/logs/tracking_log.h"
#include "hub/trace/tracking_files.h"

namespace umbra::hub {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr const char* header =
    "#Software: Umbra\r\n#Version: 0.1.0\r\n#Log-Type: Message Tracking Log\r\n#Date: "
    "2026-11-27T00:00:00.000Z\r\n"
    "#Fields: "
    "date-time,client-ip,source-context,source,event-id,message-id,network-message-id,recipient-address,"
    "recipient-status,sender-address\r\n";

MessageId id_of(std::uint64_t number) {
  return {SpoolId{0xaa}, number};
}

struct Written {
  std::string time = "2026-11-27T12:00:00.000Z";
  std::string event = "RECEIVE";
  std::uint64_t number = 1;
  std::string sender = "a@source.example";
  std::string recipients = "b@sink.example";
  std::string message_id = "<m1@source.example>";
  std::string context = "x";
};

std::string csv(const Written& w) {
  return w.time + ",192.0.2.1,\"" + w.context + "\",SMTP," + w.event + ',' + w.message_id + ',' +
         to_string(id_of(w.number)) + ',' + w.recipients + ",250 ok," + w.sender + "\r\n";
}

class TrackingFiles : public testing::Test {
 protected:
  TrackingFiles() {
    std::string name = testing::TempDir() + "tracking-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~TrackingFiles() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  [[nodiscard]] TrackingSearch search(const TraceQuestion& question,
                                      const TrackingLimits& limits = {}) const {
    return search_tracking(folder_, question, limits);
  }
  [[nodiscard]] static TraceQuestion by_id(std::uint64_t number) {
    TraceQuestion question;
    question.ids = {id_of(number)};
    return question;
  }
  static std::string events(const TrackingSearch& found) {
    std::string out;
    for (const auto& record : found.records)
      out += (out.empty() ? "" : " ") + std::string(record.field("event-id"));
    return out;
  }

  std::string folder_;
};

TEST_F(TrackingFiles, TellsAllRecordsOfAMessageByTimeAcrossFiles) {
  write("MSGTRK20261126-0001.log", std::string(header) +
                                       csv({.time = "2026-11-26T23:59:59.000Z", .event = "RECEIVE"}) +
                                       csv({.number = 2}));
  write("MSGTRK20261127-0001.log",
        std::string(header) + csv({.time = "2026-11-27T00:00:01.000Z", .event = "DEFER"}));
  write("MSGTRK20261127-0002.log",
        std::string(header) +
            csv({.time = "2026-11-27T10:00:00.000Z", .event = "SEND", .context = "a \"\"quoted\"\" , word"}));
  write("RECV20261127-0001.log", std::string(header) + csv({.event = "NO"}));
  write("MSGTRK20261127-0002.log.gz", csv({.event = "NO"}));
  write("MSGTRKabcdefgh-0001.log", csv({.event = "NO"}));
  auto found = search(by_id(1));
  EXPECT_EQ(events(found), "RECEIVE DEFER SEND");
  EXPECT_EQ(found.records[0].field("client-ip"), "192.0.2.1");
  EXPECT_EQ(found.records[0].field("sender-address"), "a@source.example");
  EXPECT_EQ(iso_time(found.records[0].time), "2026-11-26T23:59:59.000Z");
  EXPECT_EQ(found.records[2].field("source-context"), "a \"quoted\" , word");
  EXPECT_EQ(found.files, 3U);
  EXPECT_TRUE(found.remarks.empty());
}

TEST_F(TrackingFiles, GoByTheNamesOfFieldsAndNotByTheirPlaces) {
  write("MSGTRK20261127-0001.log", "#Fields: network-message-id, event-id ,new-field,date-time\r\n");
  write("MSGTRK20261127-0002.log", "#Fields: network-message-id,event-id,new-field,date-time\n" +
                                       to_string(id_of(1)) +
                                       ",SEND,\"of a \"\"later\"\" release\",2026-11-27T10:00:00Z\n");
  auto found = search(by_id(1));
  ASSERT_EQ(events(found), "SEND");
  EXPECT_EQ(found.records[0].field("new-field"), "of a \"later\" release");
}

TEST_F(TrackingFiles, ReadJsonToo) {
  write("MSGTRK20261127-0001.log",
        R"({"date-time":"2026-11-27T10:00:00.000Z","event-id":"SEND","network-message-id":")" +
            to_string(id_of(1)) +
            R"(","recipient-address":"b@sink.example","total-bytes":4096,"related-recipient-address":null})" +
            "\n{\"half\": tru\n" +
            R"({"date-time":"2026-11-27T11:00:00.000Z","event-id":"SEND","network-message-id":")" +
            to_string(id_of(2)) + "\"}\n");
  auto found = search(by_id(1));
  ASSERT_EQ(events(found), "SEND");
  EXPECT_EQ(found.records[0].field("total-bytes"), "4096");
}

TEST_F(TrackingFiles, ALineWithoutItsEndIsBeingWritten) {
  const auto line = csv({.event = "SEND"});
  write("MSGTRK20261127-0001.log", std::string(header) + csv({}) + line.substr(0, line.size() - 2));
  EXPECT_EQ(events(search(by_id(1))), "RECEIVE");
}

TEST_F(TrackingFiles, FindMessagesBySenderRecipientMessageIdAndTime) {
  write("MSGTRK20261127-0001.log", std::string(header) + csv({.number = 1}) +
                                       csv({.time = "2026-11-27T13:00:00.000Z",
                                            .number = 2,
                                            .sender = "Other@Source.example",
                                            .recipients = "x@else.example;B@sink.example"}) +
                                       csv({.time = "2026-11-27T14:00:00.000Z",
                                            .number = 3,
                                            .sender = "",
                                            .message_id = "<m3@source.example>"}));
  auto numbers = [&](const TraceQuestion& question) {
    std::string out;
    for (const auto& record : search(question).records) out += std::to_string(record.id.number);
    return out;
  };
  EXPECT_EQ(numbers({.sender = "A@SOURCE.example"}), "1");
  EXPECT_EQ(numbers({.sender = "@source.example"}), "12");
  EXPECT_EQ(numbers({.sender = "<>"}), "3");
  EXPECT_EQ(numbers({.recipient = "b@sink.example"}), "123");
  EXPECT_EQ(numbers({.recipient = "@else.example"}), "2");
  EXPECT_EQ(numbers({.message_id = "m3@source.example"}), "3");
  EXPECT_EQ(numbers({.since = *parse_iso_time("2026-11-27T12:30:00Z"),
                     .until = *parse_iso_time("2026-11-27T13:30:00Z")}),
            "2");
  EXPECT_EQ(numbers({.sender = "a@source.example", .recipient = "@else.example"}), "");
  EXPECT_EQ(numbers({.recipient = "b@sink.example", .limit = 2}), "23") << "the newest";
}

TEST_F(TrackingFiles, TheNewestDayIsLookedAtFirstAndWhatIsLeftOutIsSaid) {
  for (int day = 1; day <= 9; ++day)
    write("MSGTRK2026110" + std::to_string(day) + "-0001.log",
          std::string(header) +
              csv({.time = "2026-11-0" + std::to_string(day) + "T10:00:00.000Z",
                   .event = "E" + std::to_string(day)}) +
              std::string(50'000, '#') + "\n");
  TrackingLimits limits;
  limits.octets_max = 120'000;
  auto found = search(by_id(1), limits);
  EXPECT_EQ(events(found), "E7 E8 E9");
  EXPECT_THAT(found.remarks, Contains(HasSubstr("before MSGTRK20261106-0001.log was not looked at")));
  limits = {};
  limits.records_max = 2;
  found = search(by_id(1), limits);
  EXPECT_EQ(events(found), "E8 E9");
  EXPECT_THAT(found.remarks, Contains(HasSubstr("more records than are shown")));
  limits = {};
  limits.time_max = Duration{0};
  EXPECT_THAT(search(by_id(1), limits).remarks, Contains(HasSubstr("it took too long")));
  EXPECT_EQ(search({.since = *parse_iso_time("2026-11-05T00:00:00Z"),
                    .until = *parse_iso_time("2026-11-05T23:00:00Z")})
                .files,
            3U)
      << "of that day, and the days beside it";
}

TEST_F(TrackingFiles, AreGoneOrNone) {
  EXPECT_THAT(search(by_id(1)).remarks, Contains(HasSubstr("no tracking log")));
  std::filesystem::remove_all(folder_);
  EXPECT_THAT(search(by_id(1)).remarks, Contains(HasSubstr("no tracking log")));
  std::filesystem::create_directory(folder_);
  // A name without a file, a folder, a pipe: what went meanwhile is no matter, what is no file is not waited
  // for.
  std::filesystem::create_symlink("nowhere", folder_ + "/MSGTRK20261127-0001.log");
  std::filesystem::create_directory(folder_ + "/MSGTRK20261127-0002.log");
  ASSERT_EQ(::mkfifo((folder_ + "/MSGTRK20261127-0003.log").c_str(), 0600), 0);
  write("MSGTRK20261127-0004.log", std::string(header) + csv({}));
  EXPECT_EQ(events(search(by_id(1))), "RECEIVE");
}

TEST_F(TrackingFiles, LongLinesAreNoRecords) {
  write("MSGTRK20261127-0001.log", std::string(header) + csv({.context = std::string(300'000, 'y')}) +
                                       csv({.event = "SEND"}) +
                                       csv({.event = "LONG", .context = std::string(10'000, 'z')}));
  auto found = search(by_id(1));
  ASSERT_EQ(events(found), "SEND LONG");
  EXPECT_EQ(found.records[1].field("source-context").size(), 2'000U);
}

TEST_F(TrackingFiles, AreReadAsTheyAreWritten) {
  for (const auto format : {RecordLogsConfig::Format::csv, RecordLogsConfig::Format::json}) {
    SCOPED_TRACE(format == RecordLogsConfig::Format::csv ? "csv" : "json");
    RecordLogsConfig config;
    config.folder = folder_ + (format == RecordLogsConfig::Format::csv ? "/csv" : "/json");
    config.format = format;
    MemoryLog inner{"hub1"};
    RecordLogs logs(config, inner);
    TrackingLog events(inner, logs, "hub1.example");
    const std::string reply = "250 2.0.0 \"queued\", as\r\n\t1; really";
    events.message(MessageEvent::accepted, id_of(1),
                   {{"from", "a@source.example"},
                    {"client", "192.0.2.1"},
                    {"to", "b@sink.example;c@sink.example", true},
                    {"message_id", "<m1@source.example>", true}});
    events.message(MessageEvent::accepted, id_of(2), {{"from", "other@source.example"}});
    events.message(MessageEvent::delivered, id_of(1),
                   {{"recipient", "b@sink.example"},
                    {"host", "mx.sink.example"},
                    {"address", "192.0.2.9:25"},
                    {"reply", reply}});
    logs.stop();
    auto found = search_tracking(config.folder, by_id(1));
    ASSERT_EQ(TrackingFiles::events(found), "RECEIVE SEND");
    EXPECT_EQ(found.records[0].field("client-ip"), "192.0.2.1");
    EXPECT_EQ(found.records[0].field("message-id"), "<m1@source.example>");
    EXPECT_THAT(std::string(found.records[1].field("recipient-status")), HasSubstr("\"queued\", as"));
    EXPECT_THAT(std::string(found.records[1].field("custom-data")), HasSubstr("next-hop=mx.sink.example"));
    EXPECT_EQ(search_tracking(config.folder, {.recipient = "c@sink.example"}).records.size(), 1U);
    EXPECT_EQ(search_tracking(config.folder, {.message_id = "m1@source.example"}).records.at(0).id, id_of(1));
  }
}

TEST_F(TrackingFiles, TakeWhateverIsInThem) {
  const auto good = csv({});
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    std::string text = seed % 3 == 0 ? "" : header;
    for (int line = 0; line < 40; ++line) {
      auto copy = seed % 2 == 0
                      ? good
                      : "{\"network-message-id\":\"" + to_string(id_of(1)) + "\",\"date-time\":[{}]}\n";
      for (auto changes = random() % 4; changes > 0; --changes)
        copy[random() % copy.size()] = static_cast<char>(random() % 256);
      text += copy.substr(0, 1 + random() % copy.size());
    }
    write("MSGTRK20261127-0001.log", text);
    auto found = search(by_id(1));
    ASSERT_LE(found.records.size(), 400U) << seed;
    for (const auto& record : found.records) ASSERT_EQ(record.id, id_of(1)) << seed;
    (void)search({.sender = "a@source.example"});
  }
}

}  // namespace
}  // namespace umbra::hub
