#include "tests/simulation/nemesis.h"

#include <algorithm>

namespace umbra::simulation {
namespace {
// How long after its end a fault can still show: a hub that comes back asks the others for up to its
// return_wait; a partition or a pause leaves a lease to run out.
constexpr Duration aftermath = 40s;
constexpr Duration not_over = Duration::max() / 2;
// After a lost disk the cluster gets this long before the next one may go, and must say that all is
// protected.
constexpr Duration reprotection = 25s;
}  // namespace

Nemesis::Nemesis(World& world, Fabric& fabric, Cluster& cluster, std::vector<std::unique_ptr<Sink>>& sinks,
                 std::vector<std::string> client_addresses, const Scenario& scenario,
                 Circumstances& circumstances)
    : world_(world),
      fabric_(fabric),
      cluster_(cluster),
      sinks_(sinks),
      clients_(std::move(client_addresses)),
      scenario_(scenario),
      circumstances_(circumstances),
      random_(world.random().fork("nemesis")),
      operator_(world, fabric, cluster, scenario) {
  for (const auto& fault : scenario.faults) {
    auto& state = *states_.emplace_back(std::make_unique<State>());
    state.fault = fault;
  }
}

void Nemesis::start() {
  for (auto& state : states_) {
    world_.say("nemesis", "plans {}", to_string(state->fault));
    if (!state->fault.trigger) world_.at(state->fault.begin, [this, s = state.get()] { begin(*s); });
  }
  cluster_.on_event([this](int hub, hub::MessageEvent event) { saw(hub, event); });
  cluster_.on_death([this](int hub) { machine_died(hub); });
  cluster_.on_disk_lost(
      [this](int hub) { circumstances_.lost_disks.emplace_back(cluster_.address(hub), world_.now()); });
}

void Nemesis::saw(int hub, hub::MessageEvent event) {
  if (is_healed_) return;
  for (auto& state : states_) {
    auto& fault = state->fault;
    if (!fault.trigger || state->has_begun || fault.trigger->event != event) continue;
    if (fault.target != hub && !fault.trigger->anywhere) continue;
    if (world_.now() < fault.begin || ++state->seen != fault.trigger->count) continue;
    fault.target = hub;
    if (fault.other == hub) fault.other = (hub + 1) % cluster_.size();
    world_.after(fault.trigger->delay, [this, s = state.get()] { begin(*s); });
  }
}

void Nemesis::machine_died(int hub) {
  for (auto& state : states_) {
    bool is_it = state->fault.kind == FaultKind::die_writing && state->fault.target == hub &&
                 state->has_begun && !state->has_ended;
    if (!is_it || !cluster_.is_up(hub)) continue;
    world_.say("nemesis", "hub{} dies in the middle of a write", hub + 1);
    disturb_hub(*state, hub);
    cluster_.kill(hub, true, false);
  }
}

bool Nemesis::may_lose_a_disk() const {
  if (is_damage_hidden_) return false;
  if (!has_lost_a_disk_) return true;
  return active_ == 1 && world_.now() >= last_end_ + reprotection && cluster_.is_protected(world_.now() - 2s);
}

void Nemesis::disturb_hub(State& state, int hub) {
  state.disturbances.push_back(circumstances_.disturbances.size());
  // Only under pairwise ownership may hubs that do not hear one another both deliver.
  bool is_pairwise = scenario_.ownership == hub::OwnershipMode::pairwise;
  bool cuts_off = is_pairwise && simulation::cuts_off(state.fault.kind);
  circumstances_.disturbances.push_back({cluster_.address(hub), {}, world_.now(), not_over, cuts_off});
}

void Nemesis::disturb_sink(State& state) {
  state.disturbances.push_back(circumstances_.disturbances.size());
  circumstances_.disturbances.push_back({{},
                                         sinks_[static_cast<std::size_t>(state.fault.target)]->host().name(),
                                         world_.now(),
                                         not_over,
                                         false});
}

void Nemesis::block(State& state, const std::string& from, const std::string& to) {
  fabric_.block(from, to);
  state.blocked.emplace_back(from, to);
}

void Nemesis::take_down(State& state) {
  const auto& fault = state.fault;
  bool loses_disk = fault.kind == FaultKind::lose_disk && take_disk(fault.target);
  disturb_hub(state, fault.target);
  cluster_.kill(fault.target, fault.kind != FaultKind::crash, loses_disk);
}

bool Nemesis::take_disk(int hub) {
  if (!may_lose_a_disk()) {
    world_.say("nemesis", "hub{} keeps its disk: another one was lost lately", hub + 1);
    return false;
  }
  has_lost_a_disk_ = true;
  circumstances_.lost_disks.emplace_back(cluster_.address(hub), world_.now());
  return true;
}

void Nemesis::tell(State& state) {
  auto* s = &state;
  operator_.begin(state.fault, {.disturb = [this, s](int hub) { disturb_hub(*s, hub); },
                                .take_disk = [this](int hub) { return take_disk(hub); },
                                .ended = [this, s] { end(*s); }});
}

void Nemesis::begin(State& state) {
  if (is_healed_ || state.has_begun) return;
  state.has_begun = true;
  ++active_;
  ++begun_;
  const auto& fault = state.fault;
  world_.say("nemesis", "begins {}", to_string(fault));
  if (Operator::tells(fault.kind)) return tell(state);
  const auto& mine = is_of_sink(fault.kind) ? std::string() : cluster_.address(fault.target);
  switch (fault.kind) {
    case FaultKind::crash:
    case FaultKind::power:
    case FaultKind::lose_disk:
      take_down(state);
      break;
    case FaultKind::die_writing:
      cluster_.die_at(
          fault.target,
          random_.chance(500) ? storage::MemoryDisk::Change::write : storage::MemoryDisk::Change::sync,
          1 + random_.below(30));
      break;
    case FaultKind::restart:
      disturb_hub(state, fault.target);
      cluster_.stop(fault.target);
      break;
    case FaultKind::pause:
    case FaultKind::long_pause:
      disturb_hub(state, fault.target);
      cluster_.pause(fault.target);
      break;
    case FaultKind::partition:
    case FaultKind::one_way:
      disturb_hub(state, fault.target);
      disturb_hub(state, fault.other);
      block(state, mine, cluster_.address(fault.other));
      if (fault.kind == FaultKind::partition) block(state, cluster_.address(fault.other), mine);
      break;
    case FaultKind::isolate:
      for (int i = 0; i < cluster_.size(); ++i) {
        disturb_hub(state, i);
        if (i == fault.target) continue;
        block(state, mine, cluster_.address(i));
        block(state, cluster_.address(i), mine);
      }
      break;
    case FaultKind::clients_cut:
      for (const auto& client : clients_) {
        block(state, mine, client);
        block(state, client, mine);
      }
      break;
    case FaultKind::slow_disk:
      disturb_hub(state, fault.target);
      cluster_.slow_disk(fault.target, fault.amount);
      break;
    case FaultKind::full_disk:
      disturb_hub(state, fault.target);
      cluster_.set_full(fault.target, true);
      break;
    case FaultKind::slow_network:
      disturb_hub(state, fault.target);
      fabric_.slow_down(mine, fault.amount);
      break;
    case FaultKind::sink_dead:
      disturb_sink(state);
      sinks_[static_cast<std::size_t>(fault.target)]->die();
      break;
    case FaultKind::sink_silent:
      disturb_sink(state);
      for (int i = 0; i < cluster_.size(); ++i) {
        const auto& sink = sinks_[static_cast<std::size_t>(fault.target)]->host().address();
        block(state, cluster_.address(i), sink);
        block(state, sink, cluster_.address(i));
      }
      break;
    case FaultKind::sink_moody:
      sinks_[static_cast<std::size_t>(fault.target)]->set_mood(scenario_.bad_mood);
      break;
    case FaultKind::sink_slow:
      sinks_[static_cast<std::size_t>(fault.target)]->set_mood(scenario_.slow_mood);
      break;
    case FaultKind::sink_forgets:
      sinks_[static_cast<std::size_t>(fault.target)]->set_mood(scenario_.forgetful_mood);
      break;
    case FaultKind::lossy: {
      std::set<std::string> others;
      for (int i = 0; i < cluster_.size(); ++i) {
        disturb_hub(state, i);
        if (i != fault.target) others.insert(cluster_.address(i));
      }
      fabric_.make_lossy(mine, std::move(others));
      break;
    }
    case FaultKind::wall_jump:
      state.wall_step = random_.between(Duration{1s}, Duration{300s}) * (random_.chance(500) ? 1 : -1);
      cluster_.step_wall(fault.target, state.wall_step);
      break;
    case FaultKind::arbiter_away:
      cluster_.set_arbiter_away(true);
      break;
    case FaultKind::damaged_page:
      if (!take_disk(fault.target)) break;
      disturb_hub(state, fault.target);
      is_damage_hidden_ = true;
      for (auto pages = random_.between(1, 3); pages > 0; --pages) cluster_.decay(fault.target);
      break;
    default:
      break;
  }
  world_.after(fault.length, [this, s = &state] { end(*s); });
}

void Nemesis::end(State& state) {
  if (!state.has_begun || state.has_ended) return;
  state.has_ended = true;
  --active_;
  last_end_ = world_.now();
  const auto& fault = state.fault;
  world_.say("nemesis", "ends {}", to_string(fault));
  for (const auto& [from, to] : state.blocked) fabric_.allow(from, to, fault.end);
  // Another fault may still hold the same hub; only this one's part is undone.
  auto is_also = [&](auto... kinds) {
    return std::ranges::any_of(states_, [&](const auto& other) {
      return other.get() != &state && other->has_begun && !other->has_ended &&
             other->fault.target == fault.target && ((other->fault.kind == kinds) || ...);
    });
  };
  switch (fault.kind) {
    case FaultKind::crash:
    case FaultKind::power:
    case FaultKind::lose_disk:
    case FaultKind::restart:
    case FaultKind::die_writing:
      if (fault.kind == FaultKind::die_writing) cluster_.stop_failing(fault.target);
      if (!is_also(FaultKind::crash, FaultKind::power, FaultKind::lose_disk, FaultKind::restart))
        cluster_.revive(fault.target);
      break;
    case FaultKind::pause:
    case FaultKind::long_pause:
      if (!is_also(FaultKind::pause, FaultKind::long_pause)) cluster_.resume(fault.target);
      break;
    case FaultKind::slow_disk:
      if (!is_also(FaultKind::slow_disk)) cluster_.restore_disk_speed(fault.target);
      break;
    case FaultKind::full_disk:
      if (!is_also(FaultKind::full_disk)) cluster_.set_full(fault.target, false);
      break;
    case FaultKind::slow_network:
      if (!is_also(FaultKind::slow_network)) fabric_.slow_down(cluster_.address(fault.target), Duration{0});
      break;
    case FaultKind::sink_dead:
      if (!is_also(FaultKind::sink_dead)) sinks_[static_cast<std::size_t>(fault.target)]->open();
      break;
    case FaultKind::sink_moody:
    case FaultKind::sink_slow:
    case FaultKind::sink_forgets:
      sinks_[static_cast<std::size_t>(fault.target)]->set_mood(scenario_.mood);
      break;
    case FaultKind::lossy:
      if (!is_also(FaultKind::lossy)) fabric_.make_lossy(cluster_.address(fault.target), {});
      break;
    case FaultKind::wall_jump:
      if (random_.chance(500)) cluster_.step_wall(fault.target, -state.wall_step);
      break;
    case FaultKind::arbiter_away:
      cluster_.set_arbiter_away(false);
      break;
    default:
      break;
  }
  for (auto number : state.disturbances)
    circumstances_.disturbances[number].until = world_.now() + (is_of_sink(fault.kind) ? 1s : aftermath);
}

void Nemesis::heal() {
  is_healed_ = true;
  operator_.heal();
  for (auto& state : states_)
    if (!Operator::tells(state->fault.kind)) end(*state);
  for (auto& sink : sinks_) {
    auto calm = scenario_.mood;
    calm.delay_max = std::min<Duration>(calm.delay_max, 100ms);
    sink->set_mood(calm);
    sink->open();
  }
  for (int i = 0; i < cluster_.size(); ++i) {
    cluster_.resume(i);
    cluster_.revive(i);
  }
  world_.say("nemesis", "heals everything");
}

}  // namespace umbra::simulation
