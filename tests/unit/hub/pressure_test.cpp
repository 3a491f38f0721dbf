// Goal: the four transitions of each resource and the ramp of delays, and what a client is told. Method:
// readings in, levels out; then a session over a memory stream. The machine's own figures are read from a
// made-up /proc.
#include "hub/pressure/back_pressure.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "hub/pressure/system_probe.h"
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using enum PressureLevel;
using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(PressureLevels, BeginAtTheirMarksAndEndBelowOthers) {
  const PressureMarks marks{.medium = 90, .high = 97, .leave_high = 95, .leave_medium = 85};
  auto level = normal;
  const std::pair<double, PressureLevel> readings[] = {
      {89.9, normal}, {90, medium},   {85, medium}, {84.9, normal}, {96.9, medium}, {97, high},
      {95, high},     {94.9, medium}, {97, high},   {85, medium},   {97, high},     {84, normal}};
  for (const auto& [value, expected] : readings) {
    level = next_level(level, value, marks);
    EXPECT_EQ(level, expected) << "at " << value;
  }
  EXPECT_EQ(next_level(high, 100, PressureMarks{}), normal) << "not watched";
}

TEST(PressureLevels, LeaveATenthOfASmallDiskAtMost) {
  auto large = disk_marks(1'000'000'000'000, 500'000'000);
  EXPECT_THAT(large.high, DoubleNear(100.0 * (1e12 - 5e8) / 1e12, 1e-9));
  auto small = disk_marks(1'000'000'000, 500'000'000);
  EXPECT_THAT(small.high, DoubleNear(90, 1e-9));
  EXPECT_THAT(small.medium, DoubleNear(80, 1e-9));
  EXPECT_THAT(small.leave_high, DoubleNear(85, 1e-9));
  EXPECT_THAT(small.leave_medium, DoubleNear(70, 1e-9));
  EXPECT_FALSE(disk_marks(0, 500'000'000).are_watched());
}

TEST(PressureRamps, RiseToFiftyFiveSecondsAndFallAsTheyRose) {
  PressureRamp ramp;
  std::vector<int> seconds;
  auto look = [&](PressureLevel level) {
    ramp.look(level, 12);
    seconds.push_back(static_cast<int>(ramp.delay() / std::chrono::seconds(1)));
  };
  for (int i = 0; i < 11; ++i) look(medium);
  EXPECT_EQ(seconds, (std::vector{10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 55}));
  EXPECT_FALSE(ramp.refuses());
  look(medium);
  EXPECT_TRUE(ramp.refuses()) << "after the history";
  seconds.clear();
  for (int i = 0; i < 11; ++i) look(normal);
  EXPECT_EQ(seconds, (std::vector{50, 45, 40, 35, 30, 25, 20, 15, 10, 0, 0}));
  EXPECT_FALSE(ramp.refuses());
}

class PressureTests : public Inbound {
 protected:
  PressureTests() {
    pressure_config.history_depth = 12;
    pressure_config.trusted_networks = {*AddressRange::parse("192.0.2.64/26")};
    pressure_config.trusted_domains = {"own.example", "*.inner.example"};
    start();
  }
  void find(double inodes, int looks = 1) {
    Reading reading;
    reading[Resource::inodes] = inodes;
    for (int i = 0; i < looks; ++i) pressure.take(reading);
  }
  std::string mail(const std::string& sender, const std::string& from = "192.0.2.7") {
    peer = connect(from);
    say(peer, "EHLO c.example\r\n");
    return say(peer, "MAIL FROM:<" + sender + ">\r\n");
  }
  std::shared_ptr<testing::MemoryPeer> peer;
};

TEST_F(PressureTests, KeepAStrangersMailWaitingAtMediumAndRefuseItAfterTheHistory) {
  find(93);
  EXPECT_EQ(mail("a@c.example"), "");
  time.pass(io, 9s);
  EXPECT_EQ(peer->received(), "");
  time.pass(io, 1s);
  EXPECT_THAT(peer->received(), StartsWith("250 2.1.0"));
  EXPECT_EQ(metrics.pressure_delays_total, 1U);
  find(93, 11);
  EXPECT_EQ(mail("a@c.example"), "452 4.3.1 Insufficient system resources\r\n");
  EXPECT_EQ(metrics.pressure_refusals_total, 1U);
  EXPECT_EQ(metrics.messages_deferred_total, 1U);
  EXPECT_THAT(log.lines().back(), HasSubstr("\"pressure\":\"inodes\""));
  find(50);
  EXPECT_EQ(mail("a@c.example"), "") << "taken again, and still slowly";
  time.pass(io, 50s);
  EXPECT_THAT(peer->received(), StartsWith("250 2.1.0"));
  find(50, 10);
  EXPECT_THAT(mail("a@c.example"), StartsWith("250 2.1.0"));
}

TEST_F(PressureTests, LetMailOfTrustedNetworksAndDomainsFlowAtMedium) {
  find(93, 30);
  EXPECT_THAT(mail("a@own.example"), StartsWith("250 2.1.0"));
  EXPECT_THAT(mail("a@x.INNER.example"), StartsWith("250 2.1.0"));
  EXPECT_THAT(mail("a@c.example", "192.0.2.65"), StartsWith("250 2.1.0"));
  EXPECT_THAT(mail("a@inner.example"), StartsWith("452 4.3.1"));
  EXPECT_THAT(mail("a@notown.example"), StartsWith("452 4.3.1"));
  EXPECT_THAT(mail("", "192.0.2.8"), StartsWith("452 4.3.1"));
  EXPECT_THAT(mail("a@own.example", "198.51.100.1"), StartsWith("452 4.3.1"))
      << "a stranger may call himself anything";
}

TEST_F(PressureTests, RefuseAllNewMailAtHighButTakeConnections) {
  find(96);
  EXPECT_THAT(mail("a@own.example"), StartsWith("452 4.3.1"));
  EXPECT_THAT(mail("a@c.example", "192.0.2.65"), StartsWith("452 4.3.1"));
  EXPECT_FALSE(peer->is_closed);
  EXPECT_EQ(pressure.state().level, high);
  EXPECT_EQ(pressure.state().cause(), "inodes");
  find(94.5);
  EXPECT_EQ(pressure.state().level, high);
  find(93.9);
  EXPECT_EQ(pressure.state().level, medium);
  EXPECT_THAT(mail("a@own.example"), StartsWith("250 2.1.0"));
}

TEST_F(PressureTests, GoByTheMarksAsTheyAreNow) {
  find(90);
  EXPECT_EQ(pressure.state().level, PressureLevel::normal);
  pressure_config.inodes = {80, 89, 85, 75};  // as a reload does it
  find(90);
  EXPECT_EQ(pressure.state().level, high);
  EXPECT_THAT(mail("a@own.example"), StartsWith("452 4.3.1"));
  pressure_config.inodes = {93, 96, 94, 91};
  find(90);
  EXPECT_EQ(pressure.state().level, PressureLevel::normal);
}

TEST_F(PressureTests, DoNotKeepAClosingHubWaiting) {
  find(93, 10);
  EXPECT_EQ(mail("a@c.example"), "");
  listener->close();
  time.settle(io);
  EXPECT_THAT(peer->received(), HasSubstr("421 4.3.2"));
  EXPECT_TRUE(peer->is_closed);
}

TEST_F(PressureTests, CountNothingThatCannotBeTold) {
  find(96);
  pressure.take(Reading{});
  EXPECT_EQ(pressure.state().level, normal);
}

class SystemProbes : public ::testing::Test {
 protected:
  void put(const std::string& file, const std::string& text) {
    auto path = root / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void SetUp() override {
    std::filesystem::create_directories(root);
    put("proc/meminfo", "MemTotal:       1000000 kB\nMemFree:  1 kB\nMemAvailable:    250000 kB\n");
    put("proc/self/statm", "99999 25600 1 1 0 1 0\n");  // 100 MiB where a page has 4 KiB
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  std::filesystem::path root =
      std::filesystem::path(::testing::TempDir()) / ("probe-" + std::to_string(::getpid()));
  double page = static_cast<double>(::sysconf(_SC_PAGESIZE));
};

TEST_F(SystemProbes, TakeTheLowestMemoryLimitOfTheGroupsAbove) {
  put("proc/self/cgroup", "0::/pods/umbra\n");
  put("sys/fs/cgroup/memory.max", "max\n");
  put("sys/fs/cgroup/pods/memory.max", "209715200\n");
  put("sys/fs/cgroup/pods/umbra/memory.max", "419430400\n");
  auto reading = SystemProbe(::testing::TempDir(), root).read();
  EXPECT_THAT(*reading[Resource::process_memory], DoubleNear(100 * 25600 * page / 209715200, 1e-6));
  EXPECT_THAT(*reading[Resource::system_memory], DoubleNear(75, 1e-6));
}

TEST_F(SystemProbes, ReadTheFirstVersionOfGroupsAndDoWithoutAny) {
  auto none = SystemProbe(::testing::TempDir(), root).read();
  EXPECT_THAT(*none[Resource::process_memory], DoubleNear(100 * 25600 * page / 1'024'000'000, 1e-6));
  put("proc/self/cgroup", "4:cpu:/a\n3:memory:/a\n");
  put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "104857600\n");
  auto first = SystemProbe(::testing::TempDir(), root).read();
  EXPECT_THAT(*first[Resource::process_memory], DoubleNear(100 * 25600 * page / 104857600, 1e-6));
}

TEST_F(SystemProbes, ReadThisMachine) {
  auto reading = SystemProbe(::testing::TempDir()).read();
  for (auto resource : {Resource::disk, Resource::log_disk, Resource::process_memory, Resource::system_memory,
                        Resource::descriptors}) {
    ASSERT_TRUE(reading[resource]) << to_string(resource);
    EXPECT_GT(*reading[resource], 0) << to_string(resource);
    EXPECT_LE(*reading[resource], 100) << to_string(resource);
  }
  EXPECT_GT(reading.disk_octets, 0U);
}

TEST_F(SystemProbes, LeaveOutWhatCannotBeRead) {
  auto reading = SystemProbe("/nowhere", "/nowhere").read();
  for (const auto& value : reading.values) EXPECT_FALSE(value);
}

}  // namespace
}  // namespace umbra::hub
