// A simulated arbiter: the records that an engine (etcd, the Kubernetes API) would keep, with latency,
// conflicts, lost requests and answers, and outages of the engine and of one hub's way to it. One store per
// run; each hub process has a client of its own, which vanishes with it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/arbiter.h"
#include "tests/simulation/world.h"

namespace umbra::simulation {

class ArbiterStore;

class ArbiterClient final : public cluster::Arbiter {
 public:
  ArbiterClient(ArbiterStore& store, Host& host);
  ~ArbiterClient() override;
  void list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done) override;
  void write(cluster::ArbiterRecord record, std::function<void(Written)> done) override;
  std::string trouble() const override { return "the simulated arbiter"; }
  void stop() override;

 private:
  friend class ArbiterStore;
  struct Call;
  void send(const std::shared_ptr<Call>& call);
  static void give(Call& call);

  ArbiterStore& store_;
  Host& host_;
  std::vector<std::weak_ptr<Call>> calls_;
  bool is_stopped_ = false;
};

class ArbiterStore {
 public:
  explicit ArbiterStore(World& world) : world_(world), random_(world.random().fork("arbiter")) {}
  /// Draws when it is away, for everybody or for one hub.
  void plan_outages(Duration horizon, int hubs);
  /// From now on it answers nobody, or everybody.
  void set_away(bool is_away) { is_away_ = is_away; }

 private:
  friend class ArbiterClient;
  struct Outage {
    Duration from{};
    Duration until{};
    std::string hub;  ///< address; empty: everybody
  };
  [[nodiscard]] bool is_away(const std::string& hub) const;
  void carry_out(ArbiterClient::Call& call);

  World& world_;
  SeededRandom random_;
  std::map<std::string, cluster::ArbiterRecord> records_;
  std::vector<Outage> outages_;
  bool is_away_ = false;
  std::uint64_t version_ = 0;
};

}  // namespace umbra::simulation
