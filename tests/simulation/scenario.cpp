#include "tests/simulation/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace umbra::simulation {
namespace {

using hub::MessageEvent;

constexpr std::array<std::string_view, fault_kinds> names = {
    "crash",        "power",     "lose_disk",   "die_writing", "restart",   "pause",
    "partition",    "one_way",   "isolate",     "clients_cut", "slow_disk", "full_disk",
    "slow_network", "sink_dead", "sink_silent", "sink_moody"};

// How often each kind is drawn.
constexpr std::array<std::uint64_t, fault_kinds> weights = {14, 8, 12, 8, 6, 10, 8, 5,
                                                            6,  2, 4,  3, 3, 5,  4, 8};

constexpr std::array trigger_events = {
    MessageEvent::accepted,      MessageEvent::protected_, MessageEvent::attempted,
    MessageEvent::delivered,     MessageEvent::discarded,  MessageEvent::taken_over,
    MessageEvent::shadow_stored, MessageEvent::ceded,      MessageEvent::shadow_dropped,
    MessageEvent::recovered,     MessageEvent::bounced};

std::string seconds(Duration d) {
  return fmt::format("{:.3f}s", std::chrono::duration<double>(d).count());
}

FaultKind draw_kind(SeededRandom& random) {
  std::uint64_t sum = 0;
  for (auto weight : weights) sum += weight;
  auto at = random.below(sum);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (at < weights[i]) return static_cast<FaultKind>(i);
    at -= weights[i];
  }
  return FaultKind::crash;
}

bool can_be_triggered(FaultKind kind) {
  return kind <= FaultKind::isolate || kind == FaultKind::slow_disk || kind == FaultKind::full_disk;
}

Fault draw_fault(SeededRandom& random, const Scenario& scenario, FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.begin = random.between(Duration{2s}, scenario.horizon * 3 / 4);
  // Short ones, ones around the lease, and long ones.
  auto length = random.below(3);
  if (length == 0) fault.length = random.between(Duration{20ms}, Duration{2s});
  if (length == 1) fault.length = random.between(Duration{2s}, Duration{15s});
  if (length == 2) fault.length = random.between(Duration{10s}, Duration{60s});
  bool is_sink = kind >= FaultKind::sink_dead;
  fault.target =
      static_cast<int>(random.below(static_cast<std::uint64_t>(is_sink ? scenario.sinks : scenario.hubs)));
  fault.other = static_cast<int>(random.below(static_cast<std::uint64_t>(scenario.hubs)));
  if (fault.other == fault.target) fault.other = (fault.target + 1) % scenario.hubs;
  fault.end = random.chance(500) ? PartitionEnd::resume : PartitionEnd::reset;
  fault.amount = random.between(Duration{50ms}, Duration{1500ms});
  bool is_triggered = random.chance(600);
  auto event = trigger_events[random.below(trigger_events.size())];
  auto count = static_cast<int>(random.between(1, 6));
  Duration delay = random.chance(300)
                       ? Duration{0}
                       : random.between(Duration{0}, random.chance(500) ? Duration{5ms} : Duration{300ms});
  if (is_triggered && can_be_triggered(kind)) {
    fault.begin = fault.begin / 2;
    fault.trigger = Fault::Trigger{event, count, delay, random.chance(300)};
  }
  return fault;
}

}  // namespace

std::string_view to_string(FaultKind kind) {
  return names[static_cast<std::size_t>(kind)];
}

std::optional<FaultKind> parse_fault_kind(std::string_view text) {
  auto found = std::ranges::find(names, text);
  if (found == names.end()) return std::nullopt;
  return static_cast<FaultKind>(found - names.begin());
}

std::string to_string(const Fault& fault) {
  auto text = fmt::format("{} of {} for {}", to_string(fault.kind),
                          fault.kind >= FaultKind::sink_dead ? fmt::format("sink{}", fault.target + 1)
                                                             : fmt::format("hub{}", fault.target + 1),
                          seconds(fault.length));
  if (fault.kind == FaultKind::partition || fault.kind == FaultKind::one_way)
    text += fmt::format(" against hub{}{}", fault.other + 1,
                        fault.end == PartitionEnd::reset ? ", then resets" : "");
  if (fault.trigger) {
    text += fmt::format(", {} after {} {}. '{}' since {}", seconds(fault.trigger->delay),
                        fault.trigger->anywhere ? "the cluster's" : "its", fault.trigger->count,
                        hub::to_string(fault.trigger->event), seconds(fault.begin));
  } else {
    text += ", at " + seconds(fault.begin);
  }
  return text;
}

