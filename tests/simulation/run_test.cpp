// The simulation of whole clusters is itself tested: a run can be repeated exactly, wherever it runs, and it
// notices what it is there to notice.
#include "tests/simulation/run.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

namespace umbra::simulation {
namespace {

// Seeds with many faults of different kinds.
constexpr std::array<std::uint64_t, 4> replayed = {3, 49, 146, 537};

std::string hash_text(std::uint64_t hash) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

TEST(Run, SameSeedGivesTheSameTraceInOneProcess) {
  for (auto seed : replayed) {
    Choices choices;
    choices.seed = seed;
    auto first = run(choices);
    auto second = run(choices);
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
    EXPECT_EQ(first.events, second.events) << "seed " << seed;
    EXPECT_EQ(report(first, ""), report(second, "")) << "seed " << seed;
  }
}

TEST(Run, SameSeedGivesTheSameTraceInAProcessOfItsOwn) {
  for (auto seed : replayed) {
    auto command = std::string(UMBRA_SIMULATION_PROGRAM) + " --seed " + std::to_string(seed);
    std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    ASSERT_TRUE(pipe);
    std::string output;
    std::array<char, 4096> piece;
    while (auto got = std::fread(piece.data(), 1, piece.size(), pipe.get())) output.append(piece.data(), got);
    Choices choices;
    choices.seed = seed;
    EXPECT_NE(output.find("trace " + hash_text(run(choices).hash)), std::string::npos) << output;
  }
}

TEST(Run, OtherSeedsGiveOtherTraces) {
  Choices one;
  one.seed = 3;
  Choices other;
  other.seed = 4;
  EXPECT_NE(run(one).hash, run(other).hash);
}

// seeds.txt: every seed that once showed a fault, with a word on what it broke.
TEST(Run, SeedsThatOnceFailedPass) {
  std::ifstream file("tests/simulation/seeds.txt");
  ASSERT_TRUE(file) << "run from the top of the source tree";
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Choices choices;
    ASSERT_TRUE(words >> choices.seed) << line;
    auto result = run(choices);
    EXPECT_TRUE(result.ok()) << line << "\n"
                             << report(result, "simulation --seed " + std::to_string(choices.seed));
  }
}

TEST(Run, ScenariosReachWhatTheyAreFor) {
  Cluster::Counts counts;
  std::uint64_t faults = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Choices choices;
    choices.seed = seed;
    auto result = run(choices);
    EXPECT_TRUE(result.ok()) << report(result, "simulation --seed " + std::to_string(seed));
    faults += result.faults;
    counts.crashes += result.cluster.crashes;
    counts.disks_lost += result.cluster.disks_lost;
    counts.epochs_ended += result.cluster.epochs_ended;
    for (const auto& [event, count] : result.cluster.events) counts.events[event] += count;
  }
  EXPECT_GT(faults, 60U);
  EXPECT_GT(counts.crashes, 15U);
  EXPECT_GT(counts.disks_lost, 3U);
  EXPECT_GT(counts.epochs_ended, 0U);
  using hub::MessageEvent;
  for (auto event :
       {MessageEvent::accepted, MessageEvent::protected_, MessageEvent::delivered, MessageEvent::deferred,
        MessageEvent::bounced, MessageEvent::discarded, MessageEvent::taken_over, MessageEvent::unprotected,
        MessageEvent::possible_duplicate, MessageEvent::shadow_stored})
    EXPECT_GT(counts.events[event], 0U) << hub::to_string(event);
}

}  // namespace
}  // namespace umbra::simulation
