#include "tests/simulation/operator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace umbra::simulation {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;

constexpr Duration look_interval = 100ms;
constexpr Duration answer_limit = 20s;
constexpr Duration order_limit = 60s;
constexpr Duration stop_limit = 60s;
constexpr Duration deadline_margin = 30s;  // sessions that end, a spool that is slow

bool is_over(DrainState state) {
  return state == DrainState::paused || state == DrainState::drained || state == DrainState::incomplete ||
         state == DrainState::left;
}

}  // namespace

Operator::Operator(World& world, Fabric& fabric, Cluster& cluster, const Scenario& scenario)
    : world_(world),
      fabric_(fabric),
      cluster_(cluster),
      scenario_(scenario),
      host_(world, "operator", "10.0.3.1", {}),
      random_(world.random().fork("operator")),
      scope_(host_.io()) {}

Operator::~Operator() = default;

bool Operator::tells(FaultKind kind) {
  switch (kind) {
    case FaultKind::flapping:
    case FaultKind::rolling_restart:
    case FaultKind::restored_backup:
    case FaultKind::reused_disk:
    case FaultKind::swapped_disk:
    case FaultKind::drain_return:
    case FaultKind::drain_late:
    case FaultKind::drain_killed:
    case FaultKind::receiver_killed:
    case FaultKind::undrain:
    case FaultKind::leave:
    case FaultKind::rescale:
      return true;
    default:
      return false;
  }
}

void Operator::begin(const Fault& fault, Hooks hooks) {
  host_.run([&] { scope_.spawn("story", tell(fault, std::move(hooks))); });
}

hub::Task<void> Operator::tell(Fault fault, Hooks hooks) {
  auto kind = fault.kind;
  // One at a time: who throws a disk away must not have another hub's.
  bool is_order = kind >= FaultKind::drain_return || kind == FaultKind::rolling_restart ||
                  kind == FaultKind::swapped_disk;
  if (is_order) {
    while (is_busy_) co_await wait(look_interval);
    is_busy_ = true;
  }
  if (is_healed_) {
    // Too late to begin.
  } else if (kind == FaultKind::flapping) {
    co_await flap(fault, hooks);
  } else if (kind == FaultKind::rolling_restart) {
    co_await restart_each(hooks);
  } else if (kind == FaultKind::restored_backup) {
    co_await restore_backup(fault, hooks);
  } else if (kind == FaultKind::reused_disk) {
    co_await reuse_disk(fault, hooks);
  } else if (kind == FaultKind::swapped_disk) {
    co_await swap_disks(fault, hooks);
  } else if (kind == FaultKind::drain_return || kind == FaultKind::drain_late) {
    co_await drain(fault, hooks);
  } else if (kind == FaultKind::drain_killed || kind == FaultKind::receiver_killed) {
    co_await be_killed(fault, hooks);
  } else if (kind == FaultKind::undrain) {
    co_await change_mind(fault);
  } else if (kind == FaultKind::leave) {
    co_await leave(fault);
  } else {
    co_await rescale();
  }
  if (is_order) is_busy_ = false;
  hooks.ended();
}

// --- Steps

hub::Task<void> Operator::wait(Duration span) {
  hub::Timer timer(host_.io());
  auto end = world_.now() + span;
  while (world_.now() < end) {
    co_await timer.wait_for(std::min<Duration>(end - world_.now(), look_interval));
    if (is_healed_ && span > look_interval) co_return;
  }
}

hub::Task<bool> Operator::wait_until(std::function<bool()> is_so, Duration limit) {
  hub::Timer timer(host_.io());
  auto end = world_.now() + limit;
  while (!is_so()) {
    if (world_.now() >= end) co_return false;
    co_await timer.wait_for(look_interval);
  }
  co_return true;
}

Operator::Order Operator::make_order(DrainVerb verb) {
  Order order;
  order.verb = verb;
  order.unready_wait = random_.between(Duration{0}, Duration{5s});
  order.deadline = random_.between(Duration{30s}, Duration{90s});
  // Slow now and then, so that what happens meanwhile happens in the middle.
  if (random_.chance(300)) order.rate = 1 + random_.below(10);
  return order;
}

