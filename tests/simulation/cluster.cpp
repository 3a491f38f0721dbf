#include "tests/simulation/cluster.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::simulation {
namespace {

constexpr Duration supervision = 100ms;
constexpr Duration look_interval = 500ms;
constexpr Duration stop_limit = 60s;
constexpr int failed_starts_max = 2;

// Virtual disks of one process need names of their own, also over several runs in it.
std::string disk_name(int hub) {
  static std::uint64_t made = 0;
  return fmt::format("simulated{}-{}", ++made, hub + 1);
}

}  // namespace

Cluster::Cluster(World& world, Fabric& fabric, Ledger& ledger, const Scenario& scenario)
    : world_(world),
      fabric_(fabric),
      ledger_(ledger),
      scenario_(scenario),
      random_(world.random().fork("cluster")),
      arbiter_(world) {
  if (scenario.ownership == hub::OwnershipMode::etcd && !scenario.is_calm)
    arbiter_.plan_outages(scenario.horizon, scenario.hubs);
  for (int i = 0; i < scenario.sinks; ++i)
    names_.hosts[fmt::format("sink{}.test", i + 1)] = {fmt::format("10.0.2.{}", i + 1)};
  names_.exchangers["mx.test"] = {{10, "sink1.test"}, {20, fmt::format("sink{}.test", scenario.sinks)}};
  for (int i = 0; i < scenario.hubs + scenario.spares; ++i) {
    auto slot = std::make_unique<Slot>();
    slot->is_member = slot->wants_up = i < scenario.hubs;
    slot->address = fmt::format("10.0.0.{}", i + 1);
    slot->speed = slot->usual_speed = scenario.disks[static_cast<std::size_t>(i)];
    slot->clock = scenario.clocks[static_cast<std::size_t>(i)];
    slot->disk = std::make_unique<storage::MemoryDisk>(disk_name(i));
    slots_.push_back(std::move(slot));
  }
  for (int i = 0; i < size(); ++i) slots_[static_cast<std::size_t>(i)]->config = make_config(i);
  publish();
  for (const auto& trouble : scenario.dns_troubles) {
    using Trouble = SimResolver::Names::Trouble;
    world.after(trouble.begin, [this, trouble] {
      world_.say("dns", "names no hub");
      names_.trouble = trouble.is_empty ? Trouble::empty : Trouble::fails;
    });
    world.after(trouble.begin + trouble.length, [this] {
      world_.say("dns", "names the hubs");
      names_.trouble = Trouble::none;
    });
  }
}

Cluster::~Cluster() = default;

