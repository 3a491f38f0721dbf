// Scheduler: the pump, and what connections tell it. Slightly long because both touch the same state of a
// destination in every function; pages of the spool, suspects, routes to hubs and changes while it runs have
// files of their own.
#include "hub/outbound/scheduler.h"

#include <algorithm>
#include <utility>

#include "hub/outbound/retry.h"

namespace umbra::hub {
namespace {

constexpr auto plan_life = std::chrono::seconds(60);
constexpr auto host_retry = std::chrono::seconds(60);
// With fewer messages at hand than this the next page is loaded.
constexpr std::size_t low_water = 16;
// What a message costs in memory besides its body, about.
constexpr std::uint64_t message_overhead_octets = 1024;
// Mail ready per busy connection before another one is used, and for how long that may hold mail up.
constexpr std::size_t ready_per_connection = 3;
constexpr auto ready_wait_max = std::chrono::milliseconds(50);
// While the first connection to a destination is being made, no more than so many are tried.
constexpr std::size_t first_connections_max = 2;

template <class T>
void erase_value(std::vector<T>& values, const T& value) {
  auto found = std::ranges::find(values, value);
  if (found != values.end()) values.erase(found);
}

}  // namespace

Scheduler::Scheduler(Parts& parts)
    : parts_(parts),
      recorder_(parts, *this),
      own_(own_names(parts.config)),
      trial_(parts.config.delivery.crashes_max),
      scope_(parts.runtime.io),
      timer_(parts.runtime.io) {}

Scheduler::~Scheduler() = default;

// ---- life

void Scheduler::set_loading(bool is_on) {
  is_loading_on_ = is_on;
  if (!is_on) return;
  load_suspects();
  load_due_times();
}

void Scheduler::look_again() {
  if (is_loading_on_) load_due_times();
}

void Scheduler::stop(Duration patience) {
  parts_.is_stopped = true;
  patient_until_ = MonotonicClock::now() + patience;
  timer_.cancel();
  cut_connections();
}

// Nothing new is begun. What is under way has until patient_until_: a transaction that is cut after its final
// dot is delivered twice.
void Scheduler::cut_connections() {
  bool is_patient = MonotonicClock::now() < patient_until_;
  for (auto& [name, d] : destinations_)
    for (auto& connection : std::vector(d->connections))
      if (!is_patient || !connection->has_transactions()) connection->cut();
}

Task<void> Scheduler::join() {
  // Connections that are being made end one step after the other; completions of the spool and the cancelled
  // timer come by themselves.
  while (scope_.running() != 0 || parts_.spool_calls != 0) {
    cut_connections();
    parts_.runtime.network.cancel_connects();
    parts_.runtime.resolver.cancel();
    Timer pause(parts_.runtime.io);
    co_await pause.wait_for(std::chrono::milliseconds(2));
  }
  co_await scope_.join();
}

void Scheduler::spool_failed(const Error& error) {
  if (parts_.is_stopped) return;
  parts_.log.line(LogLevel::error, "delivery stops: the spool has failed", {{"error", error.what}});
  stop(Duration{0});
}

// ---- destinations and jobs

Destination& Scheduler::destination(const std::string& name) {
  auto found = destinations_.find(name);
  if (found != destinations_.end()) return *found->second;
  auto d = std::make_unique<Destination>();
  d->name = name;
  d->number = next_number_++;
  d->target = parts_.router.target(name);
  d->is_suspended = is_suspended(name);
  by_number_.emplace(d->number, d.get());
  return *destinations_.emplace(name, std::move(d)).first->second;
}

bool Scheduler::has_job(RowId row, const Destination& d) {
  return d.rows.contains(row.value);
}

bool Scheduler::is_full(std::uint64_t octets) const {
  return ready_octets_ + octets > parts_.config.delivery.ready_octets_max;
}

JobPtr Scheduler::add_job(Destination& d, std::shared_ptr<const storage::StoredMessage> message,
                          std::shared_ptr<const std::string> body, std::uint32_t attempts) {
  auto job = std::make_shared<Job>();
  job->octets = message_overhead_octets + (body ? body->size() : 0);
  job->recipients = parts_.router.recipients_for(*message, d.name);
  job->message = std::move(message);
  job->body = std::move(body);
  job->destination = &d;
  job->destination_name = &d.name;
  job->attempts = attempts;
  job->ready_since = MonotonicClock::now();
  job->acknowledgement = acknowledgements_.find(job->row());
  ready_octets_ += job->octets;
  d.rows.insert(job->row().value);
  if (d.is_loading) d.seen_while_loading.insert(job->row().value);
  jobs_.emplace(job->row().value, job);
  return job;
}

void Scheduler::remove_job(const JobPtr& job) {
  auto [first, last] = jobs_.equal_range(job->row().value);
  auto found = std::find_if(first, last, [&](const auto& entry) { return entry.second == job; });
  if (found == last) return;
  job->state = Job::State::over;
  ready_octets_ -= job->octets;
  job->destination->rows.erase(job->row().value);
  jobs_.erase(found);
  keep(job->row(), std::move(job->acknowledgement));
  unmark(job);
  end_trial(job);
}

void Scheduler::deliver(ReadyMessage ready) {
  if (parts_.is_stopped) return;
  auto message = std::make_shared<const storage::StoredMessage>(std::move(ready.message));
  const WallTime now = parts_.due_clock.now();
  // The routes may have changed since its entries were made, in the middle of its acceptance. Of one
  // recipient the job shows it, below.
  if (message->envelope.recipients.size() > 1) {
    auto needed = parts_.router.entries_for(message->envelope, message->progress, now, message->next_hop);
    if (!std::ranges::equal(needed, message->queue, {}, &storage::QueueEntry::destination,
                            &storage::QueueEntry::destination))
      return reroute(*message, std::move(needed));
  }
  for (const auto& entry : message->queue) {
    Destination& d = destination(entry.destination);
    if (has_job(message->row, d)) continue;
    std::uint64_t octets = message_overhead_octets + (ready.body ? ready.body->size() : 0);
    // One message probes a destination in trouble; and what does not fit is read again later.
    bool is_probing = d.failures != 0 && (!d.rows.empty() || d.is_blocked(MonotonicClock::now()));
    if (entry.due > now || is_probing || d.is_suspended || is_full(octets)) {
      keep(message->row, ready.acknowledgement);
      note_due(d, entry.due);
      continue;
    }
    JobPtr job = add_job(d, message, ready.body, entry.attempts);
    job->acknowledgement = ready.acknowledgement;
    if (job->recipients.empty()) {  // the routes have changed: as when it is loaded
      remove_job(job);
      note_due(d, entry.due);
      continue;
    }
    d.fresh.push_back(std::move(job));
    pump(d);
  }
}

// Lets go of what waits in memory for a destination: it is in the spool.
void Scheduler::release_ready(Destination& d) {
  bool has_released = d.ready() != 0;
  for (auto* queue : {&d.fresh, &d.loaded, &d.elsewhere}) {
    for (const auto& job : *queue) remove_job(job);
    queue->clear();
  }
  if (has_released) d.next_due = std::min(d.next_due, parts_.due_clock.now());
}

void Scheduler::forget(RowId row) {
  if (loads_ != 0) forgotten_while_loading_.insert(row.value);
  auto [first, last] = jobs_.equal_range(row.value);
  std::vector<JobPtr> jobs;
  for (auto it = first; it != last; ++it) jobs.push_back(it->second);
  for (const auto& job : jobs) {
    job->is_forgotten = true;
    if (job->state != Job::State::ready) continue;
    Destination& d = *job->destination;
    for (auto* queue : {&d.fresh, &d.loaded, &d.elsewhere}) std::erase(*queue, job);
    remove_job(job);
  }
}

bool Scheduler::awaits_final_reply(RowId row) {
  auto [first, last] = jobs_.equal_range(row.value);
  return std::any_of(first, last, [](const auto& entry) {
    return entry.second->state == Job::State::ending || entry.second->state == Job::State::recording;
  });
}

bool Scheduler::is_stuck(const storage::StoredMessage& message) const {
  if (message.state != storage::MessageState::queued) return true;
  const auto now = parts_.due_clock.now();
  return std::ranges::all_of(message.queue, [&](const storage::QueueEntry& entry) {
    if (entry.due > now) return true;
    auto found = destinations_.find(entry.destination);
    return is_suspended(entry.destination) || (found != destinations_.end() && found->second->failures != 0);
  });
}

bool Scheduler::claim(RowId row) {
  if (claimed_.contains(row.value)) return false;
  auto [first, last] = jobs_.equal_range(row.value);
  if (!std::all_of(first, last, [](const auto& entry) { return entry.second->state == Job::State::ready; }))
    return false;
  forget(row);
  if (loads_ != 0) forgotten_while_loading_.insert(row.value);
  claimed_.insert(row.value);
  return true;
}

void Scheduler::give_up_claim(RowId row) {
  claimed_.erase(row.value);
  if (loads_ != 0) forgotten_while_loading_.insert(row.value);
}

std::string Scheduler::trouble_of(const std::string& name) const {
  if (is_suspended(name)) return "delivery is suspended";
  auto found = destinations_.find(name);
  return found == destinations_.end() ? std::string() : found->second->last_error;
}

// ---- the pump

// Looks at one destination: gives mail to idle connections, loads more, opens connections, sets the next
// wake-up.
void Scheduler::pump(Destination& d, bool has_turn) {
  if (parts_.is_stopped) return;
  const MonotonicTime now = MonotonicClock::now();
  if (!d.is_suspended && !d.is_blocked(now) && now >= d.paced_until) {
    while (d.ready() > d.woken && wants_more(d, now)) {
      Connection* connection = idle_for_ready(d);
      if (connection == nullptr) break;
      end_idle(*connection);
      connection->is_woken = true;
      ++d.woken;
      connection->wake();
    }
    bool is_wanted = d.failures == 0 ? d.ready() < low_water : d.rows.empty();
    if (is_loading_on_ && !d.is_loading && is_wanted && d.next_due <= parts_.due_clock.now() && !is_full(0))
      load(d);
    if (d.is_to_hubs())
      hand_on_ready(d);
    else
      open_connections(d, now, has_turn);
  }
  schedule(d);
  if (is_unused(d, now))
    wake_at(d, std::max(now + Duration(look_again_wait), d.pace.empty_at()));  // to be removed
}

// Is there more mail than the busy connections take soon? A little mail is left to them: what is ready when a
// message ends goes out in the same write. What has waited for a while gets a connection of its own, in case
// theirs are slow.
bool Scheduler::wants_more(const Destination& d, MonotonicTime now) {
  if (d.is_to_hubs()) return false;
  return d.ready() > d.active() * ready_per_connection || d.oldest_ready() + ready_wait_max <= now;
}

// The latest idle connection that would get a message by taking one now. Mail that its host has refused does
// not count: to wake it for that again and again would never end.
Connection* Scheduler::idle_for_ready(Destination& d) {
  if (d.idle.empty()) return nullptr;
  if (d.fresh.size() + d.loaded.size() > d.woken) return d.idle.back();
  for (auto at = d.idle.rbegin(); at != d.idle.rend(); ++at)
    if (find_elsewhere(d, **at) != d.elsewhere.end()) return *at;
  // All connections are to hosts that refused this mail: one of them makes room for another host.
  bool is_only_elsewhere = !d.elsewhere.empty() && d.woken == 0 && d.opening() == 0;
  if (is_only_elsewhere && d.staying() >= d.connections_max()) {
    Connection* oldest = d.idle.front();
    end_idle(*oldest);
    oldest->quit();
  }
  return nullptr;
}

std::deque<JobPtr>::iterator Scheduler::find_elsewhere(Destination& d, const Connection& connection) {
  if (d.elsewhere.empty() || !connection.host()) return d.elsewhere.end();
  std::string host = to_string(connection.host()->endpoint);
  return std::ranges::find_if(
      d.elsewhere, [&](const auto& job) { return std::ranges::find(job->avoid, host) == job->avoid.end(); });
}

bool Scheduler::is_unused(const Destination& d, MonotonicTime now) {
  return d.rows.empty() && d.connections.empty() && !d.is_loading && d.next_due == WallTime::max() &&
         !d.is_blocked(now) && !d.is_waiting;
}

void Scheduler::open_connections(Destination& d, MonotonicTime now, bool has_turn) {
  while (d.ready() > d.opening() + d.woken && wants_more(d, now) && d.staying() < d.connections_max() &&
         now >= d.no_more_until) {
    std::size_t opening_max = d.failures != 0 ? 1 : std::max(first_connections_max, d.established * 2);
    if (d.opening() >= opening_max) return;
    // Who waits for a slot is asked first.
    bool is_short = connections_ >= parts_.config.delivery.connections_max;
    if (is_short || (!waiting_.empty() && !has_turn)) {
      if (!std::exchange(d.is_waiting, true)) waiting_.push_back(d.number);
      if (is_short && !idle_.empty()) {  // one that nobody uses makes room
        Connection* oldest = idle_.front();
        end_idle(*oldest);
        oldest->quit();
      }
      return;
    }
    auto connection = std::make_shared<Connection>(parts_, *this, d);
    if (d.fresh.empty() && d.loaded.empty()) connection->avoid = d.elsewhere.front()->avoid;
    if (d.connections.empty()) ++busy_destinations_;
    d.connections.push_back(connection);
    ++connections_;
    scope_.spawn("connection", Connection::run(connection));
    if (!waiting_.empty()) {  // one at a time while others wait
      if (!std::exchange(d.is_waiting, true)) waiting_.push_back(d.number);
      return;
    }
  }
}

// Connection slots of the hub go to the destinations that wait, in turn.
void Scheduler::give_slots() {
  while (!waiting_.empty() && connections_ < parts_.config.delivery.connections_max) {
    auto found = by_number_.find(waiting_.front());
    waiting_.pop_front();
    if (found == by_number_.end()) continue;
    found->second->is_waiting = false;
    pump(*found->second, true);
  }
}

bool Scheduler::should_yield(const Connection& connection) {
  if (waiting_.empty()) return false;
  std::size_t share = parts_.config.delivery.connections_max / (busy_destinations_ + waiting_.size());
  return connection.destination().staying() > std::max<std::size_t>(share, 1);
}

void Scheduler::schedule(Destination& d) {
  if (parts_.is_stopped) return;
  const MonotonicTime now = MonotonicClock::now();
  MonotonicTime when = MonotonicTime::max();
  if (is_loading_on_ && d.next_due != WallTime::max() && !d.is_loading) {
    auto wait = std::clamp<Duration>(d.next_due - parts_.due_clock.now(), Duration{0}, std::chrono::hours(1));
    when = now + wait;
    // Due already: whoever ends a job or a load looks again; this is only for when nothing is under way.
    if (wait <= Duration{0} && !d.rows.empty()) when = MonotonicTime::max();
    if (wait <= Duration{0} && is_full(0)) when = now + look_again_wait;
    if (d.is_blocked(now)) when = std::max(when, d.blocked_until);
  }
  if (d.ready() != 0 && d.no_more_until > now) when = std::min(when, d.no_more_until);
  if (d.paced_until > now) when = d.paced_until;
  if (d.is_suspended) when = MonotonicTime::max();
  bool is_left_to_busy = d.established != 0 && d.ready() > d.opening() + d.woken &&
                         d.active() < d.connections_max() && !d.is_waiting && now >= d.no_more_until;
  if (is_left_to_busy)
    when = std::min(when, std::max(d.oldest_ready() + ready_wait_max, now + ready_wait_max / 2));
  if (!d.idle.empty())
    when = std::min(when, d.idle.front()->idle_since + parts_.config.delivery.idle_timeout);
  if (when != MonotonicTime::max()) wake_at(d, when);
}

// Earlier wins; a wake-up that comes too early only looks once more.
void Scheduler::wake_at(Destination& d, MonotonicTime when) {
  if (when >= d.wake_at) return;
  if (d.wake_at != MonotonicTime::max()) wakes_.erase({d.wake_at, d.number});
  d.wake_at = when;
  wakes_.emplace(when, d.number);
  arm();
}

void Scheduler::arm() {
  if (wakes_.empty() || parts_.is_stopped) return;
  MonotonicTime when = wakes_.begin()->first;
  if (when >= armed_for_) return;
  armed_for_ = when;
  ++parts_.spool_calls;
  timer_.call_at(when, [this](bool came) {
    --parts_.spool_calls;
    if (!came || parts_.is_stopped) return;
    armed_for_ = MonotonicTime::max();
    on_timer();
    arm();
  });
}

void Scheduler::on_timer() {
  const MonotonicTime now = MonotonicClock::now();
  std::vector<std::uint64_t> numbers;
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    numbers.push_back(wakes_.begin()->second);
    wakes_.erase(wakes_.begin());
  }
  for (auto number : numbers) {
    Destination& d = *by_number_.at(number);
    d.wake_at = MonotonicTime::max();
    while (!d.idle.empty() && d.idle.front()->idle_since + parts_.config.delivery.idle_timeout <= now) {
      Connection* connection = d.idle.front();
      end_idle(*connection);
      connection->quit();
    }
    if (!is_over(d, now)) {
      pump(d);
    } else {
      by_number_.erase(number);
      destinations_.erase(std::string(d.name));
    }
  }
}

