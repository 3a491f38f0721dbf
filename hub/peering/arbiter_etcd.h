// etcd as the arbiter, over its v3 JSON API (/v3/kv/range and /v3/kv/txn; etcd 3.4 and later). One key per
// hub,
// `<prefix><hub>`, whose value is a small JSON object; the version is mod_revision, the swap a transaction
// that compares it. Reads are linearizable, so a member of etcd without a quorum answers nothing. Several
// endpoints: the next one on failure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/arbiter.h"
#include "hub/config/config.h"
#include "hub/net/http_client.h"

namespace umbra::hub {

class EtcdArbiter final : public cluster::Arbiter {
 public:
  EtcdArbiter(Runtime runtime, const ArbiterConfig& config);
  ~EtcdArbiter() override;
  void list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done) override;
  void write(cluster::ArbiterRecord record, std::function<void(Written)> done) override;
  std::string trouble() const override { return trouble_; }
  void stop() override;

 private:
  /// Two of each: a list and a write may be under way at once.
  struct Lane {
    std::vector<std::unique_ptr<HttpClient>> clients;
    std::size_t at = 0;
  };
  Task<void> run_list(std::function<void(std::optional<std::vector<cluster::ArbiterRecord>>)> done);
  Task<void> run_write(cluster::ArbiterRecord record, std::function<void(Written)> done);
  /// The body of a 200, from whichever endpoint gives one. `is_repeatable`: also when one may have carried it
  /// out.
  Task<std::optional<std::string>> ask(Lane& lane, std::string target, std::string body, bool is_repeatable);

  Runtime runtime_;
  const ArbiterConfig config_;
  Lane lists_;
  Lane writes_;
  std::string trouble_;
  bool is_stopping_ = false;
  TaskScope tasks_;
};

/// Bodies as they are sent and read; pure.
std::string etcd_range_request(const std::string& prefix);
std::string etcd_txn_request(const std::string& prefix, const cluster::ArbiterRecord& record);
/// Nothing: not an answer of etcd. Keys of others under the prefix are left out.
std::optional<std::vector<cluster::ArbiterRecord>> parse_etcd_range(const std::string& body,
                                                                    const std::string& prefix);
std::optional<bool> parse_etcd_txn(const std::string& body);

}  // namespace umbra::hub
