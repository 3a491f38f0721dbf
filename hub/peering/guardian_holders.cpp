// Holders that are silent, and those that are back: what is short of copies, and which need not be made
// again. Part of Guardian.
#include "hub/peering/guardian.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::StoredMessage;
using HolderState = storage::Holder::State;

constexpr std::size_t page = 200;
constexpr Duration count_pause = 5s;

}  // namespace

Task<void> Guardian::watch_holders() {
  for (auto& member : members_.all()) {
    if (!member->identity || is_stopping_) continue;
    while (!member->replaced_spools.empty()) {
      auto gone = member->replaced_spools.back();
      if (!co_await holder_lost(gone, true, member->identity->spool == gone)) break;
      std::erase(member->replaced_spools, gone);
    }
    auto spool = member->identity->spool;
    // Not while its mail is being taken over still: what that makes of this hub's messages would be left out.
    if (taken_from_.contains(spool) && member->live_epoch >= member->identity->epoch &&
        busy_.insert(spool).second) {
      if (co_await former_owner_is_back(spool)) taken_from_.erase(spool);
      busy_.erase(spool);
    }
    auto lost_at = member->watch.silent_from();
    if (members_.is_silent(*member) && MonotonicClock::now() >= lost_at + config_.cluster.reprotect_after) {
      member->is_lost = true;
      if (!lost_holders_.contains(spool) && co_await holder_lost(spool, false, false))
        lost_holders_.insert(spool);
    } else if (member->is_lost && member->control->is_open() && !members_.is_silent(*member)) {
      lost_holders_.erase(spool);
      if (co_await holder_is_back(member->name(), spool)) member->is_lost = false;
    }
  }
  if (!is_stopping_) co_await count_short();
}

// It has been told what was taken over from it, and keeps that as a shadow: from now on it is a holder whose
// promise counts.
Task<bool> Guardian::former_owner_is_back(SpoolId spool) {
  ChangeHolders change = [spool](std::vector<storage::Holder>& holders) {
    for (auto& holder : holders)
      if (holder.spool == spool && holder.state == HolderState::former_owner)
        holder.state = HolderState::offered;
  };
  co_return co_await change_messages_of(spool, std::move(change), "");
}

// A page at a time, each in one commit. A full disk takes none of it: what is left is found again by who
// comes again.
Task<bool> Guardian::change_messages_of(SpoolId spool, ChangeHolders change, std::string why_unprotected) {
  RowId after{0};
  while (!is_stopping_) {
    auto messages = co_await messages_held_by(spool, after);
    if (!messages) co_return false;
    if (messages->empty()) break;
    after = messages->back().row;
    std::vector<RowId> rows;
    std::vector<MessageId> unprotected;
    for (const auto& message : *messages) {
      auto holders = message.holders;
      change(holders);
      if (holders == message.holders) continue;
      rows.push_back(message.row);
      if (message.is_protected && storage::copies_held(holders) < message.envelope.protection.copies)
        unprotected.push_back(message.id);
    }
    if (rows.empty()) continue;
    auto saved = co_await change_holders_of(std::move(rows), change);
    if (!saved) co_return false;
    for (const auto& id : unprotected)
      log_.message(MessageEvent::unprotected, id, {{"reason", why_unprotected}});
  }
  co_return !is_stopping_;
}

Task<Result<std::vector<StoredMessage>>> Guardian::messages_held_by(SpoolId spool, RowId after) {
  co_return co_await query<std::vector<StoredMessage>>(
      runtime_.io, spool_, [spool, after](storage::Reader& r) -> Result<std::vector<StoredMessage>> {
        std::vector<StoredMessage> found;
        auto rows = r.messages_held_by(spool, after, page);
        if (!rows) return std::unexpected(rows.error());
        for (auto row : *rows) {
          auto message = r.message(row);
          if (!message) return std::unexpected(message.error());
          if (*message) found.push_back(std::move(**message));
        }
        return found;
      });
}

