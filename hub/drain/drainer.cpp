#include "hub/drain/drainer.h"

#include <algorithm>
#include <cstdlib>

#include "cluster/leave_note.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;

constexpr Duration tick = 50ms;
// While much is left: a look counts what is due, and costs the more the more there is.
constexpr Duration far_tick = 250ms;
constexpr std::size_t far = 2000;
constexpr Duration very_far_tick = 1s;
constexpr std::size_t very_far = 200'000;
constexpr Duration idle_tick = 500ms;
constexpr Duration tell_timeout = 2s;
constexpr Duration stop_wait = 2s;
constexpr std::size_t page = 400;
constexpr const char* intent_note = "drain";
constexpr Duration rate_window = 5s;

/// In a pod of a StatefulSet a hub is started because it is wanted: one that was scaled away, was killed in
/// the middle of its leave and is scaled back must not go on to leave. No probe would ever start it anew.
bool is_wanted_again() {
  const char* set = std::getenv("UMBRA_STATEFULSET");
  return set != nullptr && *set != '\0';
}

}  // namespace

Drainer::Drainer(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering,
                 Clients clients, EventLog& log, Metrics& metrics, DrainCourse* carried)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      peering_(peering),
      clients_(std::move(clients)),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io),
      course_(carried != nullptr ? *carried : own_course_) {}

void Drainer::start() {
  if (drain_.state() != DrainState::active) {
    log_.line(LogLevel::info, "what was ordered before goes on",
              {{"verb", to_string(drain_.order().verb)}, {"state", to_string(drain_.state())}});
    if (!drain_.takes_mail()) close(true);
  }
  tasks_.spawn("drain", run());
}

Task<void> Drainer::stop() {
  is_stopping_ = true;
  wake_.cancel();
  // From here on until it is back this run takes nothing over; holders wait for it as long as they were told.
  bool is_away = drain_.is_announced() && drain_.order().verb == DrainVerb::drain;
  if (is_away) co_await announce(smtp::HubState::draining, drain_.order().return_within);
  auto enough = MonotonicClock::now() + stop_wait;
  Timer pause(runtime_.io);
  while (tasks_.running() > 0 && MonotonicClock::now() < enough) co_await pause.wait_for(10ms);
}

// --- Orders

std::string Drainer::why_not(const cluster::DrainOrder& order) const {
  if (!config_.cluster.enabled() && order.verb == DrainVerb::leave) return "this hub has no cluster to leave";
  for (const auto& hub : order.to)
    if (peering_.members().find(hub) == nullptr) return "there is no hub " + hub + " in this cluster";
  return {};
}

Task<Result<std::string>> Drainer::begin(cluster::DrainOrder order) {
  if (auto why = why_not(order); !why.empty()) co_return why;
  if (peering_.is_returning())
    co_return std::string("this hub is still asking who owns its mail: try again in a moment");
  bool was_leave = drain_.order().verb == DrainVerb::leave;
  auto copy = drain_;
  if (auto why = copy.begin(order, MonotonicClock::now())) co_return *why;
  if (order.verb == DrainVerb::leave) {
    // The intent first: a leave that was begun goes on after a crash.
    auto saved = co_await save(cluster::format_leave(order));
    if (!saved) co_return std::unexpected(saved.error());
    is_saved_leave_ = true;
  } else if (was_leave && is_saved_leave_) {
    if (auto saved = co_await save(""); !saved) co_return std::unexpected(saved.error());
    is_saved_leave_ = false;
  }
  if (auto why = drain_.begin(order, MonotonicClock::now())) co_return *why;
  untold_.clear();
  course_ = {drain_, WallClock::now(), {}, 0, 0, 0, {}};
  stuck_shadows_ = 0;
  samples_.clear();
  if (drain_.state() == DrainState::handing_over) begin_handing_over();  // ordered again, with other limits
  log_.line(LogLevel::info, std::string(to_string(order.verb)) + " begins", {});
  wake_.cancel();
  co_return std::string();
}

Task<Result<void>> Drainer::undrain() {
  if (is_saved_leave_ || drain_.state() == DrainState::left) {
    if (auto saved = co_await save(""); !saved) co_return saved;
    is_saved_leave_ = false;
  }
  bool was_announced = drain_.is_announced();
  bool had_left = drain_.state() == DrainState::left;
  if (drain_.state() != DrainState::active) log_.line(LogLevel::info, "undrained: active again", {});
  drain_.cancel(MonotonicClock::now());
  rows_.clear();
  if (had_left) {
    // "left" is the last word of a run: the others have forgotten what they owed to it, and tell one another.
    // The next run is a new one.
    peering_.members().end({true, "undrained after it had left: it joins as a new run"});
    co_return Result<void>{};
  }
  close(false);
  if (was_announced) {
    for (const auto& member : peering_.members().all()) untold_.insert(member->name());
    co_await announce(smtp::HubState::active, Duration{0});
  }
  co_return Result<void>{};
}