// ---- what connections tell

Task<HostPlan> Scheduler::hosts_for(Connection& connection) {
  Destination& d = connection.destination();
  if (MonotonicClock::now() >= d.plan_until) {
    HostPlan plan;
    const auto route = d.target ? d.target->route : nullptr;
    if (d.target)
      plan = co_await find_hosts(parts_.runtime.resolver, *d.target, own_);
    else
      plan.bounce = smtp::Reply{550, "5.4.4", "no route leads to this domain"};
    if (route != (d.target ? d.target->route : nullptr))
      co_return HostPlan{{}, {}, "4.4.0 the route has changed"};
    d.plan = std::move(plan);
    d.plan_until = d.plan.defer.empty() ? MonotonicClock::now() + plan_life : MonotonicTime::min();
  }
  HostPlan plan = d.plan;
  shuffle_equal(plan.hosts, parts_.runtime.random);
  std::erase_if(plan.hosts, [&](const HostAddress& host) {
    return std::ranges::find(connection.avoid, to_string(host.endpoint)) != connection.avoid.end();
  });
  const MonotonicTime now = MonotonicClock::now();
  std::vector<HostAddress> failing;
  for (const auto& host : plan.hosts) {
    auto found = d.failed_hosts.find(to_string(host.endpoint));
    if (found != d.failed_hosts.end() && found->second > now) failing.push_back(host);
  }
  std::erase_if(plan.hosts,
                [&](const HostAddress& host) { return std::ranges::find(failing, host) != failing.end(); });
  plan.hosts.insert(plan.hosts.end(), failing.begin(), failing.end());
  if (plan.hosts.empty() && !plan.bounce && plan.defer.empty()) plan.defer = "4.4.1 no other host to try";
  co_return plan;
}

