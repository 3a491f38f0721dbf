// What to send next, where, over how many connections. In memory is only what is due now: fresh messages that
// were handed over (bounded by ready_octets_max), and pages of what the spool has due. Everything else is one
// due time per destination.
//
// A destination that cannot be connected is blocked as a whole; after the wait exactly one message probes it.
// Its other messages stay untouched in the spool, however many they are. Fair between destinations:
// connection slots of the hub are given in turn; who holds more than its share while others wait gives a
// connection up after its present message.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "hub/outbound/connection.h"
#include "hub/outbound/destination.h"
#include "hub/outbound/recorder.h"
#include "hub/outbound/trial.h"

namespace umbra::hub {

/// How long until something that could not be done now is tried again.
inline constexpr std::chrono::seconds look_again_wait{1};

class Scheduler final : public ConnectionOwner, public RecorderOwner {
 public:
  explicit Scheduler(Parts& parts);
  ~Scheduler() override;

  void set_loading(bool is_on);
  void stop(Duration patience);  ///< nothing new; transactions under way may end within `patience`, other
                                 ///< connections are cut
  Task<void> join();             ///< after stop(): until nothing runs any more

  void deliver(ReadyMessage message);
  void look_again();
  /// Reads what it has made from the configuration anew. `are_routes_new`: parts.router is another one.
  void configuration_changed(bool are_routes_new);
  /// Destinations that are suspended now send nothing more; those that are not any more go on.
  void suspensions_changed();
  void hub_came();
  void forget(RowId row);
  bool awaits_final_reply(RowId row);
  void suspect(MessageId id, std::uint32_t crashes) { trial_.suspect(id, crashes); }
  void pardon(MessageId id) { trial_.pardon(id); }
  [[nodiscard]] bool is_stuck(const storage::StoredMessage& message) const;
  [[nodiscard]] bool has_in_memory(RowId row) const {
    return loads_ != 0 || (row == RowId{0} ? !jobs_.empty() : jobs_.contains(row.value));
  }

  /// For those who change a message themselves (alarms, the operator): takes it out of the queues in memory.
  /// False when a connection has it, or its outcome is being recorded: not now. Until give_up_claim() it is
  /// not loaded.
  bool claim(RowId row);
  void give_up_claim(RowId row);
  /// The message has an entry in the spool due at `due`.
  void note_due(const std::string& destination, WallTime due);
  /// What is wrong with a destination, for display; empty when nothing is known.
  std::string trouble_of(const std::string& destination) const;
  [[nodiscard]] bool is_loading_on() const { return is_loading_on_; }
  TaskScope& scope() override { return scope_; }

  // RecorderOwner
  void recorded(const JobPtr& job, std::optional<WallTime> again) override;
  void made(ReadyMessage notification) override { deliver(std::move(notification)); }
  void spool_failed(const Error& error) override;

  // ConnectionOwner
  Task<HostPlan> hosts_for(Connection& connection) override;
  void host_failed(Connection& connection, const HostAddress& host, const std::string& why) override;
  void unreachable(Connection& connection, const std::string& why) override;
  void established(Connection& connection) override;
  JobPtr take(Connection& connection) override;
  bool give_back(const JobPtr& job, const std::string& avoid_host) override;
  void drop(const JobPtr& job) override;
  void finished(JobPtr job, smtp::TransactionResult result, Remote remote,
                std::move_only_function<void()> done) override;
  void not_ours(RowId row) override { forget(row); }
  void became_idle(Connection& connection) override;
  bool should_yield(const Connection& connection) override;
  void ended(Connection& connection) override;

 private:
  struct Loaded;

