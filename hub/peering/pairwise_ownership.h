// `ownership: pairwise`: two hubs and nothing else. A holder can not tell a dead owner from a lost network,
// so availability comes first: it takes over when it has heard nothing for a lease, and an owner whose holder
// is silent asks once more and goes on, counted as a possible duplicate. A partition may give duplicates.
#pragma once

#include "hub/peering/ownership.h"

namespace umbra::hub {

class PairwiseOwnership final : public Ownership {
 public:
  PairwiseOwnership(Runtime runtime, const Config& config, Members& members, EventLog& log)
      : runtime_(runtime), config_(config), members_(members), log_(log) {}

  bool may_deliver_now(const storage::StoredMessage& message) override;
  Task<Verdict> may_deliver(Holders holders, bool waits) override;
  std::string why_mail_waits() override { return {}; }
  Task<bool> end_epoch(Member& member, SpoolId spool) override;
  bool may_take_over() override { return true; }
  bool needs_every_answer() const override { return false; }
  bool is_out(const Member& member, SpoolId) const override { return member.is_fenced; }
  bool is_given_up(const Member&, SpoolId) const override { return true; }
  bool gives_promises(const Member& member, const std::string& agreement) override;

 private:
  Runtime runtime_;
  const Config& config_;
  Members& members_;
  EventLog& log_;
  MonotonicTime said_at_ = MonotonicTime::min();
};

}  // namespace umbra::hub
