// The other hubs of the cluster: what is known of each, the sessions to it, its promises to us and our watch
// over it. Sends the heartbeats. Decisions are cluster/'s; this is where their state lives. Owned by Peering.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/configuration.h"
#include "cluster/identity.h"
#include "cluster/lease.h"
#include "cluster/placement.h"
#include "hub/hub.h"
#include "hub/peering/link.h"

namespace umbra::hub {

/// In place of an epoch: every run of that spool.
inline constexpr Epoch every_run{INT64_MAX};

/// One other hub. Known by its name; its address may change, or be unknown (it has come to us, and is not
/// found yet).
struct Member {
  Member(const Runtime& runtime, const MemberConfig& named, const ClusterConfig& cluster, LinkOwner& owner);
  MemberConfig config;
  std::string zone;  ///< from the list of members; with discovery as it has told
  std::unique_ptr<Link> control;
  std::unique_ptr<Link> data;
  std::optional<cluster::Identity> identity;  ///< durable memory of it
  Epoch live_epoch;                           ///< of its present sessions to or from us; 0: none yet
  bool is_fenced = false;    ///< its last run is ended, durably, and no later one was heard of
  cluster::Promise promise;  ///< it will not take over from us
  SpoolId promised_by;       ///< the spool that promised
  cluster::Watch watch;      ///< is it alive?
  MonotonicTime refuses_copies_until = MonotonicTime::min();
  MonotonicTime known_silent_until =
      MonotonicTime::min();  ///< asked in vain lately: not asked again for each message
  Sequence saved_sequence;
  MonotonicTime answered_at = MonotonicTime::min();    ///< its last reply to a beat
  MonotonicTime beat_answered = MonotonicTime::min();  ///< when the last beat left that it has answered
  bool is_lost =
      false;  ///< silent for so long that its copies do not count; until it has said which it has still
  std::vector<SpoolId> replaced_spools;  ///< its former spools, seen to be gone in this run of ours
  SpoolId rival;                         ///< another spool that claims its name
  smtp::HubState state =
      smtp::HubState::active;  ///< as it said; copies and hand-overs go to active hubs only
  std::string trouble;         ///< why there is no session to it, where that is known
  std::optional<std::vector<cluster::Difference>>
      drift;                ///< between its configuration and this hub's; empty: it does not tell
  bool is_refused = false;  ///< one of them is unsafe: no promises in either direction
  std::uint64_t message_octets_max = UINT64_MAX;   ///< it takes no larger ones from its clients
  bool is_companion = true;                        ///< see cluster/companions.h
  PressureLevel pressure = PressureLevel::normal;  ///< as it has told
  const void* pressure_told_in = nullptr;  ///< the session in which it did; with its end it is normal again
  MonotonicTime shared_until = MonotonicTime::min();  ///< copies or mail went to it or came from it lately
  Duration granted{0};                                ///< how long its last promise was
  Duration
      silence;  ///< without a word from it for so long it is silent: a lease, and three of its heartbeats
  Timer beat_timer;
  bool is_forgotten = false;
  [[nodiscard]] const std::string& name() const { return config.name; }
  /// As far as is known it has this spool now.
  [[nodiscard]] bool has_spool(SpoolId spool) const { return identity && identity->spool == spool; }
};

class Members final : public LinkOwner {
 public:
  Members(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log);
  ~Members() override;

  /// Reads what is remembered of the others; then connects and beats.
  Task<Result<void>> start();
  Task<void> stop();

  Member* find(std::string_view name);
  /// A hub that has proved itself to us: with discovery it becomes a member, whatever is known of its
  /// address. Nothing: it is not on the list, it is this hub, or there are too many.
  Member* find_or_admit(const std::string& name);
  /// With discovery: this hub exists, and can be reached there, or might: while it cannot, one after the
  /// other is tried. A session that is open goes on, whatever DNS says.
  void discovered(const std::string& name, const std::vector<Endpoint>& addresses);
  /// With discovery: a hub that proved itself came from this address. As long as DNS says nothing of it, it
  /// is tried there.
  void came_from(const std::string& name, const std::string& host);
  /// With discovery: its name has gone for long, it is silent, and nothing is held for it or owed to it. It
  /// may come again.
  void forget(const std::string& name);
  /// The members of this moment. Who waits between two of them is not disturbed by one that comes or goes.
  [[nodiscard]] std::vector<std::shared_ptr<Member>> all() const { return members_; }
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// An operator took it off the list: what it holds or is owed does not count any more. Never so with
  /// discovery.
  [[nodiscard]] bool is_removed(std::string_view name) {
    return !config_.cluster.discovery.enabled() && find(name) == nullptr;
  }
  /// Why this hub may not go on as it is.
  [[nodiscard]] const std::optional<Hub::Ended>& ended() const { return ended_; }
  void end(Hub::Ended why);

  /// Copies or mail go to it, or come from it: its heartbeats are needed, and it needs this hub's.
  void share(Member& member);
  /// The promise that is given to it with each beat, and how long it may then be silent. Longer than a lease
  /// for who is distant: no companion, and nothing was shared with it lately. It then beats as rarely as that
  /// allows.
  [[nodiscard]] Duration lease_to(const Member& member) const;

  /// Nothing was heard of it for a lease. Not said when it was this process that stood still.
  bool is_silent(const Member& member);

  /// It has answered a beat that was sent within three heartbeats, with a promise or none: this hub did not
  /// stand still since, and the two reach one another.
  [[nodiscard]] bool is_in_touch_with(const Member& member) const;

