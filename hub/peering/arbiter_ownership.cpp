#include "hub/peering/arbiter_ownership.h"

#include <algorithm>

#include "cluster/majority.h"

namespace umbra::hub {
namespace {

constexpr Duration said_pause = 1min;

}  // namespace

ArbiterOwnership::ArbiterOwnership(Runtime runtime, const Config& config, storage::Spool& spool,
                                   Members& members, EventLog& log, cluster::Arbiter& arbiter,
                                   std::unique_ptr<cluster::Arbiter> owned)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      log_(log),
      owned_(std::move(owned)),
      arbiter_(arbiter),
      tasks_(runtime.io),
      timer_(runtime.io),
      agreement_(cluster::agreement_of(to_string(config.cluster.ownership), {config.cluster.arbiter.prefix})),
      // Shorter than the lease among hubs by what looking and renewing now and then costs: a hub that died is
      // out within one.
      record_lease_(config.cluster.lease * 4 / 5),
      touch_(3 * config.cluster.heartbeat) {
  members_.set_agreement(agreement_);
}

void ArbiterOwnership::start() {
  tasks_.spawn("lease with the arbiter", keep_lease());
}

Task<void> ArbiterOwnership::stop() {
  is_stopping_ = true;
  timer_.cancel();
  arbiter_.stop();
  co_await tasks_.join();
}

// ---- the lease

Task<void> ArbiterOwnership::keep_lease() {
  auto next = MonotonicClock::now();
  while (!is_stopping_) {
    co_await look_and_renew();
    if (is_stopping_) break;
    next = std::max(next + config_.cluster.lease / 5, MonotonicClock::now() + 10ms);
    co_await timer_.wait_until(next);
  }
}

Task<std::optional<std::vector<cluster::ArbiterRecord>>> ArbiterOwnership::list() {
  Event done(runtime_.io);
  std::optional<std::vector<cluster::ArbiterRecord>> records;
  arbiter_.list([&done, &records](auto answer) {
    records = std::move(answer);
    done.set();
  });
  co_await done.wait();
  co_return records;
}

Task<cluster::Arbiter::Written> ArbiterOwnership::write(cluster::ArbiterRecord record) {
  Event done(runtime_.io);
  auto written = cluster::Arbiter::Written::unavailable;
  arbiter_.write(std::move(record), [&done, &written](auto answer) {
    written = answer;
    done.set();
  });
  co_await done.wait();
  co_return written;
}

Task<bool> ArbiterOwnership::look() {
  if (std::exchange(is_looking_, true)) co_return false;
  auto asked_at = MonotonicClock::now();
  auto records = co_await list();
  is_looking_ = false;
  if (records) view_.saw(*records, asked_at, MonotonicClock::now());
  if (records.has_value() == was_away_ && !is_stopping_) {
    was_away_ = !records.has_value();
    if (was_away_)
      log_.line(LogLevel::warning,
                "the arbiter does not answer: nobody takes over, mail goes on where its holders answer",
                {{"reason", arbiter_.trouble()}});
    else
      log_.line(LogLevel::info, "the arbiter answers again", {});
  }
  co_return records.has_value();
}

Task<void> ArbiterOwnership::look_and_renew() {
  if (!co_await look() || is_stopping_ || is_writing_) co_return;
  auto own = view_.decide_own(config_.hub_name, spool_.id(), spool_.epoch(), record_lease_);
  using What = cluster::ArbiterView::Own::What;
  if (own.what == What::over) {
    members_.end({true,
                  "the arbiter has ended this hub's epoch: it was not heard by a holder of its mail for a "
                  "lease, and did "
                  "not renew its own"});
    co_return;
  }
  if (own.what == What::foreign) {
    lease_.broken();
    if (MonotonicClock::now() >= said_at_) {
      said_at_ = MonotonicClock::now() + said_pause;
      log_.line(LogLevel::error,
                "another spool or process lives under this hub's name: no lease with the arbiter",
                {{"spool", to_string(own.record.spool)},
                 {"epoch", static_cast<std::int64_t>(own.record.epoch.value)}});
    }
    co_return;
  }
  if (!is_registered_) was_never_out_ = own.record.is_settled;
  own.record.is_settled = own.record.is_settled || is_settled_;
  own.record.renewal =
      to_string(spool_.id()) + '/' + std::to_string(spool_.epoch().value) + '/' + std::to_string(++renewals_);
  auto asked_at = MonotonicClock::now();
  is_writing_ = true;
  auto written = co_await write(std::move(own.record));
  is_writing_ = false;
  if (written != cluster::Arbiter::Written::yes) co_return;
  if (!std::exchange(is_registered_, true))
    log_.line(LogLevel::info, "the arbiter has this hub's record", {});
  lease_.granted(asked_at, record_lease_);
}

void ArbiterOwnership::settled() {
  is_settled_ = true;
}

// ---- delivery

bool ArbiterOwnership::may_deliver_now(const storage::StoredMessage& message) {
  if (is_in_touch()) return true;
  // It may have been given other holders since it was read.
  if ((!message.is_protected || members_.have_holders_changed(message.row)) &&
      !members_.all_promises_are_fresh(touch_))
    return false;
  return std::ranges::all_of(
      message.holders, [this](const auto& holder) { return members_.promise_is_fresh(holder, touch_); });
}

Task<Ownership::Verdict> ArbiterOwnership::may_deliver(Holders holders, bool waits) {
  auto deadline = MonotonicClock::now() + config_.cluster.ask_again;
  Timer timer(runtime_.io);
  for (;;) {
    if (members_.ended()) co_return Verdict::stop;
    if (is_in_touch() ||
        std::ranges::all_of(holders, [this](const auto& h) { return members_.promise_is_fresh(h, touch_); }))
      co_return Verdict::go;
    if (!waits || MonotonicClock::now() >= deadline) co_return Verdict::later;
    co_await timer.wait_for(50ms);
  }
}

std::string ArbiterOwnership::why_mail_waits() {
  if (is_in_touch() || members_.all_promises_are_fresh(touch_)) return {};
  auto trouble = arbiter_.trouble();
  return "no lease with the arbiter" + (trouble.empty() ? std::string() : " (" + trouble + ")") +
         ": mail waits whose holders do not answer either";
}

bool ArbiterOwnership::delivers_nothing() {
  auto now = MonotonicClock::now();
  return !is_in_touch() &&
         std::ranges::none_of(members_.all(), [now](const auto& m) { return m->promise.is_fresh(now); });
}

// ---- take-over

bool ArbiterOwnership::is_out(const Member& member, SpoolId spool) const {
  auto out = out_.find(spool);
  return out != out_.end() && member.is_fenced && member.has_spool(spool) &&
         out->second.below >= member.identity->epoch;
}

bool ArbiterOwnership::is_given_up(const Member& member, SpoolId spool) const {
  return is_out(member, spool) && MonotonicClock::now() >= out_.at(spool).since + config_.cluster.out_wait;
}

std::vector<smtp::KnownEpoch> ArbiterOwnership::live_runs() const {
  std::vector<smtp::KnownEpoch> runs;
  for (const auto& record : view_.live(record_lease_))
    runs.push_back({record.hub, record.spool, record.epoch});
  return runs;
}

// The engine first: only when it has ended the epoch does this hub refuse it too.
Task<bool> ArbiterOwnership::end_epoch(Member& member, SpoolId spool) {
  if (is_out(member, spool)) co_return true;
  if (!may_take_over() || is_stopping_) co_return false;
  auto below = member.identity->epoch;
  if (!member.is_fenced) below.value += 1;
  auto end = view_.decide_end(member.name(), spool, below, record_lease_);
  using What = cluster::ArbiterView::End::What;
  if (end.what == What::wait) co_return false;
  if (end.what == What::swap) {
    if (is_writing_ || !members_.is_silent(member)) co_return false;
    is_writing_ = true;
    auto written = co_await write(std::move(end.record));
    is_writing_ = false;
    if (written != cluster::Arbiter::Written::yes || is_stopping_) co_return false;
  }
  if (!members_.is_silent(member)) co_return false;  // back: it learns from the engine that its epoch is over
  if (!co_await members_.end_epoch_of(member, spool, below)) co_return false;
  if (!member.is_fenced || !member.identity || member.identity->spool != spool ||
      member.identity->epoch > below)
    co_return false;
  out_.insert_or_assign(spool, Out{below, MonotonicClock::now()});
  log_.line(LogLevel::warning, "the arbiter has ended the epoch of a hub",
            {{"member", member.name()}, {"epochs_below", static_cast<std::int64_t>(below.value)}});
  co_return true;
}

bool ArbiterOwnership::gives_promises(const Member& member, const std::string& agreement) {
  if (agreement == agreement_) return true;
  if (MonotonicClock::now() >= said_at_) {
    said_at_ = MonotonicClock::now() + said_pause;
    log_.line(LogLevel::error,
              "another hub has another arbiter or another mode of ownership: no promises to it",
              {{"member", member.name()}});
  }
  return false;
}

}  // namespace umbra::hub
