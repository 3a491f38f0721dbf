// The record logs: one line per record whatever the network says, files named and numbered by day, kept
// within their limits, and neither a slow nor a full nor a missing disk that makes anybody wait. This file is
// long because it looks at the same logs from all these sides.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "base/envelope.h"
#include "hub/logs/background_writer.h"
#include "hub/logs/memory_log.h"
#include "hub/logs/record_logs.h"
#include "hub/logs/tracking_log.h"
#include "smtp/header_search.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using Format = RecordLogsConfig::Format;
namespace fs = std::filesystem;

constexpr const RecordKind& tracking_kind = record_kinds[3];
const WallTime noon = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 27).time_since_epoch() +
                               std::chrono::hours(12));

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// A reader of RFC 4180 for one line; nothing if it is not well formed.
std::optional<std::vector<std::string>> parse_csv(std::string_view line) {
  std::vector<std::string> values(1);
  for (std::size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && line[i] == '"') {
      for (++i;; ++i) {
        if (i >= line.size()) return std::nullopt;
        if (line[i] != '"') {
          values.back() += line[i];
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
          values.back() += line[i++];
        } else {
          ++i;
          break;
        }
      }
    } else {
      for (; i < line.size() && line[i] != ','; ++i) {
        if (line[i] == '"') return std::nullopt;
        values.back() += line[i];
      }
    }
    if (i >= line.size()) break;
    if (line[i] != ',') return std::nullopt;
    values.emplace_back();
  }
  return values;
}

class RecordLogFiles : public testing::Test {
 protected:
  RecordLogFiles() {
    std::string pattern = testing::TempDir() + "umbra_records_test_XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    config_.folder = root_ + "/logs";
  }
  ~RecordLogFiles() override { fs::remove_all(root_); }

  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(config_.folder, error), end; !error && entry != end;
         entry.increment(error))
      names.push_back(entry->path().filename());
    std::ranges::sort(names);
    return names;
  }
  [[nodiscard]] std::string contents(const std::string& name) const {
    std::ifstream in(config_.folder + "/" + name);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  /// Of all files, without their first lines.
  [[nodiscard]] std::vector<std::string> records() const {
    std::vector<std::string> all;
    for (const auto& name : files())
      for (auto& line : lines_of(contents(name)))
        if (!line.starts_with('#')) all.push_back(std::move(line));
    return all;
  }
  std::string record(WallTime time, std::string_view text = "text") {
    std::string out;
    RecordWriter(tracking_kind, config_.format).write(out, time, std::vector<std::string_view>{text});
    return out;
  }
  static void write(RecordFiles& to, std::string_view text, const RecordLogConfig& limits) {
    ASSERT_TRUE(to.write(text, limits));
    EXPECT_EQ(text, "");
  }
  RecordFiles open() { return {config_.folder, tracking_kind, config_.format}; }
  RecordLogs::Options quick() { return {.flush_after = 1ms, .retry_after = 10ms, .tidy_after = 10ms}; }
  template <class Condition>
  static bool comes_true(Condition condition) {
    for (int i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(10ms);
    return condition();
  }

  std::string root_;
  RecordLogsConfig config_;
};

/// An event log that any thread may write.
class SharedLog final : public EventLog {
 public:
  void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) override {
    std::lock_guard lock(mutex_);
    log_.message(event, id, fields);
  }
  void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override {
    std::lock_guard lock(mutex_);
    log_.line(level, text, fields);
  }
  std::string text() const {
    std::lock_guard lock(mutex_);
    std::string all;
    for (const auto& line : log_.lines()) all += line;
    return all;
  }

 private:
  mutable std::mutex mutex_;
  MemoryLog log_{"hub-a"};
};

TEST(RecordFormat, WritesValuesSeparatedByCommas) {
  std::string out;
  RecordWriter writer(record_kinds[2], Format::csv);
  writer.write(out, noon + 7ms,
               std::vector<std::string_view>{"1f", "SMTP", "mx.example", "+", "port 25, \"quick\""});
  EXPECT_EQ(out, "2026-11-27T12:00:00.007Z,1f,SMTP,mx.example,+,\"port 25, \"\"quick\"\"\"\n");
  out.clear();
  writer.write(out, noon, std::vector<std::string_view>{"1f"});
  EXPECT_EQ(out, "2026-11-27T12:00:00.000Z,1f,,,,\n");
}