void Scheduler::host_failed(Connection& connection, const HostAddress& host, const std::string& why) {
  Destination& d = connection.destination();
  d.failed_hosts[to_string(host.endpoint)] = MonotonicClock::now() + host_retry;
  parts_.log.line(
      LogLevel::warning, "next hop does not take mail",
      {{"destination", d.name}, {"host", host.name}, {"address", to_string(host.endpoint)}, {"reason", why}});
}

void Scheduler::unreachable(Connection& connection, const std::string& why) {
  Destination& d = connection.destination();
  const MonotonicTime now = MonotonicClock::now();
  if (connection.is_leaving) return;
  d.last_error = why;
  if (d.is_blocked(now) || parts_.is_stopped) return;
  // A connection for messages that some hosts refused: these have had their attempt.
  if (!connection.avoid.empty()) {
    auto jobs = std::exchange(d.elsewhere, {});
    for (const auto& job : jobs)
      finished(job, result_for_all(*job, smtp::RecipientResult::State::deferred, {0, "", why}), {}, [] {});
    return;
  }
  if (d.established != 0) {
    d.no_more_until = now + host_retry;
    return;
  }
  block(d, why);
}

void Scheduler::block(Destination& d, const std::string& why) {
  const MonotonicTime now = MonotonicClock::now();
  d.last_error = why;
  ++d.failures;
  auto wait = retry_wait(bounce_profile_of(parts_.config, d.target).retry, d.failures);
  d.blocked_until = now + wait;
  parts_.log.line(LogLevel::warning, "destination cannot be reached",
                  {{"destination", d.name},
                   {"reason", why},
                   {"failures", static_cast<std::int64_t>(d.failures)},
                   {"wait_s", std::chrono::duration_cast<std::chrono::seconds>(wait).count()}});
  // The message that probed is put back; the others were never tried, and their entries stay as they are.
  for (auto* queue : {&d.fresh, &d.loaded, &d.elsewhere}) {
    if (queue->empty()) continue;
    JobPtr probe = std::move(queue->front());
    queue->pop_front();
    finished(probe, result_for_all(*probe, smtp::RecipientResult::State::deferred, {0, "", why}), {}, [] {});
    break;
  }
  release_ready(d);
}

