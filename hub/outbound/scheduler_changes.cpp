// What changes while delivery runs: the configuration, and what is suspended. Part of Scheduler.
#include <algorithm>
#include <utility>

#include "hub/outbound/scheduler.h"

namespace umbra::hub {

// Mail that waits in memory goes back to the spool, which knows it by its recipients: loaded again, it goes
// the new way. What is being sent ends as it began; connections of a route that has changed take no more
// mail.
void Scheduler::configuration_changed(bool are_routes_new) {
  if (parts_.is_stopped) return;
  own_ = own_names(parts_.config);
  std::vector<Destination*> all;
  for (auto& [name, destination] : destinations_) {
    Destination& d = *destination;
    all.push_back(&d);
    if (!are_routes_new) continue;
    auto target = parts_.router.target(name);
    bool is_as_before =
        target.has_value() == d.target.has_value() && (!target || *target->route == *d.target->route);
    d.target = std::move(target);
    release_ready(d);
    if (is_as_before) continue;
    d.plan_until = d.blocked_until = d.no_more_until = d.paced_until = MonotonicTime::min();
    d.failures = 0;
    d.failed_hosts.clear();
    d.last_error.clear();
    for (const auto& connection : std::vector(d.connections)) leave(*connection);
  }
  for (auto* d : all) pump(*d);
  give_slots();
}

void Scheduler::suspensions_changed() {
  if (parts_.is_stopped) return;
  std::vector<Destination*> resumed;
  for (auto& [name, destination] : destinations_) {
    Destination& d = *destination;
    if (d.is_suspended == is_suspended(name)) continue;
    d.is_suspended = !d.is_suspended;
    if (!d.is_suspended) {
      resumed.push_back(&d);
      continue;
    }
    release_ready(d);
    for (const auto& connection : std::vector(d.connections)) leave(*connection);
  }
  for (auto* d : resumed) pump(*d);
  give_slots();
}

// A message goes to one destination as a whole: to recipients that are suspended and to others, it waits for
// all of them.
bool Scheduler::is_held_back(const Job& job) const {
  return parts_.suspensions != nullptr && std::ranges::any_of(job.recipients, [&](std::uint32_t index) {
           return parts_.suspensions->holds_back(
               {*job.destination_name, job.envelope().sender, job.envelope().recipients[index].address});
         });
}

void Scheduler::postpone_held_back(Destination& d) {
  for (auto* queue : {&d.elsewhere, &d.fresh, &d.loaded})
    while (!queue->empty() && is_held_back(*queue->front())) {
      const JobPtr job = std::move(queue->front());
      queue->pop_front();
      postpone(job, suspended_look,
               "4.3.2 the delivery of mail of its sender, or to its domain, is suspended");
    }
}

void Scheduler::leave(Connection& connection) {
  Destination& d = connection.destination();
  if (std::exchange(connection.is_leaving, true)) return;
  ++d.leaving;
  if (connection.is_established) --d.established;
  if (std::exchange(connection.is_woken, false)) --d.woken;
  end_idle(connection);
  connection.quit();
}

}  // namespace umbra::hub
