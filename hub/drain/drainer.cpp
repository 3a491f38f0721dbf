#include "hub/drain/drainer.h"

#include <algorithm>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;
using storage::StoredMessage;

constexpr Duration tick = 50ms;
constexpr Duration far_tick = 250ms;  // while much is left: a look counts what is due
constexpr std::size_t far = 2000;
constexpr Duration idle_tick = 500ms;
constexpr Duration page_pause = 250ms;   // between two walks through the whole queue
constexpr Duration rehome_pause = 250ms;
constexpr std::size_t rehome_waits_max = 4096;  // copies that owners are asked for at once
constexpr Duration tell_timeout = 2s;
constexpr std::size_t page = 400;
constexpr std::size_t in_flight_per_target = 64;
constexpr std::size_t named_ids_max = 20;
constexpr const char* intent_note = "drain";
constexpr Duration rate_window = 5s;
constexpr std::size_t counted_max = 100'000;  // per destination and look: more than that is "at least so many"

/// What is to be tried now at these destinations, and what is being handed over.
Result<std::uint64_t> count_due(storage::Reader& reader, const std::vector<std::string>& destinations, WallTime now) {
  std::uint64_t count = 0;
  for (const auto& destination : destinations) {
    auto due = reader.due(destination, now, counted_max, {});
    if (!due) return std::unexpected(due.error());
    count += due->size();
  }
  auto under_way = reader.handing_over(RowId{0}, counted_max);
  if (!under_way) return std::unexpected(under_way.error());
  return count + under_way->size();
}

}  // namespace

Drainer::Drainer(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering, Clients clients,
                 EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      peering_(peering),
      clients_(std::move(clients)),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Drainer::start() { tasks_.spawn("drain", run()); }

Task<void> Drainer::stop() {
  is_stopping_ = true;
  wake_.cancel();
  // From here on until it is back this run takes nothing over; holders wait for it as long as they were told.
  bool is_away = drain_.is_announced() && drain_.order().verb == DrainVerb::drain;
  if (is_away) co_await announce(smtp::HubState::draining, drain_.order().return_within);
  co_await tasks_.join();
}

// --- Orders

Task<Result<std::string>> Drainer::begin(cluster::DrainOrder order) {
  bool is_clustered = config_.cluster.enabled();
  if (!is_clustered && order.verb == DrainVerb::leave && order.to.empty()) co_return std::string("this hub has no cluster to leave");
  for (const auto& hub : order.to)
    if (peering_.members().find(hub) == nullptr) co_return "there is no hub " + hub + " in this cluster";
  if (peering_.is_returning()) co_return std::string("this hub is still asking who owns its mail: try again in a moment");
  bool was_leave = drain_.order().verb == DrainVerb::leave;
  auto copy = drain_;
  if (auto why = copy.begin(order, MonotonicClock::now())) co_return *why;
  if (order.verb == DrainVerb::leave) {
    // The intent first: a leave that was begun goes on after a crash.
    auto saved = co_await save("leave");
    if (!saved) co_return std::unexpected(saved.error());
    is_saved_leave_ = true;
  } else if (was_leave && is_saved_leave_) {
    if (auto saved = co_await save(""); !saved) co_return std::unexpected(saved.error());
    is_saved_leave_ = false;
  }
  if (auto why = drain_.begin(order, MonotonicClock::now())) co_return *why;
  untold_.clear();
  began_at_ = WallClock::now();
  handed_to_.clear();
  handed_ = refused_ = rehomed_ = stuck_shadows_ = 0;
  samples_.clear();
  initial_ = {};
  log_.line(LogLevel::info, std::string(to_string(order.verb)) + " begins", {});
  wake_.cancel();
  co_return std::string();
}

Task<Result<void>> Drainer::undrain() {
  if (is_saved_leave_ || is_known_left_ || drain_.state() == DrainState::left) {
    if (auto saved = co_await save(""); !saved) co_return saved;
    is_saved_leave_ = is_known_left_ = false;
  }
  bool was_announced = drain_.is_announced();
  if (drain_.state() != DrainState::active) log_.line(LogLevel::info, "undrained: active again", {});
  drain_.cancel(MonotonicClock::now());
  rows_.clear();
  close(false);
  if (was_announced) {
    for (const auto& member : peering_.members().all()) untold_.insert(member->name());
    co_await announce(smtp::HubState::active, Duration{0});
  }
  co_return Result<void>{};
}

Task<Result<void>> Drainer::save(std::string intent) {
  co_return co_await commit(runtime_.io, spool_, [intent](storage::Writer& w) { return w.set_note(intent_note, intent); });
}

void Drainer::close(bool is_closed) {
  clients_.close(is_closed);
  bool is_announced = is_closed && drain_.is_announced();
  peering_.set_closed(is_announced);
}

// --- The loop

Task<void> Drainer::resume() {
  auto intent = co_await query<std::string>(runtime_.io, spool_, [](storage::Reader& r) { return r.note(intent_note); });
  if (!intent || intent->empty() || is_stopping_) co_return;
  if (*intent == "left") {
    auto counts = co_await query<storage::QueueCounts>(runtime_.io, spool_, [](storage::Reader& r) { return r.counts(); });
    bool is_empty = counts && counts->messages + counts->shadows + counts->outbox == 0;
    log_.line(is_empty ? LogLevel::info : LogLevel::error,
              is_empty ? "this spool had left the cluster: it is empty, and joins again" : "this spool was marked as left, and is not empty", {});
    (void)co_await save("");
    co_return;
  }
  log_.line(LogLevel::warning, "a leave was interrupted: it goes on", {});
  is_saved_leave_ = true;
  cluster::DrainOrder order;
  order.verb = DrainVerb::leave;
  order.unready_wait = 0s;
  order.deadline = 1h;
  (void)drain_.begin(order, MonotonicClock::now());
  began_at_ = WallClock::now();
}

Task<void> Drainer::run() {
  co_await resume();
  while (!is_stopping_) {
    bool is_idle = drain_.state() == DrainState::active || drain_.is_over();
    bool is_far = drain_.state() == DrainState::handing_over && drain_.remaining(view_) > far;
    co_await wake_.wait_for(is_idle ? idle_tick : is_far ? far_tick : tick);
    if (is_stopping_) break;
    if (drain_.state() == DrainState::active) {
      // A hub that did not hear it would go on waiting for this one, were it to end now, and give it no copies.
      if (!untold_.empty() && MonotonicClock::now() >= next_announcement_) co_await announce(smtp::HubState::active, Duration{0});
      continue;
    }
    if (drain_.state() == DrainState::handing_over && peering_.is_returning()) continue;
    auto view = co_await look();
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
      co_await announce(state, drain_.order().verb == DrainVerb::drain ? drain_.order().return_within : Duration{0});
    }
    if (is_stopping_ || drain_.state() != DrainState::handing_over) continue;
    feed();
    bool is_rehome_due = drain_.order().verb == DrainVerb::leave && !is_rehoming_ && MonotonicClock::now() >= next_rehome_;
    if (is_rehome_due) {
      is_rehoming_ = true;
      tasks_.spawn("rehome", rehome());
    }
  }
}

