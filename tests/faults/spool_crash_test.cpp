// The spool is stopped at every write and at every sync of a story that does everything once: by one error
// after which it is told to go on, and for good. What is found after the restart must be what was there
// before or after the step that was cut, never anything between, and never less than what was reported as
// done.
#include <fmt/format.h>

#include "tests/faults/spool_story.h"

namespace umbra::storage {
namespace {

using Change = MemoryDisk::Change;
using Crash = MemoryDisk::Crash;

bool has_safety_net = false;

SpoolOptions options_on(const MemoryDisk& disk) {
  SpoolOptions options;
  options.directory = "/spool";
  options.vfs = disk.name();
  options.checkpoint_octets = 128 << 10;  // so that checkpoints come within the story
  if (has_safety_net) options.safety_net = {std::chrono::hours(1), 40'000};  // some of the story does not fit
  return options;
}

/// For the life of the object, spools have a safety net.
struct WithSafetyNet {
  WithSafetyNet() { has_safety_net = true; }
  ~WithSafetyNet() { has_safety_net = false; }
};

/// What an undisturbed run contains before the first step and after each.
struct Course {
  std::vector<std::string> contents;
  std::uint64_t writes = 0;
  std::uint64_t syncs = 0;
};

Course undisturbed(const std::vector<Step>& steps) {
  MemoryDisk disk("undisturbed");
  SpoolBox box(options_on(disk));
  auto opened = box.open();
  EXPECT_TRUE(opened) << opened.error().what;
  Course course;
  course.contents.push_back(contents(box));
  for (const auto& step : steps) {
    auto done = step.run(box);
    EXPECT_TRUE(done) << step.name << ": " << done.error().what;
    course.contents.push_back(contents(box));
  }
  course.writes = disk.writes();
  course.syncs = disk.syncs();
  box.close();
  EXPECT_EQ(damage(disk), "");
  return course;
}

struct Point {
  Change kind;
  std::uint64_t nth;
  bool for_good;
  bool torn;
  Crash crash;

  [[nodiscard]] std::string text() const {
    return fmt::format("{} {} fails {}{}, then {}", kind == Change::write ? "write" : "sync", nth,
                       for_good ? "for good" : "once", torn ? " half done" : "",
                       crash == Crash::process ? "the process ends"
                       : crash == Crash::power ? "the power goes"
                                               : "the power goes, some writes stay");
  }
};

void stop_at(const std::vector<Step>& steps, const Course& course, const Point& point) {
  MemoryDisk disk("crash-disk");
  disk.fail(point.kind, point.nth, point.for_good);
  disk.tear_failing_write(point.torn);
  SpoolBox box(options_on(disk));
  std::size_t done = 0;
  bool stopped = false;
  if (box.open()) {
    for (const auto& step : steps) {
      if (stopped && step.restarts) break;  // that would recover
      bool succeeded = step.run(box).has_value();
      ASSERT_FALSE(stopped && succeeded) << step.name << " succeeded after one that failed";
      if (!succeeded && !box.spool) break;  // it could not be opened again
      stopped = stopped || !succeeded;
      done += succeeded ? 1 : 0;
    }
    if (stopped && box.spool) {
      EXPECT_TRUE(box.spool->unhealthy()) << "it goes on after an error of its disk";
    }
  }
  box.crash();
  CountingRandom random(point.nth);
  disk.crash(point.crash, &random);

  auto reopened = box.open();
  ASSERT_TRUE(reopened) << reopened.error().what;
  box.run();
  auto found = contents(box);
  const auto& before = course.contents[done];
  const auto& after = course.contents[std::min(done + 1, steps.size())];
  EXPECT_TRUE(found == before || found == after) << "after step " << done << "\nfound:\n"
                                                 << found << "before:\n"
                                                 << before << "after:\n"
                                                 << after;
  // And it works on: what was cut is done now, or was.
  std::size_t next = found == before ? done : done + 1;
  if (next < steps.size()) next -= steps[next].repeat;
  for (std::size_t i = next; i < steps.size(); ++i) {
    auto again = steps[i].run(box);
    ASSERT_TRUE(again) << steps[i].name << ": " << again.error().what;
  }
  EXPECT_EQ(contents(box), course.contents.back());
  box.close();
  EXPECT_EQ(damage(disk), "");
}

void stop_everywhere(const std::vector<Step>& steps, Change kind, bool for_good, bool torn, Crash crash,
                     std::uint64_t stride = 1) {
  auto course = undisturbed(steps);
  auto count = kind == Change::write ? course.writes : course.syncs;
  ASSERT_GT(count, steps.size() / 2);
  for (std::uint64_t nth = 1; nth <= count; nth += stride) {
    Point point{kind, nth, for_good, torn, crash};
    SCOPED_TRACE(point.text());
    stop_at(steps, course, point);
    if (::testing::Test::HasFailure()) return;  // the first one says enough
  }
}

TEST(SpoolCrash, AtEveryWriteThenTheProcessEnds) {
  stop_everywhere(spool_story(), Change::write, true, false, Crash::process);
}
TEST(SpoolCrash, AtEveryWriteHalfDoneThenTheProcessEnds) {
  stop_everywhere(spool_story(), Change::write, true, true, Crash::process);
}
TEST(SpoolCrash, AtEveryWriteThenThePowerGoes) {
  stop_everywhere(spool_story(), Change::write, true, false, Crash::power);
}
TEST(SpoolCrash, AtEveryWriteThenThePowerGoesAndSomeWritesStay) {
  stop_everywhere(spool_story(), Change::write, true, false, Crash::power_partly);
}
TEST(SpoolCrash, AtEverySyncThenTheProcessEnds) {
  stop_everywhere(spool_story(), Change::sync, true, false, Crash::process);
}
TEST(SpoolCrash, AtEverySyncThenThePowerGoes) {
  stop_everywhere(spool_story(), Change::sync, true, false, Crash::power);
}
TEST(SpoolCrash, AtEverySyncThenThePowerGoesAndSomeWritesStay) {
  stop_everywhere(spool_story(), Change::sync, true, false, Crash::power_partly);
}
TEST(SpoolCrash, AfterOneErrorAtEveryWrite) {
  stop_everywhere(spool_story(), Change::write, false, false, Crash::process);
}
TEST(SpoolCrash, AfterOneErrorAtEveryWriteHalfDoneAndThePowerGoes) {
  stop_everywhere(spool_story(), Change::write, false, true, Crash::power);
}
TEST(SpoolCrash, AfterOneErrorAtEverySync) {
  stop_everywhere(spool_story(), Change::sync, false, false, Crash::process);
}
TEST(SpoolCrash, AfterOneErrorAtEverySyncAndThePowerGoes) {
  stop_everywhere(spool_story(), Change::sync, false, false, Crash::power);
}
TEST(SpoolCrash, WhileALargeBodyIsWrittenAndRemoved) {
  stop_everywhere(large_body_story(), Change::write, true, false, Crash::power, 13);
  stop_everywhere(large_body_story(), Change::sync, true, false, Crash::power);
}

TEST(SpoolCrash, WithASafetyNetAtEveryWrite) {
  WithSafetyNet net;
  stop_everywhere(safety_net_story(), Change::write, true, false, Crash::process);
  stop_everywhere(safety_net_story(), Change::write, true, true, Crash::power_partly);
}
TEST(SpoolCrash, WithASafetyNetAtEverySync) {
  WithSafetyNet net;
  stop_everywhere(safety_net_story(), Change::sync, true, false, Crash::process);
  stop_everywhere(safety_net_story(), Change::sync, true, false, Crash::power);
}
TEST(SpoolCrash, WithASafetyNetAfterOneErrorAtEveryWrite) {
  WithSafetyNet net;
  stop_everywhere(safety_net_story(), Change::write, false, true, Crash::power);
}

/// A disk that is full at any moment: the change fails as what it is, the spool goes on, and with space the
/// same change works.
void full_at_any_moment(const std::vector<Step>& steps) {
  auto course = undisturbed(steps);
  std::uint64_t full_runs = 0;
  for (std::uint64_t capacity = 0;; capacity += 4096) {
    SCOPED_TRACE(fmt::format("{} octets", capacity));
    MemoryDisk disk("full-disk");
    SpoolBox box(options_on(disk));
    disk.set_capacity(capacity);
    bool was_full = false;
    auto with_space = [&](auto action) {
      auto result = action();
      if (result) return;
      was_full = true;
      EXPECT_EQ(result.error().code, std::errc::no_space_on_device) << result.error().what;
      disk.heal();
      result = action();
      ASSERT_TRUE(result) << result.error().what;
    };
    with_space([&] { return box.open(); });
    for (std::size_t i = 0; i < steps.size(); ++i) {
      with_space([&] { return steps[i].run(box); });
      if (::testing::Test::HasFailure()) return;
      EXPECT_FALSE(box.spool->unhealthy());
      ASSERT_EQ(contents(box), course.contents[i + 1]) << steps[i].name;
    }
    box.close();
    EXPECT_EQ(damage(disk), "");
    if (!was_full) break;
    ++full_runs;
  }
  EXPECT_GT(full_runs, 20U);
}

TEST(SpoolFullDisk, FailsTheChangeAndGoesOnWhenThereIsSpaceAgain) {
  full_at_any_moment(spool_story());
}
TEST(SpoolFullDisk, TheSameWithASafetyNet) {
  WithSafetyNet net;
  full_at_any_moment(safety_net_story());
}

}  // namespace
}  // namespace umbra::storage
