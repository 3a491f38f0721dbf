// The event log: one valid JSON line per event, files with a cap, and no line that is missing without a word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
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
            "\"9f86d081884c7d65-10000000002\",\"trace_id\":\"9f86d081884c7d650000010000000002\",\"span_id\":"
            "\"83780f314ff03d99\","
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

TEST_F(Logs, CountsEveryLineThatTheBufferHadNoRoomForAndSaysSo) {
  auto log = open({.level = LogLevel::debug, .buffer_octets_max = 4096, .flush_after = 1ms});
  constexpr int per_thread = 5000;
  auto work = [&](std::int64_t which) {
    for (std::int64_t i = 0; i < per_thread; ++i) {
      log->message(MessageEvent::delivered, id, {{"thread", which}, {"number", i}});
      log->line(LogLevel::debug, "may be dropped sooner", {});
    }
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  first.join();
  second.join();
  log->stop();

  std::array<std::int64_t, 3> last{-1, -1, -1};
  std::uint64_t written = 0;
  std::uint64_t told = 0;
  for (const auto& line : lines(contents(file()))) {
    if (line.contains("lines_dropped")) {
      told += line.at("lines_dropped").get<std::uint64_t>();
      continue;
    }
    ++written;
    if (!line.contains("event")) continue;
    auto& before = last.at(line.at("thread").get<std::size_t>());
    EXPECT_GT(line.at("number"), before) << "events of one thread stay in order";
    before = line.at("number");
  }
  EXPECT_EQ(written + log->lines_dropped(), 4U * per_thread);
  EXPECT_EQ(told, log->lines_dropped());
}

TEST_F(Logs, HoldsABurstWithoutLoss) {
  auto log = open({});
  for (std::int64_t i = 0; i < 50'000; ++i) log->message(MessageEvent::delivered, id, {{"number", i}});
  log->stop();
  EXPECT_EQ(log->lines_dropped(), 0U);
  EXPECT_EQ(std::ranges::count(contents(file()), '\n'), 50'000);
}

/// Files may not grow beyond this: writes take what fits and fail then, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t octets) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{octets, before_.rlim_max};
    std::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

TEST_F(Logs, LeavesNoHalfLineOnADiskThatIsFull) {
  auto opened = AppendFile::open(file());
  ASSERT_TRUE(opened);
  std::string_view text = "0123456789\n0123456789\n0123456789\n";
  {
    FullDisk full(27);
    EXPECT_FALSE(opened->append(text));
  }
  EXPECT_EQ(text, "0123456789\n");
  EXPECT_EQ(contents(file()), "0123456789\n0123456789\n");
  EXPECT_EQ(opened->octets(), 22U);
  EXPECT_TRUE(opened->append(text));
  EXPECT_EQ(contents(file()).size(), 33U);
}

TEST_F(Logs, LacksNothingWhenTheDiskWasFullForAShortWhile) {
  auto log = open({.flush_after = 1ms, .retry_after = 10ms});
  {
    FullDisk full(10'000);
    for (std::int64_t i = 0; i < 1000; ++i) log->message(MessageEvent::delivered, id, {{"number", i}});
    std::this_thread::sleep_for(100ms);
  }
  log->stop();
  std::int64_t next = 0;
  for (const auto& line : lines(contents(file()))) EXPECT_EQ(line.at("number"), next++);
  EXPECT_EQ(next, 1000);
  EXPECT_EQ(log->lines_dropped() + log->octets_lost(), 0U);
}

TEST_F(Logs, SaysHowManyLinesAFullDiskHasCost) {
  auto log = open({.buffer_octets_max = 20'000, .flush_after = 1ms, .retry_after = 10ms});
  {
    FullDisk full(10'000);
    for (std::int64_t i = 0; i < 1000; ++i) log->message(MessageEvent::delivered, id, {{"number", i}});
    std::this_thread::sleep_for(100ms);
    EXPECT_GT(log->lines_dropped(), 0U);
  }
  log->message(MessageEvent::accepted, id, {});
  log->stop();
  std::uint64_t told = 0;
  std::uint64_t events = 0;
  for (const auto& line : lines(contents(file()))) {
    if (line.contains("lines_dropped"))
      told += line.at("lines_dropped").get<std::uint64_t>();
    else
      ++events;
  }
  EXPECT_EQ(told, log->lines_dropped());
  EXPECT_EQ(events + told, 1001U);
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
  const auto text = "short\n" + long_line + "short again\n";
  std::string_view rest = text;
  EXPECT_TRUE(opened->write(rest));
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
  EXPECT_EQ(log.lines_dropped(), 1U);
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
