// What a drain, leave or pause tells of itself. Part of Drainer.
#include "hub/drain/drainer.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;

constexpr std::size_t named_ids_max = 20;

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
  report.began_at = began_at_;
  report.initial = initial_;
  report.remaining = report.state == DrainState::active ? 0 : drain_.remaining(report.current);
  report.in_flight = given_.size();
  report.handed_over = handed_;
  report.rehomed = rehomed_;
  report.refused = refused_;
  report.handed_to = handed_to_;
  if (samples_.size() >= 2 && report.state == DrainState::handing_over) {
    const auto& [from, before] = samples_.front();
    const auto& [to, after] = samples_.back();
    auto seconds = std::chrono::duration<double>(to - from).count();
    if (seconds > 0 && before > after) report.rate = static_cast<double>(before - after) / seconds;
    if (report.rate > 0)
      report.eta = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(report.remaining) / report.rate));
  }
  // What only silent hubs hold too: nobody knows whether it is there.
  if (report.state != DrainState::active) report.current.unprotected += peering_.short_messages();
  report.exit_code = cluster::exit_code(report.state, report.current.unprotected);
  co_return report;
}

Task<Result<DrainPreview>> Drainer::preview(DrainVerb verb) {
  DrainPreview preview;
  for (const auto& member : peering_.members().all())
    if (member->data->offers("XHAND") && member->state == smtp::HubState::active) preview.targets.push_back(member->name());
  bool has_targets = !preview.targets.empty();
  auto now = WallClock::now();
  auto due_at = co_await due_destinations(now);
  if (!due_at) co_return std::unexpected(due_at.error());
  auto found = co_await query<DrainPreview>(
      runtime_.io, spool_, [verb, has_targets, &due_at, now](storage::Reader& r) -> Result<DrainPreview> {
        DrainPreview p;
        auto counts = r.counts();
        auto due = count_due(r, *due_at, now);
        if (!counts) return std::unexpected(counts.error());
        if (!due) return std::unexpected(due.error());
        p.queue = counts->messages;
        p.unprotected = counts->unprotected;
        p.shadows = counts->shadows;
        p.outbox = counts->outbox;
        p.due = *due;
        if (verb == DrainVerb::pause || has_targets) return p;
        // Nobody takes anything: what has no copy elsewhere is here alone.
        p.lose_last_copy = p.unprotected;
        auto rows = r.unprotected(RowId{0}, named_ids_max);
        if (!rows) return std::unexpected(rows.error());
        for (auto row : *rows) {
          auto message = r.message(row);
          if (message && *message) p.lose_last_copy_ids.push_back(to_string((*message)->id));
        }
        return p;
      });
  if (!found) co_return found;
  found->targets = std::move(preview.targets);
  co_return found;
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
  gauges.initial = drain_.order().verb == DrainVerb::drain ? initial_.due : initial_.queue + initial_.shadows + initial_.outbox;
  gauges.started_at = std::chrono::duration<double>(began_at_.time_since_epoch()).count();
  return gauges;
}

}  // namespace umbra::hub
