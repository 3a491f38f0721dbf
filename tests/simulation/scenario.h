// What a seed stands for: how many hubs, clients and next hops, how fast everything is, and what goes wrong
// when. Everything is drawn here, before the run begins, and can be printed.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "tests/simulation/lanes.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sink.h"

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
};
constexpr int fault_kinds = 16;
std::string_view to_string(FaultKind kind);
std::optional<FaultKind> parse_fault_kind(std::string_view text);

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

struct Scenario {
  int hubs = 3;
  int sinks = 3;
  int clients = 3;
  int messages = 8;  ///< per client
  Duration horizon = 90s;
  std::vector<Fault> faults;
  std::vector<DiskSpeed> disks;
  std::vector<ClockSkew> clocks;
  Mood mood;  ///< of all next hops all the time
  Mood bad_mood;
  /// How the hubs find one another; and when DNS is of no help with that.
  enum class Membership : std::uint8_t { list, services, addresses };
  struct DnsTrouble {
    Duration begin{};
    Duration length{};
    bool is_empty = false;  ///< answers that name nobody, else none at all
  };
  Membership membership = Membership::list;
  std::vector<DnsTrouble> dns_troubles;
  hub::OwnershipMode ownership = hub::OwnershipMode::pairwise;
  // How mail is protected.
  hub::ShadowPolicy shadow = hub::ShadowPolicy::require;
  Protection protection;
  hub::OnShadowFailure on_failure = hub::OnShadowFailure::delay;
  Duration acknowledgement_delay_max{};
  std::uint32_t delayed_acknowledgements_max = 1000;
  std::vector<std::string> zones;  ///< of the hubs
  /// Routes to hubs: none; all hubs but those from `first_core_hub` on hand their mail to these; each hub to the next one.
  enum class Hops : std::uint8_t { none, core, chain };
  Hops hops = Hops::none;
  int first_core_hub = 0;
  bool is_calm = false;  ///< nothing goes wrong: not one duplicate is allowed
};

struct Choices {
  std::uint64_t seed = 1;
  std::optional<int> hubs;
  std::optional<int> messages;
  std::optional<hub::OwnershipMode> ownership;
  std::optional<std::set<FaultKind>> only;  ///< leave out every other kind
  std::set<int> without;                    ///< leave out these faults, by number
  bool print_trace = false;
};

Scenario make_scenario(const Choices& choices);

}  // namespace umbra::simulation
