// Returning, watching and taking over ask the same questions and change the same rows: long because they are one state machine.
#include "hub/peering/guardian.h"

#include <algorithm>
#include <optional>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::RecipientOutcome;
using storage::Shadow;
using storage::StoredMessage;
using HolderState = storage::Holder::State;

constexpr std::size_t page = 200;
constexpr Duration ask_timeout = 2s;
constexpr Duration audit_pause = 30s;
constexpr Duration audit_from_start = 10min;
constexpr Duration settle_pause = 30s;
constexpr Duration return_patience = 5s;
constexpr Duration last_contact_timeout = 500ms;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  for (std::size_t at; (at = text.find('\n', from)) != std::string::npos; from = at + 1)
    lines.push_back(text.substr(from, at - from));
  lines.push_back(text.substr(from));
  return lines;
}

const cluster::Answer* answer_of(const std::vector<cluster::Answer>& answers, const storage::Holder& holder) {
  for (const auto& a : answers)
    if (a.hub == holder.hub && a.spool == holder.spool) return &a;
  return nullptr;
}

}  // namespace

cluster::Knows to_knows(smtp::AskKind kind) {
  switch (kind) {
    case smtp::AskKind::unknown: return cluster::Knows::unknown;
    case smtp::AskKind::pending: return cluster::Knows::pending;
    case smtp::AskKind::live: return cluster::Knows::live;
    case smtp::AskKind::waiting: return cluster::Knows::waiting;
    case smtp::AskKind::held: return cluster::Knows::held;
    case smtp::AskKind::done: return cluster::Knows::done;
  }
  return cluster::Knows::unknown;
}

Guardian::Guardian(Runtime runtime, const Config& config, storage::Spool& spool, Members& members, Ownership& ownership, Copier& copier,
                   PendingMessages& pending, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      ownership_(ownership),
      copier_(copier),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Guardian::start() { tasks_.spawn("guardian", run()); }

Task<void> Guardian::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<bool> Guardian::wait(Duration span) {
  if (!is_stopping_) co_await wake_.wait_for(span);
  co_return !is_stopping_;
}

void Guardian::member_changed(Member& member) {
  if (!member.identity) return;
  audits_.erase(member.identity->spool);
  next_settle_ = MonotonicTime::min();
}

Task<void> Guardian::run() {
  co_await return_home();
  if (!is_stopping_) co_await tell_suspects();
  if (is_stopping_) co_return;
  is_returning_ = false;
  outbound_->set_loading(true);
  copier_.older_mail_is_settled();
  co_await watch();
}

// Before one of them is tried again: whoever takes over after the next end has to know of this one.
Task<void> Guardian::tell_suspects() {
  constexpr std::size_t suspects_max = 400;
  auto suspects = co_await query<std::vector<storage::Suspect>>(
      runtime_.io, spool_, [](storage::Reader& r) { return r.suspects(suspects_max); });
  if (!suspects || suspects->empty()) co_return;
  std::vector<std::pair<MessageId, std::uint32_t>> lines;
  for (const auto& suspect : *suspects) lines.emplace_back(suspect.id, suspect.crashes);
  for (auto& member : members_.all()) {
    if (is_stopping_ || !member->control->offers("XSUSPECT")) continue;
    (void)co_await member->control->call(smtp::format_suspect(lines), ask_timeout);  // not told: it counts for itself
  }
}

// --- Questions

Task<Guardian::Answers> Guardian::ask(std::vector<MessageId> ids, std::string only) {
  Answers answers;
  for (auto& member : members_.all()) {
    if (!only.empty() && member->name() != only) continue;
    for (std::size_t from = 0; from < ids.size(); from += page) {
      if (is_stopping_ || !member->control->is_open() || !member->identity) break;
      std::vector<MessageId> part(ids.begin() + static_cast<std::ptrdiff_t>(from),
                                  ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), from + page)));
      // An answer counts only for the run that gave it.
      auto spool = member->identity->spool;
      auto epoch = member->live_epoch;
      auto outcome = co_await member->control->call(smtp::format_ask(part), ask_timeout);
      if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) break;
      if (member->identity->spool != spool || member->live_epoch != epoch) break;
      for (const auto& line : split_lines(outcome.reply.text)) {
        auto parsed = smtp::parse_answer(line);
        if (!parsed) continue;  // the last line, which counts them
        answers[parsed->id].push_back({member->name(), spool, epoch, to_knows(parsed->kind), parsed->generation,
                                       parsed->owner_hub, parsed->owner_spool});
      }
    }
  }
  co_return answers;
}