hub::Task<bool> Operator::give(int hub, Order order) {
  auto end = world_.now() + order_limit;
  while (world_.now() < end && !is_healed_) {
    if (auto* process = cluster_.process(hub)) {
      auto answer = std::make_shared<std::optional<std::string>>();
      process->order(order, [answer](std::string text) { *answer = std::move(text); });
      co_await wait_until([answer] { return answer->has_value(); }, answer_limit);
      world_.say("operator", "hub{}: {}: {}", hub + 1, to_string(order.verb),
                 !*answer             ? "no answer"
                 : (*answer)->empty() ? "ordered"
                                      : **answer);
      if (*answer && (*answer)->empty()) co_return true;
    }
    co_await wait(1s);
  }
  co_return false;
}

hub::Task<void> Operator::undrain(int hub) {
  // A hub that is down forgets a drain, not a leave.
  for (int i = 0; i < 60; ++i) {
    if (auto* process = cluster_.process(hub)) {
      auto answer = std::make_shared<std::optional<std::string>>();
      process->undrain([answer](std::string text) { *answer = std::move(text); });
      co_await wait_until([answer] { return answer->has_value(); }, answer_limit);
      world_.say("operator", "hub{}: undrain: {}", hub + 1,
                 !*answer             ? "no answer"
                 : (*answer)->empty() ? "done"
                                      : **answer);
      if (*answer && (*answer)->empty()) co_return;
    }
    hub::Timer timer(host_.io());
    co_await timer.wait_for(1s);
  }
}

hub::Task<std::optional<hub::DrainReport>> Operator::ask(int hub) {
  auto* process = cluster_.process(hub);
  if (process == nullptr) co_return std::nullopt;
  auto answer = std::make_shared<std::optional<hub::DrainReport>>();
  auto is_there = std::make_shared<bool>(false);
  process->ask_drain([answer, is_there](std::optional<hub::DrainReport> report) {
    *answer = std::move(report);
    *is_there = true;
  });
  co_await wait_until([is_there] { return *is_there; }, answer_limit);
  co_return *answer;
}

hub::Task<std::optional<DrainState>> Operator::wait_until_over(int hub, Duration limit) {
  auto end = world_.now() + limit;
  hub::Timer timer(host_.io());
  int forgotten = 0;
  while (world_.now() < end) {
    auto report = co_await ask(hub);
    if (report && is_over(report->state)) {
      world_.say("operator", "hub{}: {} {}", hub + 1, to_string(report->state), report->why);
      if (report->state == DrainState::left) {
        const auto& c = report->current;
        if (c.queue + c.shadows + c.outbox != 0)
          cluster_.fail(fmt::format("hub{} has left with {} messages, {} shadows and {} discards", hub + 1,
                                    c.queue, c.shadows, c.outbox));
      }
      co_return report->state;
    }
    // A run that begins anew reads first that a leave goes on.
    if (report && report->state == DrainState::active && ++forgotten > 50) co_return std::nullopt;
    co_await timer.wait_for(look_interval);
  }
  co_return std::nullopt;
}

hub::Task<bool> Operator::stop(int hub) {
  cluster_.stop(hub);
  co_return co_await wait_until([this, hub] { return cluster_.is_down(hub); }, stop_limit);
}

hub::Task<void> Operator::bring_back(int hub) {
  cluster_.revive(hub);
  co_await wait_until([this, hub] { return cluster_.is_up(hub); }, 30s);
}

hub::Task<bool> Operator::throw_away(int hub, int tries) {
  for (int i = 0; i < tries && !is_healed_; ++i) {
    auto order = make_order(DrainVerb::leave);
    if (!co_await give(hub, order)) break;
    auto state = co_await wait_until_over(hub, order.deadline + deadline_margin);
    // Healed meanwhile, a hub that has left may be started again with its disk, as well.
    if (state != DrainState::left) continue;
    if (!co_await stop(hub)) break;
    world_.say("operator", "hub{} has left: its disk is thrown away", hub + 1);
    cluster_.set_disk(hub, {});
    co_return true;
  }
  co_await undrain(hub);
  co_return false;
}

// --- Stories

hub::Task<void> Operator::flap(Fault fault, Hooks hooks) {
  const auto& mine = cluster_.address(fault.target);
  const auto& other = cluster_.address(fault.other);
  hooks.disturb(fault.target);
  hooks.disturb(fault.other);
  auto end = world_.now() + fault.length;
  while (world_.now() < end && !is_healed_) {
    bool is_both = random_.chance(700);
    auto after = random_.chance(500) ? PartitionEnd::resume : PartitionEnd::reset;
    fabric_.block(mine, other);
    if (is_both) fabric_.block(other, mine);
    co_await wait(random_.between(Duration{100ms}, Duration{14s}));
    fabric_.allow(mine, other, after);
    if (is_both) fabric_.allow(other, mine, after);
    co_await wait(random_.between(Duration{50ms}, Duration{5s}));
  }
}