Task<Result<void>> Guardian::change_holders_of(std::vector<RowId> rows, ChangeHolders change) {
  auto octets = rows.size() * 128;
  co_return co_await commit(
      runtime_.io, spool_,
      [rows = std::move(rows), change = std::move(change)](storage::Writer& w) -> Result<void> {
        for (auto row : rows)
          if (auto changed = w.change_holders(row, change);
              !changed &&
              changed.error().code != std::errc::no_such_file_or_directory)  // that one is finished meanwhile
            return changed;
        return {};
      },
      octets);
}

// What a silent hub holds counts as missing from the first moment, though it is copied again only after
// reprotect_after: the hub may just be restarting.
Task<void> Guardian::count_short() {
  auto now = MonotonicClock::now();
  std::vector<SpoolId> silent;
  for (auto& member : members_.all())
    if (member->identity && !lost_holders_.contains(member->identity->spool) && members_.is_silent(*member))
      silent.push_back(member->identity->spool);
  if (silent == short_of_ && now < next_count_) co_return;
  next_count_ = now + count_pause;
  auto counted = co_await query<std::uint64_t>(runtime_.io, spool_,
                                               [silent](storage::Reader& r) -> Result<std::uint64_t> {
                                                 std::uint64_t sum = 0;
                                                 for (auto spool : silent) {
                                                   auto copies = r.copies_on(spool);
                                                   if (!copies) return copies;
                                                   sum += *copies;
                                                 }
                                                 return sum;
                                               });
  if (!counted) co_return;
  if (silent != short_of_ && *counted != 0)
    log_.line(LogLevel::warning, "holders of copies are silent",
              {{"messages", static_cast<std::int64_t>(*counted)}});
  short_of_ = std::move(silent);
  short_messages_ = *counted;
}

Task<bool> Guardian::holder_lost(SpoolId spool, bool is_replaced, bool has_left) {
  ChangeHolders change = [spool, is_replaced, has_left](std::vector<storage::Holder>& holders) {
    // A former owner stays known until the message is done.
    auto is_kept = [&](const auto& h) { return h.state == HolderState::former_owner && !has_left; };
    if (is_replaced) std::erase_if(holders, [&](const auto& h) { return h.spool == spool && !is_kept(h); });
    for (auto& holder : holders)
      if (holder.spool == spool && holder.state == HolderState::holds) holder.state = HolderState::offered;
  };
  bool is_all = co_await change_messages_of(spool, std::move(change), "holder lost");
  copier_.protect_later();
  co_return is_all;
}

// A hub whose copies did not count any more has come back with its spool: which of them has it still? Those
// need not be sent again. False: it has not answered yet.
Task<bool> Guardian::holder_is_back(std::string hub, SpoolId spool) {
  RowId after{0};
  std::int64_t kept = 0;
  while (!is_stopping_) {
    auto messages = co_await messages_held_by(spool, after);
    if (!messages) co_return false;
    if (messages->empty()) break;
    after = messages->back().row;
    std::vector<MessageId> ids;
    for (const auto& message : *messages) ids.push_back(message.id);
    auto answers = co_await ask(std::move(ids), hub);
    std::vector<RowId> held;
    for (const auto& message : *messages) {
      auto heard = answers.find(message.id);
      if (heard == answers.end()) co_return false;
      const auto& answer = heard->second.front();
      if (answer.spool == spool && answer.knows == cluster::Knows::held &&
          answer.owner_spool == spool_.id() && answer.generation == message.generation)
        held.push_back(message.row);
    }
    auto confirmed = held.size();
    auto saved = co_await change_holders_of(std::move(held), [spool](std::vector<storage::Holder>& holders) {
      for (auto& holder : holders)
        if (holder.spool == spool && holder.state == HolderState::offered) holder.state = HolderState::holds;
    });
    if (!saved) co_return false;
    kept += static_cast<std::int64_t>(confirmed);
  }
  if (kept != 0)
    log_.line(LogLevel::info, "a holder is back with its copies", {{"member", hub}, {"messages", kept}});
  co_return !is_stopping_;
}

}  // namespace umbra::hub
