#include "hub/peering/peering.h"

#include "hub/spool_tasks.h"

namespace umbra::hub {

Peering::Peering(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(runtime, config, spool, log),
      copier_(runtime, config, spool, members_, pending_, log, metrics),
      discards_(runtime, spool, members_, metrics),
      guardian_(runtime, config, spool, members_, copier_, pending_, log, metrics),
      keeper_(config, spool, members_, pending_, log, metrics, runtime.io),
      server_(runtime, config, members_, keeper_, log, metrics),
      discovery_(runtime, config, spool, members_, log, metrics),
      tasks_(runtime.io) {
  keeper_.on_outbox_grew([this] { discards_.look(); });
  guardian_.on_outbox_grew([this] { discards_.look(); });
  members_.on_change([this](Member& member) {
    guardian_.member_changed(member);
    discards_.look();
    copier_.protect_later();
  });
}

void Peering::set_outbound(Outbound& outbound) {
  outbound_ = &outbound;
  keeper_.set_outbound(&outbound);
  guardian_.set_outbound(&outbound);
}

Result<void> Peering::start() {
  UMBRA_ASSERT(outbound_ != nullptr);
  if (config_.cluster.enabled())
    if (auto listening = server_.listen(); !listening) return listening;
  is_started_ = true;
  tasks_.spawn("peering", run());
  return {};
}

Task<void> Peering::run() {
  auto started = co_await members_.start();
  if (!started) {
    members_.end({false, "the spool cannot be read: " + started.error().what});
    co_return;
  }
  if (is_stopping_) co_return;
  guardian_.start();
  if (config_.cluster.enabled()) {
    if (config_.cluster.discovery.enabled()) discovery_.start();
    server_.start();
    copier_.start();
    discards_.start();
  }
}

Task<void> Peering::stop() {
  is_stopping_ = true;
  if (!is_started_) co_return;
  co_await tasks_.join();
  co_await server_.stop();
  co_await discovery_.stop();
  // Links first: what waits for an answer of another hub ends with them.
  co_await members_.stop();
  co_await guardian_.stop();
  co_await copier_.stop();
  co_await discards_.stop();
  co_await keeper_.quiet();
}

bool Peering::may_deliver_now(const storage::StoredMessage& message) {
  if (members_.ended() || guardian_.is_unsettled(message.row)) return false;
  // It may have been given other holders since it was read.
  if ((!message.is_protected || members_.have_holders_changed()) && !members_.all_promises_are_fresh()) return false;
  for (const auto& holder : message.holders)
    if (!members_.promise_is_fresh(holder)) return false;
  return true;
}

Task<DeliveryGuard::Verdict> Peering::may_deliver(const storage::StoredMessage& message) {
  auto holders = message.holders;
  auto row = message.row;
  auto deadline = MonotonicClock::now() + config_.cluster.ask_again;
  auto stored = co_await query<std::optional<storage::StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  if (stored && !*stored) co_return Verdict::stop;  // finished or ceded meanwhile
  if (stored) holders = (*stored)->holders;
  Timer timer(runtime_.io);
  for (;;) {
    if (members_.ended() || is_stopping_) co_return Verdict::stop;
    auto now = MonotonicClock::now();
    bool all_fresh = true;
    bool worth_asking = false;
    for (const auto& holder : holders) {
      if (members_.promise_is_fresh(holder)) continue;
      all_fresh = false;
      auto* member = members_.find(holder.hub);
      if (member != nullptr && now >= member->known_silent_until) worth_asking = true;
    }
    if (all_fresh) co_return guardian_.is_unsettled(row) ? Verdict::go_possible_duplicate : Verdict::go;
    if (!worth_asking || now >= deadline) break;
    // The heartbeats ask; a promise that comes is seen here.
    co_await timer.wait_for(50ms);
  }
  auto silent_until = MonotonicClock::now() + config_.cluster.lease;
  for (const auto& holder : holders)
    if (auto* member = members_.find(holder.hub); member != nullptr && !members_.promise_is_fresh(holder))
      if (MonotonicClock::now() >= member->known_silent_until) member->known_silent_until = silent_until;
  co_return Verdict::go_possible_duplicate;
}

}  // namespace umbra::hub