hub::Task<void> Operator::restart_each(Hooks hooks) {
  for (int hub = 0; hub < cluster_.size() && !is_healed_; ++hub) {
    if (cluster_.process(hub) == nullptr || !cluster_.is_member(hub)) continue;
    hooks.disturb(hub);
    co_await stop(hub);
    co_await wait(random_.between(Duration{100ms}, Duration{3s}));
    co_await bring_back(hub);
    co_await wait(random_.between(Duration{100ms}, Duration{8s}));
  }
}

// What is kept of a disk is from the fault's begin; it is put back after its length.
hub::Task<void> Operator::restore_backup(Fault fault, Hooks hooks) {
  auto image = cluster_.disk_of(fault.target);
  co_await wait(fault.length);
  if (is_healed_ || !cluster_.is_member(fault.target) || image.empty() || !hooks.take_disk(fault.target))
    co_return;
  hooks.disturb(fault.target);
  cluster_.kill(fault.target, true, false);
  cluster_.set_disk(fault.target, std::move(image));
  world_.say("operator", "hub{} gets back the disk of {:.1f} s ago", fault.target + 1,
             std::chrono::duration<double>(fault.length).count());
  co_await wait(random_.between(Duration{100ms}, Duration{5s}));
  co_await bring_back(fault.target);
  co_await wait(15s);
}

// The target has to do without its disk, and begins anew; later that disk is given to another hub, which has
// lost its own.
hub::Task<void> Operator::reuse_disk(Fault fault, Hooks hooks) {
  if (!cluster_.is_member(fault.target) || !hooks.take_disk(fault.target)) co_return;
  hooks.disturb(fault.target);
  auto image = cluster_.disk_of(fault.target);
  cluster_.kill(fault.target, true, true);
  co_await bring_back(fault.target);
  co_await wait(fault.length);
  auto may_take = [this, &fault, &hooks] { return is_healed_ || hooks.take_disk(fault.other); };
  if (!co_await wait_until(may_take, 60s)) co_return;
  if (is_healed_ || !cluster_.is_member(fault.other)) co_return;
  hooks.disturb(fault.other);
  cluster_.kill(fault.other, true, true);
  cluster_.set_disk(fault.other, std::move(image));
  world_.say("operator", "hub{} gets the disk that hub{} had", fault.other + 1, fault.target + 1);
  co_await bring_back(fault.other);
  co_await wait(15s);
  // It says whose disk that is.
  if (!co_await wait_until(
          [this, &fault] {
            return cluster_.has_wrong_disk(fault.other) || cluster_.process(fault.other) != nullptr;
          },
          60s))
    co_return;
  if (!cluster_.has_wrong_disk(fault.other)) co_return;
  co_await wait_until([this, &fault] { return cluster_.is_down(fault.other); }, stop_limit);
  cluster_.set_disk(fault.other, {});
  co_await bring_back(fault.other);
}

hub::Task<void> Operator::swap_disks(Fault fault, Hooks hooks) {
  if (!cluster_.is_member(fault.target) || !cluster_.is_member(fault.other) || !hooks.take_disk(fault.target))
    co_return;
  hooks.disturb(fault.target);
  hooks.disturb(fault.other);
  cluster_.kill(fault.target, true, false);
  cluster_.kill(fault.other, true, false);
  auto one = cluster_.disk_of(fault.target);
  auto other = cluster_.disk_of(fault.other);
  cluster_.set_disk(fault.target, other);
  cluster_.set_disk(fault.other, one);
  world_.say("operator", "hub{} and hub{} get one another's disks", fault.target + 1, fault.other + 1);
  cluster_.revive(fault.target);
  cluster_.revive(fault.other);
  co_await wait(std::min<Duration>(fault.length, 20s));
  // Both say whose disks they have, and get their own back.
  auto are_both_known = [this, &fault] {
    auto is_known = [this](int hub) {
      return (cluster_.has_wrong_disk(hub) && cluster_.is_down(hub)) || cluster_.process(hub) != nullptr;
    };
    return is_known(fault.target) && is_known(fault.other);
  };
  if (!co_await wait_until(are_both_known, 90s)) co_return;
  if (!cluster_.has_wrong_disk(fault.target) && !cluster_.has_wrong_disk(fault.other)) co_return;
  for (auto hub : {fault.target, fault.other}) {
    hooks.disturb(hub);
    cluster_.kill(hub, true, false);
  }
  one = cluster_.disk_of(fault.target);
  other = cluster_.disk_of(fault.other);
  cluster_.set_disk(fault.target, std::move(other));
  cluster_.set_disk(fault.other, std::move(one));
  world_.say("operator", "hub{} and hub{} get their own disks back", fault.target + 1, fault.other + 1);
  co_await bring_back(fault.target);
  co_await bring_back(fault.other);
}

