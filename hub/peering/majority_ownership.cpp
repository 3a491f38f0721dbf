#include "hub/peering/majority_ownership.h"

#include <fmt/format.h>

#include <algorithm>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr Duration question_timeout = 500ms;
constexpr Duration admission_pause = 500ms;
constexpr Duration said_pause = 1min;

std::vector<std::string> names_of(const ClusterConfig& cluster) {
  std::vector<std::string> names;
  for (const auto& member : cluster.members) names.push_back(member.name);
  return names;
}

}  // namespace

MajorityOwnership::MajorityOwnership(Runtime runtime, const Config& config, storage::Spool& spool,
                                     Members& members, EventLog& log)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      log_(log),
      tasks_(runtime.io),
      pause_(runtime.io),
      members_count_(config.cluster.members.size()),
      majority_(cluster::majority_of(members_count_)),
      agreement_(cluster::agreement_of("majority", names_of(config.cluster))) {
  members_.set_agreement(agreement_);
}

void MajorityOwnership::start() {
  tasks_.spawn("admission", be_admitted());
}

Task<void> MajorityOwnership::stop() {
  is_stopping_ = true;
  pause_.cancel();
  co_await tasks_.join();
}

// ---- delivery

std::size_t MajorityOwnership::promises(Duration span) const {
  auto now = MonotonicClock::now();
  return 1 + static_cast<std::size_t>(std::ranges::count_if(members_.all(), [now, span](const auto& member) {
           return member->identity && member->promised_by == member->identity->spool &&
                  member->promise.is_recent(now, span);
         }));
}

bool MajorityOwnership::may_deliver_now(const storage::StoredMessage&) {
  // Whoever its holders are: none of them can have the votes of a majority against this epoch.
  return is_in_touch();
}

Task<Ownership::Verdict> MajorityOwnership::may_deliver(Holders holders, bool waits) {
  auto deadline = MonotonicClock::now() + config_.cluster.ask_again;
  Timer timer(runtime_.io);
  for (;;) {
    if (members_.ended()) co_return Verdict::stop;
    // Never offered to anybody: nobody else can deliver it.
    if (holders.empty() || is_in_touch()) co_return Verdict::go;
    if (!waits || MonotonicClock::now() >= deadline) co_return Verdict::later;
    co_await timer.wait_for(50ms);  // the heartbeats ask
  }
}

bool MajorityOwnership::is_given_up(const Member& member, SpoolId spool) const {
  return is_out(member, spool) && MonotonicClock::now() >= out_.at(spool).since + config_.cluster.out_wait;
}

std::string MajorityOwnership::why_mail_waits() {
  auto now = MonotonicClock::now();
  auto count = promises(3 * config_.cluster.heartbeat);
  if (count >= majority_) {
    lease_seen_ = now;
    return {};
  }
  if (now < lease_seen_ + config_.cluster.ask_again) return {};
  return fmt::format("this hub is in the minority: {} of {} hubs grant it a lease, {} are needed", count,
                     members_count_, majority_);
}

// ---- take-over

bool MajorityOwnership::is_out(const Member& member, SpoolId spool) const {
  auto out = out_.find(spool);
  return out != out_.end() && member.is_fenced && member.has_spool(spool) &&
         out->second.below >= member.identity->epoch;
}

// First a question that binds nobody: a hub that alone hears nothing of the owner must not make the others
// refuse it, nor refuse it itself. Then this hub's own vote, durable, and then the others'.
Task<bool> MajorityOwnership::end_epoch(Member& member, SpoolId spool) {
  if (is_out(member, spool)) co_return true;
  if (!may_take_over()) co_return false;
  auto now = MonotonicClock::now();
  if (now < next_ballot_[spool]) co_return false;
  next_ballot_[spool] = now + config_.cluster.heartbeat / 2;
  smtp::VoteQuestion question{member.name(), spool, Epoch{0}, agreement_, true};
  auto own = decide(member, question);
  if (!own.is_yes) co_return false;
  question.over_below = own.over_below;
  if (1 + co_await ask_for_votes(member.name(), question, majority_ - 1) < majority_) co_return false;
  if (is_stopping_ || !may_take_over() || !members_.is_silent(member)) co_return false;
  if (!co_await members_.end_epoch_of(member, spool, own.over_below)) co_return false;
  if (!member.is_fenced || !member.identity || member.identity->spool != spool) co_return false;
  question.is_probe = false;
  question.over_below = member.identity->epoch;
  if (1 + co_await ask_for_votes(member.name(), question, majority_ - 1) < majority_) co_return false;
  if (!member.is_fenced || member.identity->spool != spool) co_return false;
  out_.insert_or_assign(spool, Out{member.identity->epoch, MonotonicClock::now()});
  log_.line(
      LogLevel::warning, "a majority has ended the epoch of a hub",
      {{"member", member.name()}, {"epochs_below", static_cast<std::int64_t>(member.identity->epoch.value)}});
  co_return true;
}

Task<std::size_t> MajorityOwnership::ask_for_votes(std::string about, smtp::VoteQuestion question,
                                                   std::size_t wanted) {
  std::size_t votes = 0;
  for (const auto& member : members_.all()) {
    if (votes >= wanted || is_stopping_) break;
    if (member->name() == about || !member->control->is_open() || !member->identity) continue;
    auto spool = member->identity->spool;
    auto outcome = co_await member->control->call(smtp::format_vote(question), question_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) continue;
    // The vote of a spool that was lost since is not worth anything.
    if (member->identity->spool == spool) ++votes;
  }
  co_return votes;
}