Task<Result<void>> Drainer::save(std::string intent) {
  co_return co_await commit(runtime_.io, spool_,
                            [intent](storage::Writer& w) { return w.set_note(intent_note, intent); });
}

void Drainer::close(bool is_closed) {
  clients_.close(is_closed);
  bool is_announced = is_closed && drain_.is_announced();
  peering_.set_closed(is_announced);
}

// --- The loop

Task<void> Drainer::resume() {
  auto intent = co_await query<std::string>(runtime_.io, spool_,
                                            [](storage::Reader& r) { return r.note(intent_note); });
  if (!intent || intent->empty() || is_stopping_) co_return;
  if (drain_.state() != DrainState::active) {  // carried over, or ordered anew already
    bool was_left = *intent == "left";
    is_saved_leave_ = !was_left;
    if (was_left && drain_.state() != DrainState::left) (void)co_await save("");
    co_return;
  }
  if (*intent == "left") {
    auto counts = co_await query<storage::QueueCounts>(runtime_.io, spool_,
                                                       [](storage::Reader& r) { return r.counts(); });
    bool is_empty = counts && counts->messages + counts->shadows + counts->outbox == 0;
    log_.line(is_empty ? LogLevel::info : LogLevel::error,
              is_empty ? "this spool had left the cluster: it is empty, and joins again"
                       : "this spool was marked as left, and is not empty",
              {});
    (void)co_await save("");
    co_return;
  }
  if (is_wanted_again()) {
    log_.line(LogLevel::warning,
              "a leave was interrupted, and the StatefulSet has started this hub again: it stays", {});
    (void)co_await save("");
    co_return;
  }
  log_.line(LogLevel::warning, "a leave was interrupted: it goes on", {});
  is_saved_leave_ = true;
  cluster::DrainOrder usual;
  usual.verb = DrainVerb::leave;
  auto order = cluster::parse_leave(*intent).value_or(usual);
  order.unready_wait = 0s;
  order.deadline = 1h;
  (void)drain_.begin(order, MonotonicClock::now());
  course_.began_at = WallClock::now();
}

Task<void> Drainer::run() {
  co_await resume();
  while (!is_stopping_) {
    bool is_idle = drain_.state() == DrainState::active || drain_.is_over();
    auto left = drain_.state() == DrainState::handing_over ? drain_.remaining(view_) : 0;
    co_await wake_.wait_for(is_idle           ? idle_tick
                            : left > very_far ? very_far_tick
                            : left > far      ? far_tick
                                              : tick);
    if (is_stopping_) break;
    if (drain_.state() == DrainState::active) {
      // A hub that did not hear it would go on waiting for this one, were it to end now, and give it no
      // copies.
      if (!untold_.empty() && MonotonicClock::now() >= next_announcement_)
        co_await announce(smtp::HubState::active, Duration{0});
      continue;
    }
    if (drain_.state() == DrainState::handing_over && peering_.is_returning()) continue;
    auto view = co_await look();
    if (view && drain_.state() == DrainState::handing_over && drain_.remaining(*view) == 0) {
      // What was accepted before this hub closed may be on its way to the disk still, and is not counted:
      // looked at behind it.
      auto behind = co_await commit(runtime_.io, spool_, [](storage::Writer&) { return Result<void>{}; });
      if (!behind || is_stopping_) continue;
      view = co_await look();
    }
    if (!view || is_stopping_) continue;
    view_ = *view;
    count_rate();
    auto before = drain_.state();
    if (drain_.step(view_)) co_await changed();
    // Told again while it lasts: a hub that was not there heard nothing.
    if (drain_.state() == before && drain_.is_announced() && MonotonicClock::now() >= next_announcement_) {
      auto state = drain_.order().verb == DrainVerb::drain ? smtp::HubState::draining
                   : drain_.state() == DrainState::left    ? smtp::HubState::left
                                                           : smtp::HubState::leaving;
      co_await announce(state,
                        drain_.order().verb == DrainVerb::drain ? drain_.order().return_within : Duration{0});
    }
    if (is_stopping_ || drain_.state() != DrainState::handing_over) continue;
    feed();
    bool is_rehome_due =
        drain_.order().verb == DrainVerb::leave && !is_rehoming_ && MonotonicClock::now() >= next_rehome_;
    if (is_rehome_due) {
      is_rehoming_ = true;
      tasks_.spawn("rehome", rehome());
    }
  }
}