void Scheduler::established(Connection& connection) {
  Destination& d = connection.destination();
  if (connection.is_leaving) return;
  connection.is_established = true;
  ++d.established;
  connection.is_woken = true;  // it takes mail next
  ++d.woken;
  d.failures = 0;
  d.blocked_until = MonotonicTime::min();
  d.last_error.clear();
  d.failed_hosts.erase(to_string(connection.host()->endpoint));
  pump(d);
}

JobPtr Scheduler::take(Connection& connection) {
  Destination& d = connection.destination();
  if (std::exchange(connection.is_woken, false)) --d.woken;
  end_idle(connection);
  if (parts_.is_stopped) return nullptr;
  JobPtr job;
  if (d.paced_until > MonotonicClock::now()) return nullptr;
  postpone_held_back(d);
  if (auto found = find_elsewhere(d, connection); found != d.elsewhere.end()) {
    if (must_pace(d, **found)) return nullptr;
    job = std::move(*found);
    d.elsewhere.erase(found);
  }
  if (!job && (!d.fresh.empty() || !d.loaded.empty())) {
    bool from_loaded = d.fresh.empty() || (!d.loaded.empty() && d.is_loaded_next);
    d.is_loaded_next = !from_loaded;
    auto& queue = from_loaded ? d.loaded : d.fresh;
    if (must_pace(d, *queue.front())) return nullptr;
    job = std::move(queue.front());
    queue.pop_front();
  }
  if (job) {
    job->state = Job::State::sending;
    mark(job);
  }
  if (d.next_due != WallTime::max() && d.ready() < low_water) pump(d);
  return job;
}

