#include "hub/peering/hander.h"

#include <algorithm>

#include "hub/peering/hand_over_record.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::Holder;
using storage::StoredMessage;

constexpr std::size_t page = 64;
constexpr Duration answer_timeout = 10s;  // the receiver makes a copy elsewhere meanwhile
constexpr Duration back_timeout = 2s;
constexpr Duration resolve_pause = 250ms;
constexpr Duration look_pause = 5s;

const Holder* receiver_of(const StoredMessage& message) {
  auto at = std::ranges::find(message.holders, Holder::State::receiver, &Holder::state);
  return at == message.holders.end() ? nullptr : &*at;
}

}  // namespace

Hander::Hander(Runtime runtime, storage::Spool& spool, Members& members, Guardian& guardian,
               PendingMessages& pending, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      spool_(spool),
      members_(members),
      guardian_(guardian),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Hander::start() { tasks_.spawn("hand-overs", resolve_loop()); }

Task<void> Hander::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
  Timer pause(runtime_.io);
  while (!under_way_.empty()) co_await pause.wait_for(2ms);  // called from elsewhere: they end with the links
}

Task<std::optional<StoredMessage>> Hander::read(RowId row) {
  auto found = co_await query<std::optional<StoredMessage>>(runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  co_return found ? std::move(*found) : std::nullopt;
}

// --- Giving

Task<Hander::Outcome> Hander::hand(RowId row, std::string hub, bool keep) {
  auto* member = members_.find(hub);
  if (is_stopping_ || member == nullptr || !member->identity || !member->data->offers("XHAND")) co_return Outcome::not_now;
  // Mail of an earlier epoch is ours to give only when it is known to be ours.
  if (guardian_.is_unsettled(row) || (guardian_.is_returning() && row < spool_.first_row_of_epoch())) co_return Outcome::not_now;
  if (!under_way_.insert(row).second) co_return Outcome::not_now;
  auto outcome = Outcome::not_now;
  if (outbound_->claim(row)) {
    auto message = co_await read(row);
    bool is_begun = false;
    if (message && !pending_.contains(message->id) && !storage::is_handing_over(message->state)) {
      Holder receiver{member->name(), member->identity->spool, Holder::State::receiver};
      auto begun = co_await commit(runtime_.io, spool_, [row, receiver](storage::Writer& w) { return w.begin_hand_over(row, receiver); });
      is_begun = begun.has_value();
      if (is_begun) message = co_await read(row);
    }
    outbound_->give_up_claim(row);
    if (is_begun && message && receiver_of(*message) != nullptr)
      outcome = co_await give(std::move(*message), *member, keep);
    else if (message)
      outbound_->look_again();  // the claim has taken it off the queues in memory
  }
  under_way_.erase(row);
  co_return outcome;
}

Task<Hander::Outcome> Hander::give(StoredMessage message, Member& member, bool keep) {
  Holder owner = *receiver_of(message);
  auto epoch = member.live_epoch;
  auto answered = co_await offer(message, member, keep);
  if (answered.kind == Link::Outcome::Kind::replied && answered.reply.code == 250) {
    bool is_elsewhere = answered.reply.text.ends_with(" protected");
    auto ended = co_await end(message, owner, epoch, Generation{message.generation.value + 1}, keep || !is_elsewhere);
    if (ended) co_return keep || !is_elsewhere ? Outcome::kept : Outcome::moved;
  } else if (answered.kind == Link::Outcome::Kind::not_sent ||
             (answered.kind == Link::Outcome::Kind::replied && answered.reply.code != 550)) {
    // Nothing was kept there, and nothing of the offer is on its way any more. (550: somebody owns it under a later generation, or
    // it is done: the resolver asks.)
    if (answered.reply.code == 452) member.refuses_copies_until = MonotonicClock::now() + 5s;
    if (co_await take_back(message)) co_return Outcome::refused;
  }
  has_unclear_ = true;
  wake_.cancel();
  co_return Outcome::unclear;
}

Task<Link::Outcome> Hander::offer(const StoredMessage& message, Member& member, bool keep) {
  HandOverRecord record;
  record.envelope = message.envelope;
  record.is_held = message.state == storage::MessageState::handing_over_held;
  record.alarm_at = message.alarm_at;
  record.queue = message.queue;
  record.progress = message.progress;
  for (auto holder : message.holders) {
    if (holder.state == Holder::State::receiver || holder.hub == member.name()) continue;
    if (holder.state == Holder::State::holds) holder.state = Holder::State::offered;  // of the generation before
    record.holders.push_back(std::move(holder));
  }
  smtp::HandOffer offer;
  offer.keep = keep;
  offer.number = next_offer_++;
  offer.copy.id = message.id;
  offer.copy.generation = Generation{message.generation.value + 1};
  offer.copy.body_octets = message.size;
  offer.copy.envelope = encode(record);
  offer.copy.streamed = message.size > smtp::shadow_chunk_octets_max;
  Link::Outcome outcome;  // not sent
  auto deadline = MonotonicClock::now() + answer_timeout + Duration{static_cast<std::int64_t>(message.size) * 100};  // 10 MB/s
  auto left = [deadline] { return std::max<Duration>(deadline - MonotonicClock::now(), 100ms); };
  std::uint64_t sent = 0;
  for (std::uint32_t number = 0; !offer.copy.streamed && sent < message.size; ++number) {
    auto chunk = co_await query<std::string>(runtime_.io, spool_, [row = message.row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty()) co_return outcome;
    sent += chunk->size();
    offer.copy.body += *chunk;
  }
  if (!offer.copy.streamed && sent != message.size) co_return outcome;
  outcome = co_await member.data->call(smtp::format_hand(offer), left());
  if (!offer.copy.streamed || outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return outcome;
  for (std::uint32_t number = 0; sent < message.size; ++number) {
    auto chunk = co_await query<std::string>(runtime_.io, spool_, [row = message.row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty() || chunk->size() > smtp::shadow_chunk_octets_max) {
      outcome = {};  // the last piece was not sent: nothing is kept
      co_return outcome;
    }
    sent += chunk->size();
    outcome = co_await member.data->call(smtp::format_chunk(message.id, *chunk, sent == message.size), left());
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return outcome;
  }
  co_return outcome;
}

Task<Result<void>> Hander::end(const StoredMessage& message, Holder owner, Epoch epoch, Generation generation, bool keep) {
  auto ended = co_await commit(runtime_.io, spool_, [row = message.row, owner, epoch, generation, keep](storage::Writer& w) {
    return w.end_hand_over(row, generation, owner, epoch, keep);
  });
  // Not there: the new owner was done with it, and said so, before it answered. It was handed over nevertheless.
  bool is_done = !ended && ended.error().code == std::errc::no_such_file_or_directory;
  if (!ended && !is_done) co_return ended;
  ++metrics_.messages_handed_over_total;
  log_.message(MessageEvent::handed_over, message.id,
               {{"owner", owner.hub}, {"generation", static_cast<std::int64_t>(generation.value)}, {"copy", keep && !is_done ? "kept" : "dropped"}});
  if (on_outbox_) on_outbox_();
  co_return Result<void>{};
}

Task<bool> Hander::take_back(const StoredMessage& message) {
  auto taken = co_await commit(runtime_.io, spool_, [row = message.row, generation = message.generation](storage::Writer& w) {
    return w.take_back(row, generation, false);
  });
  if (!taken) co_return false;
  outbound_->look_again();
  co_return true;
}

// --- Finding out

Task<void> Hander::resolve_loop() {
  while (!is_stopping_) {
    bool was_unclear = std::exchange(has_unclear_, false);
    RowId after{0};
    while (!is_stopping_) {
      auto rows = co_await query<std::vector<RowId>>(runtime_.io, spool_, [after](storage::Reader& r) { return r.handing_over(after, page); });
      if (!rows || rows->empty()) break;
      after = rows->back();
      for (auto row : *rows) {
        if (is_stopping_) co_return;
        if (!under_way_.insert(row).second) continue;
        has_unclear_ = true;
        co_await resolve(row);
        under_way_.erase(row);
      }
    }
    if (!is_stopping_) co_await wake_.wait_for(was_unclear || has_unclear_ ? resolve_pause : look_pause);
  }
}

Task<void> Hander::resolve(RowId row) {
  auto message = co_await read(row);
  if (!message || !storage::is_handing_over(message->state)) co_return;
  cluster::Receiver receiver;
  receiver.is_gone = true;
  if (const auto* named = receiver_of(*message)) {
    receiver.hub = named->hub;
    receiver.spool = named->spool;
    receiver.is_gone = co_await guardian_.end_run_of(named->hub, named->spool);
  }
  if (is_stopping_) co_return;
  auto* member = members_.find(receiver.hub);
  bool is_here = member != nullptr && member->identity && member->identity->spool == receiver.spool;
  if (is_here) receiver.epoch = member->live_epoch;
  if (!receiver.is_gone) {
    if (!is_here || !member->control->is_open()) co_return;
    // It refuses from now on every offer that was sent before.
    auto epoch = member->live_epoch;
    auto outcome = co_await member->control->call(
        smtp::format_back(message->id, Generation{message->generation.value + 1}, next_offer_ - 1), back_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return;
    if (!member->identity || member->identity->spool != receiver.spool || member->live_epoch != epoch) co_return;
    auto answer = smtp::parse_answer(outcome.reply.text);
    if (!answer || answer->id != message->id) co_return;
    receiver.answer = cluster::Answer{receiver.hub,      receiver.spool,       epoch, to_knows(answer->kind), answer->generation,
                                      answer->owner_hub, answer->owner_spool};
  }
  std::vector<cluster::Answer> others;
  if (receiver.is_gone || row < spool_.first_row_of_epoch()) {
    auto answers = co_await guardian_.ask({message->id}, "");
    others = std::move(answers[message->id]);
    std::erase_if(others, [&](const auto& a) { return a.spool == receiver.spool; });
  }
  if (is_stopping_) co_return;
  co_await carry_out(std::move(*message), cluster::decide_hand_over(message->generation, receiver, others));
}

Task<void> Hander::carry_out(StoredMessage message, cluster::HandOverDecision decision) {
  using What = cluster::HandOverDecision::What;
  auto row = message.row;
  if (decision.what == What::own) {
    (void)co_await take_back(message);
  } else if (decision.what == What::follow) {
    Holder owner{decision.hub, decision.spool, Holder::State::holds};
    (void)co_await end(message, owner, decision.epoch, decision.generation, true);
  } else if (decision.what == What::finish) {
    auto done = co_await commit(runtime_.io, spool_, [row, decision](storage::Writer& w) {
      return w.finish_message(row, std::nullopt, decision.spool);
    });
    if (!done) co_return;
    log_.message(MessageEvent::discarded, message.id, {{"by", decision.hub}});
    if (on_outbox_) on_outbox_();
  }
}

}  // namespace umbra::hub
