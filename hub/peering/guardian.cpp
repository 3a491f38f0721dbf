// The guardian's life: home first, then the watch, and the questions that its other parts ask. They are files
// of their own: guardian_return (own mail), guardian_takeover (mail of others), guardian_audit (copies nobody
// speaks of), guardian_holders.
#include "hub/peering/guardian.h"

#include <algorithm>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page = 200;
constexpr Duration ask_timeout = 2s;
constexpr Duration audit_pause = 30s;
constexpr Duration audit_from_start = 10min;
constexpr std::size_t takeovers_at_once = 8;
constexpr std::size_t audits_at_once = 4;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  for (std::size_t at; (at = text.find('\n', from)) != std::string::npos; from = at + 1)
    lines.push_back(text.substr(from, at - from));
  lines.push_back(text.substr(from));
  return lines;
}

}  // namespace

cluster::Knows to_knows(smtp::AskKind kind) {
  switch (kind) {
    case smtp::AskKind::unknown:
      return cluster::Knows::unknown;
    case smtp::AskKind::pending:
      return cluster::Knows::pending;
    case smtp::AskKind::live:
      return cluster::Knows::live;
    case smtp::AskKind::waiting:
      return cluster::Knows::waiting;
    case smtp::AskKind::held:
      return cluster::Knows::held;
    case smtp::AskKind::done:
      return cluster::Knows::done;
  }
  return cluster::Knows::unknown;
}

Guardian::Guardian(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
                   Ownership& ownership, Copier& copier, PendingMessages& pending, EventLog& log,
                   Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      ownership_(ownership),
      copier_(copier),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      ended_runs_(members, ownership),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Guardian::start() {
  tasks_.spawn("guardian", run());
}

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
    (void)co_await member->control->call(smtp::format_suspect(lines),
                                         ask_timeout);  // not told: it counts for itself
  }
}

// --- Questions

Task<Guardian::Answers> Guardian::ask(std::vector<MessageId> ids, std::string only) {
  Answers answers;
  for (auto& member : members_.all()) {
    if (!only.empty() && member->name() != only) continue;
    for (std::size_t from = 0; from < ids.size(); from += page) {
      if (is_stopping_ || !member->control->is_open() || !member->identity) break;
      std::vector<MessageId> part(
          ids.begin() + static_cast<std::ptrdiff_t>(from),
          ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), from + page)));
      // An answer counts only for the run that gave it.
      auto spool = member->identity->spool;
      auto epoch = member->live_epoch;
      auto outcome = co_await member->control->call(smtp::format_ask(part), ask_timeout);
      if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) break;
      if (member->identity->spool != spool || member->live_epoch != epoch || member->is_fenced) break;
      for (const auto& line : split_lines(outcome.reply.text)) {
        auto parsed = smtp::parse_answer(line);
        if (!parsed) continue;  // the last line, which counts them
        answers[parsed->id].push_back({member->name(), spool, epoch, to_knows(parsed->kind),
                                       parsed->generation, parsed->owner_hub, parsed->owner_spool});
      }
    }
  }
  co_return answers;
}

// --- Watch

Task<void> Guardian::watch() {
  auto tick = std::min<Duration>(config_.cluster.heartbeat / 2, 500ms);
  while (co_await wait(tick)) {
    auto owners = co_await query<std::vector<Owner>>(runtime_.io, spool_,
                                                     [](storage::Reader& r) { return r.shadow_owners(); });
    if (is_stopping_) break;
    if (owners) look_at(std::move(*owners));
    if (!std::exchange(is_looking_at_returns_, true)) tasks_.spawn("look at returns", look_at_returns());
    if (!std::exchange(is_ending_epochs_, true))
      tasks_.spawn("look at silent holders", look_at_silent_holders());
    look_at_ownership();
  }
}

// An owner that is still being dealt with is passed over until the next look.
void Guardian::look_at(std::vector<Owner> owners) {
  std::ranges::sort(owners, {}, &Owner::second);
  std::ranges::rotate(owners, std::ranges::upper_bound(owners, last_taken_from_, {}, &Owner::second));
  for (auto& owner : owners) {
    const auto& [hub, spool] = owner;
    if (busy_.contains(spool)) continue;
    if (is_gone(hub, spool)) {
      if (takeovers_running_ >= takeovers_at_once) continue;
      ++takeovers_running_;
      busy_.insert(spool);
      last_taken_from_ = spool;
      tasks_.spawn("take over", take_over_task(std::move(owner)));
    } else if (audits_running_ < audits_at_once && is_audit_due(hub, spool)) {
      ++audits_running_;
      busy_.insert(spool);
      tasks_.spawn("audit", audit_task(std::move(owner)));
    }
  }
}

