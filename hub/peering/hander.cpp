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
constexpr std::size_t waiting_max = 8;  // of a drain, for silent holders: far fewer than it has under way

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

void Hander::start() {
  tasks_.spawn("hand-overs", resolve_loop());
}

Task<void> Hander::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
  Timer pause(runtime_.io);
  while (!under_way_.empty()) co_await pause.wait_for(2ms);  // called from elsewhere: they end with the links
}

Task<std::optional<StoredMessage>> Hander::read(RowId row) {
  auto found = co_await query<std::optional<StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  co_return found ? std::move(*found) : std::nullopt;
}

// --- Giving

bool Hander::may_not_go(RowId row) const {
  // Mail of an earlier epoch is ours to give only when it is known to be ours.
  return guardian_.is_unsettled(row) || (guardian_.is_returning() && row < spool_.first_row_of_epoch());
}

Task<Hander::Outcome> Hander::hand(RowId row, std::string hub, bool keep) {
  auto* member = members_.find(hub);
  if (is_stopping_ || member == nullptr || !member->identity || !member->data->offers("XHAND"))
    co_return Outcome::not_now;
  if (may_not_go(row) || !under_way_.insert(row).second) co_return Outcome::not_now;
  auto outcome = Outcome::not_now;
  if (outbound_->claim(row)) {
    auto message = co_await read(row);
    std::optional<StoredMessage> begun;
    if (message && co_await may_be_drained(*message)) begun = co_await begin(*message, *member);
    outbound_->give_up_claim(row);
    if (begun)
      outcome = (co_await give(std::move(*begun), *member, {.keep = keep})).outcome;
    else if (message)
      outbound_->look_again();  // the claim has taken it off the queues in memory
  }
  under_way_.erase(row);
  co_return outcome;
}

// Asked before it is begun: what a silent holder keeps back is passed over, and others go on. Only a few wait
// for such a holder; they find out for all whether it stays silent.
Task<bool> Hander::may_be_drained(const StoredMessage& message) {
  if (guard_->may_deliver_now(message)) co_return true;
  auto verdict = co_await guard_->may_deliver_at_once(message);
  if (verdict == DeliveryGuard::Verdict::later && waiting_ < waiting_max) {
    ++waiting_;
    verdict = co_await guard_->may_deliver(message);
    --waiting_;
  }
  co_return !is_stopping_ && verdict != DeliveryGuard::Verdict::stop &&
      verdict != DeliveryGuard::Verdict::later;
}

// The message as it is once the spool says that it is being handed over; nothing when it cannot be now.
Task<std::optional<StoredMessage>> Hander::begin(StoredMessage message, Member& member) {
  if (pending_.contains(message.id) || storage::is_handing_over(message.state) || !member.identity)
    co_return std::nullopt;
  Holder receiver{member.name(), member.identity->spool, Holder::State::receiver};
  auto begun = co_await commit(runtime_.io, spool_, [row = message.row, receiver](storage::Writer& w) {
    return w.begin_hand_over(row, receiver);
  });
  if (!begun) co_return std::nullopt;
  auto found = co_await read(message.row);
  if (found && !found->receiver) found.reset();
  co_return found;
}

Task<Hander::Given> Hander::give(StoredMessage message, Member& member, Way way) {
  Holder owner = *message.receiver;
  auto epoch = member.live_epoch;
  auto answered = co_await offer(message, member, way);
  Given given{Outcome::unclear, answered.reply};
  if (answered.kind == Link::Outcome::Kind::replied && answered.reply.code == 250) {
    bool is_elsewhere = !way.keep && answered.reply.text.ends_with(" protected");
    way.keep = !is_elsewhere;
    auto how = way.keep ? HandOverEnd::kept : HandOverEnd::moved;
    auto ended = co_await end(message, owner, epoch, Generation{message.generation.value + 1}, how, &way);
    if (ended) given.outcome = is_elsewhere ? Outcome::moved : Outcome::kept;
  } else if (answered.kind == Link::Outcome::Kind::not_sent ||
             (answered.kind == Link::Outcome::Kind::replied && answered.reply.code != 550)) {
    // Nothing was kept there, and nothing of the offer is on its way any more. (550: somebody owns it under a
    // later generation, or it is done: the resolver asks.)
    if (answered.reply.code == 452) member.refuses_copies_until = MonotonicClock::now() + 5s;
    if (answered.kind == Link::Outcome::Kind::not_sent)
      given.reply = {0, "", "4.4.2 no session with hub " + member.name()};
    if (way.is_withheld) given.reply = {0, "", guard_->why_not_now()};
    if (co_await take_back(message)) given.outcome = way.is_withheld ? Outcome::not_now : Outcome::refused;
  }
  if (given.outcome != Outcome::unclear) co_return given;
  has_unclear_ = true;
  wake_.cancel();
  co_return given;
}

