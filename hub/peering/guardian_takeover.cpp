// A hub is gone: its run is ended, everybody is asked, and its shadows here become messages, are left or
// dropped. Part of Guardian.
#include <algorithm>
#include <memory>
#include <optional>

#include "hub/logs/log_line.h"
#include "hub/logs/tracking_log.h"
#include "hub/peering/guardian.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::RecipientOutcome;
using storage::Shadow;
using HolderState = storage::Holder::State;

constexpr std::size_t page = 200;
constexpr Duration last_contact_timeout = 500ms;
constexpr Duration said_pause = 1min;
constexpr Duration wait_over_after = 30s;  // what is still waited for is asked for again long before

}  // namespace

Task<bool> Guardian::last_contact(Member& member) {
  if (!member.control->is_open()) co_return false;
  auto outcome = co_await member.control->call("NOOP\r\n", last_contact_timeout);
  co_return outcome.kind == Link::Outcome::Kind::replied&& outcome.reply.code == 250;
}

Task<bool> Guardian::end_run_of(std::string hub, SpoolId spool) {
  if (!is_gone(hub, spool)) co_return false;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->has_spool(spool);
  if (!is_silent) co_return true;
  if (co_await last_contact(*member)) {
    // It hears us, though we did not hear it: its beats come again, or the session ends.
    member->watch.heard(MonotonicClock::now(), config_.cluster.heartbeat * 3);
    co_return false;
  }
  if (is_stopping_ || !is_gone(hub, spool)) co_return false;
  // First of all its present run is fenced: no late copy, no lease for it any more.
  if (!co_await end_epoch(*member, spool)) co_return false;
  co_return !is_stopping_ && may_take_from(hub, spool);
}

Task<void> Guardian::take_over_from(std::string hub, SpoolId spool) {
  if (!co_await end_run_of(hub, spool)) co_return;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->has_spool(spool);
  if (taken_from_.insert(spool).second) {
    ++metrics_.takeovers_total;
    log_.line(
        LogLevel::warning,
        is_silent ? "a hub is silent: taking its mail over" : "a hub's spool is gone: taking its mail over",
        {{"member", hub}, {"spool", to_string(spool)}});
  }
  RowId after{0};
  while (!is_stopping_ &&
         may_take_from(hub, spool)) {  // who may not take over yet finds out what is owned or done elsewhere
    auto shadows = co_await query<std::vector<Shadow>>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    co_await decide(std::move(*shadows), MessageEvent::taken_over);
  }
}

void Guardian::asked_by(const std::string& hub, const std::vector<MessageId>& ids) {
  if (deciding_.empty() || hub >= config_.hub_name) return;
  for (auto id : ids)
    if (auto at = deciding_.find(id); at != deciding_.end()) at->second = true;
}

Task<void> Guardian::decide(std::vector<Shadow> shadows, MessageEvent event) {
  std::vector<MessageId> asked;
  for (const auto& shadow : shadows)
    if (deciding_.try_emplace(shadow.id, false).second) asked.push_back(shadow.id);
  co_await decide_on(std::move(shadows), event);
  for (auto id : asked) deciding_.erase(id);
}

