// One connection to a next hop: finds a host that answers, then takes message after message of its
// destination and sends it, until there is no more mail for a while. Two coroutines: work (decides and
// writes) and read_replies (feeds what comes to the SMTP session and wakes the other).
//
// Nothing of a transaction is remembered here beyond its outcome: that goes to the owner, which has it
// recorded. At most `unrecorded_max` outcomes may wait for their commit before the connection takes more
// mail. Life: shared; ended by itself or by cut(). One watchdog closes the stream at every deadline.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "hub/authentication/sasl_client.h"
#include "hub/logs/session_record.h"
#include "hub/net/tls_store.h"
#include "hub/net/tls_stream.h"
#include "hub/outbound/hosts.h"
#include "hub/outbound/job.h"
#include "hub/outbound/parts.h"
#include "hub/outbound/recorder.h"
#include "smtp/send_session.h"

namespace umbra::hub {

class Connection;

/// What a connection asks and tells. Implemented by the scheduler.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// The hosts to try, in order.
  virtual Task<HostPlan> hosts_for(Connection& connection) = 0;
  virtual void host_failed(Connection& connection, const HostAddress& host, const std::string& why) = 0;
  /// No host answered, or none is known now. The connection ends.
  virtual void unreachable(Connection& connection, const std::string& why) = 0;
  virtual void established(Connection& connection) = 0;
  /// The next message for it, or null.
  virtual JobPtr take(Connection& connection) = 0;
  /// Nothing happened to this one: it goes to another connection. `avoid_host`: not to this host in this
  /// attempt, if not empty; false if there is no other host.
  virtual bool give_back(const JobPtr& job, const std::string& avoid_host) = 0;
  /// Cut or forgotten: not ours any more, or the next attempt repairs it.
  virtual void drop(const JobPtr& job) = 0;
  /// An outcome; `done` when it is recorded.
  virtual void finished(JobPtr job, smtp::TransactionResult result, Remote remote,
                        std::move_only_function<void()> done) = 0;
  /// Another hub owns the message of this row.
  virtual void not_ours(RowId row) = 0;
  virtual void became_idle(Connection& connection) = 0;
  /// Others wait for a connection and this destination has its share.
  virtual bool should_yield(const Connection& connection) = 0;
  virtual void ended(Connection& connection) = 0;
  virtual TaskScope& scope() = 0;
};

class Connection final : private RecordedSession {
 public:
  static constexpr std::size_t unrecorded_max = 64;

  Connection(Parts& parts, ConnectionOwner& owner, Destination& destination);

  /// The whole life. `self` keeps it.
  static Task<void> run(std::shared_ptr<Connection> self);
  /// There may be mail again, or the connection shall end (after quit()).
  void wake() { event_.set(); }
  /// Ends politely when nothing is under way.
  void quit() {
    is_ending_ = true;
    event_.set();
  }
  /// Ends at once.
  void cut();

  [[nodiscard]] Destination& destination() const { return destination_; }
  [[nodiscard]] const std::optional<HostAddress>& host() const { return host_; }
  /// Some transaction has been begun and its outcome is not known yet.
  [[nodiscard]] bool has_transactions() const { return !in_hand_.empty() && !is_closed_; }
  [[nodiscard]] std::size_t unrecorded() const { return unrecorded_; }
  [[nodiscard]] bool is_ending() const { return is_ending_; }

  // The scheduler's notes.
  bool is_established = false;
  bool is_idle = false;
  bool is_woken = false;
  bool is_leaving = false;
  MonotonicTime idle_since{};
  std::vector<std::string> avoid;  ///< hosts that are not to be tried

 private:
  struct InHand {
    std::uint64_t key;
    JobPtr job;
    std::uint64_t end_at = 0;  ///< in the stream of octets written: behind its end of data
  };
  /// An end of data that is in the session's output: behind octet `at`.
  struct End {
    std::size_t at;
    JobPtr job;
  };

  // RecordedSession
  [[nodiscard]] SessionFacts session_facts() const override;
  [[nodiscard]] bool is_logged() const override {
    return route_ && route_->protocol_log == ProtocolLogging::verbose;
  }
  void record_to(SessionRecord* record) override {
    if (session_) session_->observe(record);
  }
  /// In the connectivity log. `direction`: + something came about, > not, - it has ended.
  void tell_connectivity(std::string_view direction, const std::string& description);

  Task<void> work();
  Task<bool> open(HostAddress host, std::string& why);
  Task<bool> connect(HostAddress host, smtp::StartTlsUse starttls, std::string& why);
  Task<void> start_tls(HostAddress host);
  /// A step of logging on.
  Task<void> log_on(HostAddress host);
  Task<void> converse();
  Task<void> refuse_all(smtp::Reply reply);
  Task<void> begin_next();
  bool needs_conversion(const Job& job) const;
  /// True: begun; false: decided without the next hop, or not ours.
  Task<bool> begin(JobPtr job);
  Task<void> send_content();
  Task<bool> may_deliver(const JobPtr& job);
  [[nodiscard]] std::string why_not(const Job& job) const;
  Task<bool> stream_body(const JobPtr& job);
  Task<bool> write_output();
  Task<ErrorCode> write_but_end(End end);
  void note_possible_duplicate(const Job& job, std::string_view reason);
  static Task<void> read_replies(std::shared_ptr<Connection> self);
  void handle(smtp::TransactionResult result);
  void settle(const JobPtr& job, smtp::RecipientResult::State state, const smtp::Reply& reply);
  void finish(JobPtr job, smtp::TransactionResult result);
  void set_deadline();
  void close(std::string_view why);
  Remote remote() const;

  Parts& parts_;
  ConnectionOwner& owner_;
  Destination& destination_;
  const std::shared_ptr<const RouteConfig> route_;  // as it was when this connection began; null: unroutable
  std::weak_ptr<Connection> self_;
  std::optional<HostAddress> host_;
  std::unique_ptr<Stream> stream_;
  std::optional<Watchdog> watchdog_;
  std::optional<smtp::SendSession> session_;
  SessionTap tap_;
  std::shared_ptr<SaslClient> log_on_;
  Event event_;
  Event reader_done_;
  std::array<char, 4096> read_buffer_{};
  std::string writing_;
  std::optional<End> end_;            // of what is in output(); there is never a second one behind it
  std::uint64_t written_ = 0;         // octets
  std::uint64_t answered_up_to_ = 0;  // of these: the next hop has read them, as its replies say
  std::deque<InHand> in_hand_;
  JobPtr aside_;  // taken, but not to be begun while a final dot waits to be written
  std::uint64_t next_key_ = 1;
  std::size_t begun_ = 0;
  std::size_t completed_ = 0;  // transactions that the next hop answered
  std::size_t unrecorded_ = 0;
  std::size_t delivered_ = 0;  // messages, to one recipient or more
  std::uint64_t delivered_octets_ = 0;
  std::string closed_why_;
  std::string tls_;  // version and cipher; empty: plain
  bool has_begun_tls_ = false;
  bool is_closed_ = false;  // the stream has ended, or was ended
  bool is_write_broken_ = false;
  bool is_ending_ = false;
  bool is_cut_ = false;
};

}  // namespace umbra::hub