TEST(RecordFormat, WritesAnObjectALine) {
  std::string out;
  RecordWriter(record_kinds[2], Format::json)
      .write(out, noon, std::vector<std::string_view>{"1f", "SMTP", "", "+", "a \"b\"\n"});
  EXPECT_EQ(out,
            "{\"date-time\":\"2026-11-27T12:00:00.000Z\",\"session\":\"1f\",\"source\":\"SMTP\","
            "\"direction\":\"+\",\"description\":\"a \\\"b\\\"\\n\"}\n");
}

TEST(RecordFormat, MakesOneWellFormedLineOfWhateverTheNetworkSays) {
  std::mt19937 random(20261127);
  const std::string_view pieces[] = {"\"",
                                     "\r\n",
                                     "\n",
                                     "\r",
                                     ",",
                                     ";",
                                     std::string_view("\0", 1),
                                     "\xff",
                                     "\xc3\xa9",
                                     "\xe2\x82",
                                     "\xc2\x9b",
                                     "\x1b[31m",
                                     "\x7f",
                                     "#",
                                     " ",
                                     "=1+1",
                                     "plain",
                                     "\xf0\x9f\x98\x80"};
  for (int round = 0; round < 600; ++round) {
    std::vector<std::string> values(26);
    for (auto& value : values)
      for (auto n = random() % 6; n > 0; --n) {
        if (random() % 3 == 0)
          value += static_cast<char>(random());
        else
          value += pieces[random() % std::size(pieces)];
      }
    if (round % 100 == 0) values[random() % 26] = std::string(100'000, static_cast<char>(random()));
    const std::vector<std::string_view> views(values.begin(), values.end());
    for (auto format : {Format::csv, Format::json}) {
      std::string out;
      RecordWriter(tracking_kind, format).write(out, noon, views);
      ASSERT_TRUE(out.ends_with('\n'));
      out.pop_back();
      ASSERT_EQ(out.find_first_of(std::string_view("\r\n\0\x1b\x7f", 5)), std::string::npos) << round;
      ASSERT_NO_THROW((void)nlohmann::json(out).dump()) << "octets that are not UTF-8 in round " << round;
      ASSERT_LT(out.size(), 29U * 6 * record_value_octets_max);
      if (format == Format::json) {
        ASSERT_TRUE(nlohmann::json::accept(out)) << out;
        continue;
      }
      const auto parsed = parse_csv(out);
      ASSERT_TRUE(parsed) << out;
      ASSERT_THAT(*parsed, SizeIs(29)) << out;
      // What is harmless comes back as it was.
      for (std::size_t i = 0; i < values.size(); ++i)
        if (std::ranges::all_of(values[i], [](char c) { return c >= 0x20 && c < 0x7f; }) &&
            values[i].size() <= record_value_octets_max)
          ASSERT_EQ((*parsed)[i + 1], values[i]);
    }
  }
}

TEST(RecordFormat, CutsALongValueBetweenCharacters) {
  std::string out;
  append_csv_value(out,
                   "ab\xe2\x82\xac"
                   "de",
                   4);
  EXPECT_EQ(out, "\"ab...\"");
}

TEST_F(RecordLogFiles, NamesFilesByKindDayAndNumberAndSaysWhatIsInThem) {
  auto to = open();
  write(to, record(noon), config_.tracking);
  ASSERT_THAT(files(), ElementsAre("MSGTRK20261127-0001.log"));
  const auto lines = lines_of(contents(files().front()));
  ASSERT_THAT(lines, SizeIs(6));
  EXPECT_EQ(lines[0], "#Software: Umbra");
  EXPECT_EQ(lines[2], "#Log-Type: Message Tracking Log");
  EXPECT_EQ(lines[4], "#Fields: " + std::string(tracking_kind.fields));
  EXPECT_TRUE(lines[5].starts_with("2026-11-27T12:00:00.000Z,text,"));
  struct stat status{};
  ASSERT_EQ(::stat(config_.folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007U, 0U);
  ASSERT_EQ(::stat((config_.folder + "/" + files().front()).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007U, 0U);
}

TEST_F(RecordLogFiles, PutsRecordsIntoTheFileOfTheirDay) {
  const auto midnight = std::chrono::ceil<std::chrono::days>(noon);
  for (auto format : {Format::csv, Format::json}) {
    config_.format = format;
    auto to = open();
    write(to,
          record(midnight - 2ms, "one") + record(midnight - 1ms, "two") + record(midnight, "three") +
              record(midnight + 1ms, "four"),
          config_.tracking);
    write(to, record(midnight + 2ms, "five"), config_.tracking);
    ASSERT_THAT(files(), ElementsAre("MSGTRK20261127-0001.log", "MSGTRK20261128-0001.log"));
    EXPECT_THAT(contents(files()[0]),
                testing::AllOf(HasSubstr("one"), HasSubstr("two"), testing::Not(HasSubstr("three"))));
    EXPECT_THAT(contents(files()[1]),
                testing::AllOf(HasSubstr("three"), HasSubstr("four"), HasSubstr("five")));
    fs::remove_all(config_.folder);
  }
}

TEST_F(RecordLogFiles, BeginsAFurtherFileWhenOneIsFullAndSplitsNoRecord) {
  config_.tracking.file_octets_max = 2000;
  auto to = open();
  std::string batch;
  for (int i = 0; i < 100; ++i) batch += record(noon, "record " + std::to_string(i));
  write(to, batch, config_.tracking);
  EXPECT_GT(files().size(), 3U);
  int next = 0;
  for (const auto& name : files()) {
    EXPECT_LE(contents(name).size(), 2000U);
    EXPECT_TRUE(contents(name).starts_with("#Software")) << name;
  }
  for (const auto& line : records()) EXPECT_THAT(line, HasSubstr("Z,record " + std::to_string(next++) + ","));
  EXPECT_EQ(next, 100);
  write(to, record(noon, std::string(3000, 'x')), config_.tracking);
  EXPECT_THAT(records(), SizeIs(101)) << "one that is larger than any file";
}

TEST_F(RecordLogFiles, GoesOnWithTheLastFileOfTheDayAfterARestart) {
  {
    auto to = open();
    write(to, record(noon, "first"), config_.tracking);
  }
  {
    auto to = open();
    write(to, record(noon, "second"), config_.tracking);
  }
  ASSERT_THAT(files(), ElementsAre("MSGTRK20261127-0001.log"));
  EXPECT_THAT(records(), SizeIs(2));
  // A machine that stopped in the middle of a record: that file is left as it is.
  std::ofstream(config_.folder + "/" + files().front(), std::ios::app) << "2026-11-27T12:0";
  auto torn = open();
  write(torn, record(noon, "third"), config_.tracking);
  EXPECT_THAT(files(), ElementsAre("MSGTRK20261127-0001.log", "MSGTRK20261127-0002.log"));
  // Another format, and another list of fields.
  config_.format = Format::json;
  auto json = open();
  write(json, record(noon, "fourth"), config_.tracking);
  ASSERT_THAT(files(), SizeIs(3));
  EXPECT_TRUE(contents("MSGTRK20261127-0003.log").starts_with("{\"date-time\":\"2026-11-27T12:00:00.000Z\""));
}

TEST_F(RecordLogFiles, RemovesTheOldestWhenTheFolderIsFullAndSaysThatItIsEarly) {
  config_.tracking.file_octets_max = 2000;
  config_.tracking.folder_octets_max = 10'000;
  auto to = open();
  for (int i = 0; i < 400; ++i) write(to, record(noon, "record " + std::to_string(i)), config_.tracking);
  const auto before = files().size();
  std::ofstream(config_.folder + "/MSGTRK-notes.txt") << "somebody else's";
  std::ofstream(config_.folder + "/SEND20261127-0001.log") << "of another kind";
  const auto removed = to.tidy(WallClock::now(), config_.tracking);
  ASSERT_FALSE(removed.empty());
  EXPECT_EQ(removed.front().file, "MSGTRK20261127-0001.log");
  for (const auto& one : removed) EXPECT_TRUE(one.is_for_size && one.is_early && one.problem.empty());
  EXPECT_EQ(files().size(), before + 2 - removed.size());
  std::uint64_t octets = 0;
  for (const auto& name : files())
    if (name.starts_with("MSGTRK2")) octets += fs::file_size(config_.folder + "/" + name);
  EXPECT_LE(octets, 10'000U);
  EXPECT_GT(octets, 6'000U);
  EXPECT_THAT(records(), testing::Contains(HasSubstr("record 399,")));
  // No age limit: size alone decides, and is no news.
  config_.tracking.age_max = Duration{};
  config_.tracking.folder_octets_max = 5000;
  for (const auto& one : to.tidy(WallClock::now(), config_.tracking)) EXPECT_FALSE(one.is_early);
}

TEST_F(RecordLogFiles, RemovesWhatIsTooOldAndNeverThePresentFile) {
  auto to = open();
  write(to, record(noon), config_.tracking);
  write(to, record(noon + 24h), config_.tracking);
  EXPECT_THAT(to.tidy(WallClock::now(), config_.tracking), SizeIs(0));
  const auto removed = to.tidy(WallClock::now() + 31 * 24h, config_.tracking);
  ASSERT_THAT(removed, SizeIs(1));
  EXPECT_FALSE(removed[0].is_for_size || removed[0].is_early);
  EXPECT_THAT(files(), ElementsAre("MSGTRK20261128-0001.log"));
}

TEST_F(RecordLogFiles, NoticesThatItsFileWasMovedAway) {
  auto to = open();
  write(to, record(noon, "before"), config_.tracking);
  fs::rename(config_.folder, root_ + "/moved");
  std::this_thread::sleep_for(1100ms);
  write(to, record(noon, "after"), config_.tracking);
  EXPECT_THAT(records(), ElementsAre(HasSubstr("after")));
}

TEST_F(RecordLogFiles, AreWrittenForEachKindThatIsEnabled) {
  SharedLog events;
  config_.connectivity.enabled = false;
  {
    RecordLogs logs(config_, events, quick());
    EXPECT_TRUE(logs.tracking().is_enabled());
    EXPECT_FALSE(logs.connectivity().is_enabled());
    logs.receive().write(noon, {"listener", "00ff"});
    logs.send().write(noon, {"route", "00fe"});
    logs.connectivity().write(noon, {"no"});
    logs.tracking().write(noon, {"10.0.0.1"});
    config_.connectivity.enabled = true;
    config_.tracking.enabled = false;
    logs.configuration_changed(config_);
    logs.connectivity().write(noon, {"yes"});
    logs.tracking().write(noon, {"no"});
  }
  EXPECT_THAT(files(), ElementsAre("CONNECTLOG20261127-0001.log", "MSGTRK20261127-0001.log",
                                   "RECV20261127-0001.log", "SEND20261127-0001.log"));
  EXPECT_THAT(records(), SizeIs(4));
  EXPECT_EQ(events.text(), "");
}

TEST_F(RecordLogFiles, KeepNothingWithoutAFolder) {
  SharedLog events;
  RecordLogs logs(RecordLogsConfig{}, events);
  EXPECT_FALSE(logs.tracking().is_enabled());
  logs.tracking().write(noon, {"x"});
  EXPECT_EQ(logs.state()[3].buffer.octets_waiting, 0U);
  EXPECT_FALSE(TrackingLog(events, logs, "hub-a").keeps_tracking());
}

TEST_F(RecordLogFiles, WaitForAFolderThatCannotBeMadeAndThenLackNothing) {
  SharedLog events;
  std::ofstream(config_.folder) << "a file";
  RecordLogs logs(config_, events, quick());
  for (int i = 0; i < 100; ++i) logs.tracking().write(noon, {"record " + std::to_string(i)});
  EXPECT_TRUE(comes_true([&] { return !logs.state()[3].trouble.empty(); }));
  EXPECT_THAT(logs.state()[3].trouble, HasSubstr(config_.folder));
  EXPECT_GT(logs.state()[3].buffer.octets_waiting, 0U);
  EXPECT_THAT(events.text(), HasSubstr("record log cannot be written"));
  fs::remove(config_.folder);
  EXPECT_TRUE(comes_true([&] { return logs.state()[3].buffer.octets_waiting == 0; }));
  EXPECT_THAT(records(), SizeIs(100));
  EXPECT_TRUE(comes_true([&] { return logs.state()[3].trouble.empty(); }));
  EXPECT_EQ(logs.state()[3].buffer.lines_dropped, 0U);
  EXPECT_THAT(events.text(), HasSubstr("is written again"));
}

TEST_F(RecordLogFiles, DropAndCountWhatTheBufferHasNoRoomFor) {
  SharedLog events;
  std::ofstream(config_.folder) << "a file";
  auto options = quick();
  options.buffer_octets_max = 1000;
  RecordLogs logs(config_, events, options);
  for (int i = 0; i < 100; ++i) logs.tracking().write(noon, {"record " + std::to_string(i)});
  const auto dropped = logs.state()[3].buffer.lines_dropped;
  EXPECT_GT(dropped, 50U);
  fs::remove(config_.folder);
  EXPECT_TRUE(comes_true([&] { return logs.state()[3].buffer.octets_waiting == 0; }));
  logs.stop();
  EXPECT_EQ(records().size() + dropped, 100U) << "what is not there is counted";
  EXPECT_THAT(events.text(), HasSubstr("\"lines_dropped\":" + std::to_string(dropped)));
}

TEST_F(RecordLogFiles, CountWhatWaitsInVainWhenTheHubEnds) {
  SharedLog events;
  std::ofstream(config_.folder) << "a file";
  RecordLogs logs(config_, events, quick());
  for (int i = 0; i < 10; ++i) logs.tracking().write(noon, {"x"});
  logs.stop();
  EXPECT_EQ(logs.state()[3].buffer.lines_dropped, 10U);
  EXPECT_GT(logs.state()[3].buffer.octets_lost, 10U * 30);
  EXPECT_THAT(events.text(), HasSubstr("\"lines_dropped\":10"));
}

TEST_F(RecordLogFiles, WarnWhenSizeCutsAge) {
  SharedLog events;
  config_.tracking.file_octets_max = 2000;
  config_.tracking.folder_octets_max = 6000;
  {
    RecordLogs logs(config_, events, quick());
    for (int i = 0; i < 400; ++i) {
      logs.tracking().write(noon, {"record " + std::to_string(i)});
      if (i % 20 == 0) std::this_thread::sleep_for(2ms);
    }
    EXPECT_TRUE(
        comes_true([&] { return files().size() <= 3 && logs.state()[3].buffer.octets_waiting == 0; }));
  }
  const auto text = events.text();
  EXPECT_THAT(text, HasSubstr("removes files that are not yet `age` old"));
  EXPECT_EQ(text.find("not yet `age`"), text.rfind("not yet `age`")) << "said once an hour";
}

/// A place that takes nothing before it is told to.
class SlowSink final : public LineSink {
 public:
  Result<void> write(std::size_t, std::string_view& lines) override {
    std::unique_lock lock(mutex_);
    open_.wait(lock, [this] { return is_open_; });
    taken_ += lines;
    lines = {};
    return {};
  }
  void open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    open_.notify_all();
  }
  std::string taken_;

 private:
  std::mutex mutex_;
  std::condition_variable open_;
  bool is_open_ = false;
};

TEST(BackgroundWriterTest, NeverMakesAnybodyWaitForASlowPlace) {
  SlowSink sink;
  BackgroundWriter writer(sink, 2, {.octets_max = 100'000, .flush_after = 1ms});
  writer.start();
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> added{0};
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i)
        if (writer.add(1, [](std::string& out) { out += "a line of some octets\n"; })) ++added;
    });
  for (auto& thread : threads)
    thread.join();  // with a place that takes nothing: this would hang if anybody waited
  EXPECT_EQ(added + writer.state(1).lines_dropped, 40'000U);
  EXPECT_GE(writer.state(1).octets_waiting, 100'000U);
  EXPECT_LT(writer.state(1).octets_waiting, 100'100U) << "and memory is bounded";
  EXPECT_TRUE(writer.add(0, [](std::string& out) { out += "another channel has room of its own\n"; }));
  sink.open();
  writer.stop();
  EXPECT_EQ(std::ranges::count(sink.taken_, '\n'), static_cast<std::ptrdiff_t>(added) + 1);
  EXPECT_EQ(writer.state(1).octets_waiting, 0U);
}

TEST(HeaderSearch, FindsFieldsOfTheHeaderOnly) {
  auto find = [](std::string_view text) {
    std::string id;
    std::string subject;
    smtp::find_fields(text, {{"Message-ID", &id}, {"Subject", &subject}});
    return id + "|" + subject;
  };
  EXPECT_EQ(find("Received: x\r\nMessage-ID: <a@b>\r\nSubject: hello\r\n\r\nMessage-ID: <no>\r\n"),
            "<a@b>|hello");
  EXPECT_EQ(find("MESSAGE-id :\r\n <a@b>  \r\nSubject: one\r\n\ttwo\r\n\r\n"), "<a@b>|one\ttwo");
  EXPECT_EQ(find("Message-IDs: <no>\r\nX-Message-ID: <no>\r\n Message-ID: <no>\r\n\r\nMessage-ID: <no>"),
            "|");
  EXPECT_EQ(find("Message-ID: <first>\r\nMessage-ID: <second>\r\n"), "<first>|");
  EXPECT_EQ(find("Message-ID: <unfinished"), "<unfinished|");
  EXPECT_EQ(find("Message-ID:"), "|");
  EXPECT_EQ(find(""), "|");
  EXPECT_EQ(find("Message-ID: " + std::string(5000, 'x') + "\r\n\r\n"),
            std::string(smtp::header_search_octets_max, 'x') + "|");
}

class Tracking : public RecordLogFiles {
 protected:
  static constexpr MessageId id{SpoolId{0x9f86d081884c7d65}, 0x10000000002};

  /// The records of what `tell` tells, as field -> value.
  std::vector<std::map<std::string, std::string>> tracked(const std::function<void(EventLog&)>& tell) {
    config_.format = Format::json;
    {
      RecordLogs logs(config_, events_, quick());
      TrackingLog log(events_, logs, "hub-a");
      tell(log);
    }
    std::vector<std::map<std::string, std::string>> all;
    for (const auto& line : records()) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  SharedLog events_;
};

TEST_F(Tracking, SaysWhoSentWhatToWhom) {
  auto all = tracked([](EventLog& log) {
    log.message(MessageEvent::accepted, id,
                {{"from", "a@x.example"},
                 {"recipients", std::int64_t{2}},
                 {"size", std::int64_t{1234}},
                 {"client", "192.0.2.1"},
                 {"user", "joe"},
                 {"listener", "in", true},
                 {"helo", "client.example", true},
                 {"to", "b@y.example;c@y.example", true},
                 {"message_id", "<m@x.example>", true}});
  });
  ASSERT_THAT(all, SizeIs(1));
  auto& record = all[0];
  EXPECT_EQ(record["event-id"] + " " + record["source"], "RECEIVE SMTP");
  EXPECT_EQ(record["client-ip"], "192.0.2.1");
  EXPECT_EQ(record["client-hostname"], "client.example");
  EXPECT_EQ(record["server-hostname"], "hub-a");
  EXPECT_EQ(record["connector-id"], "in");
  EXPECT_EQ(record["message-id"], "<m@x.example>");
  EXPECT_EQ(record["network-message-id"], to_string(id));
  EXPECT_EQ(record["recipient-address"], "b@y.example;c@y.example");
  EXPECT_EQ(record["recipient-count"], "2");
  EXPECT_EQ(record["total-bytes"], "1234");
  EXPECT_EQ(record["sender-address"], "a@x.example");
  EXPECT_EQ(record["return-path"], "a@x.example");
  EXPECT_EQ(record["custom-data"], "user=joe");
  EXPECT_EQ(record["schema-version"], "1");
  EXPECT_EQ(record["trace-id"].size(), 32U);
  EXPECT_EQ(record["trace-id"].substr(0, 16), to_string(id).substr(0, 16));
  EXPECT_EQ(record["span-id"].size(), 16U);
  EXPECT_THAT(events_.text(), testing::Not(HasSubstr("message_id")))
      << "what is for tracking is not in the trace";
  EXPECT_THAT(events_.text(), HasSubstr("\"event\":\"accepted\"")) << "which has the event all the same";
}

TEST_F(Tracking, GivesEveryEventOfAMessageItsRecords) {
  auto all = tracked([](EventLog& log) {
    log.message(MessageEvent::protected_, id, {{"holder", "hub-b hub-c"}});
    log.message(MessageEvent::copy_failed, id, {{"holder", "hub-d"}, {"reason", "no answer"}});
    log.message(MessageEvent::shadow_stored, id, {{"owner", "hub-e"}});
    log.message(MessageEvent::attempted, id, {{"host", "mx"}, {"reply", "450 later"}});
    log.message(MessageEvent::deferred, id,
                {{"recipient", "r@x"}, {"host", "mx"}, {"reply", "450 later"}, {"attempt", std::int64_t{3}}});
    log.message(MessageEvent::expired, id, {{"recipient", "r@x"}, {"reason", "too old"}});
    log.message(MessageEvent::bounced, id,
                {{"recipient", "r@x"}, {"reply", "5.4.7 too old"}, {"report", ""}});
    log.message(MessageEvent::bounced, id,
                {{"recipient", "r@x"}, {"host", "mx"}, {"reply", "550 no"}, {"report", "sender notified"}});
    log.message(MessageEvent::notified, id, {{"original", "1-2"}, {"to", "s@x"}, {"size", std::int64_t{9}}});
    log.message(MessageEvent::handed_over, id, {{"owner", "hub-b"}, {"why", "route"}});
    log.message(MessageEvent::handed_over, id, {{"from", "hub-b"}, {"generation", std::int64_t{2}}});
    log.message(MessageEvent::taken_over, id, {{"generation", std::int64_t{2}}, {"from", "hub-b"}});
    log.message(MessageEvent::held, id, {});
    log.message(MessageEvent::possible_duplicate, id, {{"reason", "who knows"}});
    log.message(MessageEvent::filtered, id, {{"filter", "f"}, {"verdict", "discarded"}, {"detail", ""}});
    log.message(MessageEvent::discarded, id, {{"owner", "hub-b", true}});
    log.message(MessageEvent::delivered, id,
                {{"recipient", "r;x@y"}, {"host", "mx;a=b"}, {"address", "192.0.2.9"}, {"reply", "250 ok"}});
  });
  std::vector<std::string> seen;
  for (auto& one : all) {
    EXPECT_EQ(one["network-message-id"], to_string(id));
    seen.push_back(one["event-id"] + " " + one["source"] + " " + one["custom-data"] +
                   (one["client-hostname"].empty() ? "" : " from " + one["client-hostname"]));
  }
  EXPECT_THAT(
      seen,
      ElementsAre("HAREDIRECT REDUNDANCY hub=hub-b", "HAREDIRECT REDUNDANCY hub=hub-c",
                  "HAREDIRECTFAIL REDUNDANCY hub=hub-d", "HARECEIVE REDUNDANCY hub=hub-e from hub-e",
                  "DEFER SMTP next-hop=mx", "FAIL QUEUE ", "FAIL SMTP next-hop=mx;report=sender notified",
                  "DSN DSN ", "TRANSFER REDUNDANCY why=route;hub=hub-b",
                  "RECEIVE REDUNDANCY generation=2;hub=hub-b from hub-b",
                  "RESUBMIT REDUNDANCY generation=2;hub=hub-b", "HOLD ADMIN ",
                  "AGENTINFO REDUNDANCY event=possible_duplicate", "DROP AGENT filter=f;verdict=discarded",
                  "HADISCARD REDUNDANCY hub=hub-b", "SEND SMTP next-hop=mx,a=b;next-hop-address=192.0.2.9"));
  EXPECT_EQ(all[2]["source-context"], "no answer");
  EXPECT_EQ(all[4]["message-info"], "attempt=3");
  EXPECT_EQ(all[7]["reference"], "1-2");
  EXPECT_EQ(all[7]["sender-address"], "<>");
  EXPECT_NE(all[0]["log-id"], all[2]["log-id"]);
}

TEST_F(Tracking, NamesAsManyRecipientsAsThereIsRoomFor) {
  std::vector<Recipient> recipients(10'000);
  for (auto& recipient : recipients) recipient.address = "somebody@somewhere.example";
  const auto text = addresses_for_tracking(recipients);
  EXPECT_LE(text.size(), record_value_octets_max);
  EXPECT_TRUE(text.ends_with(";..."));
}

}  // namespace
}  // namespace umbra::hub
