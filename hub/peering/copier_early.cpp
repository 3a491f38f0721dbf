// Copies of bodies that are still coming in: see early_copy.h. Part of Copier.
#include <algorithm>

#include "hub/peering/copier.h"
#include "hub/peering/copy_round.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {

using State = storage::Holder::State;

namespace {

/// So many per hub: it takes 64 bodies in pieces at once on a session, and slow clients must not use them up.
constexpr std::size_t early_per_member_max = 32;

}  // namespace

std::vector<EarlyCopyPtr> Copier::begin_early(MessageId id, const Protection& protection,
                                              std::uint64_t octets_max,
                                              const std::vector<std::string>& next_hubs) {
  std::vector<EarlyCopyPtr> earlies;
  for (auto& holder : choose_all(protection, octets_max, next_hubs)) {
    auto* member = members_.find(holder.hub);
    if (is_stopping_ || member == nullptr || !member->data->offers(smtp::early_capability)) continue;
    if (early_under_way_[holder.hub] >= early_per_member_max) continue;
    ++early_under_way_[holder.hub];
    earlies.push_back(std::make_shared<EarlyCopy>(runtime_.io, id, holder));
    tasks_.spawn("early copy", run_early(earlies.back()));
  }
  return earlies;
}

Task<void> Copier::send_early(EarlyCopyPtr early, std::shared_ptr<const std::string> piece) {
  while (!early->has_failed && !early->queue.empty()) co_await early->room.wait();
  if (early->has_failed) co_return;
  early->queue.push_back(std::move(piece));
  early->work.set();
}

Task<void> Copier::run_early(EarlyCopyPtr early) {
  smtp::CopyOffer begin;
  begin.id = early->id;
  begin.generation = Generation{1};
  begin.part = smtp::CopyOffer::Part::begin;
  begin.offered.emplace_back(early->holder.hub, early->holder.spool);
  auto command = smtp::format_copy(begin);
  for (;;) {
    auto* member = members_.find(early->holder.hub);
    bool is_same = member != nullptr && member->has_spool(early->holder.spool);
    if (is_same) members_.share(*member);
    auto outcome = is_same
                       ? co_await member->data->call_or_end(std::move(command), config_.cluster.copy_timeout)
                       : Link::Outcome{};
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) early->has_failed = true;
    while (!early->has_failed && early->queue.empty() && !early->is_closed) co_await early->work.wait();
    if (early->has_failed || early->queue.empty()) break;
    auto piece = std::move(early->queue.front());
    early->queue.pop_front();
    early->room.set();
    command = smtp::format_chunk(early->id, *piece, false);
  }
  early->queue.clear();
  --early_under_way_[early->holder.hub];
  early->is_over = true;
  early->room.set();
  early->done.set();
}

Task<void> Copier::end_early(std::vector<EarlyCopyPtr> earlies, CopySource source,
                             std::shared_ptr<const std::string> rest, std::vector<storage::Holder>& holders,
                             MonotonicTime deadline) {
  auto round = std::make_shared<Round>(runtime_.io, std::move(source), holders, Protection{}, deadline);
  round->running = earlies.size() - 1;
  for (std::size_t i = 1; i < earlies.size(); ++i)
    tasks_.spawn("end an early copy", end_one_early_and_tell(earlies[i], round, rest));
  co_await end_one_early(earlies.front(), round, rest);
  while (round->running != 0) co_await round->ended.wait();
}

Task<void> Copier::end_one_early_and_tell(EarlyCopyPtr early, std::shared_ptr<Round> round,
                                          std::shared_ptr<const std::string> rest) {
  co_await end_one_early(std::move(early), round, std::move(rest));
  if (--round->running == 0) round->ended.set();
}

Task<void> Copier::end_one_early(EarlyCopyPtr early, std::shared_ptr<Round> round,
                                 std::shared_ptr<const std::string> rest) {
  early->is_closed = true;
  early->work.set();
  while (!early->is_over) co_await early->done.wait();
  auto answer = Answer::refused;
  auto* member = members_.find(early->holder.hub);
  if (!early->has_failed && member != nullptr) {
    smtp::CopyOffer offer;
    offer.id = early->id;
    offer.generation = round->source.generation;
    offer.body_octets = round->source.size;
    offer.part = smtp::CopyOffer::Part::end;
    offer.envelope = round->source.envelope;
    offer.body = *rest;
    for (const auto& holder : round->holders)
      if (holder.spool != early->holder.spool) offer.offered.emplace_back(holder.hub, holder.spool);
    offer.offered.emplace_back(early->holder.hub, early->holder.spool);
    auto started = MonotonicClock::now();
    auto outcome = co_await send(std::move(offer), *member, round->deadline);
    answer = judge(early->id, outcome, *member, started, true);
  } else {
    log_.message(
        MessageEvent::copy_failed, early->id,
        {{"holder", early->holder.hub}, {"reason", "it did not take a piece while the message came in"}});
  }
  auto& holders = round->holders;
  auto at = std::ranges::find_if(holders, [&](const auto& h) { return h.spool == early->holder.spool; });
  UMBRA_ASSERT(at != holders.end());
  if (answer == Answer::held) {
    ++metrics_.shadows_made_total;
    ++metrics_.shadows_made_early_total;
    co_return;
  }
  ++metrics_.shadow_failures_total;
  if (answer == Answer::refused)
    holders.erase(at);
  else
    at->state = State::offered;
}

void Copier::give_up_early(const EarlyCopyPtr& early) {
  early->is_closed = true;
  early->has_failed = true;
  early->work.set();
  if (!is_stopping_) tasks_.spawn("forget an early copy", forget_early(early));
}

// The holder drops the pieces it has; if it cannot be told, they end with the session.
Task<void> Copier::forget_early(EarlyCopyPtr early) {
  while (!early->is_over) co_await early->done.wait();
  if (auto* member = members_.find(early->holder.hub))
    (void)co_await member->data->call(smtp::format_forget(early->id, Generation{1}),
                                      config_.cluster.copy_timeout);
}

}  // namespace umbra::hub