Task<Link::Outcome> Hander::offer(const StoredMessage& message, Member& member, Way& way) {
  bool has_trails = member.data->offers(smtp::held_capability);
  HandOverRecord record;
  record.envelope = message.envelope;
  if (!member.data->offers(smtp::resent_capability)) record.envelope.resent = false;
  record.is_held = message.state == storage::MessageState::handing_over_held;
  record.alarm_at = message.alarm_at;
  record.queue = message.queue;
  record.progress = message.progress;
  if (member.data->offers(smtp::next_hop_capability)) record.next_hop = message.next_hop;
  bool may_be_held = false;
  if (member.data->offers(smtp::note_capability)) {
    record.history = note_of(message).history;
    if (record.history.empty()) {
      auto how = message.generation == Generation{1} ? OwnerRecord::How::accepted : OwnerRecord::How::unknown;
      auto since = message.generation == Generation{1} ? message.envelope.accepted_at : WallTime{};
      std::uint32_t attempts = 0;
      for (const auto& entry : message.queue) attempts = std::max(attempts, entry.attempts);
      record.history.push_back({message.generation, how, members_.own_name(), spool_.id(), since, attempts});
    }
    record.last_error = message.last_error.substr(0, 512);
    std::ranges::replace_if(
        record.last_error, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, '?');
  }
  for (auto holder : message.holders) {
    if (holder.hub == member.name()) {
      may_be_held |= holder.spool == member.identity->spool;
      continue;
    }
    if (holder.state == Holder::State::holds)
      holder.state = Holder::State::offered;  // of the generation before
    record.holders.push_back(std::move(holder));
  }
  auto& trail = record.envelope.trail;
  if (way.by_route && std::ranges::find(trail, members_.own_name()) == trail.end())
    trail.push_back(members_.own_name());
  if (!has_trails) record.envelope.trail.clear();
  // On a route the next hop goes by its own routes at once; what was tried elsewhere before keeps its time.
  if (way.by_route && outbound_->leads_to_hubs(record.queue)) record.queue.clear();
  smtp::HandOffer offer;
  offer.keep = way.keep;
  members_.share(member);
  offer.copy.id = message.id;
  offer.copy.generation = Generation{message.generation.value + 1};
  offer.copy.body_octets = message.size;
  offer.copy.envelope = encode(record);
  offer.copy.streamed = message.size > smtp::shadow_chunk_octets_max;
  if (may_be_held && has_trails) {
    auto without_body = offer;
    without_body.number = next_offer_++;
    without_body.is_held_there = true;
    without_body.copy.streamed = false;
    if (!co_await may_go_now(message, member, way)) co_return Link::Outcome{};
    auto outcome = co_await member.data->call(smtp::format_hand(without_body), answer_timeout);
    bool is_not_held = outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 504;
    if (!is_not_held) co_return outcome;
    ++metrics_.handovers_not_held_total;
  }
  offer.number = next_offer_++;
  way.is_body_sent = true;
  co_return co_await send(std::move(offer), message, member, way);
}

// Asked right before the step that cannot be undone, as before a final dot: this process may have been
// stopped since the hand-over was begun, and the message been taken over. The spool that is named as the
// receiver is the one that is offered it.
Task<bool> Hander::may_go_now(const StoredMessage& message, const Member& member, Way& way) {
  auto is_named = [&] { return !is_stopping_ && member.has_spool(message.receiver->spool); };
  using Verdict = DeliveryGuard::Verdict;
  auto verdict = Verdict::go;
  if (!guard_->may_deliver_now(message)) verdict = co_await guard_->may_deliver(message);
  way.is_withheld = verdict == Verdict::stop || verdict == Verdict::later;
  if (way.is_withheld || !is_named()) co_return false;
  if (verdict == Verdict::go_possible_duplicate && !std::exchange(way.is_counted, true)) {
    ++metrics_.possible_duplicates_total;
    log_.message(MessageEvent::possible_duplicate, message.id,
                 {{"reason", "handed over while a holder was silent"}, {"host", member.name()}});
  }
  co_return true;
}

