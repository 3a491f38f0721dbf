// The hub's counters and gauges. Plain numbers of the home thread; hub/admin turns them into Prometheus text
// (prefix umbra_). Labels are closed lists, the hub's own configuration or the members of its cluster: the
// number of series does not grow with mail. A new number: add a member here and a line to metrics.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "hub/admin/drain_control.h"
#include "hub/inbound/rejection.h"
#include "hub/pressure/state.h"
#include "hub/suspension/suspension.h"
#include "smtp/command_tally.h"
#include "storage/spool.h"

namespace umbra::hub {

enum class DrainEnd : std::uint8_t { drained, incomplete, left };
inline constexpr std::array<std::string_view, 3> drain_ends = {"drained", "incomplete", "left"};

struct Metrics {
  // receive
  std::uint64_t connections_total = 0;
  std::int64_t connections = 0;
  std::uint64_t connections_not_served_total = 0;          ///< no listener of their address is for them
  std::uint64_t connections_per_source_refused_total = 0;  ///< their source has enough
  std::uint64_t proxy_headers_refused_total = 0;           ///< of the PROXY protocol
  std::uint64_t clients_slowed_total = 0;                  ///< sessions that said much and sent no mail
  std::uint64_t messages_accepted_total = 0;
  std::uint64_t octets_accepted_total = 0;
  std::uint64_t messages_rejected_total = 0;  ///< 5xx at or after MAIL
  std::uint64_t messages_deferred_total = 0;  ///< 4xx at or after MAIL: the client keeps it
  std::uint64_t protocol_errors_total = 0;
  std::uint64_t acknowledgements_delayed_total = 0;
  std::uint64_t acknowledgements_delayed_in_vain_total = 0;  ///< of these, still unprotected at the end
  std::uint64_t acknowledgements_not_delayed_full_total = 0;
  std::uint64_t acknowledgements_not_delayed_off_total = 0;
  std::uint64_t acknowledgements_not_delayed_closing_total = 0;
  std::int64_t acknowledgements_waiting = 0;
  Histogram accept_seconds;  ///< final dot to reply
  smtp::CommandTally smtp_commands;
  Rejections smtp_rejections;
  std::uint64_t tls_connections_total = 0;
  std::uint64_t tls_handshake_failures_total = 0;
  std::uint64_t tls_sessions_resumed_total = 0;  ///< in either direction
  std::uint64_t tls_reload_failures_total = 0;
  std::uint64_t authentications_total = 0;
  std::uint64_t authentication_failures_total = 0;
  std::uint64_t authentications_unavailable_total = 0;  ///< could not be decided: 454
  // delivery
  std::uint64_t recipients_delivered_total = 0;
  std::uint64_t recipients_deferred_total = 0;
  std::uint64_t recipients_bounced_total = 0;
  std::uint64_t recipients_deleted_total = 0;  ///< by the operator
  std::uint64_t messages_deleted_total = 0;    ///< with what was left of them
  std::uint64_t messages_rerouted_total = 0;   ///< by the operator, there or back
  std::uint64_t notifications_total = 0;       ///< DSNs made
  std::uint64_t messages_poisoned_total = 0;   ///< held because the hub ended during their attempts
  std::uint64_t connections_out_total = 0;
  std::uint64_t connect_failures_total = 0;
  std::uint64_t tls_connections_out_total = 0;
  std::uint64_t tls_failures_out_total = 0;
  std::uint64_t tls_fallbacks_total = 0;  ///< plain after TLS failed
  std::uint64_t authentications_out_total = 0;
  std::uint64_t authentication_failures_out_total = 0;
  std::int64_t connections_out = 0;
  // of recipients that were delivered, but `connect`: of connections
  LongHistogram delivery_queue_seconds;     ///< from being due to a connection
  LongHistogram delivery_connect_seconds;   ///< from the wish for a connection to its being ready, TLS and
                                            ///< log-on with it
  LongHistogram delivery_transmit_seconds;  ///< from MAIL to the final reply
  LongHistogram delivery_total_seconds;     ///< from acceptance to the final reply
  // back pressure
  std::uint64_t pressure_delays_total = 0;    ///< MAIL whose 250 was kept back
  std::uint64_t pressure_refusals_total = 0;  ///< MAIL that got 452 4.3.1
  std::uint64_t throttled_total = 0;          ///< connections, MAIL and RCPT refused by a throttling policy
  // content filters
  std::uint64_t content_filter_messages_total = 0;  ///< put before a filter
  std::uint64_t content_filter_refused_total = 0;
  std::uint64_t content_filter_discarded_total = 0;
  std::uint64_t content_filter_changed_total = 0;
  std::uint64_t content_filter_failures_total = 0;
  std::uint64_t content_filter_bypassed_total = 0;  ///< messages taken unfiltered
  std::uint64_t content_filter_down_total = 0;      ///< messages refused because a filter was down
  std::uint64_t content_filter_busy_total = 0;
  Histogram content_filter_seconds;
  // redundancy
  std::uint64_t shadows_made_total = 0;        ///< copies of ours confirmed by another hub
  std::uint64_t shadows_made_early_total = 0;  ///< of these, copied while the body came in
  std::uint64_t shadow_failures_total = 0;
  std::uint64_t shadows_stored_total = 0;  ///< copies of others stored here
  std::uint64_t discards_sent_total = 0;
  std::uint64_t notes_sent_total = 0;      ///< confirmed by a holder
  std::uint64_t notes_received_total = 0;  ///< of copies held here
  std::uint64_t discards_received_total = 0;
  std::uint64_t takeovers_total = 0;  ///< hubs taken over from
  std::uint64_t messages_taken_over_total = 0;
  std::uint64_t messages_ceded_total = 0;
  std::uint64_t messages_recovered_total = 0;
  std::uint64_t messages_handed_over_total = 0;          ///< to other hubs
  std::uint64_t handovers_refused_total = 0;             ///< offers that another hub did not take
  std::uint64_t messages_received_total = 0;             ///< handed over by other hubs
  std::uint64_t messages_handed_to_next_hubs_total = 0;  ///< of those handed over: by a route
  std::uint64_t handovers_without_body_total = 0;        ///< the receiver had the body, in the copy it held
  std::uint64_t handovers_not_held_total = 0;            ///< it was thought to hold one, and did not
  std::uint64_t handover_body_octets_total = 0;
  std::uint64_t possible_duplicates_total = 0;
  std::uint64_t hub_protocol_errors_total = 0;
  std::uint64_t discovery_failures_total = 0;
  std::uint64_t messages_resent_total = 0;  ///< from the safety net
  Histogram shadow_seconds;                 ///< offer of a copy to its confirmation
  std::array<std::uint64_t, drain_ends.size()> drain_results{};
};

/// What is looked up at the moment somebody asks: the state of the spool and of the cluster.
struct Gauges {
  struct ContentFilter {
    std::string name;
    bool is_down = false;
    std::string why;            ///< of the last failure; empty: it is well
    WallTime since{};           ///< of that
    std::uint64_t waiting = 0;  ///< messages that are accepted and wait for it
    std::uint64_t waiting_octets = 0;
    std::optional<WallTime> waiting_since{};  ///< the oldest of them
  };
  std::vector<ContentFilter> content_filters;
  std::uint64_t queue_messages = 0;  ///< queued or held
  std::uint64_t queue_held = 0;
  storage::Balance balance;
  double queue_oldest_age_seconds = 0;
  std::uint64_t unprotected_messages = 0;
  std::uint64_t takeover_wait_seconds =
      0;                              ///< mail of a hub that is gone waits for the answer of another one
  std::uint64_t shadow_messages = 0;  ///< held for other hubs
  std::uint64_t outbox_discards = 0;  ///< discard status owed to other hubs
  std::uint64_t safety_net_messages = 0;
  std::uint64_t safety_net_octets = 0;
  double safety_net_oldest_age_seconds = 0;
  struct Evicted {
    std::uint64_t age = 0;
    std::uint64_t size = 0;
    std::uint64_t disk = 0;
  };
  Evicted safety_net_evicted;
  std::uint64_t cluster_members = 0;  ///< configured, this hub included; 0: no cluster
  std::uint64_t cluster_members_alive = 0;
  std::uint64_t mail_waits = 0;  ///< 1: this hub may deliver nothing that others hold copies of
  std::uint64_t spool_free_octets = 0;
  std::uint64_t spool_wal_octets = 0;
  std::uint64_t spool_batches_total = 0;  ///< group commits: one fsync each
  std::uint64_t spool_operations_total = 0;
  std::uint64_t spool_failed_batches_total = 0;
  std::uint64_t spool_waiting_operations = 0;
  double spool_last_commit_seconds = 0;
  Histogram spool_commit_seconds;
  std::uint64_t spool_failed_full = 0;
  std::uint64_t spool_failed_io = 0;
  std::uint64_t spool_failed_damaged = 0;
  std::uint64_t spool_epoch = 0;
  std::uint64_t spools_set_aside = 0;  ///< folders of damaged spools beside the present one
  std::uint64_t certificates_refused =
      0;  ///< places whose certificate is not what its files say, or not valid
  /// Place and Unix time at which its certificate ends.
  std::vector<std::pair<std::string, std::int64_t>> certificate_expiry;
  /// Hub and number of differences between its configuration and this one's.
  std::vector<std::pair<std::string, std::int64_t>> configuration_drift;
  std::uint64_t configuration_last_reload_successful = 1;
  std::uint64_t configuration_last_reload_success_timestamp_seconds = 0;
  std::uint64_t configuration_keys_waiting_for_restart = 0;
  PressureState pressure;
  std::string configuration_hash;  ///< of what hubs compare with each other
  struct Peer {
    std::string hub;
    bool is_up = false;          ///< heard within its lease, and a session to it is open
    double silent_seconds = -1;  ///< since its last word; negative: none in this run
  };
  std::vector<Peer> peers;
  /// Hub and level that it has told.
  std::vector<std::pair<std::string, std::int64_t>> peer_pressure;
  std::vector<Suspension> suspensions;
  /// A log and what it could not keep.
  struct RecordLog {
    std::string name;
    std::uint64_t lines_dropped = 0;
    std::uint64_t octets_lost = 0;
    std::uint64_t octets_waiting = 0;  ///< to be written
    std::string trouble = {};          ///< why it cannot be written; empty: it can
  };
  std::vector<RecordLog> record_logs;
  std::uint64_t log_lines_dropped_total = 0;
  std::uint64_t log_octets_lost_total = 0;
  /// Requests that the admin API has answered, by its routes (AdminApi::routes(), one more for those of none)
  /// and class of status, 1xx to 5xx.
  std::vector<std::array<std::uint64_t, 5>> admin_requests;
  DrainGauges drain;
  bool ready = false;
  WallTime started_at{};
};

/// Prometheus text format, prefix umbra_; the process's memory and descriptors with it.
std::string render_metrics(const Metrics& metrics, const Gauges& gauges);
/// How many series that is, buckets of histograms counted. With 20 hubs, 20 certificates and ten filters
/// below the ceiling.
std::size_t series_count(const Metrics& metrics, const Gauges& gauges);
inline constexpr std::size_t series_ceiling = 750;
/// docs/metrics.md.
std::string metrics_reference();

}  // namespace umbra::hub