// --- Return

Task<void> Guardian::return_home() {
  auto before = spool_.first_row_of_epoch();
  // Where a holder that does not answer keeps its mail waiting anyway, other mail does not wait for it.
  auto patience = ownership_.needs_every_answer() ? std::min<Duration>(return_patience, config_.cluster.return_wait)
                                                  : config_.cluster.return_wait;
  auto deadline = MonotonicClock::now() + patience;
  auto introductions = MonotonicClock::now() + 3s;
  bool any = false;
  RowId after{0};
  while (!is_stopping_) {
    auto rows = co_await query<std::vector<RowId>>(runtime_.io, spool_,
                                                   [after, before](storage::Reader& r) { return r.messages(after, before, page); });
    if (!rows) {
      if (!co_await wait(1s)) co_return;
      continue;
    }
    if (rows->empty()) break;
    if (!any) {
      any = true;
      log_.line(LogLevel::info, "returning with mail: asking who owns it", {});
      // The others notice this hub, and it them, within moments.
      while (!is_stopping_ && MonotonicClock::now() < introductions &&
             !std::ranges::all_of(members_.all(), [](const auto& m) { return m->control->is_open(); }))
        if (!co_await wait(50ms)) co_return;
    }
    after = rows->back();
    for (;;) {
      auto open = co_await settle_returned(std::move(*rows));
      if (open.empty() || is_stopping_) break;
      if (MonotonicClock::now() >= deadline) {
        unsettled_.insert(unsettled_.end(), open.begin(), open.end());
        break;
      }
      rows->clear();
      for (const auto& unsettled : open) rows->push_back(unsettled.row);
      if (!co_await wait(500ms)) co_return;
    }
  }
  if (!any || is_stopping_) co_return;
  std::ranges::sort(unsettled_, {}, &Unsettled::row);
  if (unsettled_.empty())
    log_.line(LogLevel::info, "returned: every older message is settled", {});
  else
    log_.line(LogLevel::warning,
              ownership_.needs_every_answer()
                  ? "no answer from the holders of some mail: it waits until they have answered or are out"
                  : "no answer from the holders of some mail: it is delivered as possible duplicates",
              {{"messages", static_cast<std::int64_t>(unsettled_.size())}});
}

// What was not answered when the hub came home is asked for whenever a hub can be reached: another one may own it.
Task<void> Guardian::settle_rest() {
  if (unsettled_.empty() || MonotonicClock::now() < next_settle_) co_return;
  next_settle_ = MonotonicClock::now() + settle_pause;
  std::vector<Unsettled> open;
  for (std::size_t from = 0; from < unsettled_.size(); from += page) {
    std::vector<RowId> rows;
    for (auto at = from; at < std::min(unsettled_.size(), from + page); ++at) rows.push_back(unsettled_[at].row);
    auto still = co_await settle_returned(std::move(rows));
    if (is_stopping_) co_return;
    open.insert(open.end(), still.begin(), still.end());
  }
  std::ranges::sort(open, {}, &Unsettled::row);
  unsettled_ = std::move(open);
  if (unsettled_.empty()) log_.line(LogLevel::info, "every older message is settled now", {});
}

