#include "tests/simulation/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace umbra::simulation {
namespace {

using hub::MessageEvent;

constexpr std::array<std::string_view, fault_kinds> names = {
    "crash",        "power",           "lose_disk",   "die_writing",  "restart",      "pause",
    "partition",    "one_way",         "isolate",     "clients_cut",  "slow_disk",    "full_disk",
    "slow_network", "sink_dead",       "sink_silent", "sink_moody",   "sink_slow",    "sink_forgets",
    "flapping",     "lossy",           "long_pause",  "wall_jump",    "arbiter_away", "rolling_restart",
    "damaged_page", "restored_backup", "reused_disk", "swapped_disk", "drain_return", "drain_late",
    "drain_killed", "receiver_killed", "undrain",     "leave",        "rescale"};

// How often each kind is drawn; of the first kinds, and of the later ones.
constexpr std::array<std::uint64_t, 16> weights = {14, 8, 12, 8, 6, 10, 8, 5, 6, 2, 4, 3, 3, 5, 4, 8};
constexpr std::array<std::pair<FaultKind, std::uint64_t>, 19> later_weights = {
    {{FaultKind::sink_slow, 2},
     {FaultKind::sink_forgets, 2},
     {FaultKind::flapping, 5},
     {FaultKind::lossy, 8},
     {FaultKind::long_pause, 4},
     {FaultKind::wall_jump, 5},
     {FaultKind::arbiter_away, 3},
     {FaultKind::rolling_restart, 4},
     {FaultKind::damaged_page, 5},
     {FaultKind::restored_backup, 4},
     {FaultKind::reused_disk, 3},
     {FaultKind::swapped_disk, 2},
     {FaultKind::drain_return, 6},
     {FaultKind::drain_late, 5},
     {FaultKind::drain_killed, 6},
     {FaultKind::receiver_killed, 6},
     {FaultKind::undrain, 5},
     {FaultKind::leave, 8},
     {FaultKind::rescale, 4}}};

constexpr std::array trigger_events = {
    MessageEvent::accepted,      MessageEvent::protected_, MessageEvent::attempted,
    MessageEvent::delivered,     MessageEvent::discarded,  MessageEvent::taken_over,
    MessageEvent::shadow_stored, MessageEvent::ceded,      MessageEvent::shadow_dropped,
    MessageEvent::recovered,     MessageEvent::bounced};

std::string seconds(Duration d) {
  return fmt::format("{:.3f}s", std::chrono::duration<double>(d).count());
}

bool can_be_triggered(FaultKind kind) {
  return kind <= FaultKind::isolate || kind == FaultKind::slow_disk || kind == FaultKind::full_disk ||
         (kind >= first_later_kind && kind != FaultKind::arbiter_away && kind != FaultKind::rescale);
}

bool has_other(FaultKind kind) {
  return kind == FaultKind::partition || kind == FaultKind::one_way || kind == FaultKind::flapping ||
         kind == FaultKind::reused_disk || kind == FaultKind::swapped_disk;
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

bool is_of_sink(FaultKind kind) {
  return kind >= FaultKind::sink_dead && kind <= FaultKind::sink_forgets;
}

bool takes_a_disk(FaultKind kind) {
  return kind == FaultKind::lose_disk || kind == FaultKind::damaged_page ||
         kind == FaultKind::restored_backup || kind == FaultKind::reused_disk ||
         kind == FaultKind::swapped_disk;
}

bool cuts_off(FaultKind kind) {
  return kind == FaultKind::partition || kind == FaultKind::one_way || kind == FaultKind::isolate ||
         kind == FaultKind::slow_network || kind == FaultKind::flapping || kind == FaultKind::lossy;
}

std::string to_string(const Fault& fault) {
  auto text = fmt::format("{} of {} for {}", to_string(fault.kind),
                          is_of_sink(fault.kind) ? fmt::format("sink{}", fault.target + 1)
                                                 : fmt::format("hub{}", fault.target + 1),
                          seconds(fault.length));
  if (has_other(fault.kind))
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

FaultKind draw_later_kind(SeededRandom& random) {
  std::uint64_t sum = 0;
  for (const auto& [kind, weight] : later_weights) sum += weight;
  auto at = random.below(sum);
  for (const auto& [kind, weight] : later_weights) {
    if (at < weight) return kind;
    at -= weight;
  }
  return FaultKind::leave;
}

Fault draw_fault(SeededRandom& random, int hubs, int sinks, Duration horizon, FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.begin = random.between(Duration{2s}, horizon * 3 / 4);
  // Short ones, ones around the lease, and long ones.
  auto length = random.below(3);
  if (length == 0) fault.length = random.between(Duration{20ms}, Duration{2s});
  if (length == 1) fault.length = random.between(Duration{2s}, Duration{15s});
  if (length == 2) fault.length = random.between(Duration{10s}, Duration{60s});
  fault.target = static_cast<int>(random.below(static_cast<std::uint64_t>(is_of_sink(kind) ? sinks : hubs)));
  fault.other = static_cast<int>(random.below(static_cast<std::uint64_t>(hubs)));
  if (fault.other == fault.target) fault.other = (fault.target + 1) % hubs;
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
  if (kind == FaultKind::long_pause) fault.length = random.between(Duration{12s}, Duration{70s});
  return fault;
}

}  // namespace umbra::simulation