hub::Config Cluster::make_config(int number) const {
  hub::Config config;
  config.hub_name = fmt::format("hub{}", number + 1);
  config.host_name = config.hub_name + ".test";
  config.spool.directory = "/spool";
  config.spool.reserve_octets = 0;
  auto& listener = config.listeners.emplace_back();
  listener.name = "relay";
  listener.address = {slots_[static_cast<std::size_t>(number)]->address, client_port};
  listener.networks.push_back(*hub::AddressRange::parse("10.0.0.0/8"));
  listener.shadow = scenario_.shadow;
  listener.protection = scenario_.protection;
  // Zones are said in the list of members.
  if (scenario_.membership != Scenario::Membership::list) listener.protection.zones = ZonePreference::any;
  listener.on_failure = scenario_.on_failure;
  listener.acknowledgement_delay_max = scenario_.acknowledgement_delay_max;
  listener.delayed_acknowledgements_max = scenario_.delayed_acknowledgements_max;
  std::vector<std::string> next_hubs;
  if (scenario_.hops == Scenario::Hops::core)
    for (int i = scenario_.first_core_hub; i < scenario_.hubs; ++i)
      next_hubs.push_back(fmt::format("hub{}", i + 1));
  if (scenario_.hops == Scenario::Hops::chain && number + 1 < scenario_.hubs)
    next_hubs.push_back(fmt::format("hub{}", number + 2));
  if (!next_hubs.empty()) {
    auto& core = config.routes.emplace_back();
    core.name = "core";
    core.hubs = std::move(next_hubs);
    for (int i = 0; i < scenario_.sinks; ++i) core.domains.push_back(fmt::format("d{}.test", i + 1));
  }
  for (int i = 0; i < scenario_.sinks; ++i) {
    auto& route = config.routes.emplace_back();
    route.name = fmt::format("domain{}", i + 1);
    route.domains = {fmt::format("d{}.test", i + 1)};
    route.hosts.push_back({{fmt::format("10.0.2.{}", i + 1), Sink::port}, 0});
    // A second choice for some, so that failing over is tried too.
    if (i % 2 == 1) route.hosts.push_back({{"10.0.2.1", Sink::port}, 10});
  }
  auto& by_mx = config.routes.emplace_back();
  by_mx.name = "by-mx";
  by_mx.domains = {"mx.test"};
  by_mx.mx_port = Sink::port;
  auto& senders = config.routes.emplace_back();
  senders.name = "senders";
  senders.domains = {"senders.test"};
  senders.hosts.push_back({{"10.0.2.100", Sink::port}, 0});
  auto& delivery = config.delivery;
  delivery.retry = scenario_.retry;
  delivery.expiry = scenario_.expiry;
  delivery.delay_warning = scenario_.expiry * 2 / 5;
  delivery.connect_timeout = 5s;
  delivery.command_timeout = 20s;
  delivery.data_reply_timeout = 40s;
  delivery.idle_timeout = 4s;
  delivery.crashes_max =
      1000;  // kills strike without regard to what is being delivered: suspects are tried, none is held
  auto& cluster = config.cluster;
  cluster.address = {slots_[static_cast<std::size_t>(number)]->address, hub_port};
  cluster.secret = "a secret of the simulated cluster";
  if (scenario_.membership == Scenario::Membership::list) {
    for (int i = 0; i < scenario_.hubs; ++i)
      cluster.members.push_back({fmt::format("hub{}", i + 1),
                                 {slots_[static_cast<std::size_t>(i)]->address, hub_port},
                                 scenario_.zones[static_cast<std::size_t>(i)]});
  } else {
    bool is_srv = scenario_.membership == Scenario::Membership::services;
    cluster.discovery.dns = is_srv ? "_hub._tcp.hubs.test" : "hubs.test";
    cluster.discovery.type = is_srv ? hub::DiscoveryConfig::Type::srv : hub::DiscoveryConfig::Type::address;
    cluster.discovery.port = is_srv ? 0 : hub_port;
    cluster.discovery.interval = 2s;
  }
  cluster.reprotect_after = 5s;
  config.safety_net = scenario_.safety_net;
  cluster.ownership = scenario_.ownership;
  cluster.arbiter.prefix = "umbra-";
  return config;
}

void Cluster::publish() {
  auto& all = names_.hosts["hubs.test"];
  auto& services = names_.services["_hub._tcp.hubs.test"];
  all.clear();
  services.clear();
  for (int i = 0; i < size(); ++i) {
    const auto& slot = *slots_[static_cast<std::size_t>(i)];
    auto name = fmt::format("hub{}.hubs.test", i + 1);
    names_.hosts.erase(name);
    if (!slot.is_member) continue;
    names_.hosts[name] = {slot.address};
    all.push_back(slot.address);
    services.push_back({0, 0, hub_port, name});
  }
}

void Cluster::set_member(int number, bool is_member) {
  slots_[static_cast<std::size_t>(number)]->is_member = is_member;
  world_.say("dns", "{} hub{}", is_member ? "names" : "does not name", number + 1);
  publish();
}

void Cluster::start() {
  for (int i = 0; i < size(); ++i)
    if (is_member(i)) begin(i);
  world_.after(supervision, [this] { tick(); });
}

void Cluster::tick() {
  for (int i = 0; i < size(); ++i) supervise(i);
  if (!is_all_stopped()) world_.after(supervision, [this] { tick(); });
}

