#include "hub/peering/copier.h"

#include <algorithm>
#include <iterator>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using State = storage::Holder::State;

constexpr std::size_t protections_at_once = 16;
constexpr std::size_t page = 64;
constexpr Duration tell_timeout = 5s;

bool is_same(const storage::Holder& a, const storage::Holder& b) { return a.hub == b.hub && a.spool == b.spool; }

std::vector<std::uint32_t> done_of(const storage::StoredMessage& message) {
  std::vector<std::uint32_t> done;
  for (const auto& outcome : message.progress)
    if (outcome.state != storage::RecipientOutcome::State::pending) done.push_back(outcome.index);
  return done;
}

}  // namespace

Copier::Copier(Runtime runtime, const Config& config, storage::Spool& spool, Members& members, PendingMessages& pending,
               EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Copier::start() { tasks_.spawn("protect", protect_loop()); }

Task<void> Copier::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

std::optional<storage::Holder> Copier::choose(const std::vector<storage::Holder>& holders) {
  std::vector<std::string> excluded;
  for (const auto& holder : holders)
    if (holder.state == State::holds) excluded.push_back(holder.hub);
  auto candidates = members_.candidates();
  auto chosen = placement_.choose(candidates, excluded);
  if (!chosen) return std::nullopt;
  auto* member = members_.find(candidates[*chosen].hub);
  return storage::Holder{member->name(), member->identity->spool, State::holds};
}

Task<Link::Outcome> Copier::stream_body(const CopySource& source, Member& member, MonotonicTime deadline) {
  Link::Outcome outcome;
  std::uint64_t sent = 0;
  for (std::uint32_t number = 0; sent < source.size; ++number) {
    auto chunk = co_await query<std::string>(runtime_.io, spool_,
                                             [row = source.row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty() || chunk->size() > smtp::shadow_chunk_octets_max) {
      outcome.kind = Link::Outcome::Kind::not_sent;  // the message has gone meanwhile, or the spool fails
      co_return outcome;
    }
    sent += chunk->size();
    outcome = co_await member.data->call(smtp::format_chunk(source.id, *chunk, sent == source.size),
                                         std::max<Duration>(deadline - MonotonicClock::now(), 100ms));
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return outcome;
  }
  co_return outcome;
}

Task<Copier::Answer> Copier::offer(const CopySource& source, const std::vector<storage::Holder>& holders, Member& member,
                                   MonotonicTime deadline) {
  smtp::CopyOffer offer;
  offer.id = source.id;
  offer.generation = source.generation;
  offer.body_octets = source.size;
  offer.streamed = source.body == nullptr || source.body->size() > smtp::shadow_chunk_octets_max;
  offer.envelope = source.envelope;
  if (!offer.streamed) offer.body = *source.body;
  offer.done = source.done;
  for (const auto& holder : holders) offer.offered.emplace_back(holder.hub, holder.spool);
  auto started = MonotonicClock::now();
  auto outcome = co_await member.data->call(smtp::format_copy(offer), std::max<Duration>(deadline - started, 100ms));
  bool reached_body = false;
  if (offer.streamed && outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250) {
    reached_body = true;
    outcome = co_await stream_body(source, member, deadline);
  }
  switch (outcome.kind) {
    case Link::Outcome::Kind::not_sent:
      // Before the last piece nothing can be held; and the last piece was not sent.
      co_return Answer::refused;
    case Link::Outcome::Kind::lost:
      co_return offer.streamed && !reached_body ? Answer::refused : Answer::unknown;
    case Link::Outcome::Kind::replied:
      break;
  }
  if (outcome.reply.code == 250) {
    metrics_.shadow_seconds.observe(MonotonicClock::now() - started);
    co_return Answer::held;
  }
  if (outcome.reply.code == 452) member.refuses_copies_until = MonotonicClock::now() + 5s;
  log_.line(LogLevel::info, "a hub refused a copy", {{"member", member.name()}, {"reply", smtp::to_line(outcome.reply)}});
  co_return Answer::refused;
}

Task<bool> Copier::copy(CopySource source, std::vector<storage::Holder>& holders, bool first, MonotonicTime deadline) {
  std::vector<storage::Holder> tried;  // as `holds`, which choose() leaves out
  while (!is_stopping_ && MonotonicClock::now() < deadline) {
    if (!first) {
      auto excluded = tried;
      excluded.insert(excluded.end(), holders.begin(), holders.end());
      auto chosen = choose(excluded);
      if (!chosen) break;
      std::erase_if(holders, [&](const auto& h) { return h.hub == chosen->hub && h.spool == chosen->spool; });
      holders.push_back(*chosen);
    }
    first = false;
    auto& holder = holders.back();
    auto* member = members_.find(holder.hub);
    UMBRA_ASSERT(member != nullptr);
    tried.push_back(holder);
    auto answer = co_await offer(source, holders, *member, deadline);
    if (answer == Answer::held) {
      ++metrics_.shadows_made_total;
      co_return true;
    }
    ++metrics_.shadow_failures_total;
    if (answer == Answer::refused)
      holders.pop_back();
    else
      holders.back().state = State::offered;
  }
  co_return false;
}

Task<bool> Copier::forget(MessageId id, Generation generation, std::vector<storage::Holder> holders) {
  bool all = true;
  for (const auto& holder : holders) {
    auto* member = members_.find(holder.hub);
    if (member == nullptr || !member->identity || member->identity->spool != holder.spool) {
      all = false;
      continue;
    }
    auto outcome = co_await member->control->call(smtp::format_forget(id, generation), config_.cluster.ask_again);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) all = false;
  }
  co_return all;
}

Task<void> Copier::protect_loop() {
  while (!is_stopping_) {
    if (!std::exchange(has_work_, false)) {
      co_await wake_.wait_for(1s);
      if (is_stopping_) break;
    }
    RowId after{is_older_mail_settled_ ? 0 : spool_.first_row_of_epoch().value - 1};
    while (!is_stopping_) {
      auto rows = co_await query<std::vector<RowId>>(runtime_.io, spool_,
                                                     [after](storage::Reader& r) { return r.unprotected(after, page); });
      if (!rows || rows->empty()) break;
      after = rows->back();
      if (!choose({})) break;
      for (auto row : *rows) {
        while (under_way_.size() >= protections_at_once && !is_stopping_) co_await wake_.wait_for(20ms);
        if (is_stopping_) break;
        if (under_way_.insert(row).second) tasks_.spawn("protect a message", protect(row));
      }
    }
  }
}

Task<std::optional<storage::StoredMessage>> Copier::read(RowId row) {
  auto found = co_await query<std::optional<storage::StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  co_return found ? std::move(*found) : std::nullopt;
}

Task<void> Copier::protect(RowId row) {
  auto message = co_await read(row);
  // One that is still being accepted is the acceptor's.
  if (message && !message->is_protected && !pending_.contains(message->id)) {
    if (auto chosen = choose(message->holders)) {
      chosen->state = State::offered;
      // The hub is named among the holders before it is offered anything, and what is done is read after that: what ends from
      // now on is owed to that hub like to every other.
      if (message->holders.empty() || message->holders.back() != *chosen) {
        members_.holders_change();
        auto named = co_await commit(runtime_.io, spool_, [row, chosen = *chosen](storage::Writer& w) {
          return w.change_holders(row, [&chosen](std::vector<storage::Holder>& holders) {
            std::erase_if(holders, [&](const auto& h) { return is_same(h, chosen); });
            holders.push_back(chosen);
          });
        });
        message.reset();
        if (named) message = co_await read(row);
      }
      if (message) co_await protect_on(std::move(*message), *chosen);
    }
  }
  under_way_.erase(row);
}

Task<void> Copier::protect_on(storage::StoredMessage message, storage::Holder chosen) {
  auto* member = members_.find(chosen.hub);
  UMBRA_ASSERT(member != nullptr);
  CopySource source;
  source.id = message.id;
  source.generation = message.generation;
  source.row = message.row;
  source.size = message.size;
  source.envelope = encode(message.envelope);
  source.done = done_of(message);
  if (message.size <= smtp::shadow_chunk_octets_max) {
    auto chunk = co_await query<std::string>(runtime_.io, spool_,
                                             [row = message.row](storage::Reader& r) { return r.chunk(row, 0); });
    if (chunk && chunk->size() == message.size) source.body = std::make_shared<const std::string>(std::move(*chunk));
  }
  auto patience = config_.cluster.copy_timeout + Duration{static_cast<std::int64_t>(source.size) * 100};  // 10 MB/s
  auto answer = co_await offer(source, message.holders, *member, MonotonicClock::now() + patience);
  if (answer != Answer::held) {
    ++metrics_.shadow_failures_total;
    co_return;  // stays named as `offered`, and unprotected: the loop comes again
  }
  ++metrics_.shadows_made_total;
  // Discard status of some recipients that came there before the copy has found nothing to note it on.
  auto now = co_await read(message.row);
  if (!now) co_return;
  std::vector<std::uint32_t> missed;
  std::ranges::set_difference(done_of(*now), source.done, std::back_inserter(missed));
  if (!missed.empty()) {
    std::vector<smtp::DiscardItem> items{{0, message.id, message.generation, false, std::move(missed)}};
    auto told = co_await member->control->call(smtp::format_done(items), tell_timeout);
    if (told.kind != Link::Outcome::Kind::replied || told.reply.code != 250) co_return;  // offered again, with all of it
  }
  chosen.state = State::holds;
  auto saved = co_await commit(runtime_.io, spool_, [row = message.row, chosen](storage::Writer& w) {
    return w.change_holders(row, [&chosen](std::vector<storage::Holder>& holders) {
      auto at = std::ranges::find_if(holders, [&](const auto& h) { return is_same(h, chosen); });
      if (at == holders.end())
        holders.push_back(chosen);
      else
        *at = chosen;
    });
  });
  if (saved) log_.message(MessageEvent::protected_, source.id, {{"holder", chosen.hub}});
}

}  // namespace umbra::hub
