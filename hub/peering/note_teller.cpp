#include "hub/peering/note_teller.h"

#include <algorithm>
#include <map>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr Duration gather = 20ms;   // how long changes are gathered into one batch
constexpr Duration idle_look = 2s;  // what was not confirmed is told again
constexpr Duration reply_timeout = 5s;
constexpr Duration patience = 5s;  // of an operator's command
constexpr Duration told_look = 20ms;
constexpr std::size_t page = 200;
static_assert(page <= smtp::shadow_batch_max);

}  // namespace

NoteTeller::NoteTeller(Runtime runtime, storage::Spool& spool, Members& members, Copier& copier,
                       PendingMessages& pending, Metrics& metrics)
    : runtime_(runtime),
      spool_(spool),
      members_(members),
      copier_(copier),
      pending_(pending),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void NoteTeller::start() {
  tasks_.spawn("notes", loop());
}

Task<void> NoteTeller::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
  Timer pause(runtime_.io);
  while (waiting_ != 0) co_await pause.wait_for(2ms);  // called from elsewhere: they see that it stops
}

Task<void> NoteTeller::loop() {
  while (!is_stopping_) {
    if (!has_work_) co_await wake_.wait_for(idle_look);
    if (is_stopping_) break;
    is_gathering_ = true;
    co_await wake_.wait_for(gather);
    is_gathering_ = false;
    if (is_stopping_) break;
    has_work_ = false;
    for (const auto& member : members_.all()) {
      if (!member->identity || !member->control->offers(smtp::note_capability)) continue;
      auto spool = member->identity->spool;
      if (telling_.insert(spool).second) tasks_.spawn("tell notes", tell_all(member->name(), spool));
    }
  }
}

Task<void> NoteTeller::tell_all(std::string hub, SpoolId spool) {
  co_await tell(std::move(hub), spool);
  telling_.erase(spool);
}

Task<void> NoteTeller::tell(std::string hub, SpoolId spool) {
  using Owed = std::vector<storage::OwedNote>;
  RowId after{0};
  while (!is_stopping_) {
    auto owed = co_await query<Owed>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.notes_owed(spool, after, page); });
    if (!owed || owed->empty()) co_return;
    after = owed->back().row;
    std::vector<smtp::NoteItem> items;
    std::map<MessageId, std::pair<RowId, std::uint32_t>> told;
    for (auto& one : *owed) {
      if (pending_.contains(one.id)) continue;  // its copies are being made
      told[one.id] = {one.row, one.note.number};
      items.push_back({one.id, one.generation, std::move(one.note)});
    }
    if (items.empty()) continue;
    auto* member = members_.find(hub);
    if (member == nullptr || !member->identity || member->identity->spool != spool ||
        !member->control->offers(smtp::note_capability))
      co_return;
    if (!member->control->offers(smtp::next_hop_capability))
      for (auto& item : items) item.note.next_hop.clear();
    auto outcome = co_await member->control->call(smtp::format_notes(items), reply_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) co_return;
    std::vector<std::pair<RowId, std::uint32_t>> confirmed;
    std::string_view text = outcome.reply.text;
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      auto answer = smtp::parse_noted(text.substr(0, end));
      text.remove_prefix(end + 1);
      if (!answer || answer->second == smtp::NotedState::wait) continue;
      if (auto at = told.find(answer->first); at != told.end()) confirmed.push_back(at->second);
    }
    if (confirmed.empty()) continue;
    metrics_.notes_sent_total += confirmed.size();
    auto saved = co_await commit(
        runtime_.io, spool_,
        [confirmed, spool](storage::Writer& w) -> Result<void> {
          for (const auto& [row, number] : confirmed)
            if (auto result = w.note_told(row, spool, number); !result) return result;
          return {};
        },
        confirmed.size() * 32);
    if (!saved) co_return;
  }
}

bool NoteTeller::can_be_told(const storage::Holder& holder) {
  auto* member = members_.find(holder.hub);
  return member != nullptr && member->has_spool(holder.spool) &&
         member->control->offers(smtp::note_capability);
}

bool NoteTeller::is_gone(const storage::Holder& holder) {
  auto* member = members_.find(holder.hub);
  return member != nullptr && member->identity && member->identity->spool != holder.spool;
}

Task<std::vector<std::string>> NoteTeller::told(RowId row, std::string_view what) {
  ++waiting_;
  std::vector<std::string> names;
  auto deadline = MonotonicClock::now() + patience;
  Timer pause(runtime_.io);
  for (;;) {
    // A copy that is on its way was made of an earlier state: only when it has arrived is its holder owed
    // what has changed.
    bool is_copying = copier_.is_under_way(row);
    auto open = co_await query<std::vector<storage::Holder>>(
        runtime_.io, spool_, [row](storage::Reader& r) { return r.not_told(row); });
    names.clear();
    if (!open)
      names.emplace_back("unknown: " + open.error().what);
    else
      for (const auto& holder : *open)
        if (!is_gone(holder)) names.push_back(holder.hub);
    bool can_go_on =
        is_copying || (open && std::ranges::any_of(*open, [this](const auto& h) { return can_be_told(h); }));
    if (!can_go_on || is_stopping_ || MonotonicClock::now() >= deadline) {
      if (is_copying) names.emplace_back("a hub that is sent a copy this moment");
      break;
    }
    if (!is_copying) look();
    co_await pause.wait_for(told_look);
  }
  // A hub of an earlier release confirms a note without the word that it does not know.
  if (what != smtp::note_capability) {
    auto message = co_await query<std::optional<storage::StoredMessage>>(
        runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
    if (message && *message)
      for (const auto& holder : (*message)->holders)
        if (auto* member = members_.find(holder.hub);
            member != nullptr && member->has_spool(holder.spool) && member->control->is_open() &&
            !member->control->offers(what) && std::ranges::find(names, holder.hub) == names.end())
          names.push_back(holder.hub);
  }
  --waiting_;
  co_return names;
}

}  // namespace umbra::hub
