// The simulation as a program: runs seeds, in several processes, and tells of each that fails how to run it
// again.
//
//   simulation --seeds 1..1000 --jobs 2      what continuous integration does
//   simulation --seed 17 --trace             one seed, with everything that happens
//   simulation --seed 17 --only crash,pause  the same without the other faults
//   simulation --seed 17 --without 2         the same without its second fault
//   simulation --seeds 1..50 --fault leave   one kind of fault, once in each run
//   simulation --seed 5 --pair leave,crash   two of them, close to one another
//   simulation --scale 3,10,30,100           what a cluster of that size costs each hub
//   simulation --pairs 3 --jobs 2            every fault alone and every pair of faults, three seeds each
//
// Exit code: 0 every seed passed, 1 one failed, 2 wrong arguments.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>

#include "tests/simulation/run.h"
#include "tests/simulation/scale.h"

namespace {

using namespace umbra;
using namespace umbra::simulation;

struct Options {
  Choices choices;
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  int jobs = 1;
  bool keeps_going = false;
  std::string extra;           ///< the arguments a replay needs besides the seed
  int limit_s = 0;             ///< stop beginning new seeds after so long
  std::uint64_t per_pair = 0;  ///< not 0: every fault and every pair, so many seeds each, instead of a range
};

/// Every fault alone, then every unordered pair, a fault twice too.
const std::vector<std::vector<FaultKind>>& fault_sets() {
  static const auto sets = [] {
    std::vector<std::vector<FaultKind>> all;
    for (int i = 0; i < fault_kinds; ++i) all.push_back({static_cast<FaultKind>(i)});
    for (int i = 0; i < fault_kinds; ++i)
      for (int j = i; j < fault_kinds; ++j)
        all.push_back({static_cast<FaultKind>(i), static_cast<FaultKind>(j)});
    return all;
  }();
  return sets;
}

std::string names_of(const std::vector<FaultKind>& kinds) {
  std::string text;
  for (auto kind : kinds) text += (text.empty() ? "" : ",") + std::string(to_string(kind));
  return text;
}

/// What the run of that number is. Runs are numbered by their seed, or through all pairs.
Choices choices_of(const Options& options, std::uint64_t number) {
  auto choices = options.choices;
  choices.seed = number;
  if (options.per_pair == 0) return choices;
  auto index = number - options.first;
  choices.seed = options.choices.seed + index;
  choices.forced = fault_sets()[index / options.per_pair];
  return choices;
}

std::uint64_t process_us() {
  timespec spent{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return static_cast<std::uint64_t>(spent.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(spent.tv_nsec) / 1000;
}

std::string replay_command(const Options& options, std::uint64_t number) {
  auto choices = choices_of(options, number);
  auto pair = options.per_pair == 0 ? std::string() : " --pair " + names_of(choices.forced);
  return fmt::format("build/release/tests/simulation/simulation --seed {}{}{} --trace", choices.seed, pair,
                     options.extra);
}

/// Counts over all seeds, so that one sees what the runs have gone through.
struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t cpu_us = 0;
  std::map<std::string, std::uint64_t> counts;
};

/// One line per seed from worker to parent: "P seed cpu_us name=count ..." or "F seed".
std::string result_line(const RunResult& r, std::uint64_t cpu_us) {
  auto line = fmt::format("{} {} {}", r.ok() ? 'P' : 'F', r.seed, cpu_us);
  auto add = [&line](std::string_view name, std::uint64_t count) {
    if (count > 0) line += fmt::format(" {}={}", name, count);
  };
  add("attempted", r.counts.attempted);
  add("acknowledged", r.counts.acknowledged);
  add("delivered", r.counts.delivered);
  add("bounced", r.counts.bounced);
  add("lost", r.counts.lost);
  add("unexpected", r.counts.unexpected);
  add("duplicated", r.counts.duplicated);
  add("explained", r.counts.explained);
  add("recovered", r.counts.recovered);
  add("undecided", r.counts.undecided);
  add("refused", r.counts.refused);
  add("faults", r.faults);
  add("hub-starts", r.cluster.starts);
  add("crashes", r.cluster.crashes);
  add("disks-lost", r.cluster.disks_lost);
  add("epochs-ended", r.cluster.epochs_ended);
  add("world-events", r.events);
  add("virtual-seconds", static_cast<std::uint64_t>(r.virtual_time / std::chrono::seconds{1}));
  for (const auto& [event, count] : r.cluster.events)
    add(fmt::format("event-{}", hub::to_string(event)), count);
  return line + "\n";
}

void work(const Options& options, int job, std::uint64_t first, int to_parent) {
  auto say = [to_parent](const std::string& text) {
    [[maybe_unused]] auto ignored = ::write(to_parent, text.data(), text.size());
  };
  for (auto seed = first; seed <= options.last; ++seed) {
    if (static_cast<int>((seed - options.first) % static_cast<std::uint64_t>(options.jobs)) != job) continue;
    say(fmt::format("S {}\n", seed));
    auto choices = choices_of(options, seed);
    auto began = process_us();
    auto result = run(choices);
    result.seed = seed;  // the number of the run
    auto line = result_line(result, process_us() - began);
    if (!result.ok()) std::fputs(report(result, replay_command(options, seed)).c_str(), stderr);
    say(line);
  }
}

struct Worker {
  pid_t pid = -1;
  int from = -1;
  std::uint64_t seed = 0;  ///< under way
  std::string buffer;
  std::chrono::steady_clock::time_point seed_began;
};

void take_line(const std::string& line, Worker& worker, Totals& totals, std::vector<std::uint64_t>& failed) {
  char kind = line[0];
  if (kind == 'S') {
    worker.seed = std::stoull(line.substr(2));
    worker.seed_began = std::chrono::steady_clock::now();
    return;
  }
  ++totals.seeds;
  if (kind == 'F') {
    ++totals.failed;
    failed.push_back(worker.seed);
  }
  std::size_t at = line.find(' ', 2) + 1;
  totals.cpu_us += std::stoull(line.substr(at));
  while ((at = line.find(' ', at)) != std::string::npos) {
    ++at;
    auto equals = line.find('=', at);
    totals.counts[line.substr(at, equals - at)] += std::stoull(line.substr(equals + 1));
  }
  worker.seed = 0;
}

void start_worker(const Options& options, int job, std::uint64_t first, Worker& worker) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  worker = {};
  worker.pid = fork();
  if (worker.pid == 0) {
    close(ends[0]);
    work(options, job, first, ends[1]);
    std::fflush(nullptr);
    _exit(0);
  }
  close(ends[1]);
  worker.from = ends[0];
  worker.seed_began = std::chrono::steady_clock::now();
}

int run_many(const Options& options) {
  constexpr auto seed_limit = std::chrono::seconds{120};
  Totals totals;
  std::vector<std::uint64_t> failed;
  std::vector<Worker> workers(static_cast<std::size_t>(options.jobs));
  for (int job = 0; job < options.jobs; ++job)
    start_worker(options, job, options.first, workers[static_cast<std::size_t>(job)]);
  auto began = std::chrono::steady_clock::now();
  int running = options.jobs;
  while (running > 0) {
    std::vector<pollfd> files;
    for (auto& worker : workers) files.push_back({worker.from, POLLIN, 0});
    poll(files.data(), files.size(), 1000);
    for (std::size_t job = 0; job < workers.size(); ++job) {
      auto& worker = workers[job];
      if (worker.from < 0) continue;
      bool is_slow = worker.seed != 0 && std::chrono::steady_clock::now() - worker.seed_began > seed_limit;
      if (is_slow) {
        std::fprintf(stderr, "seed %llu takes more than %lld s: killed\n",
                     static_cast<unsigned long long>(worker.seed),
                     static_cast<long long>(seed_limit.count()));
        kill(worker.pid, SIGKILL);
      }
      if (files[job].revents == 0) continue;
      char piece[65536];
      auto got = read(worker.from, piece, sizeof piece);
      if (got > 0) {
        worker.buffer.append(piece, static_cast<std::size_t>(got));
        for (auto end = worker.buffer.find('\n'); end != std::string::npos; end = worker.buffer.find('\n')) {
          take_line(worker.buffer.substr(0, end), worker, totals, failed);
          worker.buffer.erase(0, end + 1);
        }
        continue;
      }
      close(worker.from);
      worker.from = -1;
      int status = 0;
      waitpid(worker.pid, &status, 0);
      --running;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      ++totals.seeds;
      ++totals.failed;
      failed.push_back(worker.seed);
      std::fprintf(stderr, "seed %llu ended the process (%s %d)\nreplay: %s\n",
                   static_cast<unsigned long long>(worker.seed), WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                   replay_command(options, worker.seed).c_str());
      if (worker.seed < options.last && (options.keeps_going || failed.size() < 10)) {
        start_worker(options, static_cast<int>(job), worker.seed + 1, worker);
        ++running;
      }
    }
    bool is_over = (failed.size() >= 10 && !options.keeps_going) ||
                   (options.limit_s > 0 &&
                    std::chrono::steady_clock::now() - began > std::chrono::seconds{options.limit_s});
    if (is_over) {
      for (auto& worker : workers)
        if (worker.from >= 0) {
          kill(worker.pid, SIGKILL);
          waitpid(worker.pid, nullptr, 0);
        }
      break;
    }
  }
  auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print(
      "{} seeds, {} failed; {:.1f} s, {:.3f} s of processor time per seed\n", totals.seeds, totals.failed,
      wall,
      totals.seeds == 0 ? 0.0 : static_cast<double>(totals.cpu_us) / 1e6 / static_cast<double>(totals.seeds));
  for (const auto& [name, count] : totals.counts) fmt::print("  {:<24} {}\n", name, count);
  for (auto seed : failed) fmt::print("FAILED: {}\n", replay_command(options, seed));
  return failed.empty() && totals.seeds > 0 ? 0 : 1;
}

int run_one(const Options& options) {
  auto began = process_us();
  auto result = run(options.choices);
  if (!result.ok()) {
    if (options.choices.print_trace) result.last_lines.clear();
    std::fputs(report(result, replay_command(options, result.seed)).c_str(), stdout);
  }
  for (const auto& duplicate : result.duplicates)
    if (result.ok()) fmt::print("explained: {}\n", duplicate);
  fmt::print(
      "seed {}: {}, trace {:016x}, {:.1f} s of virtual time ({:.1f} from heal to quiet), {} events, {:.3f} s "
      "of processor time\n{}\n",
      result.seed, result.ok() ? "passed" : "FAILED", result.hash,
      std::chrono::duration<double>(result.virtual_time).count(),
      std::chrono::duration<double>(result.took_to_quiet).count(), result.events,
      static_cast<double>(process_us() - began) / 1e6, to_string(result.counts));
  return result.ok() ? 0 : 1;
}

int run_scales(const std::vector<int>& scales, hub::OwnershipMode ownership) {
  fmt::print(
      "per hub and second   messages    beats  discards  shadows   octets   octets when idle   sessions "
      "(open, per hub)\n");
  bool is_good = true;
  for (auto hubs : scales) {
    auto r = measure_scale(hubs, ownership, std::chrono::seconds{20});
    fmt::print("{:>4} hubs            {:9.2f} {:8.1f} {:9.2f} {:8.2f} {:8.0f} {:18.0f} {:10.1f}{}\n", r.hubs,
               r.messages, r.beats, r.discards, r.shadows, r.octets, r.octets_of_beats, r.sessions,
               r.ok ? "" : "   FAILED");
    std::fflush(stdout);
    is_good = is_good && r.ok;
  }
  return is_good ? 0 : 1;
}

/// "17" or "1..1000".
bool parse_range(const std::string& text, Options& options) {
  auto dots = text.find("..");
  options.first = std::strtoull(text.c_str(), nullptr, 10);
  options.last =
      dots == std::string::npos ? options.first : std::strtoull(text.c_str() + dots + 2, nullptr, 10);
  return options.first > 0 && options.last >= options.first;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::uint64_t seed = 0;
  std::string seeds;
  std::vector<std::string> only;
  std::vector<int> without;
  int hubs = 0;
  int messages = 0;
  std::string ownership;
  CLI::App app("Runs clusters of hubs on virtual time, from a seed.");
  app.add_option("--seed", seed, "one seed");
  app.add_option("--seeds", seeds, "a range of seeds, A..B");
  app.add_option("--jobs", options.jobs, "processes at once")->check(CLI::Range(1, 64));
  app.add_option("--hubs", hubs, "so many hubs instead of what the seed says")->check(CLI::Range(1, 40));
  app.add_option("--messages", messages, "so many messages per client")->check(CLI::Range(1, 1000));
  app.add_option("--ownership", ownership, "this mode instead of what the seed says")
      ->check(CLI::IsMember({"pairwise", "majority", "arbiter"}));
  app.add_option("--only", only, "only these kinds of faults")->delimiter(',');
  std::vector<std::string> forced;
  std::vector<int> scales;
  app.add_option("--scale", scales, "measures clusters of so many hubs")
      ->delimiter(',')
      ->check(CLI::Range(2, 250));
  app.add_option("--fault,--pair", forced,
                 "these kinds of faults, once each, close to one another, instead of what the seed says")
      ->delimiter(',');
  app.add_option("--pairs", options.per_pair,
                 "every fault and every pair of faults, with so many seeds each, from --seed on")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--without", without, "leave out these faults, by their number from 1")->delimiter(',');
  app.add_option("--seconds", options.limit_s, "stop after so long");
  app.add_flag("--trace", options.choices.print_trace, "print everything that happens");
  app.add_flag("--keep-going", options.keeps_going, "do not stop after ten failures");
  CLI11_PARSE(app, argc, argv);
  if (hubs > 0) {
    options.choices.hubs = hubs;
    options.extra += fmt::format(" --hubs {}", hubs);
  }
  if (!ownership.empty()) {
    options.choices.ownership = ownership == "pairwise"   ? hub::OwnershipMode::pairwise
                                : ownership == "majority" ? hub::OwnershipMode::majority
                                                          : hub::OwnershipMode::etcd;
    options.extra += " --ownership " + ownership;
  }
  if (messages > 0) {
    options.choices.messages = messages;
    options.extra += fmt::format(" --messages {}", messages);
  }
  if (!only.empty()) {
    options.choices.only.emplace();
    for (const auto& name : only) {
      auto kind = parse_fault_kind(name);
      if (!kind && name != "none") {
        std::fprintf(stderr, "unknown kind of fault: %s\n", name.c_str());
        return 2;
      }
      if (kind) options.choices.only->insert(*kind);
    }
    options.extra += fmt::format(" --only {}", fmt::join(only, ","));
  }
  for (const auto& name : forced) {
    auto kind = parse_fault_kind(name);
    if (!kind) {
      std::fprintf(stderr, "unknown kind of fault: %s\n", name.c_str());
      return 2;
    }
    options.choices.forced.push_back(*kind);
  }
  if (!forced.empty()) options.extra += fmt::format(" --pair {}", fmt::join(forced, ","));
  for (auto number : without) options.choices.without.insert(number);
  if (!without.empty()) options.extra += fmt::format(" --without {}", fmt::join(without, ","));
  if (!scales.empty())
    return run_scales(scales, options.choices.ownership.value_or(hub::OwnershipMode::pairwise));
  if (options.per_pair > 0) {
    options.choices.seed = seed > 0 ? seed : 1;
    options.first = 1;
    options.last = fault_sets().size() * options.per_pair;
    return run_many(options);
  }
  if (seed > 0) {
    options.choices.seed = seed;
    return run_one(options);
  }
  if (!parse_range(seeds.empty() ? "1..100" : seeds, options)) {
    std::fprintf(stderr, "--seeds A..B, with 0 < A <= B\n");
    return 2;
  }
  return run_many(options);
}
