#include "tests/simulation/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace umbra::simulation {
namespace {

/// What a run must have for these faults to mean something.
void make_room_for(Scenario& scenario, const std::vector<FaultKind>& kinds, const Choices& choices,
                   SeededRandom& random) {
  auto has = [&kinds](FaultKind kind) { return std::ranges::find(kinds, kind) != kinds.end(); };
  if (has(FaultKind::arbiter_away) && !choices.ownership) scenario.ownership = hub::OwnershipMode::etcd;
  if (has(FaultKind::rescale) && scenario.membership == Scenario::Membership::list)
    scenario.membership =
        random.chance(500) ? Scenario::Membership::services : Scenario::Membership::addresses;
}

/// The faults that were named, close to one another: the second begins while the first lasts, or soon after.
std::vector<Fault> draw_forced(SeededRandom& random, const Scenario& scenario,
                               const std::vector<FaultKind>& kinds) {
  std::vector<Fault> faults;
  constexpr std::array common = {hub::MessageEvent::accepted, hub::MessageEvent::protected_,
                                 hub::MessageEvent::delivered, hub::MessageEvent::discarded,
                                 hub::MessageEvent::shadow_stored};
  for (auto kind : kinds) {
    auto fault = draw_fault(random, scenario.hubs, scenario.sinks, scenario.horizon, kind);
    if (fault.trigger && std::ranges::find(common, fault.trigger->event) == common.end())
      fault.trigger->event = common[random.below(common.size())];
    if (!faults.empty()) {
      const auto& first = faults.front();
      bool is_after_trigger = first.trigger.has_value() && random.chance(500);
      if (is_after_trigger && fault.trigger) {
        fault.begin = first.begin;  // what triggers the one may trigger the other
      } else {
        fault.begin =
            first.begin + random.between(Duration{0}, std::min<Duration>(first.length, scenario.horizon / 2));
        if (random.chance(500)) fault.trigger.reset();
      }
      if (random.chance(400) && is_of_sink(kind) == is_of_sink(first.kind)) fault.target = first.target;
      if (fault.other == fault.target) fault.other = (fault.target + 1) % scenario.hubs;
    }
    faults.push_back(fault);
  }
  if (random.chance(400)) {
    // A backlog, so that what happens happens to many messages.
    auto fault = draw_fault(random, scenario.hubs, scenario.sinks, scenario.horizon, FaultKind::sink_dead);
    fault.begin = random.between(Duration{1s}, scenario.horizon / 4);
    fault.length = random.between(scenario.horizon / 4, scenario.horizon);
    faults.push_back(fault);
  }
  return faults;
}

}  // namespace

Scenario make_scenario(const Choices& choices) {
  SeededRandom master(choices.seed);
  auto random = master.fork("scenario");
  Scenario scenario;
  constexpr std::array hub_counts = {2, 3, 3, 3, 3, 3, 4, 5};
  scenario.hubs = hub_counts[random.below(hub_counts.size())];
  bool is_rescaled = std::ranges::find(choices.forced, FaultKind::rescale) != choices.forced.end();
  if (is_rescaled) scenario.hubs = 3;
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
    constexpr std::array wishes = {ZonePreference::prefer_other_zone, ZonePreference::only_other_zone,
                                   ZonePreference::any};
    scenario.protection.zones = wishes[protection.below(wishes.size())];
    // Each zone needs so many hubs in the other one.
    if (scenario.protection.zones == ZonePreference::only_other_zone && scenario.hubs < 4)
      scenario.protection.copies = 1;
  }
  auto net = master.fork("safety net");
  if (net.chance(400)) {
    scenario.safety_net.keep = net.between(Duration{20s}, Duration{10min});
    scenario.safety_net.octets_max = net.below(net.chance(500) ? 100'000 : 10'000'000) + 1;
  }
  scenario.is_calm = random.chance(60) && choices.forced.empty();
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
  scenario.slow_mood = scenario.mood;
  scenario.slow_mood.delay_max = 12s;
  scenario.forgetful_mood = scenario.mood;
  scenario.forgetful_mood.cuts_after_keeping = 250;
  scenario.forgetful_mood.withholds_reply = 150;
  auto members = master.fork("membership");
  if (members.chance(350))
    scenario.membership =
        members.chance(500) ? Scenario::Membership::services : Scenario::Membership::addresses;
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
    auto fault =
        draw_fault(faults, scenario.hubs, scenario.sinks, scenario.horizon, away[faults.below(away.size())]);
    fault.begin = faults.between(Duration{1s}, scenario.horizon / 4);
    fault.length = faults.between(scenario.horizon / 4, scenario.horizon);
    drawn.push_back(fault);
  }
  for (int i = 0; i < count; ++i)
    drawn.push_back(draw_fault(faults, scenario.hubs, scenario.sinks, scenario.horizon, draw_kind(faults)));
  // Of its own, as above.
  auto later = master.fork("later faults");
  if (!scenario.is_calm && later.chance(600))
    for (auto more = later.between(1, 2); more > 0; --more)
      drawn.push_back(
          draw_fault(later, scenario.hubs, scenario.sinks, scenario.horizon, draw_later_kind(later)));
  auto is_rescale = [](const Fault& f) { return f.kind == FaultKind::rescale; };
  if (scenario.hubs != 3 || choices.ownership == hub::OwnershipMode::majority)
    std::erase_if(drawn, is_rescale);
  if (!choices.forced.empty()) drawn = draw_forced(later, scenario, choices.forced);
  std::vector<FaultKind> kinds;
  for (const auto& fault : drawn) kinds.push_back(fault.kind);
  make_room_for(scenario, kinds, choices, later);
  if (std::ranges::any_of(drawn, is_rescale)) scenario.spares = 2;
  for (int i = 0; i < scenario.spares; ++i) {
    auto like = static_cast<std::size_t>(i % scenario.hubs);
    scenario.disks.push_back(scenario.disks[like]);
    scenario.clocks.push_back(scenario.clocks[like]);
    scenario.zones.push_back(scenario.zones[like]);
  }
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (choices.only && !choices.only->contains(drawn[i].kind)) continue;
    if (choices.without.contains(static_cast<int>(i) + 1)) continue;
    scenario.faults.push_back(drawn[i]);
  }
  auto hops = master.fork("hops");
  // A hub that is scaled away is nobody's next hop: the operator would change the routes first.
  if (scenario.spares == 0 && hops.chance(300))
    scenario.hops = hops.chance(500) ? Scenario::Hops::core : Scenario::Hops::chain;
  scenario.first_core_hub = static_cast<int>(hops.between(1, scenario.hubs - 1));
  bool is_listed = scenario.membership == Scenario::Membership::list;
  if (!is_listed && scenario.ownership == hub::OwnershipMode::majority)
    scenario.ownership = hub::OwnershipMode::pairwise;
  return scenario;
}

}  // namespace umbra::simulation
