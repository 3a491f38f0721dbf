// The Kubernetes API as the arbiter: one Lease (coordination.k8s.io/v1) per hub in the hub's namespace, named
// `<prefix><hub>`, with the pod's service account. holderIdentity is `<spool>/<epoch>`, renewTime changes
// with every renewal and is timed on the local clock, never compared with it; an annotation says that the
// epoch is over. The version is resourceVersion, the swap a PUT that carries it (409 on conflict).
// Credentials are read anew for every request: they rotate. 429 and 503 with Retry-After are obeyed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/arbiter.h"
#include "hub/config/config.h"
#include "hub/net/http_client.h"

namespace umbra::hub {

class KubernetesArbiter final : public cluster::Arbiter {
 public:
  KubernetesArbiter(Runtime runtime, const ArbiterConfig& config);
  ~KubernetesArbiter() override;
  void list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done) override;
  void write(cluster::ArbiterRecord record, std::function<void(Written)> done) override;
  std::string trouble() const override { return trouble_; }
  void stop() override;

 private:
  Task<void> run_list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done);
  Task<void> run_write(cluster::ArbiterRecord record, std::function<void(Written)> done);
  Task<std::optional<HttpResponse>> ask(HttpClient& client, HttpRequest request);
  [[nodiscard]] std::string path() const;

  Runtime runtime_;
  const ArbiterConfig config_;
  std::string namespace_;
  HttpClient lists_;
  HttpClient writes_;
  std::string trouble_;
  MonotonicTime not_before_ = MonotonicTime::min();  ///< the server asked to be left alone
  bool is_stopping_ = false;
  TaskScope tasks_;
};

/// Bodies as they are sent and read; pure.
std::string kubernetes_lease(const std::string& prefix, const std::string& name_space,
                             const cluster::ArbiterRecord& record, WallTime now);
std::optional<std::vector<cluster::ArbiterRecord>> parse_kubernetes_leases(const std::string& body,
                                                                           const std::string& prefix);

}  // namespace umbra::hub
