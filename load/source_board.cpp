#include "load/source_board.h"

#include <algorithm>
#include <utility>

namespace umbra::load {

using namespace std::chrono_literals;

namespace {
constexpr Duration target_rest = 500ms;   // before a failed target is tried again
constexpr Duration refused_wait = 200ms;  // before a message refused with 4xx is tried again
constexpr Duration avoidance = 2s;        // how long a message keeps away from the target that failed it

std::string recipient_address(const SourceCommand& command) {
  return command.to_user + "-0@" + command.to_domain;
}
}  // namespace

SourceBoard::SourceBoard(const SourceCommand& c, std::vector<Target> t, LedgerFile l, std::string run)
    : command(c),
      maker(run, c.from.empty() ? "load@source.example" : c.from, recipient_address(c), c.size, c.chunking,
            c.verify),
      targets(std::move(t)),
      ledger(std::move(l)),
      started(MonotonicClock::now()),
      last_acknowledged(started) {}

std::optional<Work> SourceBoard::take(std::size_t target) {
  auto now = MonotonicClock::now();
  for (auto it = retries_.begin(); it != retries_.end(); ++it) {
    if (it->not_before > now) continue;
    if (it->avoid == target && targets.size() > 1 && now < it->not_before + avoidance) continue;
    auto work = *it;
    retries_.erase(it);
    return work;
  }
  if (stopping_ || counts.begun >= command.messages || now < next_due()) return std::nullopt;
  Work work;
  work.number = counts.begun++;
  work.first_attempt = now;
  return work;
}

bool SourceBoard::has_work(MonotonicTime now) const {
  if (!retries_.empty()) return true;
  return !stopping_ && counts.begun < command.messages && now >= next_due();
}

MonotonicTime SourceBoard::next_due() const {
  if (command.rate <= 0) return started;
  auto seconds = static_cast<double>(counts.begun) / command.rate;
  return started + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

bool SourceBoard::finished() const {
  auto owed = stopping_ ? counts.begun : command.messages;
  return counts.ended() >= owed;
}

std::size_t SourceBoard::choose_target(std::size_t home, std::size_t not_this) const {
  auto now = MonotonicClock::now();
  std::size_t best = home;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    auto candidate = (home + i) % targets.size();
    if (candidate == not_this && targets.size() > 1) continue;
    if (targets[candidate].down_until <= now) return candidate;
    if (targets[candidate].down_until < targets[best].down_until) best = candidate;
  }
  return best;
}

void SourceBoard::target_failed(std::size_t target, bool unreachable) {
  ++targets[target].failures;
  if (!unreachable) return;
  ++counts.connect_failures;
  targets[target].down_until = MonotonicClock::now() + target_rest;
}

void SourceBoard::attempted(const Work& work, std::size_t target) {
  ledger.line("attempted", {maker.token(work.number), std::to_string(work.attempt),
                            std::to_string(command.recipients), targets[target].address.text});
}

void SourceBoard::acknowledged(const Work& work, std::size_t target, std::uint32_t recipients,
                               const std::string& refused_ones, std::string_view reply,
                               std::uint64_t latency_us) {
  ++counts.acknowledged;
  counts.recipients += recipients;
  ++targets[target].acknowledged;
  last_acknowledged = MonotonicClock::now();
  latencies.add(latency_us);
  ledger.line("acknowledged",
              {maker.token(work.number), std::to_string(work.attempt), targets[target].address.text,
               refused_ones.empty() ? "-" : refused_ones, reply});
}

void SourceBoard::refused(Work work, std::size_t target, int code, std::string_view reply) {
  ledger.line("refused", {maker.token(work.number), std::to_string(work.attempt),
                          targets[target].address.text, std::to_string(code), reply});
  if (code >= 500) {
    ++counts.refused_5xx;
    return;
  }
  ++counts.refused_4xx;
  again(work, target, refused_wait);
}

void SourceBoard::unsent(Work work, std::size_t target, std::string_view reason) {
  ++counts.unsent;
  ledger.line("unsent",
              {maker.token(work.number), std::to_string(work.attempt), targets[target].address.text, reason});
  again(work, target, 0s);
}

void SourceBoard::undecided(Work work, std::size_t target, std::string_view reason) {
  ++counts.undecided;
  ledger.line("undecided",
              {maker.token(work.number), std::to_string(work.attempt), targets[target].address.text, reason});
  again(work, target, 0s);
}

void SourceBoard::give_back(Work work) {
  retries_.push_front(work);
}

void SourceBoard::again(Work work, std::size_t target, Duration wait) {
  auto now = MonotonicClock::now();
  if (now - work.first_attempt >= std::chrono::milliseconds(command.give_up_ms)) {
    ++counts.abandoned;
    ledger.line("abandoned", {maker.token(work.number), std::to_string(work.attempt),
                              targets[target].address.text, "no attempt succeeded in time"});
    return;
  }
  ++work.attempt;
  work.avoid = target;
  work.not_before = now + wait;
  retries_.push_back(work);
}

}  // namespace umbra::load
