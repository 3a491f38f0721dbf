#include "hub/peering/copier.h"

#include <algorithm>
#include <iterator>

#include "hub/peering/copy_round.h"
#include "hub/peering/lasting_copy.h"
#include "hub/peering/patience.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using State = storage::Holder::State;

constexpr std::size_t protections_at_once = 16;
constexpr std::size_t page = 64;
constexpr Duration tell_timeout = 5s;

std::vector<std::uint32_t> done_of(const storage::StoredMessage& message) {
  std::vector<std::uint32_t> done;
  for (const auto& outcome : message.progress)
    if (outcome.state != storage::RecipientOutcome::State::pending) done.push_back(outcome.index);
  return done;
}

/// As many as half of the line of XCOPY has room for; the names of hubs go behind it where they do not fit as
/// well. The others are told by XDONE before the copy counts.
std::vector<std::uint32_t> fitting_in_a_line(std::vector<std::uint32_t> done) {
  std::size_t octets = 0;
  auto end = std::ranges::find_if(done, [&octets](auto index) {
    octets += std::to_string(index).size() + 1;
    return octets > smtp::shadow_line_octets_max / 2;
  });
  done.erase(end, done.end());
  return done;
}

/// A hub of an older release takes no flags that it does not know.
std::string envelope_for(const Member& member, const std::string& encoded) {
  const bool has_protection = member.data->offers(smtp::protection_capability);
  const bool has_trails = member.data->offers(smtp::held_capability);
  const bool has_resent = member.data->offers(smtp::resent_capability);
  if (has_protection && has_trails && has_resent) return encoded;
  auto envelope = decode_envelope(encoded);
  UMBRA_ASSERT(envelope.has_value());
  if (!has_protection) envelope->protection = {};
  if (!has_trails) envelope->trail.clear();
  if (!has_resent) envelope->resent = false;
  return encode(*envelope);
}

}  // namespace

Copier::Copier(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
               PendingMessages& pending, SafetyWaits& waits, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      pending_(pending),
      waits_(waits),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io),
      rate_timer_(runtime.io),
      messages_rate_(config.cluster.reprotect_messages_per_second),
      octets_rate_(config.cluster.reprotect_octets_per_second) {}

void Copier::start() {
  tasks_.spawn("protect", protect_loop());
}

Task<void> Copier::stop() {
  is_stopping_ = true;
  wake_.cancel();
  rate_timer_.cancel();
  co_await tasks_.join();
}

std::optional<storage::Holder> Copier::choose(const std::vector<storage::Holder>& holders,
                                              const Protection& protection, std::uint64_t octets,
                                              bool in_background, const std::vector<std::string>& next_hubs) {
  std::vector<std::string> excluded;
  cluster::ZoneWish wish{protection.zones, config_.cluster.own_zone(config_.hub_name), {}};
  for (const auto& holder : holders) {
    if (holder.state != State::holds) continue;
    excluded.push_back(holder.hub);
    if (const auto* member = members_.find(holder.hub); protection.copies > 1)
      wish.taken.push_back(member == nullptr ? std::string() : member->zone);
  }
  // A hub that was lost and is back may have the copies still: it is asked before it is sent them again.
  if (in_background)
    for (const auto& member : members_.all())
      if (member->is_lost) excluded.push_back(member->name());
  auto candidates = members_.candidates(octets);
  if (!next_hubs.empty())
    for (auto& candidate : candidates)
      candidate.is_next_hop = std::ranges::find(next_hubs, candidate.hub) != next_hubs.end();
  auto chosen = placement_.choose(candidates, excluded, wish);
  if (!chosen) return std::nullopt;
  auto* member = members_.find(candidates[*chosen].hub);
  return storage::Holder{member->name(), member->identity->spool, State::holds};
}

std::vector<storage::Holder> Copier::choose_all(const Protection& protection, std::uint64_t octets,
                                                const std::vector<std::string>& next_hubs) {
  std::vector<storage::Holder> holders;
  while (holders.size() < protection.copies) {
    auto next = choose(holders, protection, octets, false, next_hubs);
    if (!next) break;
    holders.push_back(std::move(*next));
  }
  return holders;
}

