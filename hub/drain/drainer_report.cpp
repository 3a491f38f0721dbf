// What a drain, leave or pause tells of itself. Part of Drainer.
#include <algorithm>

#include "hub/drain/drainer.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;

constexpr std::size_t named_ids_max = 20;
constexpr std::size_t looked_at_once = 1000;

}  // namespace

Task<Result<DrainReport>> Drainer::report() {
  DrainReport report;
  report.state = drain_.state();
  report.order = drain_.order();
  report.why = drain_.why();
  auto now = MonotonicClock::now();
  if (report.state != DrainState::active) {
    auto view = co_await look();
    if (!view) co_return std::unexpected(view.error());
    report.current = *view;
    report.since = now - drain_.began();
    report.in_state = now - drain_.entered();
  }
  report.began_at = course_.began_at;
  report.initial = course_.initial;
  report.remaining = report.state == DrainState::active ? 0 : drain_.remaining(report.current);
  report.in_flight = given_.size();
  report.handed_over = course_.handed_over;
  report.rehomed = course_.rehomed;
  report.refused = course_.refused;
  report.handed_to = course_.handed_to;
  if (samples_.size() >= 2 && report.state == DrainState::handing_over) {
    const auto& [from, before] = samples_.front();
    const auto& [to, after] = samples_.back();
    auto seconds = std::chrono::duration<double>(to - from).count();
    if (seconds > 0 && before > after) report.rate = static_cast<double>(before - after) / seconds;
    if (report.rate > 0)
      report.eta = std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(static_cast<double>(report.remaining) / report.rate));
  }
  report.exit_code = cluster::exit_code(report.state, report.current.unprotected);
  co_return report;
}

Task<Result<DrainPreview>> Drainer::preview(cluster::DrainOrder order) {
  DrainPreview refused;
  refused.refused = why_not(order);
  if (!refused.refused.empty()) co_return refused;
  auto now = WallClock::now();
  auto due_at = co_await due_destinations(now);
  if (!due_at) co_return std::unexpected(due_at.error());
  auto found = co_await query<DrainPreview>(runtime_.io, spool_,
                                            [&due_at, now](storage::Reader& r) -> Result<DrainPreview> {
                                              DrainPreview p;
                                              auto counts = r.counts();
                                              auto due = count_due(r, *due_at, now);
                                              if (!counts) return std::unexpected(counts.error());
                                              if (!due) return std::unexpected(due.error());
                                              p.queue = counts->messages;
                                              p.unprotected = counts->unprotected;
                                              p.shadows = counts->shadows;
                                              p.outbox = counts->outbox;
                                              p.safety_net = counts->kept;
                                              p.safety_net_octets = counts->kept_octets;
                                              p.due = *due;
                                              return p;
                                            });
  if (!found) co_return found;
  found->unprotected += peering_.short_messages();
  for (const auto& member : targets(order)) found->targets.push_back(member->name());
  // A leave hands everything over, where there is somebody; a drain what is due, and the rest stays.
  bool stays = order.verb != DrainVerb::pause && (found->targets.empty() || order.verb == DrainVerb::drain);
  if (!stays) co_return found;
  if (found->targets.empty()) due_at->clear();
  if (auto looked = co_await find_last_copies(*found, std::move(*due_at), now); !looked)
    co_return std::unexpected(looked.error());
  co_return found;
}

// What stays here, and no hub that is heard has a copy of: a page at a time, so that delivery reads in
// between. `due_at`: what is due there goes.
Task<Result<void>> Drainer::find_last_copies(DrainPreview& preview, std::vector<std::string> due_at,
                                             WallTime now) {
  using Copies = std::vector<storage::CopyElsewhere>;
  std::vector<SpoolId> heard;
  for (const auto& member : peering_.members().all()) {
    bool is_heard = !peering_.members().is_silent(*member) &&
                    (member->control->is_open() || member->state == smtp::HubState::draining);
    if (member->identity && is_heard) heard.push_back(member->identity->spool);
  }
  auto goes = [&](const storage::CopyElsewhere& message) {
    return message.state == storage::MessageState::queued &&
           std::ranges::any_of(message.queue, [&](const auto& entry) {
             return entry.due <= now && std::ranges::find(due_at, entry.destination) != due_at.end();
           });
  };
  RowId after{0};
  while (!is_stopping_) {
    auto copies = co_await query<Copies>(runtime_.io, spool_, [&heard, after](storage::Reader& r) {
      return r.copies_missing(heard, after, looked_at_once);
    });
    if (!copies) co_return std::unexpected(copies.error());
    for (const auto& message : *copies) {
      if (!message.is_missing || goes(message)) continue;
      if (++preview.lose_last_copy <= named_ids_max)
        preview.lose_last_copy_ids.push_back(to_string(message.id));
    }
    if (copies->size() < looked_at_once) break;
    after = copies->back().row;
  }
  co_return Result<void>{};
}

DrainGauges Drainer::gauges() const {
  DrainGauges gauges;
  gauges.state_number = static_cast<std::uint64_t>(drain_.state());
  if (drain_.state() == DrainState::active) return gauges;
  gauges.remaining_queue = drain_.order().verb == DrainVerb::drain ? view_.due : view_.queue;
  gauges.remaining_shadows = drain_.order().verb == DrainVerb::leave ? view_.shadows : 0;
  gauges.remaining_outbox = view_.outbox;
  gauges.remaining_sessions = view_.sessions;
  gauges.in_flight = given_.size();
  gauges.initial = drain_.order().verb == DrainVerb::drain
                       ? course_.initial.due
                       : course_.initial.queue + course_.initial.shadows + course_.initial.outbox;
  gauges.started_at = std::chrono::duration<double>(course_.began_at.time_since_epoch()).count();
  return gauges;
}

}  // namespace umbra::hub
