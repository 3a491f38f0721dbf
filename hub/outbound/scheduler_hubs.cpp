// Routes to hubs: mail that is handed over instead of being sent (docs/xshadow.md section 15). Part of
// Scheduler; in place of connections there are hand-overs under way, so many at once per hub. Peering does
// them (DeliveryGuard::hand_on); retry, blocking of a destination that cannot be reached, and what is told of
// it are those of every destination.
//
// A message is handed over whole. What of it goes by SMTP is tried here first; what is left then goes with
// the rest, and the next hub delivers it by its own routes: a next hop that is dead does not hold up
// recipients that can be reached.
#include <algorithm>
#include <utility>

#include "hub/outbound/scheduler.h"

namespace umbra::hub {
namespace {

constexpr std::size_t at_once_per_hub = 32;

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

void Scheduler::hand_on_ready(Destination& d) {
  postpone_held_back(d);
  const auto at_once = d.failures != 0 ? 1 : at_once_per_hub * d.target->route->hubs.size();
  while (d.ready() != 0 && d.handing < at_once && !parts_.is_stopped) {
    const auto& hubs = d.target->route->hubs;
    if (std::ranges::none_of(hubs, [this](const auto& hub) { return parts_.guard.is_in_reach(hub); })) {
      std::string names;
      for (const auto& hub : hubs) names += (names.empty() ? "" : ", ") + hub;
      return block(d, "4.4.1 no hub of the route can be handed mail now: " + names);
    }
    auto& queue = !d.elsewhere.empty() ? d.elsewhere : !d.fresh.empty() ? d.fresh : d.loaded;
    JobPtr job = std::move(queue.front());
    queue.pop_front();
    if (!take_whole(job)) {
      postpone(job, look_again_wait, {});
      continue;
    }
    auto hub = hub_for(d, *job);
    if (!hub) {
      bool is_loop =
          std::ranges::all_of(hubs, [&](const auto& name) { return has(job->envelope().trail, name); });
      handed_on(job, "",
                {HandedOn::Kind::refused,
                 {0, "",
                  is_loop ? "4.4.6 every hub of the route has handed the message on already"
                          : "4.4.1 no other hub of the route can be handed mail now"}});
      continue;
    }
    ++d.handing;
    parts_.guard.hand_on(job->message, *hub, [this, job, hub = *hub](HandedOn answer) {
      --job->destination->handing;
      handed_on(job, hub, std::move(answer));
    });
  }
}

// Of those that are least short of something; one that holds the copy needs no body; among the others, in
// turn.
std::optional<std::string> Scheduler::hub_for(Destination& d, const Job& job) {
  if (!d.is_to_hubs()) return std::nullopt;  // any more
  auto hubs = d.target->route->hubs;
  std::erase_if(hubs, [&](const auto& hub) {
    return has(job.envelope().trail, hub) || has(job.avoid, hub) || !parts_.guard.is_in_reach(hub);
  });
  if (hubs.empty()) return std::nullopt;
  auto wanted = parts_.router.next_hubs(job.envelope());  // of several routes: who is in all of them
  if (std::ranges::any_of(hubs, [&](const auto& hub) { return has(wanted, hub); }))
    std::erase_if(hubs, [&](const auto& hub) { return !has(wanted, hub); });
  auto level = PressureLevel::high;
  for (const auto& hub : hubs) level = std::min(level, parts_.guard.pressure_of(hub));
  std::erase_if(hubs, [&](const auto& hub) { return parts_.guard.pressure_of(hub) > level; });
  for (const auto& hub : hubs)
    for (const auto& holder : job.message->holders)
      if (holder.hub == hub && holder.state == storage::Holder::State::holds) return hub;
  return hubs[d.turn++ % hubs.size()];
}

// From here on no part of the message is tried by anybody else. False: some part has to be tried first.
bool Scheduler::take_whole(const JobPtr& job) {
  auto row = job->row().value;
  auto [first, last] = jobs_.equal_range(row);
  std::vector<JobPtr> others;
  for (auto it = first; it != last; ++it)
    if (it->second != job) others.push_back(it->second);
  if (claimed_.contains(row) || job->is_forgotten) return false;
  if (std::ranges::any_of(others, [](const auto& other) { return other->state != Job::State::ready; }))
    return false;
  const auto now = parts_.due_clock.now();
  for (const auto& entry : job->message->queue) {
    if (entry.attempts != 0 || entry.due > now || parts_.router.leads_to_hubs(entry.destination)) continue;
    auto found = destinations_.find(entry.destination);
    if (found == destinations_.end() || found->second->failures == 0) return false;
  }
  for (const auto& other : others) {
    for (auto* queue :
         {&other->destination->fresh, &other->destination->loaded, &other->destination->elsewhere})
      std::erase(*queue, other);
    remove_job(other);
  }
  if (loads_ != 0) forgotten_while_loading_.insert(row);
  job->state = Job::State::sending;
  claimed_.insert(row);
  return true;
}

// Out of memory: it is in the spool, and is looked at again then.
void Scheduler::let_go(const JobPtr& job, WallTime again) {
  Destination& d = *job->destination;
  auto message = job->message;
  remove_job(job);
  for (const auto& entry : message->queue) note_due(entry.destination, std::max(entry.due, again));
  pump(d);
}

// Something else goes first: another part of it, or the end of a suspension. The entry waits in the spool, so
// that those behind it come up.
void Scheduler::postpone(const JobPtr& job, std::chrono::seconds wait, std::string why) {
  if (job->is_forgotten) return remove_job(job);
  job->state = Job::State::recording;
  storage::AttemptRecord record;
  record.row = job->row();
  record.destination = *job->destination_name;
  record.last_error = std::move(why);
  record.again.push_back({record.destination, parts_.due_clock.now() + wait, job->attempts});
  ++parts_.spool_calls;
  parts_.spool.write(
      [record](storage::Writer& writer) -> Result<void> {
        auto effect = writer.record_attempt(record);
        return effect ? Result<void>{} : std::unexpected(effect.error());
      },
      128,
      [this, job, wait](Result<void>) {
        --parts_.spool_calls;
        recorded(job, parts_.due_clock.now() + wait);
      });
}

void Scheduler::handed_on(const JobPtr& job, const std::string& hub, HandedOn answer) {
  using Kind = HandedOn::Kind;
  if (parts_.is_stopped) return;
  Destination& d = *job->destination;
  claimed_.erase(job->row().value);
  if (loads_ != 0) forgotten_while_loading_.insert(job->row().value);
  if (answer.kind == Kind::taken || answer.kind == Kind::unclear || job->is_forgotten) {
    if (answer.kind == Kind::taken) {
      d.failures = 0;
      d.blocked_until = MonotonicTime::min();
      d.last_error.clear();
    }
    remove_job(job);
    return pump(d);
  }
  // The other parts of the message are in the spool, as they were.
  for (const auto& entry : job->message->queue)
    if (entry.destination != d.name) note_due(entry.destination, entry.due);
  if (answer.kind == Kind::not_now) {
    if (!answer.reply.text.empty()) d.last_error = answer.reply.text;
    return let_go(job, parts_.due_clock.now() + look_again_wait);
  }
  if (!hub.empty()) {
    d.last_error = smtp::to_line(answer.reply);
    if (answer.reply.code == 0) d.last_error = answer.reply.text;
    job->avoid.push_back(hub);
    if (hub_for(d, *job)) {  // another one of the list, at once
      job->state = Job::State::ready;
      d.elsewhere.push_back(job);
      return pump(d);
    }
  }
  finished(job, result_for_all(*job, smtp::RecipientResult::State::deferred, answer.reply), {hub, "", ""},
           [] {});
}

// What waits for a hub need not wait any longer; a message keeps the time of its next attempt.
void Scheduler::hub_came() {
  if (parts_.is_stopped) return;
  std::vector<Destination*> blocked;
  for (auto& [name, d] : destinations_)
    if (d->is_to_hubs() && d->is_blocked(MonotonicClock::now())) blocked.push_back(d.get());
  for (auto* d : blocked) {
    d->blocked_until = MonotonicTime::min();
    pump(*d);
  }
}

}  // namespace umbra::hub
