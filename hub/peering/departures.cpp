#include "hub/peering/departures.h"

#include <algorithm>

#include "hub/spool_tasks.h"
#include "smtp/shadow_capabilities.h"

namespace umbra::hub {
namespace {

constexpr const char* note_name = "departures";
constexpr std::size_t remembered_max = 256;  // as many as there may be hubs; the oldest are forgotten
static_assert(remembered_max <= smtp::shadow_batch_max);
constexpr Duration tell_timeout = 5s;

}  // namespace

Departures::Departures(Runtime runtime, storage::Spool& spool, Members& members, EventLog& log)
    : runtime_(runtime),
      spool_(spool),
      members_(members),
      log_(log),
      tasks_(runtime.io),
      announcement_(
          runtime, members,
          {.keyword = smtp::gone_capability,
           .task_name = "tell who left",
           .timeout = tell_timeout,
           .command = [this] { return gone_.empty() ? std::string() : smtp::format_gone(gone_); }}) {}

Task<void> Departures::start() {
  auto note =
      co_await query<std::string>(runtime_.io, spool_, [](storage::Reader& r) { return r.note(note_name); });
  if (!note || is_stopping_) co_return;  // not read: who left before is told by others
  for (const auto& gone : smtp::parse_epochs(*note)) add(gone);
  announcement_.changed();
}

Task<void> Departures::stop() {
  is_stopping_ = true;
  co_await announcement_.stop();
  co_await tasks_.join();
}

bool Departures::add(const smtp::KnownEpoch& gone) {
  auto known = std::ranges::find(gone_, gone.spool, &smtp::KnownEpoch::spool);
  if (known != gone_.end() && known->lowest >= gone.lowest) return false;
  if (known != gone_.end()) gone_.erase(known);
  if (gone_.size() == remembered_max) gone_.erase(gone_.begin());
  gone_.push_back(gone);
  return true;
}

Task<Result<void>> Departures::save() {
  std::string note;
  for (const auto& gone : gone_) note += smtp::format_epoch(gone) + '\n';
  co_return co_await commit(
      runtime_.io, spool_, [note](storage::Writer& w) { return w.set_note(note_name, note); }, note.size());
}

void Departures::member_changed(Member& member) {
  if (is_stopping_) return;
  // Of a run that said so to this one of ours; what was heard before a restart is remembered.
  bool has_left = member.state == smtp::HubState::left && member.identity && member.live_epoch.value != 0;
  if (has_left && add({member.name(), member.identity->spool, Epoch{member.live_epoch.value + 1}}))
    tasks_.spawn("remember who left", save_and_tell());
  else
    announcement_.tell();
}

Task<void> Departures::save_and_tell() {
  (void)co_await save();  // not written: the next run does not tell of it; others do
  announcement_.changed();
}

Task<Result<void>> Departures::heard(std::vector<smtp::KnownEpoch> told) {
  bool is_news = false;
  for (const auto& gone : told) {
    if (gone.hub == members_.own_name()) continue;
    // Only the run that left, or one before it: a later run of that spool is another matter.
    auto* member = members_.find(gone.hub);
    bool is_known =
        member != nullptr && member->has_spool(gone.spool) && member->state != smtp::HubState::left;
    if (is_known &&
        (member->live_epoch.value != 0 ? member->live_epoch : member->identity->epoch) < gone.lowest) {
      log_.line(LogLevel::info, "a hub has left, as another one tells",
                {{"member", gone.hub}, {"spool", to_string(gone.spool)}});
      if (auto noted = co_await members_.heard_state(gone.hub, gone.spool, smtp::HubState::left, Duration{0});
          !noted)
        co_return noted;
    }
    is_news = add(gone) || is_news;
  }
  if (!is_news) co_return Result<void>{};
  auto saved = co_await save();
  announcement_.changed();
  co_return saved;
}

}  // namespace umbra::hub