  /// Is a promise of `holder` not to take over fresh?
  /// `span`: and not older than this.
  [[nodiscard]] bool promise_is_fresh(const storage::Holder& holder, Duration span = std::chrono::hours{1});
  /// Of every member: none of them has taken anything over from us.
  [[nodiscard]] bool all_promises_are_fresh(Duration span = std::chrono::hours{1}) const;
  /// Some message got another holder after it was accepted: what delivery has in memory of holders may be out
  /// of date, and only all promises together are enough to go on without a look into the spool.
  void holders_change(RowId row) {
    if (changed_holders_.size() < changed_holders_max)
      changed_holders_.insert(row);
    else
      are_more_changed_ = true;
  }
  [[nodiscard]] bool have_holders_changed(RowId row) const {
    return are_more_changed_ || changed_holders_.contains(row);
  }
  /// Forgets those of which no older state can be in memory any more: neither is the change under way
  /// (`is_in_use`), nor has delivery the message, so it will read it anew.
  template <class IsInUse>
  void settle_holder_changes(IsInUse is_in_use) {
    std::erase_if(changed_holders_, [&](RowId row) { return !is_in_use(row); });
    if (changed_holders_.empty() && are_more_changed_) are_more_changed_ = is_in_use(RowId{0});
  }
  [[nodiscard]] const std::string& own_name() const { return config_.hub_name; }
  /// The candidates for a copy of a message of that size, in the order of all().
  [[nodiscard]] std::vector<cluster::Candidate> candidates(std::uint64_t octets = 0);

  /// Another hub has proved itself on a session to us. The standing says what to answer.
  /// `before`: what was remembered of it when it was asked for its hello (the greeting).
  cluster::Standing heard_hello(const smtp::HubHello& peer, const std::optional<cluster::Identity>& before);
  /// A beat on a session of that epoch: the lease to grant, or nothing when that epoch is over.
  std::optional<Duration> heard_beat(const std::string& name, SpoolId spool, Epoch epoch, Sequence sequence);
  /// That run of it was ended, or another one has come since.
  [[nodiscard]] bool is_over(const std::string& name, SpoolId spool, Epoch epoch);
  /// What another hub says of itself (XSTATE), or others of its having left (XGONE): being drained, it is
  /// back within that time and nobody takes over from it before; having left, its spool is empty. Durable
  /// when it returns.
  Task<Result<void>> heard_state(std::string name, SpoolId spool, smtp::HubState state, Duration back_within);
  /// Its present run may not go on: its mail is being taken over. Durable when it returns.
  /// No epoch below `below` is accepted from then on either.
  Task<Result<void>> end_epoch_of(Member& member, SpoolId spool, Epoch below);
  /// Another hub takes over and tells which runs the majority or the arbiter has ended (XOVER): nothing of
  /// them is accepted any more, also where this hub hears them still. Which of these hubs it hears in a later
  /// run, or with another spool.
  Task<std::vector<smtp::KnownEpoch>> heard_over(std::vector<smtp::KnownEpoch> over);
  /// Another hub tells of this one, of which nothing was known here. In memory: whoever relies on it writes
  /// it.
  void meet(Member& member, SpoolId spool, Epoch lowest);
  /// Goes out with every beat; empty: nothing.
  void set_agreement(std::string agreement) { agreement_ = std::move(agreement); }

  /// Told whenever a member's sessions open or its spool or epoch changes.
  void on_change(std::function<void(Member&)> callback) { changed_ = std::move(callback); }

  // LinkOwner
  smtp::HubHello make_hello() override;
  std::optional<cluster::Identity> remembered(const std::string& member) override;
  bool on_hello(const smtp::HubHello& peer, const std::optional<cluster::Identity>& before) override;
  void on_open(const std::string& member) override;
  void on_closed(const std::string& member) override;
  void on_refused(const std::string& member, const smtp::Reply& reply) override;
  void on_trouble(const std::string& member, const std::string& why) override;

 private:
  Member& add(const MemberConfig& named);
  void choose_companions();
  [[nodiscard]] bool is_distant(const Member& member) const;
  [[nodiscard]] Duration until_next_beat(const Member& member) const;
  /// Without another word from it for so long, a hub that was just heard is silent: it may not beat more
  /// often (Member::silence), and was promised as much.
  [[nodiscard]] Duration patience_with(const Member& member) const;
  /// The same when this run or that one has just begun: what the runs before promised each other is not
  /// known, so the most it can be.
  [[nodiscard]] Duration patience_with_a_new_run_of(const Member& member) const;
  void run(const std::shared_ptr<Member>& member);
  Task<void> beat(std::shared_ptr<Member> member);
  Task<void> keep_open(std::shared_ptr<Member> member);
  Task<void> end_links(std::shared_ptr<Member> member);
  Task<void> watch_the_clock();
  void look_at_the_clock();
  Task<void> save(Member& member);
  bool is_name_taken(const Member& member, const cluster::Identity& heard);
  Task<void> recall_states();
  Task<void> forget_state(std::string name);
  void accept_identity(Member& member, const cluster::Identity& heard);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  EventLog& log_;
  TaskScope tasks_;
  std::vector<std::shared_ptr<Member>> members_;
  /// Forgotten, and when: kept until nobody can be in the middle of a question to them.
  std::vector<std::pair<MonotonicTime, std::shared_ptr<Member>>> forgotten_;
  Timer clock_timer_;
  cluster::PauseDetector pause_;
  std::optional<Hub::Ended> ended_;
  std::function<void(Member&)> changed_;
  std::string agreement_;
  Duration distant_period_{0};  ///< between two beats to who is distant; 0: nobody is
  bool is_running_ = false;
  static constexpr std::size_t changed_holders_max = 100'000;
  std::set<RowId>
      changed_holders_;  ///< messages that got other holders than those that delivery may have in memory
  bool are_more_changed_ = false;  ///< more of them than are remembered
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