hub::Task<void> Operator::drain(Fault fault, Hooks hooks) {
  auto order = make_order(DrainVerb::drain);
  bool is_late = fault.kind == FaultKind::drain_late;
  auto away = is_late ? random_.between(Duration{20s}, Duration{60s})
                      : random_.between(Duration{100ms}, Duration{40s});
  order.return_within = is_late ? random_.between(Duration{1s}, Duration{15s}) : away + 60s;
  if (!co_await give(fault.target, order)) co_return;
  co_await wait_until_over(fault.target, order.deadline + deadline_margin);
  if (!is_healed_) {
    hooks.disturb(fault.target);
    co_await stop(fault.target);
    co_await wait(away);
    co_await bring_back(fault.target);
  }
  co_await undrain(fault.target);
}

hub::Task<void> Operator::be_killed(Fault fault, Hooks hooks) {
  bool is_leave = random_.chance(600);
  auto order = make_order(is_leave ? DrainVerb::leave : DrainVerb::drain);
  if (!co_await give(fault.target, order)) co_return;
  auto victim = fault.target;
  auto limit = world_.now() + 25s;
  while (world_.now() < limit && !is_healed_) {
    auto report = co_await ask(fault.target);
    if (report && (report->state == DrainState::handing_over || is_over(report->state))) {
      if (fault.kind == FaultKind::receiver_killed && !report->handed_to.empty()) {
        auto at = std::next(report->handed_to.begin(),
                            static_cast<std::ptrdiff_t>(random_.below(report->handed_to.size())));
        victim = std::stoi(at->first.substr(3)) - 1;
      }
      break;
    }
    co_await wait(look_interval);
  }
  if (fault.kind == FaultKind::receiver_killed && victim == fault.target) victim = fault.other;
  co_await wait(random_.between(Duration{0}, random_.chance(500) ? Duration{20ms} : Duration{3s}));
  if (!is_healed_ && cluster_.process(victim) != nullptr) {
    world_.say("operator", "hub{} dies while hub{} hands over", victim + 1, fault.target + 1);
    hooks.disturb(victim);
    cluster_.kill(victim, random_.chance(500), false);
    co_await wait(random_.between(Duration{100ms}, Duration{30s}));
    co_await bring_back(victim);
  }
  auto state = co_await wait_until_over(fault.target, order.deadline + deadline_margin);
  if (state == DrainState::left && !is_healed_ && co_await stop(fault.target)) {
    world_.say("operator", "hub{} has left: its disk is thrown away", fault.target + 1);
    cluster_.set_disk(fault.target, {});
    co_await bring_back(fault.target);
  }
  co_await undrain(fault.target);
}

hub::Task<void> Operator::change_mind(Fault fault) {
  constexpr std::array verbs = {DrainVerb::pause, DrainVerb::drain, DrainVerb::leave};
  auto order = make_order(verbs[random_.below(verbs.size())]);
  if (!co_await give(fault.target, order)) co_return;
  co_await wait(random_.between(Duration{0}, random_.chance(500) ? Duration{8s} : Duration{60s}));
  co_await undrain(fault.target);
}

hub::Task<void> Operator::leave(Fault fault) {
  bool is_gone = co_await throw_away(fault.target, 1);
  if (!is_gone) co_return;
  co_await wait(fault.length);
  co_await bring_back(fault.target);
}

// As an autoscaler does it: the newest hubs leave first, and a name that comes back has an empty disk.
hub::Task<void> Operator::rescale() {
  int most = scenario_.hubs + scenario_.spares;
  for (int hub = scenario_.hubs; hub < most; ++hub) {
    cluster_.set_member(hub, true);
    co_await bring_back(hub);
    co_await wait(random_.between(Duration{0}, Duration{3s}));
  }
  co_await wait(random_.between(Duration{5s}, Duration{20s}));
  for (int hub = most - 1; hub >= 2; --hub) {
    if (!co_await throw_away(hub, 4)) continue;
    cluster_.set_member(hub, false);
  }
  co_await wait(random_.between(Duration{5s}, Duration{20s}));
  if (!cluster_.is_member(2)) {
    cluster_.set_member(2, true);
    co_await bring_back(2);
  }
}

}  // namespace umbra::simulation