Task<std::vector<Guardian::Unsettled>> Guardian::settle_returned(std::vector<RowId> rows) {
  auto loaded = co_await query<std::vector<StoredMessage>>(
      runtime_.io, spool_, [&rows](storage::Reader& r) -> Result<std::vector<StoredMessage>> {
        std::vector<StoredMessage> messages;
        for (auto row : rows) {
          auto message = r.message(row);
          if (!message) return std::unexpected(message.error());
          if (*message && !(*message)->holders.empty()) messages.push_back(std::move(**message));
        }
        return messages;
      });
  if (!loaded) {
    std::vector<Unsettled> all;
    for (auto row : rows) all.push_back({row});
    co_return all;
  }
  std::vector<MessageId> ids;
  for (const auto& message : *loaded) ids.push_back(message.id);
  Answers answers;
  if (!ids.empty()) answers = co_await ask(ids, "");
  std::vector<Unsettled> open;
  for (const auto& message : *loaded) {
    if (is_stopping_) break;
    if (storage::is_handing_over(message.state)) {  // the hander finds out; then it is asked about like every other
      open.push_back({message.row});
      continue;
    }
    const auto& heard = answers[message.id];
    auto decision = cluster::decide_return(message.generation, heard);
    auto row = message.row;
    if (outbound_->awaits_final_reply(row)) {  // delivered meanwhile, unsettled: what comes of it is to be recorded
      open.push_back({row, is_given_up(row)});
      continue;
    }
    Result<void> done;
    if (decision.what == cluster::ReturnDecision::What::finish) {
      done = co_await commit(runtime_.io, spool_, [row, decision](storage::Writer& w) {
        return w.finish_message(row, std::nullopt, decision.spool);
      });
      if (done) {
        outbound_->forget(row);
        outbox_grew_();
        log_.message(MessageEvent::discarded, message.id, {{"by", decision.hub}});
      }
    } else if (decision.what == cluster::ReturnDecision::What::cede) {
      done = co_await commit(runtime_.io, spool_, [row, decision](storage::Writer& w) {
        return w.cede(row, decision.generation, decision.hub, decision.spool, decision.epoch);
      });
      if (done) {
        outbound_->forget(row);
        ++metrics_.messages_ceded_total;
        log_.message(MessageEvent::ceded, message.id,
                     {{"owner", decision.hub}, {"generation", static_cast<std::int64_t>(decision.generation.value)}});
      }
    } else {
      // What each holder said changes its entry; whoever says that it holds a copy is a holder, named or not: the row may be
      // older than the last offer.
      std::vector<storage::Holder> confirmed;
      std::vector<storage::Holder> gone;
      bool is_known = true;
      bool is_given_up = true;
      for (const auto& holder : message.holders) {
        const auto* answer = answer_of(heard, holder);
        auto* member = members_.find(holder.hub);
        bool is_replaced = members_.is_removed(holder.hub) ||
                           (member != nullptr && member->identity && member->identity->spool != holder.spool);
        bool is_former = holder.state == HolderState::former_owner;
        if (is_replaced)
          gone.push_back(holder);
        else if (answer == nullptr && (is_former || ownership_.was_never_out()))
          continue;
        else if (answer == nullptr) {
          is_known = false;
          is_given_up = is_given_up && (member != nullptr ? ownership_.is_given_up(*member, holder.spool) : members_.is_removed(holder.hub) || !ownership_.needs_every_answer());
          if (member != nullptr && members_.is_silent(*member)) silent_holders_.insert(holder.hub);
        } else if (answer->knows == cluster::Knows::pending || answer->knows == cluster::Knows::waiting)
          is_known = is_given_up = false;
        else if (answer->knows == cluster::Knows::unknown && !is_former)
          gone.push_back(holder);
      }
      for (const auto& answer : heard)
        if (answer.knows == cluster::Knows::held && answer.owner_spool == spool_.id())
          confirmed.push_back({answer.hub, answer.spool, HolderState::holds});
      if (!is_known) {
        open.push_back({row, is_given_up});
        continue;
      }
      ChangeHolders change = [confirmed, gone](std::vector<storage::Holder>& holders) {
        auto is_named = [](const auto& list, const storage::Holder& h) {
          return std::ranges::any_of(list, [&](const auto& n) { return n.hub == h.hub && n.spool == h.spool; });
        };
        std::erase_if(holders, [&](const auto& h) { return is_named(gone, h); });
        for (auto& holder : holders)
          if (is_named(confirmed, holder)) holder.state = HolderState::holds;
        for (const auto& holder : confirmed)
          if (!is_named(holders, holder)) holders.push_back(holder);
      };
      auto after = message.holders;
      change(after);
      bool is_protected = storage::copies_held(after) >= message.envelope.protection.copies;
      if (after != message.holders || is_protected != message.is_protected) {
        done = co_await commit(runtime_.io, spool_, [row, change](storage::Writer& w) { return w.change_holders(row, change); });
        members_.holders_change(row);
      }
    }
    if (!done) open.push_back({row});
  }
  co_return open;
}