void Cluster::begin(int number) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  if (!slot.machine_is_on) {
    slot.machine_is_on = true;
    fabric_.power_on(slot.address);
  }
  if (!std::exchange(slot.is_same_process, false) || !slot.drain)
    slot.drain = std::make_shared<hub::DrainCourse>();
  ++slot.runs;
  ++counts_.starts;
  slot.process = std::make_unique<HubProcess>(
      HubProcess::Setting{.world = world_,
                          .fabric = fabric_,
                          .ledger = ledger_,
                          .names = names_,
                          .config = slot.config,
                          .speed = slot.speed,
                          .vfs = slot.disk->name(),
                          .attempts = slot.attempts,
                          .drain = slot.drain,
                          .address = slot.address,
                          .skew = slot.clock,
                          .arbiter = scenario_.ownership == hub::OwnershipMode::etcd ? &arbiter_ : nullptr,
                          .run = slot.runs});
  slot.process->log().on_event([this, number](hub::MessageEvent event) {
    ++counts_.events[event];
    if (on_event_) on_event_(number, event);
  });
  slot.process->on_disk_used([this, number, &slot, process = slot.process.get()] {
    if (slot.process.get() != process || process->is_dead() || !slot.disk->has_failed()) return;
    if (on_death_) world_.after(Duration{0}, [this, number] { on_death_(number); });
  });
  auto begun = slot.process->begin();
  if (begun) {
    world_.say(slot.process->host().name(), "started");
    slot.failed_starts = 0;
    return;
  }
  world_.say(slot.process->host().name(), "does not start: {}", begun.error().what);
  if (slot.disk->has_failed()) {  // the power failed while it started
    slot.disk->crash(storage::MemoryDisk::Crash::power_partly, &random_);
    --slot.failed_starts;
  }
  // Another hub's disk: the operator has to look.
  slot.has_wrong_disk = begun.error().what.find("the spool of hub") != std::string::npos;
  if (slot.has_wrong_disk) slot.wants_up = false;
  // A full disk may be the reason: tried again until it has room.
  if (!slot.has_wrong_disk && !slot.is_full && ++slot.failed_starts > failed_starts_max)
    failures_.push_back(fmt::format("hub{} does not start: {}", number + 1, begun.error().what));
  slot.may_start_at = world_.now() + 2s;
  slot.process->stop();
  slot.remains.push_back(std::move(slot.process));
}

void Cluster::supervise(int number) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  std::erase_if(slot.remains, [](auto& process) { return process->is_stopped(); });
  for (auto& process : slot.remains) {
    if (world_.now() - process->stop_began() > stop_limit && failures_.size() < 5)
      failures_.push_back(fmt::format("{} does not end: its stop() has not returned for {} s",
                                      process->host().name(), stop_limit / 1s));
  }
  if (slot.process) {
    auto* hub = slot.process->hub();
    if (hub != nullptr && hub->ended() && !slot.process->host().is_paused()) {
      world_.say(slot.process->host().name(), "has ended: {}", hub->ended()->reason);
      if (hub->ended()->restart) ++counts_.epochs_ended;
      // A spool that was rolled back: the operator looks, and takes it away.
      bool is_rolled_back = hub->ended()->reason.find("rolled back") != std::string::npos;
      bool wanted_up = slot.wants_up;
      stop(number);
      slot.wants_up = wanted_up;
      slot.is_same_process = hub->ended()->restart;
      slot.loses_disk = is_rolled_back;
      slot.may_start_at = world_.now() + random_.between(100ms, 2s);
    } else {
      auto& view = slot.process->view();
      if (!view.is_fresh || world_.now() - view.asked >= look_interval) slot.process->look();
    }
  }
  bool has_remains_alive =
      std::ranges::any_of(slot.remains, [](auto& process) { return !process->is_dead(); });
  if (!slot.process && slot.wants_up && !is_stopping_ && !has_remains_alive &&
      world_.now() >= slot.may_start_at) {
    if (std::exchange(slot.loses_disk, false)) {
      world_.say("operator", "hub{} gets an empty disk", number + 1);
      set_disk(number, {});
      if (on_disk_lost_) on_disk_lost_(number);
    }
    begin(number);
  }
}

