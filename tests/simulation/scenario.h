// What a seed stands for: how many hubs, clients and next hops, how fast everything is, and what goes wrong
// when. Everything is drawn here, before the run begins, and can be printed.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/lanes.h"
#include "tests/simulation/sink.h"

namespace umbra::simulation {

struct Scenario {
  int hubs = 3;
  int spares = 0;  ///< hubs that join later (a rescale): numbered behind the others
  int sinks = 3;
  int clients = 3;
  int messages = 8;  ///< per client
  Duration horizon = 90s;
  Duration expiry = 10min;  ///< of mail that waits; after two fifths of it comes the warning
  std::vector<hub::RetryStep> retry = {{4, 1s}, {6, 3s}, {0, 6s}};
  std::vector<Fault> faults;
  std::vector<DiskSpeed> disks;
  std::vector<ClockSkew> clocks;
  Mood mood;  ///< of all next hops all the time
  Mood bad_mood;
  Mood slow_mood;
  Mood forgetful_mood;
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
  /// Routes to hubs: none; all hubs but those from `first_core_hub` on hand their mail to these; each hub to
  /// the next one.
  enum class Hops : std::uint8_t { none, core, chain };
  Hops hops = Hops::none;
  int first_core_hub = 0;
  hub::SafetyNetConfig safety_net;  ///< what is kept is no unrest, and is never delivered by itself
  bool is_calm = false;             ///< nothing goes wrong: not one duplicate is allowed
};

struct Choices {
  std::uint64_t seed = 1;
  std::optional<int> hubs;
  std::optional<int> messages;
  std::optional<hub::OwnershipMode> ownership;
  std::vector<FaultKind> forced;            ///< these faults, once each, instead of what the seed says
  std::optional<std::set<FaultKind>> only;  ///< leave out every other kind
  std::set<int> without;                    ///< leave out these faults, by number
  bool print_trace = false;
};

Scenario make_scenario(const Choices& choices);

}  // namespace umbra::simulation