// It has had as many recipients within a minute as it is to get (recipient_rate_limit): this one waits, and
// so do those behind it.
bool Scheduler::must_pace(Destination& d, const Job& job) {
  const std::uint32_t limit = d.target ? d.target->route->recipient_rate_limit : 0;
  if (limit == 0) return false;
  const MonotonicTime now = MonotonicClock::now();
  auto wait = d.pace.take(now, limit, static_cast<std::uint32_t>(job.recipients.size()));
  if (!wait) return false;
  d.paced_until = now + std::max<Duration>(*wait, std::chrono::milliseconds(1));
  schedule(d);
  return true;
}

bool Scheduler::give_back(const JobPtr& job, const std::string& avoid_host) {
  Destination& d = *job->destination;
  unmark(job);
  if (avoid_host.empty()) {
    job->state = Job::State::ready;
    if (job->is_forgotten)
      drop(job);
    else if (d.is_suspended || d.is_blocked(MonotonicClock::now()))
      release_one(job);
    else
      d.fresh.push_front(job);
    pump(d);
    return true;
  }
  job->avoid.push_back(avoid_host);
  bool has_other = std::ranges::any_of(d.plan.hosts, [&](const HostAddress& host) {
    return std::ranges::find(job->avoid, to_string(host.endpoint)) == job->avoid.end();
  });
  if (!has_other || job->is_forgotten) return false;
  job->state = Job::State::ready;
  d.elsewhere.push_back(job);
  pump(d);
  return true;
}

