#include "tests/simulation/arbiter.h"

#include <algorithm>

namespace umbra::simulation {

struct ArbiterClient::Call {
  ArbiterClient* client = nullptr;  ///< null: nobody waits any more
  bool is_write = false;
  cluster::ArbiterRecord record;
  std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> listed;
  std::function<void(Written)> written;
  std::optional<std::vector<cluster::ArbiterRecord>> records;
  Written outcome = Written::unavailable;
};

void ArbiterStore::plan_outages(Duration horizon, int hubs) {
  auto outages = random_.below(3);
  for (std::uint64_t i = 0; i < outages; ++i) {
    Outage outage;
    outage.from = random_.between(Duration{3s}, horizon * 3 / 4);
    outage.until = outage.from + random_.between(Duration{500ms}, Duration{60s});
    // The engine itself, or the way of one hub to it.
    if (random_.chance(600))
      outage.hub = "10.0.0." + std::to_string(1 + random_.below(static_cast<std::uint64_t>(hubs)));
    world_.say("arbiter", "plans to be away for {} from {:.3f}s to {:.3f}s",
               outage.hub.empty() ? "everybody" : outage.hub,
               std::chrono::duration<double>(outage.from).count(),
               std::chrono::duration<double>(outage.until).count());
    outages_.push_back(std::move(outage));
  }
}

bool ArbiterStore::is_away(const std::string& hub) const {
  return is_away_ || std::ranges::any_of(outages_, [&](const auto& o) {
           return world_.now() >= o.from && world_.now() < o.until && (o.hub.empty() || o.hub == hub);
         });
}

ArbiterClient::ArbiterClient(ArbiterStore& store, Host& host) : store_(store), host_(host) {}

ArbiterClient::~ArbiterClient() {
  for (auto& weak : calls_)
    if (auto call = weak.lock()) call->client = nullptr;
}

void ArbiterClient::list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done) {
  auto call = std::make_shared<Call>();
  call->listed = std::move(done);
  send(call);
}

void ArbiterClient::write(cluster::ArbiterRecord record, std::function<void(Written)> done) {
  auto call = std::make_shared<Call>();
  call->is_write = true;
  call->record = std::move(record);
  call->written = std::move(done);
  send(call);
}

void ArbiterClient::send(const std::shared_ptr<Call>& call) {
  call->client = this;
  std::erase_if(calls_, [](const auto& weak) { return weak.expired(); });
  calls_.push_back(call);
  auto& world = store_.world_;
  auto& random = store_.random_;
  // Usually quick, now and then slow; a request or an answer is lost now and then.
  auto way = [&random] {
    return random.chance(50) ? random.between(Duration{50ms}, Duration{3s})
                             : random.between(Duration{200us}, Duration{10ms});
  };
  auto there = way();
  auto back = way();
  bool is_lost_there = random.chance(15);
  bool is_lost_back = random.chance(15);
  auto patience = world.now() + cluster::arbiter_patience;
  if (is_stopped_) {
    host_.run_at(world.now(), [call] { give(*call); });
    return;
  }
  auto* store = &store_;
  auto* host = &host_;
  world.after(there, [store, host, call, back, is_lost_there, is_lost_back, address = host_.address()] {
    if (is_lost_there || store->is_away(address)) return;
    store->carry_out(*call);
    if (is_lost_back || call->client == nullptr) return;
    host->run_at(store->world_.now() + back, [call] { give(*call); });
  });
  host_.run_at(patience, [call] {
    call->records.reset();
    call->outcome = Written::unavailable;
    give(*call);
  });
}

void ArbiterStore::carry_out(ArbiterClient::Call& call) {
  if (!call.is_write) {
    std::vector<cluster::ArbiterRecord> records;
    for (const auto& [hub, record] : records_) records.push_back(record);
    call.records = std::move(records);
    return;
  }
  auto at = records_.find(call.record.hub);
  if ((at == records_.end() ? std::string() : at->second.version) != call.record.version) {
    call.outcome = cluster::Arbiter::Written::conflict;
    return;
  }
  auto record = call.record;
  record.version = std::to_string(++version_);
  if (record.is_over)
    world_.say("arbiter", "{} of {} is over below {}", to_string(record.spool), record.hub,
               record.epoch.value + 1);
  records_.insert_or_assign(record.hub, record);
  call.outcome = cluster::Arbiter::Written::yes;
}

// Once; not when the process has gone.
void ArbiterClient::give(Call& call) {
  if (std::exchange(call.client, nullptr) == nullptr) return;
  if (call.is_write)
    std::exchange(call.written, nullptr)(call.outcome);
  else
    std::exchange(call.listed, nullptr)(std::move(call.records));
}

void ArbiterClient::stop() {
  is_stopped_ = true;
  for (auto& weak : calls_)
    if (auto call = weak.lock(); call && call->client != nullptr) {
      call->records.reset();
      call->outcome = Written::unavailable;
      host_.run_at(store_.world_.now(), [call] { give(*call); });
    }
}

}  // namespace umbra::simulation
