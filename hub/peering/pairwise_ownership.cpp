#include "hub/peering/pairwise_ownership.h"

#include <algorithm>

namespace umbra::hub {

bool PairwiseOwnership::may_deliver_now(const storage::StoredMessage& message) {
  // It may have been given other holders since it was read.
  if ((!message.is_protected || members_.have_holders_changed(message.row)) &&
      !members_.all_promises_are_fresh())
    return false;
  return std::ranges::all_of(message.holders,
                             [this](const auto& holder) { return members_.promise_is_fresh(holder); });
}

Task<Ownership::Verdict> PairwiseOwnership::may_deliver(Holders holders, bool waits) {
  auto deadline = MonotonicClock::now() + config_.cluster.ask_again;
  Timer timer(runtime_.io);
  for (;;) {
    if (members_.ended()) co_return Verdict::stop;
    auto now = MonotonicClock::now();
    bool all_fresh = true;
    bool worth_asking = false;
    for (const auto& holder : holders) {
      if (members_.promise_is_fresh(holder)) continue;
      all_fresh = false;
      auto* member = members_.find(holder.hub);
      if (member != nullptr && now >= member->known_silent_until) worth_asking = true;
    }
    if (all_fresh) co_return Verdict::go;
    if (!worth_asking || now >= deadline) break;
    if (!waits) co_return Verdict::later;
    // The heartbeats ask; a promise that comes is seen here.
    co_await timer.wait_for(50ms);
  }
  auto silent_until = MonotonicClock::now() + config_.cluster.lease;
  for (const auto& holder : holders)
    if (auto* member = members_.find(holder.hub); member != nullptr && !members_.promise_is_fresh(holder))
      if (MonotonicClock::now() >= member->known_silent_until) member->known_silent_until = silent_until;
  co_return Verdict::go_possible_duplicate;
}

Task<bool> PairwiseOwnership::end_epoch(Member& member, SpoolId spool) {
  // Every run of it, not only the first that was seen to end: it may have been back for a moment while this
  // hub was busy with another one.
  if (member.is_fenced) co_return true;
  auto ended = co_await members_.end_epoch_of(member, spool, Epoch{0});
  co_return ended.has_value();
}

bool PairwiseOwnership::gives_promises(const Member& member, const std::string& agreement) {
  if (agreement.empty()) return true;
  // That hub counts on votes that this one would never ask for.
  if (MonotonicClock::now() >= said_at_) {
    said_at_ = MonotonicClock::now() + 1min;
    log_.line(LogLevel::error, "this hub has pairwise ownership, another one has not: no promises to it",
              {{"member", member.name()}});
  }
  return false;
}

}  // namespace umbra::hub