void Scheduler::release_one(const JobPtr& job) {
  Destination& d = *job->destination;
  remove_job(job);
  note_due(d, parts_.due_clock.now());
}

// It is another hub's now, or the operator's: the spool says, a little later. He may have released it
// meanwhile.
void Scheduler::drop(const JobPtr& job) {
  if (!job->is_forgotten) return release_one(job);
  remove_job(job);
  note_due(*job->destination, parts_.due_clock.now() + look_again_wait);
}

void Scheduler::finished(JobPtr job, smtp::TransactionResult result, Remote remote,
                         std::move_only_function<void()> done) {
  recorder_.record(std::move(job), std::move(result), std::move(remote), std::move(done));
}

void Scheduler::recorded(const JobPtr& job, std::optional<WallTime> again) {
  Destination& d = *job->destination;
  job->has_outcome = true;
  if (!again) job->acknowledgement.reset();
  remove_job(job);
  if (parts_.is_stopped) return;
  if (again) d.next_due = std::min(d.next_due, *again);
  if (d.rows.empty() || d.next_due != WallTime::max()) pump(d);
}

void Scheduler::became_idle(Connection& connection) {
  Destination& d = connection.destination();
  if (!waiting_.empty()) return connection.quit();  // somebody needs the slot more
  connection.is_idle = true;
  connection.idle_since = MonotonicClock::now();
  d.idle.push_back(&connection);
  idle_.push_back(&connection);
  schedule(d);
}

void Scheduler::end_idle(Connection& connection) {
  if (!std::exchange(connection.is_idle, false)) return;
  erase_value(connection.destination().idle, &connection);
  erase_value(idle_, &connection);
}

void Scheduler::ended(Connection& connection) {
  Destination& d = connection.destination();
  if (connection.is_leaving)
    --d.leaving;
  else if (connection.is_established)
    --d.established;
  if (connection.is_woken) --d.woken;
  connection.is_woken = false;
  end_idle(connection);
  auto found = std::ranges::find(d.connections, &connection, [](const auto& c) { return c.get(); });
  if (found != d.connections.end()) {
    d.connections.erase(found);
    --connections_;
    if (d.connections.empty()) --busy_destinations_;
  }
  give_slots();
  pump(d);
  give_slots();
}

}  // namespace umbra::hub
