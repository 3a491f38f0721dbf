#include "load/source.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "load/progress.h"
#include "load/source_board.h"
#include "load/source_session.h"

namespace umbra::load {

using namespace std::chrono_literals;

namespace {

constexpr Duration work_tick = 2ms;   // hands due messages to idle sessions
constexpr Duration slow_tick = 50ms;  // deadlines, connecting, ledger
constexpr std::size_t connects_per_tick = 500;
constexpr Duration stop_patience = 5s;  // after SIGINT or SIGTERM, for what is under way

class Source {
 public:
  Source(const SourceCommand& command, std::vector<Target> targets, LedgerFile ledger, std::string run)
      : command_(command),
        board_(command, std::move(targets), std::move(ledger), std::move(run)),
        progress_(command.quiet) {}

  int run() {
    for (std::uint32_t i = 0; i < command_.sessions; ++i) {
      sessions_.push_back(std::make_unique<SourceSession>(loop_, board_, i % board_.targets.size()));
    }
    loop_.on_signal([this] {
      if (stopping_) loop_.stop();
      stopping_ = true;
      board_.stop();
      stop_at_ = MonotonicClock::now() + stop_patience;
    });
    last_shown_ = MonotonicClock::now();
    on_slow_tick();
    on_work_tick();
    loop_.run();
    for (auto& session : sessions_) session->finish();
    board_.ledger.flush();
    show();
    progress_.end();
    if (!command_.json.empty()) write_file(command_.json, json());
    return board_.counts.acknowledged == command_.messages ? 0 : 1;
  }

 private:
  void on_work_tick() {
    auto now = MonotonicClock::now();
    if (board_.finished() || (stopping_ && now >= stop_at_)) return loop_.stop();
    for (std::size_t i = 0; i < sessions_.size() && board_.has_work(now); ++i) {
      cursor_ = (cursor_ + 1) % sessions_.size();
      auto& session = *sessions_[cursor_];
      if (session.idle()) session.wake(now);
    }
    loop_.call_at(now + work_tick, [this] { on_work_tick(); });
  }

  void on_slow_tick() {
    auto now = MonotonicClock::now();
    std::size_t connects = 0;
    for (auto& session : sessions_) {
      session->check_deadline(now);
      if (session->is_closed() && !command_.fresh_connections && connects < connects_per_tick) {
        session->wake(now);
        ++connects;
      }
    }
    board_.ledger.flush();
    if (now - last_shown_ >= std::chrono::milliseconds(progress_.interval_ms())) show();
    loop_.call_at(now + slow_tick, [this] { on_slow_tick(); });
  }

  void show() {
    auto now = MonotonicClock::now();
    const auto& counts = board_.counts;
    double seconds = std::chrono::duration<double>(now - last_shown_).count();
    auto rate =
        static_cast<std::uint64_t>(static_cast<double>(counts.acknowledged - shown_acknowledged_) / seconds);
    auto line = "source: " + with_commas(counts.acknowledged) + "/" + with_commas(command_.messages) +
                " acknowledged  " + with_commas(rate) + "/s  p50 " +
                span_text(board_.latencies.quantile(0.5)) + "  p99 " +
                span_text(board_.latencies.quantile(0.99));
    for (auto [name, number] : {std::pair{"4xx", counts.refused_4xx},
                                {"5xx", counts.refused_5xx},
                                {"undecided", counts.undecided},
                                {"unsent", counts.unsent},
                                {"abandoned", counts.abandoned}}) {
      if (number > 0) line += std::string("  ") + name + " " + with_commas(number);
    }
    progress_.show(line);
    last_shown_ = now;
    shown_acknowledged_ = counts.acknowledged;
  }

  [[nodiscard]] std::string json() const {
    const auto& counts = board_.counts;
    const auto& latencies = board_.latencies;
    double seconds = std::chrono::duration<double>(board_.last_acknowledged - board_.started).count();
    nlohmann::ordered_json out = {
        {"run", board_.maker.token(0).substr(0, 8)},
        {"messages", command_.messages},
        {"sessions", command_.sessions},
        {"size", command_.size},
        {"recipients_per_message", command_.recipients},
        {"attempted", counts.begun},
        {"acknowledged", counts.acknowledged},
        {"recipients_acknowledged", counts.recipients},
        {"refused_4xx", counts.refused_4xx},
        {"refused_5xx", counts.refused_5xx},
        {"unsent", counts.unsent},
        {"undecided", counts.undecided},
        {"abandoned", counts.abandoned},
        {"connections", counts.connections},
        {"connect_failures", counts.connect_failures},
        {"seconds", seconds},
        {"messages_per_second", seconds > 0 ? static_cast<double>(counts.acknowledged) / seconds : 0.0},
        {"latency_us",
         {{"p50", latencies.quantile(0.5)},
          {"p90", latencies.quantile(0.9)},
          {"p99", latencies.quantile(0.99)},
          {"p999", latencies.quantile(0.999)},
          {"max", latencies.max()},
          {"mean", latencies.mean()}}},
    };
    auto& by_target = out["targets"] = nlohmann::ordered_json::array();
    for (const auto& target : board_.targets) {
      by_target.push_back({{"address", target.address.text},
                           {"acknowledged", target.acknowledged},
                           {"failures", target.failures}});
    }
    return out.dump(2) + "\n";
  }

  const SourceCommand& command_;
  EventLoop loop_;
  SourceBoard board_;
  std::vector<std::unique_ptr<SourceSession>> sessions_;
  std::size_t cursor_ = 0;
  bool stopping_ = false;
  MonotonicTime stop_at_{};
  Progress progress_;
  MonotonicTime last_shown_{};
  std::uint64_t shown_acknowledged_ = 0;
};

}  // namespace

int run_source(const SourceCommand& command) {
  std::vector<Target> targets;
  for (const auto& text : command.targets) {
    auto address = resolve(text);
    if (!address) {
      std::fprintf(stderr, "umbra-load source: %s\n", address.error().what.c_str());
      return 2;
    }
    targets.push_back({.address = *address});
  }
  auto ledger = LedgerFile::open(command.ledger);
  if (!ledger) {
    std::fprintf(stderr, "umbra-load source: %s: %s\n", ledger.error().what.c_str(),
                 ledger.error().code.message().c_str());
    return 2;
  }
  SystemRandom random;
  std::array<char, 16> run;
  std::snprintf(run.data(), run.size(), "%08x", static_cast<unsigned>(random.next() & 0xffffffffU));
  Source source(command, std::move(targets), std::move(*ledger), run.data());
  return source.run();
}

}  // namespace umbra::load