  Destination& destination(const std::string& name);
  [[nodiscard]] bool is_suspended(const std::string& destination) const {
    return parts_.suspensions != nullptr &&
           parts_.suspensions->is_suspended(Suspension::What::delivery, destination);
  }
  void note_due(Destination& d, WallTime due);
  static bool has_job(RowId row, const Destination& d);
  static bool is_unused(const Destination& d, MonotonicTime now);
  static bool is_over(const Destination& d, MonotonicTime now) {
    return is_unused(d, now) && now >= d.pace.empty_at();
  }
  bool must_pace(Destination& d, const Job& job);
  JobPtr add_job(Destination& d, std::shared_ptr<const storage::StoredMessage> message,
                 std::shared_ptr<const std::string> body, std::uint32_t attempts);
  void keep(RowId row, AcknowledgementPtr acknowledgement) {
    if (acknowledgement) acknowledgements_.keep(row, std::move(acknowledgement));
  }
  void remove_job(const JobPtr& job);
  void release_one(const JobPtr& job);
  void release_ready(Destination& d);
  bool is_full(std::uint64_t octets) const;

  void pump(Destination& d, bool has_turn = false);
  static bool wants_more(const Destination& d, MonotonicTime now);
  Connection* idle_for_ready(Destination& d);
  static std::deque<JobPtr>::iterator find_elsewhere(Destination& d, const Connection& connection);
  void open_connections(Destination& d, MonotonicTime now, bool has_turn);
  // Routes to hubs (scheduler_hubs.cpp).
  void hand_on_ready(Destination& d);
  void block(Destination& d, const std::string& why);
  std::optional<std::string> hub_for(Destination& d, const Job& job);
  bool take_whole(const JobPtr& job);
  void let_go(const JobPtr& job, WallTime again);
  void postpone(const JobPtr& job, std::chrono::seconds wait, std::string why);
  /// What is ready first, as far as the mail of its sender or for its recipients is suspended.
  void postpone_held_back(Destination& d);
  [[nodiscard]] bool is_held_back(const Job& job) const;
  void handed_on(const JobPtr& job, const std::string& hub, HandedOn answer);
  void end_idle(Connection& connection);
  /// It takes no more mail: its route has changed.
  void leave(Connection& connection);
  void give_slots();
  void load(Destination& d);
  void take_loaded(Destination& d, Loaded& loaded);
  void reroute(const storage::StoredMessage& message, std::vector<storage::QueueEntry> queue);
  void load_due_times();
  // Suspects (scheduler_suspects.cpp).
  void load_suspects();
  void mark(const JobPtr& job);
  void unmark(const JobPtr& job);
  void end_trial(const JobPtr& job);
  void next_suspect();
  void hold_suspect(const storage::StoredMessage& message);
  void cut_connections();

  void schedule(Destination& d);
  void wake_at(Destination& d, MonotonicTime when);
  void arm();
  void on_timer();

  Parts& parts_;
  Recorder recorder_;
  OwnNames own_;
  Trial trial_;
  TaskScope scope_;
  std::map<std::string, std::unique_ptr<Destination>> destinations_;
  std::map<std::uint64_t, Destination*> by_number_;
  std::uint64_t next_number_ = 1;
  std::unordered_multimap<std::int64_t, JobPtr> jobs_;  // looked up by row only, never walked
  std::set<std::int64_t> claimed_;
  std::set<std::int64_t> forgotten_while_loading_;
  std::size_t loads_ = 0;
  RecentAcknowledgements acknowledgements_;
  std::uint64_t ready_octets_ = 0;
  std::size_t connections_ = 0;
  std::size_t busy_destinations_ = 0;  // with connections
  std::vector<Connection*> idle_;      // of all destinations, the longest idle first
  std::deque<std::uint64_t> waiting_;  // destinations that want a connection slot, by number
  std::set<std::pair<MonotonicTime, std::uint64_t>> wakes_;
  Timer timer_;
  MonotonicTime armed_for_ = MonotonicTime::max();
  bool is_loading_on_ = false;
  MonotonicTime patient_until_ = MonotonicTime::min();
};

}  // namespace umbra::hub