Task<Link::Outcome> Copier::stream_body(const CopySource& source, Member& member, MonotonicTime deadline) {
  Link::Outcome outcome;
  std::uint64_t sent = 0;
  for (std::uint32_t number = 0; sent < source.size; ++number) {
    auto chunk = co_await query<std::string>(
        runtime_.io, spool_, [row = source.row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty() || chunk->size() > smtp::shadow_chunk_octets_max) {
      outcome.kind = Link::Outcome::Kind::not_sent;  // the message has gone meanwhile, or the spool fails
      co_return outcome;
    }
    sent += chunk->size();
    outcome = co_await member.data->call_or_end(smtp::format_chunk(source.id, *chunk, sent == source.size),
                                                std::max<Duration>(deadline - MonotonicClock::now(), 100ms));
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return outcome;
  }
  co_return outcome;
}

// Every name goes along, or nothing does: whom a copy does not name nobody would wait for, nor tell what
// became of the message.
Task<Link::Outcome> Copier::send(smtp::CopyOffer offer, Member& member, MonotonicTime deadline) {
  bool may_be_told = smtp::fits_in_a_line(offer) ||
                     (member.data->offers(smtp::names_capability) && smtp::fits_behind_a_line(offer));
  if (!may_be_told) {
    log_.line(LogLevel::info, "a hub cannot be offered a copy: it takes no list of so many hubs",
              {{"member", member.name()}, {"hubs", static_cast<std::int64_t>(offer.offered.size())}});
    co_return Link::Outcome{};
  }
  auto patience = std::max<Duration>(deadline - MonotonicClock::now(), 100ms);
  bool has_pieces = offer.streamed || offer.part == smtp::CopyOffer::Part::end;
  co_return has_pieces ? co_await member.data->call_or_end(smtp::format_copy(offer), patience)
                       : co_await member.data->call(smtp::format_copy(offer), patience);
}

Task<Copier::Answer> Copier::offer(const CopySource& source, const std::vector<storage::Holder>& holders,
                                   Member& member, MonotonicTime deadline) {
  auto to = member.identity->spool;
  smtp::CopyOffer offer;
  offer.id = source.id;
  offer.generation = source.generation;
  offer.body_octets = source.size;
  offer.streamed = source.body == nullptr || source.body->size() > smtp::shadow_chunk_octets_max;
  offer.envelope = envelope_for(member, source.envelope);
  if (!offer.streamed) offer.body = *source.body;
  offer.done = source.done;
  if (member.data->offers(smtp::note_capability)) offer.note = source.note;
  if (!member.data->offers(smtp::next_hop_capability)) offer.note.next_hop.clear();
  for (const auto& holder : holders)
    if (holder.spool != to) offer.offered.emplace_back(holder.hub, holder.spool);
  offer.offered.emplace_back(member.name(), to);
  members_.share(member);
  auto started = MonotonicClock::now();
  auto outcome = co_await send(offer, member, deadline);
  bool reached_body = false;
  if (offer.streamed && outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250) {
    reached_body = true;
    outcome = co_await stream_body(source, member, deadline);
  }
  // In pieces: before the last piece nothing can be held; and what was not sent cannot be either.
  co_return judge(source.id, outcome, member, started, !offer.streamed || reached_body);
}

Copier::Answer Copier::judge(MessageId id, const Link::Outcome& outcome, Member& member,
                             MonotonicTime started, bool may_be_held) {
  auto failed = [&](std::string_view why) {
    log_.message(MessageEvent::copy_failed, id, {{"holder", member.name()}, {"reason", why}});
  };
  switch (outcome.kind) {
    case Link::Outcome::Kind::not_sent:
      failed("it could not be sent");
      return Answer::refused;
    case Link::Outcome::Kind::lost:
      failed("no answer");
      return may_be_held ? Answer::unknown : Answer::refused;
    case Link::Outcome::Kind::replied:
      break;
  }
  if (outcome.reply.code == 250) {
    metrics_.shadow_seconds.observe(MonotonicClock::now() - started);
    return Answer::held;
  }
  if (outcome.reply.code == 452) member.refuses_copies_until = MonotonicClock::now() + 5s;
  failed(smtp::to_line(outcome.reply));
  log_.line(LogLevel::info, "a hub refused a copy",
            {{"member", member.name()}, {"reply", smtp::to_line(outcome.reply)}});
  return Answer::refused;
}

Task<bool> Copier::copy(CopySource source, std::vector<storage::Holder>& holders, Protection protection,
                        MonotonicTime deadline) {
  auto wanted = std::max<std::size_t>(protection.copies, 1);
  auto round = std::make_shared<Round>(runtime_.io, std::move(source), holders, protection, deadline);
  std::vector<std::optional<storage::Holder>> firsts;
  for (const auto& holder : holders)
    if (holder.state == State::holds) firsts.emplace_back(holder);
  while (firsts.size() < wanted) firsts.emplace_back(std::nullopt);
  co_return co_await run_round(std::move(round), std::move(firsts));
}

Task<bool> Copier::copy_rest(CopySource source, std::vector<storage::Holder>& holders, Protection protection,
                             MonotonicTime deadline) {
  auto round = std::make_shared<Round>(runtime_.io, std::move(source), holders, protection, deadline);
  auto held = storage::copies_held(holders);
  if (held >= protection.copies) co_return true;
  std::vector<std::optional<storage::Holder>> firsts(protection.copies - held);
  co_return co_await run_round(std::move(round), std::move(firsts));
}

Task<bool> Copier::run_round(std::shared_ptr<Round> round,
                             std::vector<std::optional<storage::Holder>> firsts) {
  round->running = firsts.size() - 1;
  for (std::size_t i = 1; i < firsts.size(); ++i) tasks_.spawn("copy", place_and_tell(round, firsts[i]));
  co_await place(round, firsts.front());
  while (round->running != 0) co_await round->ended.wait();
  co_return storage::copies_held(round->holders) >= std::max<std::uint32_t>(round->protection.copies, 1);
}

Task<void> Copier::place_and_tell(std::shared_ptr<Round> round, std::optional<storage::Holder> first) {
  co_await place(round, std::move(first));
  if (--round->running == 0) round->ended.set();
}

// One copy: on the hub chosen before, or on another one.
Task<void> Copier::place(std::shared_ptr<Round> round, std::optional<storage::Holder> first) {
  auto& holders = round->holders;
  while (!is_stopping_ && MonotonicClock::now() < round->deadline) {
    auto holder = std::exchange(first, std::nullopt);
    if (!holder) {
      auto excluded = round->tried;
      excluded.insert(excluded.end(), holders.begin(), holders.end());
      holder = choose(excluded, round->protection, round->source.size, false, round->source.next_hubs);
      if (!holder && is_a_copy_worth_waiting_for(members_, config_, round->protection, excluded)) {
        Timer pause(runtime_.io);
        co_await pause.wait_for(patience_pause);
        continue;
      }
      if (!holder) co_return;
      if (auto at = storage::find_holder(holders, holder->hub, holder->spool); at != holders.end())
        holders.erase(at);
      holders.push_back(*holder);
    }
    round->tried.push_back(*holder);
    auto* member = members_.find(holder->hub);
    UMBRA_ASSERT(member != nullptr);
    auto answer = co_await offer(round->source, holders, *member, round->deadline);
    if (answer == Answer::held) {
      ++metrics_.shadows_made_total;
      co_return;
    }
    ++metrics_.shadow_failures_total;
    auto at = storage::find_holder(holders, holder->hub, holder->spool);
    UMBRA_ASSERT(at != holders.end());
    if (answer == Answer::refused)
      holders.erase(at);
    else
      at->state = State::offered;
  }
}

Task<bool> Copier::forget(MessageId id, Generation generation, std::vector<storage::Holder> holders) {
  bool all = true;
  for (const auto& holder : holders) {
    auto* member = members_.find(holder.hub);
    if (member == nullptr || !member->identity || member->identity->spool != holder.spool) {
      all = false;
      continue;
    }
    auto outcome =
        co_await member->control->call(smtp::format_forget(id, generation), config_.cluster.ask_again);
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
    members_.settle_holder_changes(
        [this](RowId row) { return under_way_.contains(row) || outbound_->has_in_memory(row); });
    // First what lies here for long; what is being delivered this moment may not need a copy any more.
    if (co_await protect_all(true)) co_await protect_all(false);
  }
}

// A look at everything unprotected. False: no hub can take a copy, or the hub is stopping.
Task<bool> Copier::protect_all(bool stuck) {
  struct Item {
    RowId row;
    std::uint64_t size = 0;
  };
  RowId after{is_older_mail_settled_ ? 0 : spool_.first_row_of_epoch().value - 1};
  while (!is_stopping_) {
    auto messages = co_await query<std::vector<storage::StoredMessage>>(
        runtime_.io, spool_, [after](storage::Reader& r) -> Result<std::vector<storage::StoredMessage>> {
          std::vector<storage::StoredMessage> found;
          auto rows = r.unprotected(after, page);
          if (!rows) return std::unexpected(rows.error());
          for (auto row : *rows) {
            auto message = r.message(row);
            if (!message) return std::unexpected(message.error());
            if (*message) found.push_back(std::move(**message));
          }
          return found;
        });
    if (!messages || messages->empty()) break;
    after = messages->back().row;
    if (!choose({}, {}, 0, true)) co_return false;
    std::vector<Item> chosen;
    for (const auto& message : *messages)
      if (!under_way_.contains(message.row) && !pending_.contains(message.id) &&
          outbound_->is_stuck(message) == stuck)
        chosen.push_back({message.row, message.size});
    messages->clear();
    for (auto [row, size] : chosen) {
      while (under_way_.size() >= protections_at_once && !is_stopping_) co_await wake_.wait_for(20ms);
      if (!co_await keep_to_rate(size)) co_return false;
      if (under_way_.insert(row).second) tasks_.spawn("protect a message", protect(row));
    }
  }
  co_return !is_stopping_;
}

Task<bool> Copier::keep_to_rate(std::uint64_t octets) {
  while (!is_stopping_) {
    auto now = MonotonicClock::now();
    messages_rate_.set(config_.cluster.reprotect_messages_per_second);
    octets_rate_.set(config_.cluster.reprotect_octets_per_second);
    auto wait = std::max(messages_rate_.wait(now), octets_rate_.wait(now));
    if (wait == Duration{0}) break;
    co_await rate_timer_.wait_for(std::min<Duration>(wait, 1s));
  }
  messages_rate_.take(1);
  octets_rate_.take(octets);
  co_return !is_stopping_;
}

Task<std::optional<storage::StoredMessage>> Copier::read(RowId row) {
  auto found = co_await query<std::optional<storage::StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  co_return found ? std::move(*found) : std::nullopt;
}

Task<void> Copier::protect(RowId row) {
  auto message = co_await read(row);
  // One that is still being accepted is the acceptor's.
  if (message && !message->is_protected && !storage::is_handing_over(message->state) &&
      !pending_.contains(message->id)) {
    auto next_hubs = outbound_->next_hubs(message->envelope);
    auto chosen = choose(message->holders, message->envelope.protection, message->size, true, next_hubs);
    if (chosen) co_await make_copy(std::move(*message), *chosen);
  }
  under_way_.erase(row);
}

// The hub is named among the holders before it is offered anything, and what is done is read after that: what
// ends from now on is owed to that hub like to every other.
Task<void> Copier::make_copy(storage::StoredMessage message, storage::Holder chosen) {
  chosen.state = State::offered;
  if (message.holders.empty() || message.holders.back() != chosen) {
    members_.holders_change(message.row);
    auto named = co_await commit(runtime_.io, spool_, [row = message.row, chosen](storage::Writer& w) {
      return w.change_holders(row, [&chosen](std::vector<storage::Holder>& holders) {
        if (auto at = storage::find_holder(holders, chosen.hub, chosen.spool); at != holders.end())
          holders.erase(at);
        holders.push_back(chosen);
      });
    });
    if (!named) co_return;
    auto found = co_await read(message.row);
    if (!found) co_return;
    message = std::move(*found);
  }
  co_await protect_on(std::move(message), chosen);
}

Task<bool> Copier::copy_elsewhere(RowId row, SpoolId but) {
  auto is_elsewhere = [this, but](const storage::StoredMessage& message) {
    return std::ranges::any_of(message.holders,
                               [&](const auto& h) { return h.spool != but && is_lasting_copy(members_, h); });
  };
  std::vector<storage::Holder> tried;
  while (!is_stopping_) {
    auto message = co_await read(row);
    if (!message) co_return true;  // finished meanwhile
    if (is_elsewhere(*message)) co_return true;
    auto excluded = message->holders;
    for (auto& holder : excluded)
      if (holder.spool == but) holder.state = State::holds;
    excluded.insert(excluded.end(), tried.begin(), tried.end());
    auto chosen = choose(excluded, message->envelope.protection, message->size, true);
    if (!chosen || !under_way_.insert(row).second) co_return false;
    tried.push_back(*chosen);
    co_await make_copy(std::move(*message), *chosen);
    under_way_.erase(row);
  }
  co_return false;
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
  source.done = fitting_in_a_line(done_of(message));
  source.note = note_of(message);
  if (message.size <= smtp::shadow_chunk_octets_max) {
    auto chunk = co_await query<std::string>(
        runtime_.io, spool_, [row = message.row](storage::Reader& r) { return r.chunk(row, 0); });
    if (chunk && chunk->size() == message.size)
      source.body = std::make_shared<const std::string>(std::move(*chunk));
  }
  auto patience =
      config_.cluster.copy_timeout + Duration{static_cast<std::int64_t>(source.size) * 100};  // 10 MB/s
  auto answer = co_await offer(source, message.holders, *member, MonotonicClock::now() + patience);
  std::optional<storage::StoredMessage> now;
  if (answer != Answer::refused) now = co_await read(message.row);
  // What was noted of the message since the copy was made, and more than the copy says, is told when it can
  // be there.
  if (now && now->noted != 0) {
    auto noted = co_await commit(
        runtime_.io, spool_,
        [row = message.row, to = chosen.spool](storage::Writer& w) { return w.owe_note(row, to); });
    if (!noted) co_return;
    note_changed_();
  }
  if (answer != Answer::held) {
    ++metrics_.shadow_failures_total;
    co_return;  // stays named as `offered`, and unprotected: the loop comes again
  }
  ++metrics_.shadows_made_total;
  // What the line had no room for; and discard status of some recipients that came there before the copy
  // found nothing to note it on.
  if (!now) co_return;
  std::vector<std::uint32_t> missed;
  std::ranges::set_difference(done_of(*now), source.done, std::back_inserter(missed));
  if (!missed.empty()) {
    std::vector<smtp::DiscardItem> items{{0, message.id, message.generation, false, std::move(missed)}};
    auto told = co_await member->control->call(smtp::format_done(items), tell_timeout);
    if (told.kind != Link::Outcome::Kind::replied || told.reply.code != 250)
      co_return;  // offered again, with all of it
  }
  chosen.state = State::holds;
  auto saved = co_await commit(runtime_.io, spool_, [row = message.row, chosen](storage::Writer& w) {
    return w.change_holders(row, [&chosen](std::vector<storage::Holder>& holders) {
      auto at = storage::find_holder(holders, chosen.hub, chosen.spool);
      if (at == holders.end())
        holders.push_back(chosen);
      else
        *at = chosen;
    });
  });
  if (!saved) co_return;
  log_.message(MessageEvent::protected_, source.id, {{"holder", chosen.hub}});
  waits_.tell(message.row, SafetyWaits::End::protected_);
  if (storage::copies_held(message.holders) + 1 < message.envelope.protection.copies) has_work_ = true;
}

}  // namespace umbra::hub