// ---- what other hubs ask

bool MajorityOwnership::gives_promises(const Member& member, const std::string& agreement) {
  if (agreement == agreement_) return is_admitted_;
  if (MonotonicClock::now() >= said_at_) {
    said_at_ = MonotonicClock::now() + said_pause;
    log_.line(LogLevel::error,
              "another hub has another list of hubs or another mode of ownership: no promises to it",
              {{"member", member.name()}});
  }
  return false;
}

cluster::Vote MajorityOwnership::decide(Member& member, const smtp::VoteQuestion& question) {
  cluster::Voter voter;
  voter.is_admitted = is_admitted_;
  voter.agrees = question.agreement == agreement_;
  voter.remembered = member.identity;
  voter.live = member.live_epoch;
  voter.is_fenced = member.is_fenced;
  voter.is_silent = members_.is_silent(member);
  return cluster::decide_vote(voter, question.spool, question.over_below);
}

Task<smtp::Reply> MajorityOwnership::vote(std::string asker, smtp::VoteQuestion question) {
  auto* member = members_.find(question.hub);
  if (member == nullptr || question.hub == asker)
    co_return smtp::Reply{450, "4.4.1", "That hub is not to be voted on"};
  auto vote = decide(*member, question);
  if (vote.is_yes && !question.is_probe) {
    // As who has run up to there: ending that is ending what was asked for, and no run more.
    if (!member->identity)
      members_.meet(*member, question.spool,
                    Epoch{vote.over_below.value - std::min<std::uint64_t>(vote.over_below.value, 1)});
    auto ended = co_await members_.end_epoch_of(*member, question.spool, vote.over_below);
    if (!ended) co_return smtp::Reply{451, "4.3.0", "The spool cannot take the vote now"};
    // Heard while the vote was written: no vote.
    if (!member->is_fenced || !member->identity || member->identity->spool != question.spool)
      vote = {false, Epoch{0}, "it was heard within a lease"};
    else
      vote.over_below = member->identity->epoch;
  }
  if (!vote.is_yes) co_return smtp::Reply{450, "4.4.1", std::string(vote.why)};
  co_return smtp::Reply{250, "2.0.0", "over " + std::to_string(vote.over_below.value)};
}

Task<smtp::Reply> MajorityOwnership::tell_epochs() {
  std::string text;
  std::size_t count = 0;
  for (const auto& member : members_.all()) {
    if (!member->identity) continue;
    text += smtp::format_epoch({member->name(), member->identity->spool, member->identity->epoch}) + '\n';
    ++count;
  }
  co_return smtp::Reply{250, "2.0.0", text + std::to_string(count)};
}

// ---- admission

Task<void> MajorityOwnership::be_admitted() {
  auto remembered = co_await query<std::vector<storage::PeerMemory>>(
      runtime_.io, spool_, [](storage::Reader& r) { return r.peers(); });
  if (remembered)
    is_admitted_ = std::ranges::any_of(*remembered, [this](const auto& peer) {
      return peer.hub == config_.hub_name && peer.spool == spool_.id();
    });
  while (!is_admitted_ && !is_stopping_) {
    for (const auto& member : members_.all()) {
      if (is_stopping_ || told_.contains(member->name())) continue;
      if (co_await ask_for_epochs(*member)) told_.insert(member->name());
    }
    if (cluster::may_be_admitted(told_.size(), members_count_ - 1)) {
      if (co_await remember_admission()) {
        is_admitted_ = true;
        log_.line(LogLevel::info,
                  "this spool takes part in votes now: every other hub has told which epochs are over", {});
        break;
      }
    } else if (MonotonicClock::now() >= said_at_ && !is_stopping_) {
      said_at_ = MonotonicClock::now() + said_pause;
      log_.line(LogLevel::info,
                "this spool is new: it takes no part in votes before it has heard every other hub",
                {{"heard", static_cast<std::int64_t>(told_.size())},
                 {"others", static_cast<std::int64_t>(members_count_ - 1)}});
    }
    if (!is_stopping_) co_await pause_.wait_for(admission_pause);
  }
}

Task<bool> MajorityOwnership::ask_for_epochs(Member& member) {
  if (!member.control->is_open() || !member.identity) co_return false;
  auto outcome = co_await member.control->call(smtp::format_epochs(), question_timeout);
  if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return false;
  for (const auto& known : smtp::parse_epochs(outcome.reply.text)) {
    auto* about = members_.find(known.hub);
    if (about == nullptr || about == &member) continue;
    if (!about->identity) members_.meet(*about, known.spool, known.lowest);
    if (about->identity->spool == known.spool && about->identity->epoch < known.lowest)
      if (!co_await members_.end_epoch_of(*about, known.spool, known.lowest)) co_return false;
  }
  co_return true;
}

Task<Result<void>> MajorityOwnership::remember_admission() {
  // With what the others have told, in one transaction: who votes again after a restart still knows which
  // runs are over.
  std::vector<storage::PeerMemory> memories{{config_.hub_name, spool_.id(), spool_.epoch(), Sequence{0}}};
  for (const auto& member : members_.all())
    if (member->identity)
      memories.push_back(
          {member->name(), member->identity->spool, member->identity->epoch, member->identity->sequence});
  co_return co_await commit(runtime_.io, spool_, [memories](storage::Writer& w) -> Result<void> {
    for (const auto& memory : memories)
      if (auto remembered = w.remember_peer(memory); !remembered) return remembered;
    return {};
  });
}

}  // namespace umbra::hub