// With the body.
Task<Link::Outcome> Hander::send(smtp::HandOffer offer, const StoredMessage& message, Member& member,
                                 Way& way) {
  Link::Outcome outcome;  // not sent
  const auto row = message.row;
  const auto size = offer.copy.body_octets;
  auto deadline =
      MonotonicClock::now() + answer_timeout + Duration{static_cast<std::int64_t>(size) * 100};  // 10 MB/s
  auto left = [deadline] { return std::max<Duration>(deadline - MonotonicClock::now(), 100ms); };
  std::uint64_t sent = 0;
  for (std::uint32_t number = 0; !offer.copy.streamed && sent < size; ++number) {
    auto chunk = co_await query<std::string>(
        runtime_.io, spool_, [row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty()) co_return outcome;
    sent += chunk->size();
    offer.copy.body += *chunk;
  }
  if (!offer.copy.streamed && sent != size) co_return outcome;
  if (!co_await may_go_now(message, member, way)) co_return outcome;
  metrics_.handover_body_octets_total += sent;
  outcome = offer.copy.streamed ? co_await member.data->call_or_end(smtp::format_hand(offer), left())
                                : co_await member.data->call(smtp::format_hand(offer), left());
  if (!offer.copy.streamed || outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250)
    co_return outcome;
  for (std::uint32_t number = 0; sent < size; ++number) {
    auto chunk = co_await query<std::string>(
        runtime_.io, spool_, [row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty() || chunk->size() > smtp::shadow_chunk_octets_max) {
      outcome = {};  // the last piece was not sent: nothing is kept
      co_return outcome;
    }
    sent += chunk->size();
    if (sent == size && !co_await may_go_now(message, member, way)) {
      outcome = {};
      co_return outcome;
    }
    metrics_.handover_body_octets_total += chunk->size();
    outcome =
        co_await member.data->call_or_end(smtp::format_chunk(offer.copy.id, *chunk, sent == size), left());
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return outcome;
  }
  co_return outcome;
}

Task<Result<void>> Hander::end(const StoredMessage& message, Holder owner, Epoch epoch, Generation generation,
                               HandOverEnd how, const Way* way) {
  auto ended = co_await commit(runtime_.io, spool_,
                               [row = message.row, owner, epoch, generation, how](storage::Writer& w) {
                                 return w.end_hand_over(row, generation, owner, epoch, how);
                               });
  // Not there: the new owner was done with it, and said so, before it answered. It was handed over
  // nevertheless.
  bool is_done = !ended && ended.error().code == std::errc::no_such_file_or_directory;
  if (!ended && !is_done) co_return ended;
  ++metrics_.messages_handed_over_total;
  if (way != nullptr && way->by_route) ++metrics_.messages_handed_to_next_hubs_total;
  if (way != nullptr && !way->is_body_sent) ++metrics_.handovers_without_body_total;
  log_.message(MessageEvent::handed_over, message.id,
               {{"owner", owner.hub},
                {"generation", static_cast<std::int64_t>(generation.value)},
                {"copy", how != HandOverEnd::moved && !is_done ? "kept" : "dropped"},
                {"why", way == nullptr  ? "found out"
                        : way->by_route ? "route"
                                        : "drain"},
                {"body", way == nullptr      ? "not known"
                         : way->is_body_sent ? "sent"
                                             : "was there"}});
  if (on_outbox_) on_outbox_();
  co_return Result<void>{};
}

// --- By a route

bool Hander::is_in_reach(const std::string& hub) {
  auto* member = members_.find(hub);
  return !is_stopping_ && member != nullptr && member->identity && member->data->offers("XHAND") &&
         member->state == smtp::HubState::active && MonotonicClock::now() >= member->refuses_copies_until;
}

void Hander::hand_on(std::shared_ptr<const StoredMessage> message, std::string hub,
                     std::move_only_function<void(HandedOn)> done) {
  tasks_.spawn("hand on", hand_on_now(std::move(message), std::move(hub), std::move(done)));
}

Task<void> Hander::hand_on_now(std::shared_ptr<const StoredMessage> message, std::string hub,
                               std::move_only_function<void(HandedOn)> done) {
  HandedOn answer;
  if (is_in_reach(hub) && !may_not_go(message->row) && under_way_.insert(message->row).second) {
    answer = co_await try_to_hand_on(*message, hub);
    under_way_.erase(message->row);
  }
  done(std::move(answer));
}

Task<HandedOn> Hander::try_to_hand_on(const StoredMessage& message, const std::string& hub) {
  using Kind = HandedOn::Kind;
  // As before a final dot: who may have lost the message by now does not give it away. (Asked once more, and
  // counted, when it goes.)
  if (!guard_->may_deliver_now(message)) {
    auto verdict = co_await guard_->may_deliver(message);
    if (verdict == DeliveryGuard::Verdict::stop) co_return HandedOn{Kind::unclear, {}};
    if (verdict == DeliveryGuard::Verdict::later)
      co_return HandedOn{Kind::not_now, {0, "", guard_->why_not_now()}};
  }
  auto* member = members_.find(hub);
  if (!is_in_reach(hub)) co_return HandedOn{};
  auto begun = co_await begin(message, *member);
  if (!begun) co_return HandedOn{};
  auto given = co_await give(std::move(*begun), *member, {.keep = true, .by_route = true});
  if (given.outcome == Outcome::unclear) co_return HandedOn{Kind::unclear, {}};
  if (given.outcome == Outcome::not_now) co_return HandedOn{Kind::not_now, given.reply};
  if (given.outcome != Outcome::refused) co_return HandedOn{Kind::taken, {}};
  ++metrics_.handovers_refused_total;
  co_return HandedOn{Kind::refused, given.reply};
}

Task<bool> Hander::take_back(const StoredMessage& message) {
  auto taken = co_await commit(runtime_.io, spool_,
                               [row = message.row, generation = message.generation](storage::Writer& w) {
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
      auto rows = co_await query<std::vector<RowId>>(
          runtime_.io, spool_, [after](storage::Reader& r) { return r.handing_over(after, page); });
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
  if (const auto& named = message->receiver) {
    receiver.hub = named->hub;
    receiver.spool = named->spool;
    receiver.is_gone = co_await guardian_.end_run_of(named->hub, named->spool);
  }
  if (is_stopping_) co_return;
  auto* member = members_.find(receiver.hub);
  bool is_here = member != nullptr && member->has_spool(receiver.spool);
  if (is_here) receiver.epoch = member->live_epoch;
  if (!receiver.is_gone) {
    if (!is_here || !member->control->is_open()) co_return;
    // It refuses from now on every offer that was sent before.
    auto epoch = member->live_epoch;
    auto outcome = co_await member->control->call(
        smtp::format_back(message->id, Generation{message->generation.value + 1}, next_offer_ - 1),
        back_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return;
    if (!member->identity || member->identity->spool != receiver.spool || member->live_epoch != epoch)
      co_return;
    auto answer = smtp::parse_answer(outcome.reply.text);
    if (!answer || answer->id != message->id) co_return;
    receiver.answer = cluster::Answer{receiver.hub,           receiver.spool,     epoch,
                                      to_knows(answer->kind), answer->generation, answer->owner_hub,
                                      answer->owner_spool};
  }
  std::vector<cluster::Answer> others;
  if (receiver.is_gone || row < spool_.first_row_of_epoch()) {
    auto answers = co_await guardian_.ask({message->id}, "");
    others = std::move(answers[message->id]);
    std::erase_if(others, [&](const auto& a) { return a.spool == receiver.spool; });
  }
  if (is_stopping_) co_return;
  auto decision = cluster::decide_hand_over(message->generation, receiver, others);
  bool is_concluded = receiver.is_gone && decision.spool == receiver.spool;
  co_await carry_out(std::move(*message), decision,
                     is_concluded ? HandOverEnd::concluded : HandOverEnd::kept);
}

Task<void> Hander::carry_out(StoredMessage message, cluster::HandOverDecision decision, HandOverEnd how) {
  using What = cluster::HandOverDecision::What;
  auto row = message.row;
  if (decision.what == What::own) {
    (void)co_await take_back(message);
  } else if (decision.what == What::follow) {
    Holder owner{decision.hub, decision.spool, Holder::State::holds};
    (void)co_await end(message, owner, decision.epoch, decision.generation, how);
  } else if (decision.what == What::finish) {
    auto done = co_await commit(runtime_.io, spool_, [row, decision](storage::Writer& w) {
      return w.finish_message(row, std::nullopt, decision.spool, storage::Left::elsewhere);
    });
    if (!done) co_return;
    log_.message(MessageEvent::discarded, message.id, {{"by", decision.hub}});
    if (on_outbox_) on_outbox_();
  }
}

}  // namespace umbra::hub
