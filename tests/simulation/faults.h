// The faults of a run: what they are called, how one is drawn, and what a run must have for one to make
// sense.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hub/logs/event_log.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace umbra::simulation {

enum class FaultKind : std::uint8_t {
  crash,         ///< a hub's process is killed, and started again on its disk
  power,         ///< its machine loses power: nothing is said to anybody, what was not synced is gone
  lose_disk,     ///< power, and the hub comes back with an empty disk
  die_writing,   ///< power fails at some write or sync of its disk, which is done partly
  restart,       ///< an orderly stop and a start
  pause,         ///< a hub's process stands still (SIGSTOP), then goes on
  partition,     ///< two hubs do not hear one another
  one_way,       ///< one hub does not hear another one
  isolate,       ///< one hub hears no other hub
  clients_cut,   ///< one hub hears no client
  slow_disk,     ///< a hub's disk is slow
  full_disk,     ///< a hub's disk is full
  slow_network,  ///< everything from and to a hub is slow
  sink_dead,     ///< a next hop refuses connections
  sink_silent,   ///< packets to and from a next hop vanish
  sink_moody,    ///< a next hop defers, cuts and withholds
  sink_slow,     ///< a next hop takes seconds for each reply
  sink_forgets,  ///< a next hop takes mail, and its reply is lost
  // Of hubs again; drawn apart from those above, so that what the seeds of those stand for stays what it was.
  flapping,    ///< two hubs hear one another, and do not, and do, many times
  lossy,       ///< connections between a hub and others break with what is under way, or are late by seconds
  long_pause,  ///< as pause, for longer than a lease
  wall_jump,   ///< a hub's wall clock steps by minutes
  arbiter_away,     ///< the arbiter answers nobody
  rolling_restart,  ///< every hub is restarted, one after the other
  damaged_page,     ///< a page of a hub's database decays
  restored_backup,  ///< a hub is started on an older copy of its own disk
  reused_disk,      ///< a hub gets a disk that another one had before, and does not need any more
  swapped_disk,     ///< two hubs are started with one another's disks
  drain_return,     ///< a hub is drained, stopped, and back in time
  drain_late,       ///< a hub is drained, stopped, and not back in time
  drain_killed,     ///< a hub that is drained or leaves is killed in the middle
  receiver_killed,  ///< a hub is drained or leaves, and one that is handed its mail is killed
  undrain,          ///< a hub is paused, drained or leaves, and the operator changes his mind
  leave,            ///< a hub hands everything over and is thrown away with its disk
  rescale,          ///< 3 -> 5 -> 2 -> 3 hubs
};
constexpr int fault_kinds = static_cast<int>(FaultKind::rescale) + 1;
constexpr FaultKind first_later_kind = FaultKind::flapping;
std::string_view to_string(FaultKind kind);
std::optional<FaultKind> parse_fault_kind(std::string_view text);
/// Its target is a next hop.
bool is_of_sink(FaultKind kind);
/// It takes a disk away, or what was on it: only one at a time, and only when every message has two copies.
bool takes_a_disk(FaultKind kind);
/// Hubs may take one another for dead that are not.
bool cuts_off(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::crash;
  Duration begin{};
  Duration length{};
  int target = 0;  ///< hub, or next hop
  int other = 0;   ///< second hub of a partition
  PartitionEnd end = PartitionEnd::resume;
  Duration amount{};  ///< how slow
  /// Begins not at `begin` but `delay` after this has happened at the target for the n-th time since `begin`.
  struct Trigger {
    hub::MessageEvent event;
    int count = 1;
    Duration delay{};
    bool anywhere = false;  ///< at any hub, which then is the target
  };
  std::optional<Trigger> trigger;
};
std::string to_string(const Fault& fault);

/// One of those that were there first, by their weights.
FaultKind draw_kind(SeededRandom& random);
/// One of those that came later.
FaultKind draw_later_kind(SeededRandom& random);
Fault draw_fault(SeededRandom& random, int hubs, int sinks, Duration horizon, FaultKind kind);

}  // namespace umbra::simulation
