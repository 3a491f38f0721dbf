#include "hub/safety_net/keeper.h"

#include <algorithm>
#include <memory>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr auto look_every = std::chrono::seconds(1);
constexpr int looks_per_trim = 10;
constexpr std::size_t rows_at_once = 200;
/// Above the reserve, where half of the reserve is less.
constexpr std::uint64_t margin_octets_min = 32 << 20;

/// With less free than this the net gives way.
std::uint64_t enough(std::uint64_t reserve) {
  return reserve + std::max(reserve / 2, margin_octets_min);
}

}  // namespace

void SafetyNetKeeper::start() {
  is_running_ = true;
  tasks_.spawn("safety net", run());
}

void SafetyNetKeeper::configuration_changed() {
  if (!is_stopping_) tasks_.spawn("safety net limits", change_limits());
}

Task<void> SafetyNetKeeper::change_limits() {
  storage::SafetyNetLimits limits{config_.safety_net.keep, config_.safety_net.octets_max};
  (void)co_await commit(runtime_.io, spool_, [limits](storage::Writer& w) {
    w.set_safety_net(limits);
    return w.keep_again();
  });
  gives_way_ = false;  // the next look at the disk says
  if (is_stopping_) co_return;
  if (is_running_)
    wake_.cancel();
  else
    start();
}

Task<void> SafetyNetKeeper::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<void> SafetyNetKeeper::run() {
  co_await keep_to_limits();
  is_running_ = false;
}

Task<void> SafetyNetKeeper::keep_to_limits() {
  if (!config_.safety_net.enabled()) {
    // Switched off since: what was kept goes, and that is all.
    auto counts = co_await query<storage::QueueCounts>(runtime_.io, spool_,
                                                       [](storage::Reader& r) { return r.counts(); });
    if (is_stopping_ || !counts) co_return;
    const bool is_on_again = config_.safety_net.enabled();
    if (counts->kept == 0 && !is_on_again) co_return;
    if (!is_on_again)
      log_.line(LogLevel::info, "the safety net is off: what it keeps is removed",
                {{"messages", static_cast<std::int64_t>(counts->kept)}});
  }
  for (int look = 0; !is_stopping_ && !spool_.unhealthy(); ++look) {
    if (config_.safety_net.enabled())
      co_await look_at_disk();
    else
      gives_way_ = false;
    if (look % looks_per_trim == 0 && !gives_way_ && !co_await trim() && !config_.safety_net.enabled())
      co_return;
    if (!is_stopping_) co_await wake_.wait_for(look_every);
  }
}

Task<void> SafetyNetKeeper::look_at_disk() {
  const auto wanted = enough(config_.spool.reserve_octets);
  const auto free = spool_.free_octets();
  if (free >= wanted) {
    if (!gives_way_) co_return;
    gives_way_ = false;
    log_.line(LogLevel::info, "there is room again: the safety net keeps mail",
              {{"free", static_cast<std::int64_t>(free)}});
    (void)co_await commit(runtime_.io, spool_, [](storage::Writer& w) { return w.keep_again(); });
    co_return;
  }
  if (!gives_way_)
    log_.line(LogLevel::warning, "the disk is short: the safety net gives way",
              {{"free", static_cast<std::int64_t>(free)}});
  gives_way_ = true;
  // A second's worth: the next look says whether it was enough.
  for (int step = 0; step < 10 && !is_stopping_; ++step) {
    auto gone = std::make_shared<std::size_t>(0);
    auto done = co_await commit(runtime_.io, spool_, [gone](storage::Writer& w) -> Result<void> {
      auto went = w.give_way(rows_at_once);
      if (!went) return std::unexpected(went.error());
      *gone = *went;
      return {};
    });
    is_empty_ = done && *gone < rows_at_once;
    if (!done || is_empty_ || spool_.free_octets() >= wanted) co_return;
  }
}

Task<bool> SafetyNetKeeper::trim() {
  auto before =
      config_.safety_net.enabled()
          ? WallClock::now() - std::chrono::duration_cast<WallClock::duration>(config_.safety_net.keep)
          : WallTime::max();
  for (;;) {
    auto gone = std::make_shared<std::size_t>(0);
    auto done = co_await commit(runtime_.io, spool_, [gone, before](storage::Writer& w) -> Result<void> {
      auto went = w.trim_kept(before, rows_at_once);
      if (!went) return std::unexpected(went.error());
      *gone = *went;
      return {};
    });
    if (!done || is_stopping_) co_return false;
    if (*gone < rows_at_once) co_return config_.safety_net.enabled();
  }
}

}  // namespace umbra::hub
