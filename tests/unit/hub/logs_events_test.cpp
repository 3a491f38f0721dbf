// The event log: one valid JSON line per event, files with a cap, and no line of a message lost under load.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hub/logs/background_log.h"
#include "hub/logs/memory_log.h"

namespace umbra::hub {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr MessageId id{SpoolId{0x9f86d081884c7d65}, 0x10000000002};

class Logs : public testing::Test {
 protected:
  Logs() {
    std::string pattern = testing::TempDir() + "umbra_logs_test_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Logs() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string file(const std::string& suffix = "") const {
    return folder_ + "/hub.log" + suffix;
  }
  static std::string contents(const std::string& name) {
    std::ifstream in(name);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  static std::vector<nlohmann::json> lines(const std::string& text) {
    std::vector<nlohmann::json> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  std::unique_ptr<BackgroundLog> open(BackgroundLog::Options options, std::uint64_t octets_max = 1ULL << 30,
                                      std::uint32_t files_max = 3) {
    auto opened = RotatingFile::open(file(), octets_max, files_max);
    EXPECT_TRUE(opened);
    return std::make_unique<BackgroundLog>(std::move(*opened), "hub-a", options);
  }

  std::string folder_;
};

TEST_F(Logs, WritesAnEventAsOneLineOfJson) {
  std::string out;
  LogLineWriter writer("hub-a");
  writer.message(out, WallTime(1'700'000'000'000'123us), MessageEvent::protected_, id,
                 {{"holder", "hub-b"}, {"octets", std::int64_t{-5}}});
  EXPECT_EQ(out,
            "{\"time\":\"2023-11-14T22:13:20.000123Z\",\"hub\":\"hub-a\",\"event\":\"protected\",\"id\":"
            "\"9f86d081884c7d65-10000000002\","
            "\"holder\":\"hub-b\",\"octets\":-5}\n");
  EXPECT_EQ(lines(out).at(0).at("id"), to_string(id));
}

TEST_F(Logs, KeepsTheTimeRightAcrossSeconds) {
  std::string out;
  LogLineWriter writer("a");
  for (auto time : {WallTime(59'999'999us), WallTime(60'000'000us), WallTime(60'000'001us)})
    writer.line(out, time, LogLevel::info, "x", {});
  std::vector<std::string> times;
  for (const auto& line : lines(out)) times.push_back(line.at("time"));
  EXPECT_THAT(times, ElementsAre("1970-01-01T00:00:59.999999Z", "1970-01-01T00:01:00.000000Z",
                                 "1970-01-01T00:01:00.000001Z"));
}

TEST_F(Logs, MakesJsonOfWhateverTheNetworkSays) {
  // Every octet alone, and sequences that only look like UTF-8.
  std::vector<std::string> hostile = {"\xc0\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xe2\x82",
                                      "ok \xe2\x82\xac",
                                      std::string(100'000, '\xff'),
                                      "\",\"event\":\"delivered",
                                      "line\r\nline"};
  for (int octet = 0; octet < 256; ++octet) hostile.emplace_back(1, static_cast<char>(octet));
  LogLineWriter writer("a");
  for (const auto& text : hostile) {
    std::string out;
    writer.message(out, WallTime{}, MessageEvent::rejected, id, {{"reply", text}});
    auto parsed = lines(out);
    ASSERT_THAT(parsed, SizeIs(1));
    EXPECT_EQ(parsed[0].at("event"), "rejected");
  }
  std::string out;
  append_json_string(out, "a\"\\\n\x01 \xe2\x82\xac\xff");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001 \xe2\x82\xac\\ufffd\"");
}

TEST_F(Logs, WritesWithinAMomentWithoutBeingStopped) {
  auto log = open({});
  log->line(LogLevel::info, "hello", {});
  for (int i = 0; i < 200 && contents(file()).empty(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_THAT(lines(contents(file())), SizeIs(1));
}

TEST_F(Logs, LeavesOutLinesBelowItsLevelButNoEvents) {
  auto log = open({.level = LogLevel::warning});
  log->line(LogLevel::info, "no", {});
  log->line(LogLevel::warning, "yes", {});
  log->message(MessageEvent::accepted, id, {});
  log->stop();
  auto all = lines(contents(file()));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].at("text"), "yes");
  EXPECT_EQ(all[1].at("event"), "accepted");
}

TEST_F(Logs, LosesNoEventWhenTheBufferIsFull) {
  auto log = open({.level = LogLevel::debug, .buffer_octets_max = 4096, .flush_after = 1ms});
  constexpr int per_thread = 5000;
  auto work = [&](std::int64_t which) {
    for (std::int64_t i = 0; i < per_thread; ++i) {
      log->message(MessageEvent::delivered, id, {{"thread", which}, {"number", i}});
      log->line(LogLevel::debug, "may be dropped", {});
    }
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  first.join();
  second.join();
  log->stop();

  std::array<std::int64_t, 3> next{};
  std::uint64_t debug_lines = 0;
  for (const auto& line : lines(contents(file()))) {
    if (line.contains("event")) {
      auto& expected = next.at(line.at("thread").get<std::size_t>());
      EXPECT_EQ(line.at("number"), expected) << "events of one thread stay in order";
      ++expected;
    } else if (line.at("level") == "debug") {
      ++debug_lines;
    }
  }
  EXPECT_EQ(next[1], per_thread);
  EXPECT_EQ(next[2], per_thread);
  EXPECT_EQ(debug_lines + log->lines_dropped(), 2U * per_thread);
}

TEST_F(Logs, KeepsFilesUnderTheirCapAndOnlySoMany) {
  auto log = open({.flush_after = 1ms}, 1000, 3);
  for (std::int64_t i = 0; i < 200; ++i) log->line(LogLevel::info, "some text", {{"number", i}});
  log->stop();
  std::int64_t expected = 199;
  for (const char* suffix : {"", ".1", ".2"}) {
    auto text = contents(file(suffix));
    EXPECT_LE(text.size(), 1000U);
    auto all = lines(text);
    EXPECT_FALSE(all.empty()) << suffix;
    for (auto line = all.rbegin(); line != all.rend(); ++line) EXPECT_EQ(line->at("number"), expected--);
  }
  EXPECT_FALSE(std::filesystem::exists(file(".3")));
}

TEST_F(Logs, AppendsToTheFileOfAnEarlierRun) {
  open({})->line(LogLevel::info, "first", {});
  open({})->line(LogLevel::info, "second", {});
  EXPECT_THAT(lines(contents(file())), SizeIs(2));
}

TEST_F(Logs, GivesALongLineAFileOfItsOwn) {
  auto opened = RotatingFile::open(file(), 100, 5);
  ASSERT_TRUE(opened);
  auto long_line = std::string(300, 'x') + "\n";
  EXPECT_TRUE(opened->write("short\n" + long_line + "short again\n"));
  EXPECT_EQ(contents(file()), "short again\n");
  EXPECT_EQ(contents(file(".1")), long_line);
  EXPECT_EQ(contents(file(".2")), "short\n");
}

TEST_F(Logs, CountsWhatADiskThatIsFullDidNotTake) {
  auto full = RotatingFile::open("/dev/full", 1ULL << 30, 2);
  ASSERT_TRUE(full);
  BackgroundLog log(std::move(*full), "a", {});
  log.message(MessageEvent::accepted, id, {});
  log.stop();
  EXPECT_GT(log.octets_lost(), 0U);
}

TEST_F(Logs, SaysWhyALogFileCannotBeOpened) {
  LogConfig config;
  config.file = folder_ + "/missing/hub.log";
  auto log = open_log(config, "a");
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().what, testing::HasSubstr(config.file));
}

TEST_F(Logs, KeepsLinesInMemoryForASimulation) {
  MemoryLog log("a");
  int seen = 0;
  log.on_message = [&](MessageEvent, MessageId, std::initializer_list<LogField>) { ++seen; };
  log.message(MessageEvent::accepted, id, {});
  log.is_silent = true;
  log.message(MessageEvent::delivered, id, {});
  EXPECT_THAT(log.lines(), SizeIs(1));
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace umbra::hub