Task<void> Guardian::decide_on(std::vector<Shadow> shadows, MessageEvent event) {
  auto heard = co_await tell_and_ask(shadows);
  auto& answers = heard.answers;
  std::vector<Shadow> ours;
  Copies dropped;
  std::vector<Elsewhere> elsewhere;
  for (auto& shadow : shadows) {
    auto decision =
        cluster::decide_takeover(shadow.generation, shadow.owner_spool, config_.hub_name, answers[shadow.id]);
    Others others;
    if (decision.what == cluster::TakeoverDecision::What::take) others = others_of(shadow, heard);
    // What an audit has found out holds as long as the audited hub says so.
    bool is_unasked =
        event == MessageEvent::recovered &&
        std::ranges::none_of(answers[shadow.id], [&](const auto& a) { return a.hub == shadow.owner_hub; });
    bool must_wait =
        !ownership_.may_take_over() || others.are_waited_for || deciding_[shadow.id] || is_unasked;
    if (decision.what == cluster::TakeoverDecision::What::take && must_wait)
      decision.what = cluster::TakeoverDecision::What::wait;
    switch (decision.what) {
      case cluster::TakeoverDecision::What::take:
        // Whoever has something of it is owed the "done", also when it was offered its copy after this one
        // was.
        for (const auto& a : answers[shadow.id])
          if (a.knows != cluster::Knows::unknown &&
              storage::find_holder(shadow.offered, a.hub, a.spool) == shadow.offered.end())
            shadow.offered.push_back({a.hub, a.spool, HolderState::offered});
        // And whoever is out: what it had of the message, or was given, nobody here knows. Being owed the
        // "done" is the answer it gets when it is back, and it delivers nothing before.
        for (auto& holder : others.out) {
          auto named = storage::find_holder(shadow.offered, holder.hub, holder.spool);
          if (named != shadow.offered.end())
            named->state = holder.state;
          else
            shadow.offered.push_back(std::move(holder));
        }
        if (others.is_given_up) {
          ++metrics_.possible_duplicates_total;
          log_.message(MessageEvent::possible_duplicate, shadow.id,
                       {{"reason", "another holder does not answer"}});
        }
        ours.push_back(std::move(shadow));
        break;
      case cluster::TakeoverDecision::What::follow:
        elsewhere.push_back({shadow.id,
                             shadow.generation,
                             {decision.generation, decision.hub, decision.spool, decision.epoch}});
        break;
      case cluster::TakeoverDecision::What::drop:
        dropped.push_back({shadow.id, shadow.generation, shadow.owner_hub, true});
        break;
      case cluster::TakeoverDecision::What::wait:
        break;
    }
  }
  if (!ours.empty() && !is_stopping_) co_await take(std::move(ours), event);
  if (!dropped.empty()) co_await drop(std::move(dropped));
  if (!elsewhere.empty()) co_await follow(std::move(elsewhere));
}

Task<void> Guardian::follow(std::vector<Elsewhere> copies) {
  auto followed = co_await commit(runtime_.io, spool_, [copies](storage::Writer& w) -> Result<void> {
    for (const auto& copy : copies)
      if (auto result = w.follow_owner(copy.id, copy.up_to, copy.owner); !result) return result;
    return {};
  });
  if (!followed) co_return;
  for (const auto& copy : copies)
    log_.message(MessageEvent::shadow_stored, copy.id,
                 {{"reason", "another hub owns the message by now"},
                  {"owner", copy.owner.hub},
                  {"generation", static_cast<std::int64_t>(copy.owner.generation.value)}});
}

Task<Guardian::Heard> Guardian::tell_and_ask(const std::vector<Shadow>& shadows) {
  std::vector<MessageId> ids;
  for (const auto& shadow : shadows) ids.push_back(shadow.id);
  Heard heard;
  if (ownership_.needs_every_answer()) {
    heard.over = ended_runs_.known({{shadows.front().owner_hub, shadows.front().owner_spool}});
    heard.told = co_await ended_runs_.tell(heard.over);
    for (const auto& run : ownership_.live_runs())
      if (const auto* member = members_.find(run.hub);
          member != nullptr && member->identity &&
          (member->identity->spool != run.spool || member->identity->epoch <= run.lowest))
        heard.told.alive.insert(run.hub);
  }
  heard.answers = co_await ask(std::move(ids), "");
  for (const auto& run : ownership_.live_runs()) bring_to_mind(run.hub, run.spool, run.lowest);
  co_return heard;
}