Task<void> Drainer::changed() {
  auto state = drain_.state();
  log_.line(state == DrainState::incomplete ? LogLevel::warning : LogLevel::info,
            "drain: " + std::string(to_string(state)),
            {{"reason", drain_.why()},
             {"queue", static_cast<std::int64_t>(view_.queue)},
             {"shadows", static_cast<std::int64_t>(view_.shadows)},
             {"outbox", static_cast<std::int64_t>(view_.outbox)},
             {"unprotected", static_cast<std::int64_t>(view_.unprotected)}});
  if (state == DrainState::drained) ++metrics_.drain_results[static_cast<std::size_t>(DrainEnd::drained)];
  if (state == DrainState::incomplete)
    ++metrics_.drain_results[static_cast<std::size_t>(DrainEnd::incomplete)];
  if (state == DrainState::left) ++metrics_.drain_results[static_cast<std::size_t>(DrainEnd::left)];
  auto verb = drain_.order().verb;
  if (state == DrainState::closing) {
    // The other hubs first: no copy is offered here when clients are turned away to them.
    if (verb != DrainVerb::pause)
      co_await announce(verb == DrainVerb::leave ? smtp::HubState::leaving : smtp::HubState::draining,
                        verb == DrainVerb::drain ? drain_.order().return_within : Duration{0});
    if (drain_.state() == DrainState::closing) close(true);
  } else if (state == DrainState::handing_over) {
    begin_handing_over();
  } else if (state == DrainState::left) {
    // The mark before the word: who hears "left" forgets what it owes to this spool.
    if (co_await save("left")) co_await announce(smtp::HubState::left, Duration{0});
  }
}

void Drainer::begin_handing_over() {
  course_.initial = view_;
  fed_at_ = MonotonicClock::now();
  tokens_ = 0;
  cursor_ = RowId{0};
  due_cursor_.reset();
  rows_.clear();
}

Task<void> Drainer::announce(smtp::HubState state, Duration back_within) {
  next_announcement_ = MonotonicClock::now() + std::max<Duration>(config_.cluster.lease / 2, 1s);
  TaskScope telling(runtime_.io);
  struct Telling {
    static Task<void> run(std::shared_ptr<Member> member, std::string command,
                          std::set<std::string>* untold) {
      auto told = co_await member->control->call(std::move(command), tell_timeout);
      if (untold != nullptr && told.kind == Link::Outcome::Kind::replied && told.reply.code == 250)
        untold->erase(member->name());
    }
  };
  bool is_active = state == smtp::HubState::active;
  for (const auto& member : peering_.members().all())
    if (member->control->offers("XDRAIN") && (!is_active || untold_.contains(member->name())))
      telling.spawn("tell", Telling::run(member, smtp::format_state(state, back_within),
                                         is_active ? &untold_ : nullptr));
  co_await telling.join();
}

Task<Result<cluster::DrainView>> Drainer::look() {
  cluster::DrainView view;
  auto verb = drain_.order().verb;
  std::vector<SpoolId> reachable;
  for (const auto& member : peering_.members().all())
    if (member->identity && member->control->is_open()) reachable.push_back(member->identity->spool);
  auto now = WallClock::now();
  // What only silent hubs hold too: nobody knows whether it is there.
  auto short_of_copies = peering_.short_messages();
  Result<std::vector<std::string>> due_at;
  if (verb == DrainVerb::drain) due_at = co_await due_destinations(now);
  if (!due_at) co_return std::unexpected(due_at.error());
  auto found = co_await query<cluster::DrainView>(
      runtime_.io, spool_,
      [verb, reachable, &due_at, now, short_of_copies](storage::Reader& r) -> Result<cluster::DrainView> {
        cluster::DrainView v;
        auto counts = r.counts();
        if (!counts) return std::unexpected(counts.error());
        v.queue = counts->messages;
        v.unprotected = counts->unprotected + short_of_copies;
        v.shadows = counts->shadows;
        v.outbox = counts->outbox;
        if (verb != DrainVerb::drain) return v;
        auto due = count_due(r, *due_at, now);
        if (!due) return std::unexpected(due.error());
        v.due = *due;
        v.outbox = 0;
        for (auto spool : reachable) {
          auto owed = r.outbox(spool, 0, page);
          if (!owed) return std::unexpected(owed.error());
          v.outbox += owed->size();
        }
        return v;
      });
  if (!found) co_return found;
  view = *found;
  view.now = MonotonicClock::now();
  view.sessions = clients_.sessions();
  view.targets = targets(drain_.order()).size();
  view.shadows_nobody_else_can_hold = stuck_shadows_;
  co_return view;
}

void Drainer::count_rate() {
  auto now = MonotonicClock::now();
  samples_.emplace_back(now, drain_.remaining(view_));
  while (samples_.size() > 2 && samples_.front().first < now - rate_window) samples_.pop_front();
}

}  // namespace umbra::hub