void Cluster::kill(int number, bool machine_too, bool disk_too) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.wants_up = slot.is_same_process = false;
  ++counts_.crashes;
  auto crash = machine_too ? random_.chance(500) ? storage::MemoryDisk::Crash::power_partly
                                                 : storage::MemoryDisk::Crash::power
                           : storage::MemoryDisk::Crash::process;
  slot.disk->crash(crash, &random_);
  // What is collected of the dead process writes into its own; the kernel keeps the page as it was, and loses
  // it with the machine.
  slot.attempts = machine_too ? std::make_shared<storage::AttemptMarks::Region>()
                              : std::make_shared<storage::AttemptMarks::Region>(*slot.attempts);
  if (slot.process) slot.remains.push_back(std::move(slot.process));
  for (auto& process : slot.remains)
    if (!process->is_dead()) process->die(machine_too);
  if (machine_too && slot.machine_is_on) {
    slot.machine_is_on = false;
    fabric_.power_off(slot.address);
  }
  if (disk_too) {
    ++counts_.disks_lost;
    slot.disk->restore({});
    slot.failed_starts = 0;
  }
}

void Cluster::stop(int number) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.wants_up = slot.is_same_process = false;
  if (!slot.process) return;
  slot.process->host().resume();
  slot.process->stop();
  slot.remains.push_back(std::move(slot.process));
}

void Cluster::revive(int number) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  if (slot.is_member && !slot.has_wrong_disk) slot.wants_up = true;
}

void Cluster::pause(int number) {
  if (auto& process = slots_[static_cast<std::size_t>(number)]->process) process->host().pause();
}

void Cluster::resume(int number) {
  if (auto& process = slots_[static_cast<std::size_t>(number)]->process) process->host().resume();
}

void Cluster::set_full(int number, bool is_full) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.is_full = is_full;
  slot.disk->set_capacity(is_full ? slot.disk->octets() + random_.below(40'000) : UINT64_MAX);
}

void Cluster::slow_disk(int number, Duration commit_max) {
  auto& speed = slots_[static_cast<std::size_t>(number)]->speed;
  speed.commit_min = commit_max / 4;
  speed.commit_max = commit_max;
}

void Cluster::restore_disk_speed(int number) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.speed = slot.usual_speed;
}

void Cluster::die_at(int number, storage::MemoryDisk::Change change, std::uint64_t nth) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.disk->tear_failing_write(random_.chance(500));
  slot.disk->fail(change, nth, true);
}

void Cluster::stop_failing(int number) {
  slots_[static_cast<std::size_t>(number)]->disk->heal();
}

storage::MemoryDisk::Image Cluster::disk_of(int number) const {
  return slots_[static_cast<std::size_t>(number)]->disk->current();
}

void Cluster::set_disk(int number, storage::MemoryDisk::Image image) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  UMBRA_ASSERT(!slot.process);
  ++counts_.disks_lost;
  slot.disk->restore(std::move(image));
  slot.failed_starts = 0;
  slot.loses_disk = slot.has_wrong_disk = false;
}

void Cluster::decay(int number) {
  constexpr std::uint64_t page = 4096;
  auto& disk = *slots_[static_cast<std::size_t>(number)]->disk;
  auto image = disk.current();
  auto database = image.find("/spool/spool.db");
  if (database == image.end() || database->second.size() < page) return;
  auto at = random_.below(database->second.size() / page);
  world_.say("nemesis", "page {} of {} of hub{} decays", at + 1, database->second.size() / page, number + 1);
  disk.decay("/spool/spool.db", at * page, page, random_);
}

void Cluster::step_wall(int number, Duration by) {
  auto& slot = *slots_[static_cast<std::size_t>(number)];
  slot.clock.wall_offset += by;
  if (slot.process) slot.process->host().step_wall(by);
}

HubProcess* Cluster::process(int number) {
  auto& process = slots_[static_cast<std::size_t>(number)]->process;
  bool is_there =
      process && process->hub() != nullptr && !process->host().is_paused() && !process->is_stopping();
  return is_there ? process.get() : nullptr;
}