// --- Watch

Task<void> Guardian::watch() {
  auto tick = std::min<Duration>(config_.cluster.heartbeat / 2, 500ms);
  while (co_await wait(tick)) {
    using Owners = std::vector<std::pair<std::string, SpoolId>>;
    auto owners = co_await query<Owners>(runtime_.io, spool_, [](storage::Reader& r) { return r.shadow_owners(); });
    if (owners)
      for (const auto& [hub, spool] : *owners)
        if (!is_stopping_) co_await watch_owner(hub, spool);
    if (!is_stopping_) co_await watch_holders();
    if (!is_stopping_) co_await end_epochs_of_silent_holders();
    if (!is_stopping_) co_await settle_rest();
    look_at_ownership();
  }
}

bool Guardian::is_gone(const std::string& hub, SpoolId spool) {
  auto* member = members_.find_or_admit(hub);  // with discovery: nobody is gone whose silence was not waited for
  if (member == nullptr) return members_.is_removed(hub);
  if (member->identity && member->identity->spool != spool) return true;
  return members_.is_silent(*member);
}

bool Guardian::may_take_from(const std::string& hub, SpoolId spool) {
  if (!is_gone(hub, spool)) return false;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->identity && member->identity->spool == spool;
  return !is_silent || ownership_.is_out(*member, spool);
}

Task<void> Guardian::end_epochs_of_silent_holders() {
  for (const auto& hub : std::exchange(silent_holders_, {})) {
    auto* member = members_.find(hub);
    if (is_stopping_ || member == nullptr || !member->identity || !members_.is_silent(*member)) continue;
    if (!ownership_.needs_every_answer()) continue;
    if (!co_await ownership_.end_epoch(*member, member->identity->spool)) silent_holders_.insert(hub);
  }
}

// What this hub may not deliver anyway is not loaded.
void Guardian::look_at_ownership() {
  if (is_stopping_) return;
  if (unsettled_.empty()) ownership_.settled();
  bool delivers_nothing = ownership_.delivers_nothing();
  if (delivers_nothing != std::exchange(delivers_nothing_, delivers_nothing)) outbound_->set_loading(!delivers_nothing);
  auto why = ownership_.why_mail_waits();
  bool was_waiting = !why_mail_waits_.empty();
  if (was_waiting == !why.empty()) return;
  why_mail_waits_ = why;
  if (why.empty())
    log_.line(LogLevel::info, "mail flows again", {});
  else
    log_.line(LogLevel::warning, "mail waits", {{"reason", why}});
}

Task<void> Guardian::watch_owner(std::string hub, SpoolId spool) {
  if (is_gone(hub, spool)) {
    co_await take_over_from(hub, spool);
    co_return;
  }
  auto* member = members_.find(hub);
  if (member == nullptr || !member->control->is_open() || !member->identity || member->identity->spool != spool) co_return;
  auto now = MonotonicClock::now();
  auto& audited = audits_[spool];
  if (now < audited.next) co_return;
  audited.next = now + audit_pause;
  // An owner may have forgotten, without a word, what it once said it owns: nothing is left here for ever.
  if (audited.from_start == MonotonicTime::max()) audited.from_start = now + audit_from_start;
  if (now >= audited.from_start) {
    audited.up_to = RowId{0};
    audited.from_start = now + audit_from_start;
  }
  co_await audit(hub, spool);
}

