#include "tests/simulation/world.h"

#include <algorithm>

#include "base/result.h"

namespace umbra::simulation {
namespace {
// 2026-01-01 00:00 UTC, where the wall clocks of a run start.
constexpr std::int64_t wall_start_s = 1'767'225'600;
constexpr Duration far_future = 24h * 365 * 50;
constexpr std::uint64_t timer_number_bits = 40;
// More handlers than this in one instant is a loop that never waits.
constexpr std::uint64_t handlers_per_poll_max = 2'000'000;
}  // namespace

Host::Host(World& world, std::string name, std::string address, ClockSkew skew)
    : world_(world),
      number_(++world.hosts_made_),
      name_(std::move(name)),
      address_(std::move(address)),
      skew_(skew),
      random_(world.random().fork("host " + name_ + " " + std::to_string(number_))),
      io_(1),
      work_(io_.get_executor()) {
  world_.hosts_.emplace(number_, this);
}

Host::~Host() {
  world_.hosts_.erase(number_);
  // Callbacks hold coroutines of this loop: they go before it.
  auto timers = std::move(timers_);
  timers_.clear();
  timers.clear();
  held_.clear();
}

void Host::wake() {
  if (poll_is_scheduled_) return;
  if (is_paused_) {
    is_dirty_ = true;
    return;
  }
  poll_is_scheduled_ = true;
  // The processor is not infinitely fast: two processes woken by one event do not always run in the same
  // order.
  world_.at(world_.now() + Duration{static_cast<std::int64_t>(random_.below(20'000))},
            [&world = world_, number = number_] {
              auto host = world.hosts_.find(number);
              if (host != world.hosts_.end()) host->second->poll();
            });
}

void Host::poll() {
  poll_is_scheduled_ = false;
  if (is_paused_) {
    is_dirty_ = true;
    return;
  }
  auto* before = std::exchange(world_.current_, this);
  world_.trace_.mix(number_ ^ static_cast<std::uint64_t>(world_.now().count()));
  std::uint64_t handlers = 0;
  while (io_.poll_one() != 0) UMBRA_ASSERT(++handlers < handlers_per_poll_max);
  world_.trace_.mix(handlers);
  world_.current_ = before;
}

void Host::run(std::function<void()> action) {
  auto* before = std::exchange(world_.current_, this);
  action();
  world_.current_ = before;
  wake();
}

void Host::run_at(Duration when, Action action) {
  world_.at(when, [&world = world_, number = number_, action = std::move(action)]() mutable {
    auto found = world.hosts_.find(number);
    if (found == world.hosts_.end()) return;
    auto* host = found->second;
    if (host->is_paused_) {
      host->held_.push_back(std::move(action));
      return;
    }
    auto* before = std::exchange(world.current_, host);
    action();
    world.current_ = before;
    host->wake();
  });
}

void Host::resume() {
  if (!is_paused_) return;
  is_paused_ = false;
  auto held = std::move(held_);
  held_.clear();
  for (auto& action : held) run_at(world_.now(), std::move(action));
  if (std::exchange(is_dirty_, false)) wake();
}

MonotonicTime Host::monotonic(Duration now) const {
  return MonotonicTime{skew_.monotonic_offset + now + Duration{now.count() / 1'000'000 * skew_.drift_ppm}};
}

WallTime Host::wall(Duration now) const {
  return WallTime{std::chrono::duration_cast<WallClock::duration>(std::chrono::seconds{wall_start_s} + now +
                                                                  skew_.wall_offset)};
}

Duration Host::to_world(MonotonicTime when) const {
  auto span = when.time_since_epoch() - skew_.monotonic_offset;
  if (span <= Duration{0}) return Duration{0};
  if (span > far_future) return far_future;
  auto guess = Duration{span.count() - span.count() / 1'000'000 * skew_.drift_ppm};
  while (guess > Duration{0} && monotonic(guess) >= when) guess -= 1us;
  while (monotonic(guess) < when) guess += std::max(Duration{1}, when - monotonic(guess));
  return guess;
}

World::World(std::uint64_t seed, bool print_trace) : random_(seed), trace_(print_trace) {
  UMBRA_ASSERT(time_source() == nullptr);
  set_time_source(this);
}

World::~World() {
  heap_.clear();
  slots_.clear();
  UMBRA_ASSERT(hosts_.empty());
  set_time_source(nullptr);
}

void World::at(Duration when, Action action) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::move(action));
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = std::move(action);
  }
  heap_.push_back({std::max(when, now_), ++inserted_, slot});
  std::push_heap(heap_.begin(), heap_.end());
}

bool World::step() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end());
  auto entry = heap_.back();
  heap_.pop_back();
  auto action = std::move(slots_[entry.slot]);
  slots_[entry.slot] = nullptr;
  free_slots_.push_back(entry.slot);
  now_ = entry.when;
  ++events_;
  action();
  return true;
}

void World::run_until(Duration end, const std::function<bool()>& enough) {
  while (!heap_.empty() && heap_.front().when <= end) {
    step();
    if (enough && enough()) return;
  }
  now_ = std::max(now_, end);
}

MonotonicTime World::monotonic() noexcept {
  return current_ == nullptr ? MonotonicTime{now_} : current_->monotonic(now_);
}

WallTime World::wall() noexcept {
  if (current_ != nullptr) return current_->wall(now_);
  return WallTime{std::chrono::duration_cast<WallClock::duration>(std::chrono::seconds{wall_start_s} + now_)};
}

std::uint64_t World::start(MonotonicTime when, std::move_only_function<void(bool)> callback) {
  UMBRA_ASSERT(current_ != nullptr);  // timers belong to a process
  auto& host = *current_;
  auto number = ++host.timers_started_;
  host.timers_.emplace(number, Host::PendingTimer{std::move(callback)});
  auto due = host.to_world(when);
  if (due < far_future) {
    at(due, [this, host_number = host.number_, number] {
      auto found = hosts_.find(host_number);
      if (found == hosts_.end()) return;
      auto& owner = *found->second;
      auto timer = owner.timers_.find(number);
      if (timer == owner.timers_.end()) return;  // cancelled
      auto fire = std::move(timer->second.callback);
      owner.timers_.erase(timer);
      fire(true);
      owner.wake();
    });
  }
  return host.number_ << timer_number_bits | number;
}

void World::cancel(std::uint64_t timer) noexcept {
  auto found = hosts_.find(timer >> timer_number_bits);
  if (found == hosts_.end()) return;
  auto& host = *found->second;
  auto pending = host.timers_.find(timer & ((std::uint64_t{1} << timer_number_bits) - 1));
  if (pending == host.timers_.end()) return;
  auto callback = std::move(pending->second.callback);
  host.timers_.erase(pending);
  callback(false);
  host.wake();
}

}  // namespace umbra::simulation