Task<void> Drainer::changed() {
  auto state = drain_.state();
  log_.line(state == DrainState::incomplete ? LogLevel::warning : LogLevel::info, "drain: " + std::string(to_string(state)),
            {{"reason", drain_.why()},
             {"queue", static_cast<std::int64_t>(view_.queue)},
             {"shadows", static_cast<std::int64_t>(view_.shadows)},
             {"outbox", static_cast<std::int64_t>(view_.outbox)},
             {"unprotected", static_cast<std::int64_t>(view_.unprotected)}});
  auto verb = drain_.order().verb;
  if (state == DrainState::closing) {
    // The other hubs first: no copy is offered here when clients are turned away to them.
    if (verb != DrainVerb::pause)
      co_await announce(verb == DrainVerb::leave ? smtp::HubState::leaving : smtp::HubState::draining,
                        verb == DrainVerb::drain ? drain_.order().return_within : Duration{0});
    if (drain_.state() == DrainState::closing) close(true);
  } else if (state == DrainState::handing_over) {
    initial_ = view_;
    fed_at_ = MonotonicClock::now();
    tokens_ = 0;
    cursor_ = RowId{0};
    passed_.clear();
    rows_.clear();
  } else if (state == DrainState::left) {
    // The mark before the word: who hears "left" forgets what it owes to this spool.
    if (co_await save("left")) co_await announce(smtp::HubState::left, Duration{0});
  }
}

Task<void> Drainer::announce(smtp::HubState state, Duration back_within) {
  next_announcement_ = MonotonicClock::now() + std::max<Duration>(config_.cluster.lease / 2, 1s);
  TaskScope telling(runtime_.io);
  struct Telling {
    static Task<void> run(std::shared_ptr<Member> member, std::string command, std::set<std::string>* untold) {
      auto told = co_await member->control->call(std::move(command), tell_timeout);
      if (untold != nullptr && told.kind == Link::Outcome::Kind::replied && told.reply.code == 250) untold->erase(member->name());
    }
  };
  bool is_active = state == smtp::HubState::active;
  for (const auto& member : peering_.members().all())
    if (member->control->offers("XDRAIN") && (!is_active || untold_.contains(member->name())))
      telling.spawn("tell", Telling::run(member, smtp::format_state(state, back_within), is_active ? &untold_ : nullptr));
  co_await telling.join();
}