// Not only the holders that this copy names: a hub that was handed the message, or was given a copy after
// this one, is named nowhere here. Out is who was when the others were told so, and still is.
Guardian::Others Guardian::others_of(const Shadow& shadow, const Heard& heard) {
  Others others;
  if (!ownership_.needs_every_answer()) return others;
  for (const auto& holder : shadow.offered) bring_to_mind(holder.hub, holder.spool, Epoch{0});
  auto answers = heard.answers.find(shadow.id);
  for (const auto& member : members_.all()) {
    if (!member->identity || member->state == smtp::HubState::left) continue;
    bool has_answered =
        answers != heard.answers.end() &&
        std::ranges::any_of(answers->second, [&](const auto& a) { return a.hub == member->name(); });
    if (has_answered && heard.told.hubs.contains(member->name())) {
      waits_.erase(member->name());
      continue;
    }
    storage::Holder other{member->name(), member->identity->spool, HolderState::former_owner};
    bool is_told =
        std::ranges::find(heard.over, smtp::KnownEpoch{other.hub, other.spool, member->identity->epoch}) !=
        heard.over.end();
    if (is_told && ownership_.is_out(*member, other.spool) && !heard.told.alive.contains(other.hub)) {
      bool is_owner = other.hub == shadow.owner_hub && other.spool == shadow.owner_spool;
      bool is_named = storage::find_holder(shadow.offered, other.hub, other.spool) != shadow.offered.end();
      others.is_given_up = others.is_given_up || (is_named && !is_owner);
      if (!is_owner && may_have_been_given(shadow, *member)) others.out.push_back(std::move(other));
      waits_.erase(member->name());
      continue;
    }
    others.are_waited_for = true;
    if (members_.is_silent(*member)) silent_holders_.insert(member->name());
    note_wait_for(*member);
  }
  return others;
}

// A hub that was out before the copy came here was given nothing of the message afterwards.
bool Guardian::may_have_been_given(const Shadow& shadow, const Member& member) const {
  auto out = out_from_.find(member.identity->spool);
  return out == out_from_.end() || out->second.first != member.identity->epoch ||
         shadow.row < out->second.second;
}

void Guardian::bring_to_mind(const std::string& hub, SpoolId spool, Epoch lowest) {
  if (hub == config_.hub_name) return;
  if (auto* member = members_.find_or_admit(hub); member != nullptr && !member->identity)
    members_.meet(*member, spool, lowest);
}

void Guardian::note_wait_for(const Member& member) {
  auto now = MonotonicClock::now();
  auto& waited = waits_.try_emplace(member.name(), now, now).first->second;
  if (now > waited.last + wait_over_after) waited.since = now;
  waited.last = now;
  if (now < said_waiting_at_ || now < waited.since + 2 * config_.cluster.lease) return;
  said_waiting_at_ = now + said_pause;
  log_.line(LogLevel::warning,
            "mail of a hub that is gone waits for the answer of another hub, which may own it",
            {{"member", member.name()}});
}

Duration Guardian::takeover_wait() const {
  auto now = MonotonicClock::now();
  Duration longest{0};
  for (const auto& [hub, waited] : waits_)
    if (now <= waited.last + wait_over_after) longest = std::max<Duration>(longest, now - waited.since);
  return longest;
}

// Not what has come meanwhile: a hub that took over offers its copy, of a later generation, as soon as it
// has.
Task<void> Guardian::drop(Copies copies) {
  auto dropped =
      std::make_shared<Copies>();  // of these, what was still here: a discard status may have come first
  auto committed =
      co_await commit(runtime_.io, spool_, [copies, dropped](storage::Writer& w) -> Result<void> {
        dropped->clear();
        for (const auto& copy : copies) {
          auto was_here =
              copy.is_done ? w.finish_shadow(copy.id, copy.up_to) : w.release_shadow(copy.id, copy.up_to);
          if (!was_here) return std::unexpected(was_here.error());
          if (*was_here) dropped->push_back(copy);
        }
        return {};
      });
  if (!committed) co_return;
  outbox_grew_();
  for (const auto& copy : *dropped)
    log_.message(MessageEvent::shadow_dropped, copy.id, {{"owner", copy.owner, true}});
}

