#include "tests/simulation/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/simulation/client.h"
#include "tests/simulation/cluster.h"

namespace umbra::simulation {
namespace {

constexpr Duration settling = 15s;  // hubs find one another
constexpr Duration idle = 10s;      // before the clients begin
constexpr Duration gap_max = 2s;    // each client: about one message per second

/// What the hubs have counted of what they did and sent.
struct Counted {
  std::uint64_t accepted = 0;
  std::uint64_t beats = 0;
  std::uint64_t discards = 0;
  std::uint64_t shadows = 0;
  std::uint64_t octets = 0;
};

class Scale {
 public:
  Scale(int hubs, hub::OwnershipMode ownership, Duration span)
      : span_(span),
        scenario_(make(hubs, ownership)),
        world_(1, false),
        fabric_(world_),
        cluster_(world_, fabric_, ledger_, scenario_) {
    ClientPlan plan;
    plan.messages = static_cast<int>(span_ / 1s) + 1;
    plan.begin = settling + idle;
    plan.gap_max = gap_max;
    plan.recipients_max = 1;
    plan.breaks_off = plan.resets = plan.null_sender = plan.rejected = plan.big = 0;
    for (int i = 0; i < hubs; ++i) plan.hubs.push_back({cluster_.address(i), Cluster::client_port});
    plan.domains = {"d1.test"};
    for (int i = 1; i <= hubs; ++i)
      clients_.push_back(std::make_unique<Client>(world_, fabric_, ledger_, i, plan));
    sink_ = std::make_unique<Sink>(world_, fabric_, ledger_, "sink1", "10.0.2.1");
    fabric_.on_send([this](const Endpoint& from, const Endpoint& to, std::string_view octets) {
      sent(from, to, octets);
    });
    cluster_.on_event([this](int, hub::MessageEvent event) {
      if (event == hub::MessageEvent::accepted) ++counted_.accepted;
      if (event == hub::MessageEvent::shadow_stored) ++counted_.shadows;
    });
  }

  ScaleResult operator()() {
    sink_->open();
    cluster_.start();
    for (auto& client : clients_) client->start();
    world_.run_until(settling);
    auto before = counted_;
    world_.run_until(settling + idle);
    auto idle_octets = counted_.octets - before.octets;
    before = counted_;
    world_.run_until(settling + idle + span_);
    ScaleResult result;
    auto per_hub_and_second = [this](std::uint64_t count, Duration span) {
      return static_cast<double>(count) / scenario_.hubs / std::chrono::duration<double>(span).count();
    };
    result.hubs = scenario_.hubs;
    result.messages = per_hub_and_second(counted_.accepted - before.accepted, span_);
    result.beats = per_hub_and_second(counted_.beats - before.beats, span_);
    result.discards = per_hub_and_second(counted_.discards - before.discards, span_);
    result.shadows = per_hub_and_second(counted_.shadows - before.shadows, span_);
    result.octets = per_hub_and_second(counted_.octets - before.octets, span_);
    result.octets_of_beats = per_hub_and_second(idle_octets, idle);
    result.sessions =
        2.0 * static_cast<double>(fabric_.open_connections_to(Cluster::hub_port)) / scenario_.hubs;
    result.ok = end();
    return result;
  }

 private:
  static Scenario make(int hubs, hub::OwnershipMode ownership) {
    Scenario scenario;
    scenario.hubs = hubs;
    scenario.sinks = 1;
    scenario.clients = hubs;
    scenario.is_calm = true;
    scenario.ownership = ownership;
    scenario.membership = Scenario::Membership::services;
    for (int i = 0; i < hubs; ++i) {
      scenario.disks.push_back({});
      scenario.clocks.push_back({});
      scenario.zones.emplace_back();
    }
    return scenario;
  }

  void sent(const Endpoint& from, const Endpoint& to, std::string_view octets) {
    bool is_hubs = from.port == Cluster::hub_port || to.port == Cluster::hub_port;
    if (!is_hubs) return;
    counted_.octets += octets.size();
    if (to.port != Cluster::hub_port) return;
    // A write begins with a command; a body of these clients contains none.
    for (std::size_t at = 0; (at = octets.find("XBEAT ", at)) != octets.npos; ++at) ++counted_.beats;
    if (auto at = octets.find("XDONE "); at != octets.npos)
      for (++at; (at = octets.find(" all", at)) != octets.npos; ++at) ++counted_.discards;
  }

  /// Lets everything come to its end; true when the ledger is without fault.
  bool end() {
    auto is_done = [](const auto& c) { return c->is_done(); };
    world_.run_until(world_.now() + 5min, [&] { return std::ranges::all_of(clients_, is_done); });
    world_.run_until(world_.now() + 10s);
    for (auto& client : clients_) client->stop();
    cluster_.stop_all();
    world_.run_until(world_.now() + 3min, [&] { return cluster_.is_all_stopped(); });
    sink_->stop();
    world_.run_until(world_.now() + 1min);
    auto verdict = ledger_.check({});
    for (const auto& failure : verdict.failures) fmt::print("{}\n", failure);
    return verdict.failures.empty() && verdict.counts.acknowledged > 0 && cluster_.failures().empty();
  }

  Duration span_;
  Scenario scenario_;
  World world_;
  Fabric fabric_;
  Ledger ledger_;
  Cluster cluster_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Sink> sink_;
  Counted counted_;
};

}  // namespace

ScaleResult measure_scale(int hubs, hub::OwnershipMode ownership, Duration span) {
  return Scale(hubs, ownership, span)();
}

}  // namespace umbra::simulation