Task<void> Guardian::watch_holders() {
  for (auto& member : members_.all()) {
    if (!member->identity || is_stopping_) continue;
    while (!member->replaced_spools.empty()) {
      auto gone = member->replaced_spools.back();
      member->replaced_spools.pop_back();
      co_await holder_lost(gone, true);
    }
    auto spool = member->identity->spool;
    if (taken_from_.contains(spool) && member->live_epoch >= member->identity->epoch) {
      taken_from_.erase(spool);
      co_await former_owner_is_back(spool);
    }
    auto lost_at = member->watch.silent_from();
    if (members_.is_silent(*member) && MonotonicClock::now() >= lost_at + config_.cluster.reprotect_after) {
      member->is_lost = true;
      if (lost_holders_.insert(spool).second) co_await holder_lost(spool, false);
    } else if (member->is_lost && member->control->is_open() && !members_.is_silent(*member)) {
      lost_holders_.erase(spool);
      if (co_await holder_is_back(member->name(), spool)) member->is_lost = false;
    }
  }
  if (!is_stopping_) co_await count_short();
}

// It has been told what was taken over from it, and keeps that as a shadow: from now on it is a holder whose promise counts.
Task<void> Guardian::former_owner_is_back(SpoolId spool) {
  ChangeHolders change = [spool](std::vector<storage::Holder>& holders) {
    for (auto& holder : holders)
      if (holder.spool == spool && holder.state == HolderState::former_owner) holder.state = HolderState::offered;
  };
  co_await change_messages_of(spool, std::move(change), "");
}

Task<void> Guardian::change_messages_of(SpoolId spool, ChangeHolders change, std::string why_unprotected) {
  RowId after{0};
  while (!is_stopping_) {
    auto rows = co_await query<std::vector<RowId>>(runtime_.io, spool_, [spool, after](storage::Reader& r) {
      return r.messages_held_by(spool, after, page);
    });
    if (!rows || rows->empty()) break;
    after = rows->back();
    for (auto row : *rows) {
      if (is_stopping_) co_return;
      auto found = co_await query<std::optional<StoredMessage>>(runtime_.io, spool_,
                                                                [row](storage::Reader& r) { return r.message(row); });
      if (!found || !*found) continue;
      auto holders = (*found)->holders;
      change(holders);
      if (holders == (*found)->holders) continue;
      bool is_protected = storage::copies_held(holders) >= (*found)->envelope.protection.copies;
      auto saved = co_await commit(runtime_.io, spool_, [row, change](storage::Writer& w) { return w.change_holders(row, change); });
      if (saved && (*found)->is_protected && !is_protected)
        log_.message(MessageEvent::unprotected, (*found)->id, {{"reason", why_unprotected}});
    }
  }
}

// --- Take-over

Task<bool> Guardian::last_contact(Member& member) {
  if (!member.control->is_open()) co_return false;
  auto outcome = co_await member.control->call("NOOP\r\n", last_contact_timeout);
  co_return outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250;
}

Task<bool> Guardian::end_run_of(std::string hub, SpoolId spool) {
  if (!is_gone(hub, spool)) co_return false;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->identity && member->identity->spool == spool;
  if (!is_silent) co_return true;
  if (co_await last_contact(*member)) {
    // It hears us, though we did not hear it: its beats come again, or the session ends.
    member->watch.heard(MonotonicClock::now(), config_.cluster.heartbeat * 3);
    co_return false;
  }
  if (is_stopping_ || !is_gone(hub, spool)) co_return false;
  // First of all its present run is fenced: no late copy, no lease for it any more.
  if (!co_await ownership_.end_epoch(*member, spool)) co_return false;
  co_return !is_stopping_ && may_take_from(hub, spool);
}

Task<void> Guardian::take_over_from(std::string hub, SpoolId spool) {
  if (!co_await end_run_of(hub, spool)) co_return;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->identity && member->identity->spool == spool;
  if (taken_from_.insert(spool).second) {
    ++metrics_.takeovers_total;
    log_.line(LogLevel::warning, is_silent ? "a hub is silent: taking its mail over" : "a hub's spool is gone: taking its mail over",
              {{"member", hub}, {"spool", to_string(spool)}});
  }
  RowId after{0};
  while (!is_stopping_ && may_take_from(hub, spool) && ownership_.may_take_over()) {
    auto shadows = co_await query<std::vector<Shadow>>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    co_await decide(std::move(*shadows), MessageEvent::taken_over);
  }
}

