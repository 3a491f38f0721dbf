// What the scheduler knows of one destination. In memory only while there is mail for it; nothing here grows
// with the length of its queue: the spool holds that.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/rate_window.h"
#include "hub/outbound/connection.h"
#include "hub/outbound/job.h"

namespace umbra::hub {

struct Destination {
  std::string name;
  std::uint64_t number = 0;      ///< order of creation; orders what is equal otherwise
  std::optional<Target> target;  ///< nothing: unroutable

  // Mail that waits for a connection.
  std::deque<JobPtr> fresh;      ///< handed over
  std::deque<JobPtr> loaded;     ///< from the spool
  std::deque<JobPtr> elsewhere;  ///< refused by some host for now: has a list of hosts to avoid
  bool is_loaded_next = false;   ///< fresh and loaded take turns
  std::unordered_set<std::int64_t>
      rows;  ///< of its jobs in any state; looked up, or sorted before it is used

  // Connections.
  std::vector<std::shared_ptr<Connection>> connections;
  std::vector<Connection*> idle;  ///< the longest idle first
  std::size_t established = 0;
  std::size_t leaving =
      0;  ///< of a route that has changed: they end what they have, and count for nothing else here
  std::size_t woken = 0;    ///< of the idle ones, told to take mail, that have not yet
  bool is_waiting = false;  ///< for a connection slot of the hub

  // Hand-over to hubs, in place of connections.
  std::size_t handing = 0;  ///< jobs that are being handed over
  std::size_t turn = 0;     ///< which hub is next

  // Trouble.
  std::uint32_t failures = 0;  ///< to connect, in a row; while not 0 one message probes
  MonotonicTime blocked_until = MonotonicTime::min();
  RateWindow pace;                                     ///< of recipients (recipient_rate_limit)
  bool is_suspended = false;                           ///< by the operator: its mail stays in the spool
  MonotonicTime paced_until = MonotonicTime::min();    ///< it has as many as it is to get
  MonotonicTime no_more_until = MonotonicTime::min();  ///< some connections work, more do not
  std::string last_error;

  // The spool.
  WallTime next_due = WallTime::max();  ///< earliest entry that may be in the spool and not in memory
  bool is_loading = false;
  std::set<std::int64_t> seen_while_loading;  ///< rows whose loaded state may be stale

  // Hosts.
  HostPlan plan;
  MonotonicTime plan_until = MonotonicTime::min();
  std::map<std::string, MonotonicTime> failed_hosts;  ///< tried last until then

  MonotonicTime wake_at = MonotonicTime::max();

  [[nodiscard]] std::size_t ready() const { return fresh.size() + loaded.size() + elsewhere.size(); }
  /// Connections that have mail, or are being made for it.
  [[nodiscard]] std::size_t active() const { return staying() - idle.size(); }
  /// Since when the oldest of its mail waits.
  [[nodiscard]] MonotonicTime oldest_ready() const {
    MonotonicTime oldest = MonotonicTime::max();
    for (const auto* queue : {&fresh, &loaded, &elsewhere})
      if (!queue->empty()) oldest = std::min(oldest, queue->front()->ready_since);
    return oldest;
  }
  [[nodiscard]] bool is_to_hubs() const { return target && !target->route->hubs.empty(); }
  [[nodiscard]] std::size_t staying() const { return connections.size() - leaving; }
  [[nodiscard]] std::size_t opening() const { return staying() - established; }
  [[nodiscard]] bool is_blocked(MonotonicTime now) const { return now < blocked_until; }
  [[nodiscard]] std::size_t connections_max() const {
    return target ? std::max<std::size_t>(target->route->connections_max, 1) : 1;
  }
  [[nodiscard]] std::size_t messages_per_connection_max() const {
    return target ? std::max<std::size_t>(target->route->messages_per_connection_max, 1) : 1000;
  }
};

}  // namespace umbra::hub
