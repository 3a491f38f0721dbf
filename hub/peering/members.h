// The other hubs of the cluster: what is known of each, the sessions to it, its promises to us and our watch over it.
// Sends the heartbeats. Decisions are cluster/'s; this is where their state lives. Owned by Peering.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/identity.h"
#include "cluster/lease.h"
#include "cluster/placement.h"
#include "hub/hub.h"
#include "hub/peering/link.h"

namespace umbra::hub {

/// One other hub.
struct Member {
  MemberConfig config;
  std::unique_ptr<Link> control;
  std::unique_ptr<Link> data;
  std::optional<cluster::Identity> identity;  ///< durable memory of it
  Epoch live_epoch;                           ///< of its present sessions to or from us; 0: none yet
  bool is_fenced = false;                     ///< its last run is ended, durably, and no later one was heard of
  cluster::Promise promise;                   ///< it will not take over from us
  SpoolId promised_by;                        ///< the spool that promised
  cluster::Watch watch;                       ///< is it alive?
  MonotonicTime refuses_copies_until = MonotonicTime::min();
  MonotonicTime known_silent_until = MonotonicTime::min();  ///< asked in vain lately: not asked again for each message
  Sequence saved_sequence;
  std::vector<SpoolId> replaced_spools;  ///< its former spools, seen to be gone in this run of ours
  [[nodiscard]] const std::string& name() const { return config.name; }
};

class Members final : public LinkOwner {
 public:
  Members(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log);
  ~Members() override;

  /// Reads what is remembered of the others; then connects and beats.
  Task<Result<void>> start();
  Task<void> stop();

  Member* find(std::string_view name);
  [[nodiscard]] std::vector<std::unique_ptr<Member>>& all() { return members_; }
  /// Why this hub may not go on as it is.
  [[nodiscard]] const std::optional<Hub::Ended>& ended() const { return ended_; }
  void end(Hub::Ended why);

  /// Nothing was heard of it for a lease. Not said when it was this process that stood still.
  bool is_silent(const Member& member);

  /// Is a promise of `holder` not to take over fresh?
  [[nodiscard]] bool promise_is_fresh(const storage::Holder& holder);
  /// Of every member: none of them has taken anything over from us.
  [[nodiscard]] bool all_promises_are_fresh() const;
  /// Some message got another holder after it was accepted: what delivery has in memory of holders may be out of date, and
  /// only all promises together are enough to go on without a look into the spool.
  void holders_change() { have_holders_changed_ = true; }
  [[nodiscard]] bool have_holders_changed() const { return have_holders_changed_; }
  /// The candidates for a copy, in the order of all().
  [[nodiscard]] std::vector<cluster::Candidate> candidates();

  /// Another hub has proved itself on a session to us. The standing says what to answer.
  cluster::Standing heard_hello(const smtp::HubHello& peer);
  /// A beat on a session of that epoch: the lease to grant, or nothing when that epoch is over.
  std::optional<Duration> heard_beat(const std::string& name, SpoolId spool, Epoch epoch, Sequence sequence);
  /// Its present run may not go on: its mail is being taken over. Durable when it returns.
  Task<Result<void>> end_epoch_of(Member& member, SpoolId spool);

  /// Told whenever a member's sessions open or its spool or epoch changes.
  void on_change(std::function<void(Member&)> callback) { changed_ = std::move(callback); }

  // LinkOwner
  smtp::HubHello make_hello() override;
  bool on_hello(const smtp::HubHello& peer) override;
  void on_open(const std::string& member) override;
  void on_closed(const std::string& member) override;
  void on_refused(const std::string& member, const smtp::Reply& reply) override;

 private:
  Task<void> beat(Member& member);
  Task<void> watch_the_clock();
  void look_at_the_clock();
  Task<void> save(Member& member);
  void accept_identity(Member& member, const cluster::Identity& heard);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  EventLog& log_;
  TaskScope tasks_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Timer>> beat_timers_;
  Timer clock_timer_;
  cluster::PauseDetector pause_;
  std::optional<Hub::Ended> ended_;
  std::function<void(Member&)> changed_;
  bool have_holders_changed_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