Task<Result<cluster::DrainView>> Drainer::look() {
  cluster::DrainView view;
  auto verb = drain_.order().verb;
  std::vector<SpoolId> reachable;
  for (const auto& member : peering_.members().all())
    if (member->identity && member->control->is_open()) reachable.push_back(member->identity->spool);
  auto now = WallClock::now();
  Result<std::vector<std::string>> due_at;
  if (verb == DrainVerb::drain) due_at = co_await due_destinations(now);
  if (!due_at) co_return std::unexpected(due_at.error());
  auto found = co_await query<cluster::DrainView>(
      runtime_.io, spool_, [verb, reachable, &due_at, now](storage::Reader& r) -> Result<cluster::DrainView> {
        cluster::DrainView v;
        auto counts = r.counts();
        if (!counts) return std::unexpected(counts.error());
        v.queue = counts->messages;
        v.unprotected = counts->unprotected;
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
  view.targets = targets().size();
  view.shadows_nobody_else_can_hold = stuck_shadows_;
  co_return view;
}

void Drainer::count_rate() {
  auto now = MonotonicClock::now();
  samples_.emplace_back(now, drain_.remaining(view_));
  while (samples_.size() > 2 && samples_.front().first < now - rate_window) samples_.pop_front();
}

// --- Handing over

std::vector<std::shared_ptr<Member>> Drainer::targets() const {
  const auto& named = drain_.order().to;
  std::vector<std::shared_ptr<Member>> found;
  for (const auto& member : peering_.members().all()) {
    bool is_named = named.empty() || std::ranges::find(named, member->name()) != named.end();
    if (is_named && member->identity && member->data->offers("XHAND") && member->state == smtp::HubState::active) found.push_back(member);
  }
  return found;
}

void Drainer::feed() {
  auto now = MonotonicClock::now();
  tokens_ += std::chrono::duration<double>(now - fed_at_).count() * static_cast<double>(drain_.order().rate);
  tokens_ = std::min(tokens_, static_cast<double>(drain_.order().rate) / 4 + 1);
  fed_at_ = now;
  auto hubs = targets();
  std::erase_if(hubs, [now](const auto& m) { return now < m->refuses_copies_until; });
  if (hubs.empty()) return;
  while (tokens_ >= 1 && !rows_.empty() && given_.size() < in_flight_per_target * hubs.size()) {
    auto row = rows_.front();
    rows_.pop_front();
    if (!given_.insert(row).second) continue;
    tokens_ -= 1;
    tasks_.spawn("hand over", give(row, hubs[turn_++ % hubs.size()]->name()));
  }
  if (rows_.size() < page / 2 && !is_loading_ && now >= next_page_) {
    is_loading_ = true;
    tasks_.spawn("what to hand over", load());
  }
}

// The next page of what is to go: everything in a leave, what is due in a drain. Nothing: the end, and from the beginning again.
Task<std::optional<std::vector<RowId>>> Drainer::next_page() {
  if (drain_.order().verb == DrainVerb::leave) {
    auto rows = co_await query<std::vector<RowId>>(
        runtime_.io, spool_, [after = cursor_](storage::Reader& r) { return r.messages(after, RowId{INT64_MAX}, page); });
    if (!rows) co_return std::nullopt;
    cursor_ = rows->size() < page ? RowId{0} : rows->back();
    if (cursor_ == RowId{0}) next_page_ = MonotonicClock::now() + page_pause;
    co_return std::move(*rows);
  }
  auto now = WallClock::now();
  auto destinations = co_await due_destinations(now);
  if (!destinations) co_return std::nullopt;
  auto known = passed_;
  known.insert(given_.begin(), given_.end());
  known.insert(rows_.begin(), rows_.end());
  auto found = co_await query<std::vector<RowId>>(
      runtime_.io, spool_,
      [&destinations, now, known = std::vector<RowId>(known.begin(), known.end())](storage::Reader& r) -> Result<std::vector<RowId>> {
        std::vector<RowId> rows;
        for (const auto& destination : *destinations) {
          if (rows.size() >= page) break;
          auto due = r.due(destination, now, page - rows.size(), known);
          if (!due) return std::unexpected(due.error());
          for (const auto& one : *due) rows.push_back(one.row);
        }
        return rows;
      });
  if (!found) co_return std::nullopt;
  if (found->size() < page) {
    passed_.clear();
    next_page_ = MonotonicClock::now() + page_pause;
  }
  co_return std::move(*found);
}

// Those that have something due and can be reached.
Task<Result<std::vector<std::string>>> Drainer::due_destinations(WallTime now) {
  using DueTimes = std::vector<std::pair<std::string, WallTime>>;
  auto all = co_await query<DueTimes>(runtime_.io, spool_, [](storage::Reader& r) { return r.due_by_destination(); });
  if (!all) co_return std::unexpected(all.error());
  std::vector<std::string> found;
  for (auto& [destination, first] : *all)
    if (first <= now && clients_.can_reach(destination)) found.push_back(std::move(destination));
  co_return found;
}

Task<void> Drainer::load() {
  auto rows = co_await next_page();
  is_loading_ = false;
  if (!rows || is_stopping_) co_return;
  for (auto row : *rows)
    if (!given_.contains(row)) rows_.push_back(row);
  if (drain_.state() == DrainState::handing_over) feed();
}

Task<void> Drainer::give(RowId row, std::string hub) {
  auto outcome = co_await peering_.hander().hand(row, hub, false);
  given_.erase(row);
  if (outcome == Hander::Outcome::refused) {
    ++refused_;
    ++metrics_.handovers_refused_total;
  }
  if (outcome != Hander::Outcome::moved && outcome != Hander::Outcome::kept) {
    if (drain_.order().verb == DrainVerb::drain) passed_.insert(row);
    co_return;
  }
  ++handed_;
  ++handed_to_[hub];
  // The next one at once: with one look every tick there would be no more of them than fit under way at once.
  if (!is_stopping_ && drain_.state() == DrainState::handing_over) feed();
}

// --- Shadows that are held here

Task<void> Drainer::rehome() {
  using Owners = std::vector<std::pair<std::string, SpoolId>>;
  auto owners = co_await query<Owners>(runtime_.io, spool_, [](storage::Reader& r) { return r.shadow_owners(); });
  stuck_now_ = 0;
  if (owners) {
    for (const auto& [hub, spool] : *owners) {
      if (is_stopping_) break;
      for (const auto& member : peering_.members().all()) {
        bool can_be_asked = member->name() == hub && member->identity && member->identity->spool == spool && member->control->offers("XDRAIN");
        if (can_be_asked) co_await rehome_of(member, spool);
      }
    }
  }
  stuck_shadows_ = stuck_now_;
  next_rehome_ = MonotonicClock::now() + rehome_pause;
  is_rehoming_ = false;
}

// Asks the owner to do without the copies that are held here: it makes others first.
Task<void> Drainer::rehome_of(std::shared_ptr<Member> owner, SpoolId spool) {
  RowId after{0};
  bool is_lost = false;
  std::size_t waits = 0;
  while (waits < rehome_waits_max && !is_stopping_ && drain_.state() == DrainState::handing_over) {
    using Copies = std::vector<storage::Shadow>;
    auto shadows = co_await query<Copies>(runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    std::vector<MessageId> ids;
    for (const auto& shadow : *shadows) ids.push_back(shadow.id);
    auto outcome = co_await owner->control->call(smtp::format_rehome(ids), tell_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) break;
    std::map<MessageId, smtp::RehomeState> answers;
    std::string_view rest = outcome.reply.text;
    while (!rest.empty()) {
      auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (auto answer = smtp::parse_rehomed(line)) answers.insert_or_assign(answer->first, answer->second);
    }
    std::vector<std::pair<MessageId, Generation>> released;
    for (const auto& shadow : *shadows) {
      auto at = answers.find(shadow.id);
      if (at == answers.end()) continue;
      if (at->second == smtp::RehomeState::released) released.emplace_back(shadow.id, shadow.generation);
      if (at->second == smtp::RehomeState::nobody) ++stuck_now_;
      if (at->second == smtp::RehomeState::wait) ++waits;  // the owner makes another copy: the rest in the next walk
      if (at->second == smtp::RehomeState::unknown) is_lost = true;
    }
    if (released.empty()) continue;
    auto dropped = co_await commit(runtime_.io, spool_, [released](storage::Writer& w) -> Result<void> {
      for (const auto& [id, generation] : released)
        if (auto result = w.release_shadow(id, generation); !result) return result;
      return {};
    }, released.size() * 64);
    if (!dropped) break;
    peering_.outbox_grew();
    rehomed_ += released.size();
    for (const auto& [id, generation] : released) log_.message(MessageEvent::shadow_dropped, id, {{"reason", "its owner has another copy"}});
  }
  // Done, or gone elsewhere: the audit finds out, now and not in half a minute.
  if (is_lost) peering_.audit_soon(spool);
}

// --- What is told

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
