// Who may deliver, and who may take over: the face of the modes of `cluster.ownership`, which decide
// differently. Peering asks before a final dot, Guardian before it takes over and when this hub comes home,
// PeerServer for what other hubs ask. One of them per hub, for its life; home thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/arbiter.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/members.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {

class Ownership {
 public:
  using Verdict = DeliveryGuard::Verdict;
  using Holders = std::vector<storage::Holder>;

  virtual ~Ownership() = default;
  /// After Members has started; before Guardian does.
  virtual void start() {}
  virtual Task<void> stop() { co_return; }

  // ---- delivery

  /// Before every final dot: can no holder have taken this message over? Cheap. `false` only means: ask
  /// may_deliver().
  [[nodiscard]] virtual bool may_deliver_now(const storage::StoredMessage& message) = 0;
  /// The same with a wait of up to `ask_again`, or of none: then `later` where it would have waited.
  /// `holders` as the spool has them now.
  virtual Task<Verdict> may_deliver(Holders holders, bool waits) = 0;
  /// Why this hub delivers nothing that others hold copies of; empty: it does. For log, status and metrics.
  [[nodiscard]] virtual std::string why_mail_waits() = 0;

  // ---- take-over

  /// Ends the present run of a silent hub: when it returns true, no run of it that this hub has heard of
  /// delivers any more, and that is durable. False: not now, ask again later.
  virtual Task<bool> end_epoch(Member& member, SpoolId spool) = 0;
  /// Asked right before a take-over is committed: may this hub own more mail?
  [[nodiscard]] virtual bool may_take_over() = 0;
  /// Whether a copy is taken over, and returned mail delivered, only when each hub that may have another copy
  /// has answered or is out. Otherwise silence is enough.
  [[nodiscard]] virtual bool needs_every_answer() const = 0;
  /// This hub has ended the epoch of `spool` and has not heard of a later one.
  [[nodiscard]] virtual bool is_out(const Member& member, SpoolId spool) const = 0;
  /// A hub that comes home waits no longer for this holder, which has not answered: it may have taken mail
  /// over and delivered it, so what goes out now is counted as a possible duplicate.
  [[nodiscard]] virtual bool is_given_up(const Member& member, SpoolId spool) const = 0;

  /// Runs of other hubs that live, as far as is known beside what the hubs themselves say.
  [[nodiscard]] virtual std::vector<smtp::KnownEpoch> live_runs() const { return {}; }

  // ---- what other hubs ask

  /// Is a lease granted for a beat of `member`? `agreement` is what came with it, empty: nothing.
  [[nodiscard]] virtual bool gives_promises(const Member& member, const std::string& agreement) = 0;
  /// Nothing that others hold copies of may be delivered: it is not even loaded.
  [[nodiscard]] virtual bool delivers_nothing() { return !why_mail_waits().empty(); }
  /// It is certain that nobody took anything over from an earlier run of this hub: no answer of a silent
  /// holder is needed.
  [[nodiscard]] virtual bool was_never_out() const { return false; }
  /// This hub has learnt of all its mail who owns it.
  virtual void settled() {}
  /// XVOTE and XEPOCHS.
  virtual Task<smtp::Reply> vote(std::string asker, smtp::VoteQuestion question);
  virtual Task<smtp::Reply> tell_epochs();
};

/// `config.cluster.ownership`, with `automatic` resolved.
OwnershipMode ownership_mode(const ClusterConfig& cluster);
std::string_view to_string(OwnershipMode mode);

/// `arbiter`: the engine of the modes that need one; null: made from the configuration.
std::unique_ptr<Ownership> make_ownership(Runtime runtime, const Config& config, storage::Spool& spool,
                                          Members& members, EventLog& log, cluster::Arbiter* arbiter);

}  // namespace umbra::hub