Task<void> Guardian::decide(std::vector<Shadow> shadows, MessageEvent event) {
  std::vector<MessageId> ids;
  for (const auto& shadow : shadows) ids.push_back(shadow.id);
  auto answers = co_await ask(ids, "");
  std::vector<Shadow> ours;
  Copies dropped;
  std::vector<Elsewhere> elsewhere;
  for (auto& shadow : shadows) {
    auto decision = cluster::decide_takeover(shadow.generation, shadow.owner_spool, config_.hub_name, answers[shadow.id]);
    bool is_given_up = false;
    if (decision.what == cluster::TakeoverDecision::What::take && must_wait_for_others(shadow, answers[shadow.id], is_given_up))
      decision.what = cluster::TakeoverDecision::What::wait;
    switch (decision.what) {
      case cluster::TakeoverDecision::What::take:
        // Whoever has something of it is owed the "done", also when it was offered its copy after this one was.
        for (const auto& a : answers[shadow.id])
          if (a.knows != cluster::Knows::unknown &&
              std::ranges::none_of(shadow.offered, [&](const auto& h) { return h.hub == a.hub && h.spool == a.spool; }))
            shadow.offered.push_back({a.hub, a.spool, HolderState::offered});
        if (is_given_up) {
          ++metrics_.possible_duplicates_total;
          log_.message(MessageEvent::possible_duplicate, shadow.id, {{"reason", "another holder does not answer"}});
        }
        ours.push_back(std::move(shadow));
        break;
      case cluster::TakeoverDecision::What::follow:
        elsewhere.push_back({shadow.id, shadow.generation, {decision.generation, decision.hub, decision.spool, decision.epoch}});
        break;
      case cluster::TakeoverDecision::What::drop:
        dropped.emplace_back(shadow.id, shadow.generation);
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
    log_.message(MessageEvent::shadow_dropped, copy.id,
                 {{"reason", "owned elsewhere"}, {"owner", copy.owner.hub}, {"generation", static_cast<std::int64_t>(copy.owner.generation.value)}});
}

bool Guardian::must_wait_for_others(const Shadow& shadow, const std::vector<cluster::Answer>& answers, bool& is_given_up) {
  if (!ownership_.needs_every_answer()) return false;
  bool must_wait = false;
  for (const auto& holder : shadow.offered) {
    if (holder.hub == config_.hub_name || holder.hub == shadow.owner_hub) continue;
    if (std::ranges::any_of(answers, [&](const auto& a) { return a.hub == holder.hub; })) continue;
    if (members_.is_removed(holder.hub)) continue;
    auto* member = members_.find(holder.hub);
    must_wait = must_wait || member == nullptr;
    if (member == nullptr || (member->identity && member->identity->spool != holder.spool)) continue;
    if (ownership_.is_out(*member, holder.spool)) {
      is_given_up = true;
      continue;
    }
    must_wait = true;
    if (members_.is_silent(*member)) silent_holders_.insert(holder.hub);
  }
  return must_wait;
}

// Not what has come meanwhile: a hub that took over offers its copy, of a later generation, as soon as it has.
Task<void> Guardian::drop(Copies copies) {
  auto dropped = co_await commit(runtime_.io, spool_, [copies](storage::Writer& w) -> Result<void> {
    for (const auto& [id, generation] : copies)
      if (auto result = w.drop_shadow(id, generation); !result) return result;
    return {};
  });
  if (!dropped) co_return;
  outbox_grew_();
  for (const auto& [id, generation] : copies) log_.message(MessageEvent::shadow_dropped, id, {});
}

Task<void> Guardian::take(std::vector<Shadow> shadows, MessageEvent event) {
  // Back meanwhile: it asks for itself, and may have been told "held" already. From here on it is told "pending".
  if (event == MessageEvent::taken_over)
    std::erase_if(shadows, [&](const auto& s) { return !may_take_from(s.owner_hub, s.owner_spool); });
  if (shadows.empty() || !ownership_.may_take_over()) co_return;
  auto now = WallClock::now();
  std::vector<storage::NewMessage> messages;
  for (auto& shadow : shadows) {
    storage::NewMessage message;
    message.row = shadow.row;
    message.id = shadow.id;
    message.generation = Generation{shadow.generation.value + 1};
    message.size = shadow.size;
    for (auto index : shadow.done)
      message.progress.push_back({index, RecipientOutcome::State::delivered, "done by the former owner"});
    if (auto* owner = members_.find(shadow.owner_hub);
        event == MessageEvent::taken_over && owner != nullptr && owner->identity && owner->identity->spool == shadow.owner_spool)
      message.holders.push_back({shadow.owner_hub, shadow.owner_spool, HolderState::former_owner});
    for (const auto& holder : shadow.offered) {
      auto* member = members_.find(holder.hub);
      if (member == nullptr || holder.hub == shadow.owner_hub || (member->identity && member->identity->spool != holder.spool)) continue;
      message.holders.push_back({holder.hub, holder.spool, HolderState::offered});
    }
    message.alarm_at = outbound_->first_alarm(shadow.envelope);
    message.queue = outbound_->entries_for(shadow.envelope, message.progress, now);
    message.envelope = std::move(shadow.envelope);
    message.is_protected = message.envelope.protection.copies == 0;
    messages.push_back(std::move(message));
    // Until it is committed nobody is told "held": the owner may have come back this very moment and ask.
    pending_.insert(shadow.id);
  }
  auto shared = std::make_shared<std::vector<storage::NewMessage>>(std::move(messages));
  auto taken = co_await commit(
      runtime_.io, spool_,
      [shared](storage::Writer& w) -> Result<void> {
        for (const auto& message : *shared) {
          if (auto result = w.take_over(message); !result) return result;
          if (message.queue.empty())
            if (auto result = w.finish_message(message.row, std::nullopt, SpoolId{0}); !result) return result;
        }
        return {};
      },
      shared->size() * 512);
  // Answers that were read before the commit have gone out once a later read has come back.
  (void)co_await query<int>(runtime_.io, spool_, [](storage::Reader&) { return Result<int>(0); });
  for (const auto& message : *shared) pending_.erase(message.id);
  if (!taken) {
    log_.line(LogLevel::error, "take-over was not committed", {{"reason", taken.error().what}});
    co_return;
  }
  (event == MessageEvent::recovered ? metrics_.messages_recovered_total : metrics_.messages_taken_over_total) += shared->size();
  for (const auto& message : *shared)
    log_.message(event, message.id, {{"generation", static_cast<std::int64_t>(message.generation.value)}});
  outbound_->look_again();
  copier_.protect_later();
}

Task<void> Guardian::audit(std::string hub, SpoolId spool) {
  auto after = audits_[spool].up_to;
  bool may_advance = true;
  bool is_answering = true;
  while (!is_stopping_) {
    auto shadows = co_await query<std::vector<Shadow>>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    std::vector<MessageId> ids;
    for (const auto& shadow : *shadows) ids.push_back(shadow.id);
    auto answers = co_await ask(ids, hub);
    Copies dropped;
    std::vector<Shadow> unclear;
    for (auto& shadow : *shadows) {
      auto row = shadow.row;
      const auto& heard = answers[shadow.id];
      if (heard.empty() || heard.front().spool != spool) {
        is_answering = false;
        break;
      }
      switch (cluster::decide_audit(shadow.generation, shadow.owner_epoch, heard.front())) {
        case cluster::AuditDecision::keep:
          // Everything else is looked at again next time, if it is still there.
          if (heard.front().knows != cluster::Knows::live) may_advance = false;
          break;
        case cluster::AuditDecision::drop:
          may_advance = false;
          dropped.emplace_back(shadow.id, shadow.generation);
          break;
        case cluster::AuditDecision::take:
        case cluster::AuditDecision::follow:
          may_advance = false;
          unclear.push_back(std::move(shadow));
          break;
      }
      if (auto at = audits_.find(spool); may_advance && at != audits_.end()) at->second.up_to = row;
    }
    if (!dropped.empty()) co_await drop(std::move(dropped));
    if (!unclear.empty()) co_await decide(std::move(unclear), MessageEvent::recovered);
    if (!is_answering || !audits_.contains(spool)) break;  // or its owner began another run meanwhile: from the start
  }
}

}  // namespace umbra::hub