Task<void> Guardian::take(std::vector<Shadow> shadows, MessageEvent event) {
  // Back meanwhile: it asks for itself, and may have been told "held" already. From here on it is told
  // "pending".
  if (event == MessageEvent::taken_over)
    std::erase_if(shadows, [&](const auto& s) { return !may_take_from(s.owner_hub, s.owner_spool); });
  if (shadows.empty() || !ownership_.may_take_over()) co_return;
  auto now = outbound_->mail_time();
  struct Taken {
    storage::NewMessage message;
    std::string from;
    MessageNote applied;  // by the commit
  };
  std::vector<Taken> messages;
  for (auto& shadow : shadows) {
    storage::NewMessage message;
    message.row = shadow.row;
    message.id = shadow.id;
    message.generation = Generation{shadow.generation.value + 1};
    message.size = shadow.size;
    for (auto index : shadow.done)
      message.progress.push_back({index, RecipientOutcome::State::delivered, "done by the former owner"});
    // Also when its spool is gone: it may have given a copy, after this one, to a hub that is away. What is
    // owed to it is the answer that hub will get.
    if (auto* owner = members_.find(shadow.owner_hub);
        event == MessageEvent::taken_over && owner != nullptr && owner->identity)
      message.holders.push_back({shadow.owner_hub, shadow.owner_spool, HolderState::former_owner});
    for (const auto& holder : shadow.offered) {
      auto* member = members_.find(holder.hub);
      bool is_noted = holder.hub == shadow.owner_hub && event == MessageEvent::taken_over;
      if (member == nullptr || is_noted || (member->identity && member->identity->spool != holder.spool))
        continue;
      auto state = holder.state == HolderState::former_owner ? holder.state : HolderState::offered;
      message.holders.push_back({holder.hub, holder.spool, state});
    }
    message.alarm_at = outbound_->first_alarm(shadow.envelope);
    message.queue = outbound_->entries_for(shadow.envelope, message.progress, now, shadow.note.next_hop);
    message.envelope = std::move(shadow.envelope);
    message.is_protected = message.envelope.protection.copies == 0;
    auto how = event == MessageEvent::recovered ? OwnerRecord::How::recovered : OwnerRecord::How::taken_over;
    message.history.push_back({message.generation, how, config_.hub_name, spool_.id(), now, 0});
    messages.push_back({std::move(message), shadow.owner_hub, {}});
    // Until it is committed nobody is told "held": the owner may have come back this very moment and ask.
    pending_.insert(shadow.id);
  }
  auto shared = std::make_shared<std::vector<Taken>>(std::move(messages));
  auto taken = co_await commit(
      runtime_.io, spool_,
      [shared](storage::Writer& w) -> Result<void> {
        for (auto& [message, from, applied] : *shared) {
          if (auto result = w.take_over(message, &applied); !result) return result;
          if (message.queue.empty())
            if (auto result =
                    w.finish_message(message.row, std::nullopt, SpoolId{0}, storage::Left::elsewhere);
                !result)
              return result;
        }
        return {};
      },
      shared->size() * 512);
  // Answers that were read before the commit have gone out once a later read has come back.
  (void)co_await query<int>(runtime_.io, spool_, [](storage::Reader&) { return Result<int>(0); });
  for (const auto& taken_one : *shared) pending_.erase(taken_one.message.id);
  if (!taken) {
    log_.line(LogLevel::error, "take-over was not committed", {{"reason", taken.error().what}});
    co_return;
  }
  (event == MessageEvent::recovered ? metrics_.messages_recovered_total
                                    : metrics_.messages_taken_over_total) += shared->size();
  for (const auto& [message, from, applied] : *shared)
    log_.message(
        event, message.id,
        {{"sender", message.envelope.sender, true},
         {"to", log_.keeps_tracking() ? addresses_for_tracking(message.envelope.recipients) : std::string(),
          true},
         {"original_client", message.envelope.client_address, true},
         {"size", static_cast<std::int64_t>(message.size), true},
         {"generation", static_cast<std::int64_t>(message.generation.value)},
         {"from", from},
         {"state", applied.is_held ? "held" : "queued"},
         {"destination", applied.next_hop},
         {"history", to_text(applied.history)},
         {"last_error", applied.last_error}});
  outbound_->look_again();
  copier_.protect_later();
  note_changed_();
}

}  // namespace umbra::hub
