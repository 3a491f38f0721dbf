// `ownership: etcd | kubernetes`: an engine that the user runs already is the arbiter. A hub delivers while
// every holder's promise not to take over is fresh, or while its own lease with the arbiter is good; a holder
// takes over only when its own promise has run out and the arbiter has ended the owner's epoch. While the
// engine is away nobody takes over, and every hub whose holders still answer goes on. Decisions:
// cluster/arbiter.h.
#pragma once

#include <map>
#include <memory>

#include "cluster/arbiter.h"
#include "hub/peering/ownership.h"

namespace umbra::hub {

class ArbiterOwnership final : public Ownership {
 public:
  ArbiterOwnership(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
                   EventLog& log, cluster::Arbiter& arbiter, std::unique_ptr<cluster::Arbiter> owned);

  void start() override;
  Task<void> stop() override;
  bool may_deliver_now(const storage::StoredMessage& message) override;
  Task<Verdict> may_deliver(Holders holders, bool waits) override;
  std::string why_mail_waits() override;
  bool delivers_nothing() override;
  Task<bool> end_epoch(Member& member, SpoolId spool) override;
  bool may_take_over() override { return has_lease(); }
  bool needs_every_answer() const override { return true; }
  bool is_out(const Member& member, SpoolId spool) const override;
  bool is_given_up(const Member& member, SpoolId spool) const override;
  std::vector<smtp::KnownEpoch> live_runs() const override;
  bool gives_promises(const Member& member, const std::string& agreement) override;
  /// The record said when this run began: no epoch of this spool was ever ended but those whose end was
  /// settled.
  bool was_never_out() const override { return was_never_out_; }
  void settled() override;

 private:
  [[nodiscard]] bool has_lease() const { return lease_.is_fresh(MonotonicClock::now()); }
  /// Renewed so lately that what is delivered now can probably be told to somebody too (see
  /// Promise::is_recent).
  [[nodiscard]] bool is_in_touch() const {
    return lease_.is_recent(MonotonicClock::now(), config_.cluster.lease * 45 / 100);
  }
  Task<void> keep_lease();
  Task<void> look_and_renew();
  Task<std::optional<std::vector<cluster::ArbiterRecord>>> list();
  Task<cluster::Arbiter::Written> write(cluster::ArbiterRecord record);
  Task<bool> look();

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  EventLog& log_;
  std::unique_ptr<cluster::Arbiter> owned_;
  cluster::Arbiter& arbiter_;
  TaskScope tasks_;
  Timer timer_;
  const std::string agreement_;
  const Duration record_lease_;
  const Duration touch_;  ///< a promise that is older says little of whether its giver is still there
  cluster::ArbiterView view_;
  cluster::Promise lease_;
  std::uint64_t renewals_ = 0;
  bool is_registered_ = false;
  bool was_never_out_ = false;
  bool is_settled_ = false;
  bool was_away_ = false;
  bool is_looking_ = false;
  bool is_writing_ = false;
  bool is_stopping_ = false;
  struct Out {
    Epoch below;
    MonotonicTime since;
  };
  std::map<SpoolId, Out> out_;
  MonotonicTime said_at_ = MonotonicTime::min();
};

}  // namespace umbra::hub
