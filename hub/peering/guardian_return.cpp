// This hub comes home with mail of an earlier epoch and asks who owns it. Part of Guardian.
#include <algorithm>

#include "hub/peering/guardian.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::StoredMessage;
using HolderState = storage::Holder::State;

constexpr std::size_t page = 200;
constexpr Duration settle_pause = 30s;
constexpr Duration settle_soon_pause = 1s;
constexpr Duration return_patience = 5s;

const cluster::Answer* answer_of(const std::vector<cluster::Answer>& answers, const storage::Holder& holder) {
  for (const auto& a : answers)
    if (a.hub == holder.hub && a.spool == holder.spool) return &a;
  return nullptr;
}

}  // namespace

Task<void> Guardian::return_home() {
  auto before = spool_.first_row_of_epoch();
  // Where a holder that does not answer keeps its mail waiting anyway, other mail does not wait for it.
  auto patience = ownership_.needs_every_answer()
                      ? std::min<Duration>(return_patience, config_.cluster.return_wait)
                      : config_.cluster.return_wait;
  auto deadline = MonotonicClock::now() + patience;
  auto introductions = MonotonicClock::now() + 3s;
  bool any = false;
  RowId after{0};
  while (!is_stopping_) {
    auto rows = co_await query<std::vector<RowId>>(
        runtime_.io, spool_, [after, before](storage::Reader& r) { return r.messages(after, before, page); });
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

// What was not answered when the hub came home is asked for whenever a hub can be reached: another one may
// own it.
Task<void> Guardian::settle_rest() {
  auto now = MonotonicClock::now();
  for (auto row : std::exchange(doubted_, {})) {
    if (is_unsettled(row)) continue;
    unsettled_.insert(std::ranges::lower_bound(unsettled_, row, {}, &Unsettled::row), {row});
    next_settle_soon_ = now;
  }
  bool is_about_all = now >= next_settle_;
  if (unsettled_.empty() || (!is_about_all && now < next_settle_soon_)) co_return;
  if (!is_about_all && std::ranges::none_of(unsettled_, &Unsettled::is_soon_known)) co_return;
  if (is_about_all) next_settle_ = now + settle_pause;
  std::vector<Unsettled> open;
  std::vector<RowId> asked;
  for (const auto& unsettled : unsettled_) {
    if (is_about_all || unsettled.is_soon_known)
      asked.push_back(unsettled.row);
    else
      open.push_back(unsettled);
  }
  for (std::size_t from = 0; from < asked.size(); from += page) {
    auto first = asked.begin() + static_cast<std::ptrdiff_t>(from);
    auto last = asked.begin() + static_cast<std::ptrdiff_t>(std::min(asked.size(), from + page));
    auto still = co_await settle_returned({first, last});
    if (is_stopping_) co_return;
    open.insert(open.end(), still.begin(), still.end());
  }
  next_settle_soon_ = MonotonicClock::now() + settle_soon_pause;
  std::ranges::sort(open, {}, &Unsettled::row);
  unsettled_ = std::move(open);
  if (unsettled_.empty()) log_.line(LogLevel::info, "every older message is settled now", {});
}

void Guardian::doubt(MessageId id) {
  if (!is_stopping_) tasks_.spawn("look into a doubt", look_into(id));
}

Task<void> Guardian::look_into(MessageId id) {
  auto row = co_await query<std::optional<RowId>>(runtime_.io, spool_,
                                                  [id](storage::Reader& r) { return r.find_message(id); });
  if (row && *row && !is_returning_) doubted_.push_back(**row);
}

Task<std::vector<Guardian::Unsettled>> Guardian::settle_returned(std::vector<RowId> rows) {
  bool asks_anyway = !is_returning_;  // a doubt: somebody has it who is not among the holders
  auto loaded = co_await query<std::vector<StoredMessage>>(
      runtime_.io, spool_, [&rows, asks_anyway](storage::Reader& r) -> Result<std::vector<StoredMessage>> {
        std::vector<StoredMessage> messages;
        for (auto row : rows) {
          auto message = r.message(row);
          if (!message) return std::unexpected(message.error());
          if (*message && (!(*message)->holders.empty() || asks_anyway))
            messages.push_back(std::move(**message));
        }
        return messages;
      });
  if (!loaded) {
    std::vector<Unsettled> all;
    for (auto row : rows) all.push_back({row});
    co_return all;
  }
  std::vector<MessageId> ids;
  EndedRuns::Spools named;
  for (const auto& message : *loaded) {
    ids.push_back(message.id);
    for (const auto& holder : message.holders)
      if (holder.spool.value != 0) named.emplace(holder.hub, holder.spool);
  }
  Answers answers;
  EndedRuns::Told told;
  bool is_told_first = ownership_.needs_every_answer();
  if (!ids.empty() && is_told_first) told = co_await ended_runs_.tell(ended_runs_.known(named));
  if (!ids.empty()) answers = co_await ask(ids, "");
  // Until it refuses what runs that are over have sent, a copy of the message may lie unread with whoever
  // knows nothing of it: that says nothing, and it is told and asked again in a moment.
  auto says_nothing = [&](const cluster::Answer& a) {
    return is_told_first && a.knows == cluster::Knows::unknown && !told.hubs.contains(a.hub);
  };
  std::vector<Unsettled> open;
  for (const auto& message : *loaded) {
    if (is_stopping_) break;
    if (storage::is_handing_over(
            message.state)) {  // the hander finds out; then it is asked about like every other
      open.push_back({message.row});
      continue;
    }
    const auto& heard = answers[message.id];
    auto decision = cluster::decide_return(message.generation, spool_.id(), heard);
    auto row = message.row;
    if (outbound_->awaits_final_reply(
            row)) {  // delivered meanwhile, unsettled: what comes of it is to be recorded
      open.push_back({row, is_given_up(row), false});
      continue;
    }
    if (decision.what == cluster::ReturnDecision::What::wait) {
      open.push_back({row});
      continue;
    }
    Result<void> done;
    if (decision.what == cluster::ReturnDecision::What::finish) {
      done = co_await commit(runtime_.io, spool_, [row, decision](storage::Writer& w) {
        return w.finish_message(row, std::nullopt, decision.spool, storage::Left::elsewhere);
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
        log_.message(
            MessageEvent::ceded, message.id,
            {{"owner", decision.hub}, {"generation", static_cast<std::int64_t>(decision.generation.value)}});
      }
    } else {
      // What each holder said changes its entry; whoever says that it holds a copy is a holder, named or not:
      // the row may be older than the last offer.
      std::vector<storage::Holder> confirmed;
      std::vector<storage::Holder> gone;
      // Named or not, who is undecided knows more in a moment: it may have taken the message over, and be
      // giving it away.
      bool is_soon_known = std::ranges::any_of(heard, [&](const auto& a) {
        return says_nothing(a) || a.is_undecided(message.generation) || a.knows == cluster::Knows::waiting;
      });
      bool is_known = !is_soon_known;
      bool is_given_up = is_known;
      for (const auto& holder : message.holders) {
        const auto* answer = answer_of(heard, holder);
        auto* member = members_.find(holder.hub);
        bool is_replaced = members_.is_removed(holder.hub) ||
                           (member != nullptr && member->identity && member->identity->spool != holder.spool);
        bool is_former = holder.state == HolderState::former_owner;
        if (is_former && is_replaced && !members_.is_removed(holder.hub)) continue;
        if (is_replaced)
          gone.push_back(holder);
        else if (answer == nullptr && (is_former || ownership_.was_never_out()))
          continue;
        else if (answer == nullptr) {
          is_known = false;
          is_given_up = is_given_up && (member != nullptr ? ownership_.is_given_up(*member, holder.spool)
                                                          : members_.is_removed(holder.hub) ||
                                                                !ownership_.needs_every_answer());
          if (member != nullptr && members_.is_silent(*member)) silent_holders_.insert(holder.hub);
        } else if (answer->knows == cluster::Knows::unknown && !is_former)
          gone.push_back(holder);
      }
      for (const auto& answer : heard)
        if (answer.knows == cluster::Knows::held && answer.owner_spool == spool_.id())
          confirmed.push_back({answer.hub, answer.spool, HolderState::holds});
      if (!is_known) {
        open.push_back({row, is_given_up, is_soon_known});
        continue;
      }
      ChangeHolders change = [confirmed, gone](std::vector<storage::Holder>& holders) {
        auto is_named = [](const auto& list, const storage::Holder& h) {
          return storage::find_holder(list, h.hub, h.spool) != list.end();
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
        done = co_await commit(runtime_.io, spool_,
                               [row, change](storage::Writer& w) { return w.change_holders(row, change); });
        members_.holders_change(row);
      }
    }
    if (!done) open.push_back({row});
  }
  co_return open;
}

}  // namespace umbra::hub