Task<void> Guardian::take_over_task(Owner owner) {
  co_await take_over_from(owner.first, owner.second);
  --takeovers_running_;
  busy_.erase(owner.second);
}

Task<void> Guardian::audit_task(Owner owner) {
  co_await audit(owner.first, owner.second);
  --audits_running_;
  busy_.erase(owner.second);
}

// One after the other: what a returning hub's holders say must not be written after it was noted that one of
// them has gone.
Task<void> Guardian::look_at_returns() {
  co_await watch_holders();
  if (!is_stopping_) co_await settle_rest();
  is_looking_at_returns_ = false;
}

Task<void> Guardian::look_at_silent_holders() {
  co_await end_epochs_of_silent_holders();
  is_ending_epochs_ = false;
}

// One at a time for each hub: both who takes over from it and who waits for its answer may want it.
Task<bool> Guardian::end_epoch(Member& member, SpoolId spool) {
  if (!ending_.insert(spool).second) co_return false;
  bool is_ended = co_await ownership_.end_epoch(member, spool);
  ending_.erase(spool);
  if (is_ended && member.has_spool(spool)) {
    auto& [epoch, row] = out_from_[spool];
    if (row == RowId{} || epoch != member.identity->epoch)
      std::tie(epoch, row) = std::tuple(member.identity->epoch, spool_.next_row());
  }
  co_return is_ended;
}

bool Guardian::is_gone(const std::string& hub, SpoolId spool) {
  auto* member =
      members_.find_or_admit(hub);  // with discovery: nobody is gone whose silence was not waited for
  if (member == nullptr) return members_.is_removed(hub);
  if (member->identity && member->identity->spool != spool) return true;
  return members_.is_silent(*member);
}

bool Guardian::may_take_from(const std::string& hub, SpoolId spool) {
  if (!is_gone(hub, spool)) return false;
  auto* member = members_.find(hub);
  bool is_silent = member != nullptr && member->has_spool(spool);
  return !is_silent || ownership_.is_out(*member, spool);
}

Task<void> Guardian::end_epochs_of_silent_holders() {
  for (const auto& hub : std::exchange(silent_holders_, {})) {
    auto* member = members_.find(hub);
    if (is_stopping_ || member == nullptr || !member->identity || !members_.is_silent(*member)) continue;
    if (!ownership_.needs_every_answer()) continue;
    if (!co_await end_epoch(*member, member->identity->spool)) silent_holders_.insert(hub);
  }
}

// What this hub may not deliver anyway is not loaded.
void Guardian::look_at_ownership() {
  if (is_stopping_) return;
  if (unsettled_.empty()) ownership_.settled();
  bool delivers_nothing = ownership_.delivers_nothing();
  if (delivers_nothing != std::exchange(delivers_nothing_, delivers_nothing))
    outbound_->set_loading(!delivers_nothing);
  auto why = ownership_.why_mail_waits();
  bool was_waiting = !why_mail_waits_.empty();
  if (was_waiting == !why.empty()) return;
  why_mail_waits_ = why;
  if (why.empty())
    log_.line(LogLevel::info, "mail flows again", {});
  else
    log_.line(LogLevel::warning, "mail waits", {{"reason", why}});
}

bool Guardian::is_audit_due(const std::string& hub, SpoolId spool) {
  auto* member = members_.find(hub);
  if (member == nullptr || !member->control->is_open() || !member->identity ||
      member->identity->spool != spool)
    return false;
  auto now = MonotonicClock::now();
  auto& audited = audits_[spool];
  if (now < audited.next) return false;
  audited.next = now + audit_pause;
  // An owner may have forgotten, without a word, what it once said it owns: nothing is left here for ever.
  if (audited.from_start == MonotonicTime::max()) audited.from_start = now + audit_from_start;
  if (now >= audited.from_start) {
    audited.up_to = RowId{0};
    audited.from_start = now + audit_from_start;
  }
  return true;
}

}  // namespace umbra::hub
