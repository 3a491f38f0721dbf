#include "hub/peering/discard_pusher.h"

#include <memory>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr Duration gather = 5ms;    // how long discards are gathered into one batch
constexpr Duration idle_look = 2s;  // what was not confirmed is tried again
constexpr Duration reply_timeout = 5s;
constexpr std::size_t command_octets_max =
    200'000;  // a recipient list may be long, and a command takes 16 MiB at most
constexpr std::size_t recipient_octets = 7;  // "100000,"
constexpr Duration forget_at_last = 10min;   // what a spool that is gone was owed

}  // namespace

DiscardPusher::DiscardPusher(Runtime runtime, storage::Spool& spool, Members& members, Metrics& metrics,
                             Duration patience)
    : runtime_(runtime),
      spool_(spool),
      members_(members),
      metrics_(metrics),
      patience_(patience),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void DiscardPusher::start() {
  tasks_.spawn("discards", loop());
}

Task<void> DiscardPusher::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<void> DiscardPusher::loop() {
  while (!is_stopping_) {
    if (!has_work_) co_await wake_.wait_for(idle_look);
    if (is_stopping_) break;
    is_gathering_ = true;
    co_await wake_.wait_for(gather);
    is_gathering_ = false;
    if (is_stopping_) break;
    has_work_ = false;
    using Spools = std::vector<std::pair<std::string, SpoolId>>;
    auto spools =
        co_await query<Spools>(runtime_.io, spool_, [](storage::Reader& r) { return r.outbox_spools(); });
    if (!spools) continue;
    for (const auto& [hub, spool] : *spools) {
      auto* member = members_.find(hub);
      if (is_stopping_) break;
      bool is_removed = member == nullptr && members_.is_removed(hub);
      if (!is_removed && (member == nullptr || !member->identity)) continue;
      bool has_left =
          member != nullptr && member->state == smtp::HubState::left && !member->control->is_open();
      if (is_removed || has_left || member->identity->spool != spool) {
        // That spool is gone for good: its hub has come with another one, has left with an empty one, or was
        // taken off the list. What it held went with it.
        if (!may_forget(hub, spool)) continue;
        gone_.erase(spool);
        (void)co_await commit(runtime_.io, spool_,
                              [gone = spool](storage::Writer& w) { return w.outbox_forget_spool(gone); });
      } else if (member->control->is_open()) {
        if (auto [at, is_new] = pushing_.try_emplace(spool, false); is_new) {
          tasks_.spawn("discard push", push_all(hub, spool));
        } else {
          at->second = true;
        }
      }
    }
  }
}

// The hub that went may have given copies to others that this one never heard of. One of them that comes into
// reach again asks everybody before it takes over: it must still be told "done". So what was owed is
// forgotten only when every other hub has been in reach for a while; and, since a hub may never come back,
// after a time that no question takes.
bool DiscardPusher::may_forget(const std::string& hub, SpoolId spool) {
  auto now = MonotonicClock::now();
  auto& gone = gone_.try_emplace(spool, Gone{now, now}).first->second;
  bool are_all_there = true;
  for (const auto& member : members_.all())
    are_all_there = are_all_there && (member->name() == hub || member->control->is_open() ||
                                      member->state == smtp::HubState::left);
  if (!are_all_there) gone.all_there = now;
  return now - gone.all_there >= patience_ || now - gone.since >= forget_at_last;
}

Task<void> DiscardPusher::push_all(std::string hub, SpoolId spool) {
  co_await push(std::move(hub), spool);
  auto ended = pushing_.extract(spool);
  if (ended.mapped()) look();
}

Task<void> DiscardPusher::push(std::string hub, SpoolId spool) {
  using Items = std::vector<storage::OutboxItem>;
  std::uint64_t after = 0;
  while (!is_stopping_) {
    auto items = co_await query<Items>(runtime_.io, spool_, [spool, after](storage::Reader& r) {
      return r.outbox(spool, after, smtp::shadow_batch_max);
    });
    if (!items || items->empty()) co_return;
    std::vector<smtp::DiscardItem> discards;
    std::vector<std::uint64_t> keys;
    std::size_t octets = 0;
    for (const auto& item : *items) {
      octets += 64 + item.recipients.size() * recipient_octets;
      if (octets > command_octets_max && !keys.empty()) break;
      discards.push_back({item.key, item.id, item.generation, item.all, item.recipients, item.superseded});
      keys.push_back(item.key);
    }
    after = keys.back();
    auto* member = members_.find(hub);
    if (member == nullptr || !member->identity || member->identity->spool != spool) co_return;
    auto outcome = co_await member->control->call(smtp::format_done(discards), reply_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return;
    metrics_.discards_sent_total += keys.size();
    auto confirmed = co_await commit(
        runtime_.io, spool_, [keys](storage::Writer& w) { return w.outbox_confirmed(keys); },
        keys.size() * 16);
    if (!confirmed) co_return;
  }
}

}  // namespace umbra::hub
