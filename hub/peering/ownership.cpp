#include "hub/peering/ownership.h"

#include "hub/peering/arbiter_etcd.h"
#include "hub/peering/arbiter_kubernetes.h"
#include "hub/peering/arbiter_ownership.h"
#include "hub/peering/majority_ownership.h"
#include "hub/peering/pairwise_ownership.h"

namespace umbra::hub {

Task<smtp::Reply> Ownership::vote(std::string, smtp::VoteQuestion) {
  co_return smtp::Reply{450, "4.4.1", "This hub does not vote: another mode of ownership"};
}

Task<smtp::Reply> Ownership::tell_epochs() {
  co_return smtp::Reply{450, "4.4.1", "This hub does not vote: another mode of ownership"};
}

OwnershipMode ownership_mode(const ClusterConfig& cluster) {
  if (cluster.ownership != OwnershipMode::automatic) return cluster.ownership;
  return cluster.members.size() >= 3 ? OwnershipMode::majority : OwnershipMode::pairwise;
}

std::string_view to_string(OwnershipMode mode) {
  switch (mode) {
    case OwnershipMode::automatic:
      return "auto";
    case OwnershipMode::pairwise:
      return "pairwise";
    case OwnershipMode::majority:
      return "majority";
    case OwnershipMode::etcd:
      return "etcd";
    case OwnershipMode::kubernetes:
      return "kubernetes";
  }
  return "";
}

std::unique_ptr<Ownership> make_ownership(Runtime runtime, const Config& config, storage::Spool& spool,
                                          Members& members, EventLog& log, cluster::Arbiter* arbiter) {
  bool has_arbiter = config.cluster.ownership == OwnershipMode::etcd ||
                     config.cluster.ownership == OwnershipMode::kubernetes;
  if (config.cluster.enabled() && has_arbiter) {
    std::unique_ptr<cluster::Arbiter> own;
    if (arbiter == nullptr && config.cluster.ownership == OwnershipMode::etcd)
      own = std::make_unique<EtcdArbiter>(runtime, config.cluster.arbiter);
    else if (arbiter == nullptr)
      own = std::make_unique<KubernetesArbiter>(runtime, config.cluster.arbiter);
    auto& used = own ? *own : *arbiter;
    return std::make_unique<ArbiterOwnership>(runtime, config, spool, members, log, used, std::move(own));
  }
  if (config.cluster.enabled() && ownership_mode(config.cluster) == OwnershipMode::majority)
    return std::make_unique<MajorityOwnership>(runtime, config, spool, members, log);
  return std::make_unique<PairwiseOwnership>(runtime, config, members, log);
}

}  // namespace umbra::hub