Scenario make_scenario(const Choices& choices) {
  SeededRandom master(choices.seed);
  auto random = master.fork("scenario");
  Scenario scenario;
  constexpr std::array hub_counts = {2, 3, 3, 3, 3, 3, 4, 5};
  scenario.hubs = hub_counts[random.below(hub_counts.size())];
  if (choices.hubs) scenario.hubs = *choices.hubs;
  // Of its own: it changes nothing else of what a seed stands for.
  auto modes = master.fork("ownership");
  if (scenario.hubs >= 3 && modes.chance(500)) scenario.ownership = hub::OwnershipMode::majority;
  if (modes.chance(300)) scenario.ownership = hub::OwnershipMode::etcd;  // the simulated arbiter
  if (choices.ownership) scenario.ownership = *choices.ownership;
  scenario.sinks = static_cast<int>(random.between(1, 3));
  scenario.clients = static_cast<int>(random.between(1, 4));
  scenario.messages = static_cast<int>(random.chance(200) ? random.between(15, 40) : random.between(2, 12));
  if (choices.messages) scenario.messages = *choices.messages;
  scenario.horizon = random.between(Duration{20s}, Duration{100s});

  auto speeds = master.fork("speeds");
  for (int i = 0; i < scenario.hubs; ++i) {
    DiskSpeed speed;
    speed.commit_max = speeds.chance(200) ? 100ms : 15ms;
    speed.stalls = speeds.chance(200) ? 50 : 3;
    scenario.disks.push_back(speed);
    ClockSkew clock;
    clock.monotonic_offset = speeds.between(Duration{10s}, Duration{1000h});
    clock.drift_ppm = speeds.between(-200, 200);
    clock.wall_offset = speeds.chance(100) ? speeds.between(Duration{-90s}, Duration{90s})
                                           : speeds.between(Duration{-50ms}, Duration{50ms});
    scenario.clocks.push_back(clock);
  }

  auto protection = master.fork("protection");
  if (protection.chance(250)) scenario.shadow = hub::ShadowPolicy::prefer;
  scenario.on_failure = protection.chance(600) ? hub::OnShadowFailure::delay : hub::OnShadowFailure::accept;
  scenario.acknowledgement_delay_max = protection.between(Duration{0}, Duration{15s});
  if (protection.chance(300)) scenario.delayed_acknowledgements_max = 1;
  if (scenario.hubs > 2 && protection.chance(300)) scenario.protection.copies = 2;
  bool has_zones = protection.chance(400);
  for (int i = 0; i < scenario.hubs; ++i)
    scenario.zones.push_back(has_zones ? (i % 2 == 0 ? "east" : "west") : "");
  if (has_zones) {
    constexpr std::array wishes = {ZonePreference::prefer_other_zone, ZonePreference::only_other_zone, ZonePreference::any};
    scenario.protection.zones = wishes[protection.below(wishes.size())];
    // Each zone needs so many hubs in the other one.
    if (scenario.protection.zones == ZonePreference::only_other_zone && scenario.hubs < 4) scenario.protection.copies = 1;
  }
  scenario.is_calm = random.chance(60);
  if (!scenario.is_calm && random.chance(400)) {
    scenario.mood.defers_recipient = random.below(100);
    scenario.mood.defers_message = random.below(50);
    scenario.mood.closes_after_reply = random.below(50);
    scenario.mood.delay_max = random.between(Duration{0}, Duration{500ms});
    if (random.chance(300)) scenario.mood.cuts_after_keeping = random.below(40);
  }
  scenario.bad_mood = {.refuses_greeting = random.below(300),
                       .defers_sender = random.below(300),
                       .defers_recipient = random.below(500),
                       .defers_message = random.below(300),
                       .cuts_in_data = random.below(200),
                       .cuts_before_keeping = random.below(200),
                       .cuts_after_keeping = random.below(200),
                       .withholds_reply = random.below(200),
                       .closes_after_reply = random.below(200),
                       .delay_max = random.between(Duration{0}, Duration{3s})};
  auto members = master.fork("membership");
  if (members.chance(350))
    scenario.membership = members.chance(500) ? Scenario::Membership::services : Scenario::Membership::addresses;
  if (scenario.membership != Scenario::Membership::list && members.chance(700))
    for (auto left = members.between(1, 3); left > 0; --left)
      scenario.dns_troubles.push_back({members.between(Duration{0}, scenario.horizon),
                                       members.between(Duration{1s}, Duration{60s}), members.chance(500)});
  auto faults = master.fork("faults");
  auto count = scenario.is_calm ? 0 : faults.chance(300) ? 1 : static_cast<int>(faults.between(2, 7));
  std::vector<Fault> drawn;
  // A next hop that is away for long makes a backlog: what happens to hubs meanwhile happens to many
  // messages.
  if (count > 0 && faults.chance(500)) {
    constexpr std::array away = {FaultKind::sink_dead, FaultKind::sink_silent, FaultKind::sink_moody};
    auto fault = draw_fault(faults, scenario, away[faults.below(away.size())]);
    fault.begin = faults.between(Duration{1s}, scenario.horizon / 4);
    fault.length = faults.between(scenario.horizon / 4, scenario.horizon);
    drawn.push_back(fault);
  }
  for (int i = 0; i < count; ++i) drawn.push_back(draw_fault(faults, scenario, draw_kind(faults)));
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (choices.only && !choices.only->contains(drawn[i].kind)) continue;
    if (choices.without.contains(static_cast<int>(i) + 1)) continue;
    scenario.faults.push_back(drawn[i]);
  }
  auto hops = master.fork("hops");
  if (hops.chance(300)) scenario.hops = hops.chance(500) ? Scenario::Hops::core : Scenario::Hops::chain;
  scenario.first_core_hub = static_cast<int>(hops.between(1, scenario.hubs - 1));
  bool is_listed = scenario.membership == Scenario::Membership::list;
  if (!is_listed && scenario.ownership == hub::OwnershipMode::majority) scenario.ownership = hub::OwnershipMode::pairwise;
  return scenario;
}

}  // namespace umbra::simulation