bool Cluster::is_complete() const {
  for (int i = 0; i < size(); ++i)
    if (is_member(i) && (!is_up(i) || !slots_[static_cast<std::size_t>(i)]->remains.empty())) return false;
  return true;
}

void Cluster::fail(std::string what) {
  if (failures_.size() < 5) failures_.push_back(std::move(what));
}

const std::string& Cluster::address(int number) const {
  return slots_[static_cast<std::size_t>(number)]->address;
}

void Cluster::operate(int number, HubProcess::Order order, std::uint64_t pick) {
  if (is_up(number)) slots_[static_cast<std::size_t>(number)]->process->operate(order, pick, ledger_);
}

bool Cluster::is_up(int number) const {
  auto& process = slots_[static_cast<std::size_t>(number)]->process;
  return process && process->hub() != nullptr && !process->host().is_paused();
}

bool Cluster::is_down(int number) const {
  const auto& slot = *slots_[static_cast<std::size_t>(number)];
  return !slot.process && slot.remains.empty();
}

bool Cluster::is_protected(Duration since) const {
  return std::ranges::all_of(slots_, [since](const auto& slot) {
    if (!slot->is_member && !slot->process) return true;
    if (!slot->process || !slot->remains.empty() || slot->process->host().is_paused()) return false;
    const auto& view = slot->process->view();
    return view.is_fresh && view.asked >= since && view.counts.unprotected == 0 &&
           !slot->process->hub()->is_returning();
  });
}

bool Cluster::is_net_too_full(const storage::QueueCounts& counts) const {
  return counts.kept_octets > scenario_.safety_net.octets_max ||
         (counts.kept == 0) != (counts.kept_octets == 0);
}

bool Cluster::is_quiet(Duration since) const {
  return std::ranges::all_of(slots_, [this, since](const auto& slot) {
    if (!slot->is_member && !slot->process && slot->remains.empty()) return true;
    if (!slot->process || !slot->remains.empty()) return false;
    const auto& view = slot->process->view();
    const auto& c = view.counts;
    return view.is_fresh && view.asked >= since && c.messages + c.shadows + c.outbox + c.unprotected == 0 &&
           view.imbalance == 0 && !is_net_too_full(c) && !slot->process->hub()->is_returning();
  });
}

std::vector<std::string> Cluster::unrest() const {
  std::vector<std::string> lines;
  for (int i = 0; i < size(); ++i) {
    const auto& slot = *slots_[static_cast<std::size_t>(i)];
    if (!slot.process && !slot.is_member) continue;
    if (!slot.process) {
      lines.push_back(fmt::format("hub{} is down", i + 1));
      continue;
    }
    const auto& view = slot.process->view();
    const auto& c = view.counts;
    if (c.messages + c.shadows + c.outbox + c.unprotected > 0 || slot.process->hub()->is_returning() ||
        !view.is_fresh)
      lines.push_back(
          fmt::format("hub{} has {} messages ({} held, {} unprotected), {} shadows, {} discards owed{}",
                      i + 1, c.messages, c.held, c.unprotected, c.shadows, c.outbox,
                      slot.process->hub()->is_returning() ? ", is returning" : ""));
    if (view.imbalance != 0)
      lines.push_back(fmt::format("hub{} has a ledger that is off by {}", i + 1, view.imbalance));
    if (is_net_too_full(c))
      lines.push_back(fmt::format("hub{} keeps {} delivered messages of {} octets in its safety net", i + 1,
                                  c.kept, c.kept_octets));
    if (!slot.remains.empty())
      lines.push_back(fmt::format("hub{} has a former process that has not ended", i + 1));
  }
  return lines;
}

void Cluster::stop_all() {
  is_stopping_ = true;
  for (int i = 0; i < size(); ++i) stop(i);
}

bool Cluster::is_all_stopped() const {
  return is_stopping_ && std::ranges::all_of(slots_, [](const auto& slot) {
           return !slot->process && slot->remains.empty();
         });
}

}  // namespace umbra::simulation
