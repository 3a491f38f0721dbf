// `ownership: majority`: a static list of three or more hubs. A hub delivers what others hold copies of only
// while a majority (itself included) grants it a lease; a holder takes over only when a majority (itself
// included, the owner not) has let the owner's lease run out and has voted, durably, that its epoch is over.
// A hub in the minority does neither; it keeps the mail and says why. A partition gives no duplicates.
// Decisions: cluster/majority.h. Wire: XBEAT with an agreement, XVOTE, XEPOCHS.
//
// Where the votes are: "P's epochs below n are over" is the lowest accepted epoch in the table of peers. That
// a spool takes part is a row of its own name there.
#pragma once

#include <map>
#include <set>

#include "cluster/majority.h"
#include "hub/peering/ownership.h"

namespace umbra::hub {

class MajorityOwnership final : public Ownership {
 public:
  MajorityOwnership(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
                    EventLog& log);

  void start() override;
  Task<void> stop() override;
  bool may_deliver_now(const storage::StoredMessage& message) override;
  Task<Verdict> may_deliver(Holders holders, bool waits) override;
  std::string why_mail_waits() override;
  Task<bool> end_epoch(Member& member, SpoolId spool) override;
  bool may_take_over() override { return is_admitted_ && has_lease(); }
  bool needs_every_answer() const override { return true; }
  bool is_out(const Member& member, SpoolId spool) const override;
  bool is_given_up(const Member& member, SpoolId spool) const override;
  bool gives_promises(const Member& member, const std::string& agreement) override;
  Task<smtp::Reply> vote(std::string asker, smtp::VoteQuestion question) override;
  Task<smtp::Reply> tell_epochs() override;

 private:
  /// Hubs whose promise is fresh and not older than `span`, this one included.
  [[nodiscard]] std::size_t promises(Duration span) const;
  [[nodiscard]] bool has_lease() const { return promises(config_.cluster.lease) >= majority_; }
  /// A majority has answered a beat lately. Until then what is delivered can soon be told as well.
  [[nodiscard]] bool is_in_touch() const { return promises(3 * config_.cluster.heartbeat) >= majority_; }
  [[nodiscard]] cluster::Vote decide(Member& member, const smtp::VoteQuestion& question);
  /// How many other hubs say yes; stops when `wanted` have.
  Task<std::size_t> ask_for_votes(std::string about, smtp::VoteQuestion question, std::size_t wanted);
  Task<void> be_admitted();
  Task<bool> ask_for_epochs(Member& member);
  Task<Result<void>> remember_admission();

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  EventLog& log_;
  TaskScope tasks_;
  Timer pause_;
  const std::size_t members_count_;
  const std::size_t majority_;
  const std::string agreement_;
  bool is_admitted_ = false;
  bool is_stopping_ = false;
  std::set<std::string> told_;  ///< before admission: the hubs that have told their epochs
  /// Of spools whose epochs below this a majority has ended, and since when.
  struct Out {
    Epoch below;
    MonotonicTime since;
  };
  std::map<SpoolId, Out> out_;
  std::map<SpoolId, MonotonicTime> next_ballot_;
  MonotonicTime lease_seen_ = MonotonicTime::min();
  MonotonicTime said_at_ = MonotonicTime::min();
};

}  // namespace umbra::hub
