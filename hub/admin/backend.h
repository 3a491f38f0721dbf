// What the admin API asks of the hub. Implemented by the composition root; called on the hub's I/O thread
// only. Everything is plain data; the API makes JSON of it. Listings are paged by key, at most `limit` rows
// each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/configuration.h"
#include "hub/admin/drain_control.h"
#include "hub/admin/queue_search.h"
#include "hub/admin/safety_net_control.h"
#include "hub/config/live_config.h"
#include "hub/metrics.h"
#include "hub/net/task.h"
#include "hub/net/tls_store.h"
#include "hub/peering/hub_answer.h"
#include "hub/suspension/suspensions.h"
#include "storage/spool.h"

namespace umbra::hub {

class SessionRecords;

struct HubIdentity {
  std::string hub;
  std::string host_name;
  SpoolId spool;
  Epoch epoch;
};

struct Health {
  bool live = true;             ///< false: it cannot recover but by a restart (the spool has failed)
  bool ready = false;           ///< it takes mail
  std::string reason;           ///< why not, in words; empty when both are true
  std::string mail_waits = {};  ///< why this hub delivers nothing that others hold copies of; empty: it does
};

/// What this hub knows of another one.
struct PeerReport {
  std::string hub;
  Endpoint address;
  std::string
      state;  ///< "alive", "silent", "taken over", "never heard", ...: one word or two of the cluster's own
  SpoolId spool;  ///< 0: not known yet
  Epoch epoch;
  std::optional<Duration> silent_for;  ///< since its last word; empty: none in this run
  bool takes_copies =
      false;              ///< copies may be sent to it now: a session for them is open, and it refuses none
  std::string trouble{};  ///< why there is no session to it, where that is known
  /// Between its configuration and this hub's; nothing: it has not told.
  std::optional<std::vector<cluster::Difference>> drift{};
  PressureLevel pressure = PressureLevel::normal;  ///< as it has told
};

enum class QueueAction : std::uint8_t {
  retry,    ///< due now, whatever the ladder says
  hold,     ///< not delivered until released
  release,  ///< held -> queued, due now
  bounce,   ///< every recipient that is left fails; the sender is told
  remove,   ///< "delete": it is gone, and nobody is told
  reroute   ///< all that is left of it goes to another destination than its routes say, or as they say again;
            ///< due now
};

struct ActionOutcome {
  enum class Kind : std::uint8_t { done, not_found, refused };
  Kind kind = Kind::done;
  std::string why;          ///< refused: the reason
  std::string remark = {};  ///< done: what it does not cover
};

class TraceControl;

class AdminBackend {
 public:
  virtual ~AdminBackend() = default;

  [[nodiscard]] virtual HubIdentity identity() const = 0;
  [[nodiscard]] virtual Health health() const = 0;
  [[nodiscard]] virtual const Metrics& metrics() const = 0;
  [[nodiscard]] virtual std::vector<PeerReport> peers() const = 0;
  virtual Task<Result<Gauges>> gauges() = 0;
  /// Pause, drain and leave.
  virtual DrainControl& drain() = 0;
  virtual SafetyNetControl& safety_net() = 0;
  virtual TraceControl& tracer() = 0;
  virtual Suspensions& suspensions() = 0;
  /// Asks every other hub of the cluster, or one, or gives it an order: path and query of a route that is for
  /// hubs. Who does not answer in time is named (hub/peering/questions.h). Without a cluster there is nobody.
  virtual Task<std::vector<HubAnswer>> ask_hubs(std::string target) = 0;
  virtual Task<HubAnswer> ask_hub(std::string hub, std::string target) = 0;
  virtual Task<HubAnswer> order_hub(std::string hub, std::string by, std::string target) = 0;
  virtual Task<std::vector<HubAnswer>> order_hubs(std::string by, std::string target) = 0;
  /// For those who watch sessions. Null: there is nothing to watch.
  virtual SessionRecords* session_records() { return nullptr; }
  /// Empty: there is such a listener, or it is a delivery, whose destination may come later.
  [[nodiscard]] virtual std::string why_not_suspend(const Suspension& suspension) const = 0;

  /// Messages of any state with a row key above `after`, by key.
  virtual Task<Result<std::vector<storage::StoredMessage>>> messages(RowId after, std::size_t limit) = 0;
  virtual Task<Result<std::optional<storage::StoredMessage>>> message(MessageId id) = 0;
  /// One short read of the spool: what fits the filter, of the next rows behind `after`.
  virtual Task<Result<QueuePage>> search_queue(QueueFilter filter, RowId after, std::size_t limit) = 0;
  virtual Task<Result<std::vector<storage::Shadow>>> shadows(RowId after, std::size_t limit) = 0;
  virtual Task<Result<std::optional<storage::Shadow>>> shadow(MessageId id) = 0;

  /// What is in force, and what came of the last reload.
  [[nodiscard]] virtual const ConfigState& configuration() const = 0;
  /// Reads the configuration file anew; a wrong one is refused as a whole.
  virtual ConfigReload reload_configuration() = 0;
  /// What a reload would do: reads and checks the file, changes nothing.
  [[nodiscard]] virtual std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> preview_configuration()
      const = 0;
  /// What is in use.
  virtual std::vector<CertificateReport> certificates() = 0;
  /// Reads certificates and keys anew; what is wrong stays as it was.
  virtual std::vector<CertificateReport> reload_certificates() = 0;

  /// Durable when it returns.
  /// `next_hop`: of reroute, a destination (parse_next_hop()); empty: as the routes say again.
  virtual Task<Result<ActionOutcome>> act(MessageId id, QueueAction action, std::string next_hop) = 0;
};

}  // namespace umbra::hub
