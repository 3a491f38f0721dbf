// Metrics -> Prometheus text. One table says name, help and place of every number; docs/metrics.md is made
// from it.
#include "hub/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <ctime>
#include <limits>
#include <sstream>
#include <vector>

#include "hub/pressure/own_process.h"

namespace umbra::hub {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct CounterRow {
  const char* name;
  const char* help;
  std::uint64_t Metrics::* value;
};
constexpr CounterRow counters[] = {
    {"connections_total", "Connections accepted from clients.", &Metrics::connections_total},
    {"connections_not_served_total", "Connections refused because no listener of their address serves their client.", &Metrics::connections_not_served_total},
    {"connections_per_source_refused_total", "Connections refused because their client's address has as many as a listener allows.",
     &Metrics::connections_per_source_refused_total},
    {"clients_slowed_total", "Sessions that are read slowly since they say many commands and send no mail.", &Metrics::clients_slowed_total},
    {"proxy_headers_refused_total", "Connections of proxies without a good header of the PROXY protocol.", &Metrics::proxy_headers_refused_total},
    {"messages_accepted_total", "Messages acknowledged with 250.", &Metrics::messages_accepted_total},
    {"octets_accepted_total", "Octets of the messages acknowledged.", &Metrics::octets_accepted_total},
    {"messages_rejected_total", "Refusals for good (5xx) at or after MAIL.",
     &Metrics::messages_rejected_total},
    {"messages_deferred_total", "Refusals for now (4xx) at or after MAIL: the client keeps the message.",
     &Metrics::messages_deferred_total},
    {"protocol_errors_total", "Commands and data from clients that broke the protocol.",
     &Metrics::protocol_errors_total},
    {"tls_connections_total", "Connections from clients that were encrypted.", &Metrics::tls_connections_total},
    {"tls_handshake_failures_total", "TLS handshakes with clients that failed.", &Metrics::tls_handshake_failures_total},
    {"tls_sessions_resumed_total", "TLS sessions with clients and next hops that went on from an earlier one.",
     &Metrics::tls_sessions_resumed_total},
    {"tls_reload_failures_total", "Certificates refused at a reload; the former ones stayed in use.",
     &Metrics::tls_reload_failures_total},
    {"authentications_total", "Clients that logged on (AUTH).", &Metrics::authentications_total},
    {"authentication_failures_total", "Log-ons of clients that were refused.", &Metrics::authentication_failures_total},
    {"authentications_unavailable_total", "Log-ons of clients that could not be decided: nobody was there to check the password.",
     &Metrics::authentications_unavailable_total},
    {"authentications_out_total", "Connections to next hops on which this hub logged on.", &Metrics::authentications_out_total},
    {"authentication_failures_out_total", "Connections to next hops that ended because this hub could not log on.",
     &Metrics::authentication_failures_out_total},
    {"tls_connections_out_total", "Connections to next hops that were encrypted.", &Metrics::tls_connections_out_total},
    {"tls_failures_out_total", "Connections to next hops whose TLS handshake failed.", &Metrics::tls_failures_out_total},
    {"tls_fallbacks_total", "Connections to next hops made without TLS after it had failed (policy opportunistic).",
     &Metrics::tls_fallbacks_total},
    {"acknowledgements_delayed_total",
     "Messages without a copy whose 250 waited for delivery (delayed acknowledgement).",
     &Metrics::acknowledgements_delayed_total},
    {"acknowledgements_delayed_in_vain_total", "Of these, still unprotected when the 250 was sent.",
     &Metrics::acknowledgements_delayed_in_vain_total},
    {"acknowledgements_not_delayed_full_total", "Messages without a copy whose 250 did not wait: too many were waiting.",
     &Metrics::acknowledgements_not_delayed_full_total},
    {"acknowledgements_not_delayed_off_total",
     "Messages without a copy whose 250 did not wait: max_acknowledgement_delay is 0, or on_failure is accept.",
     &Metrics::acknowledgements_not_delayed_off_total},
    {"acknowledgements_not_delayed_closing_total", "Messages without a copy whose 250 did not wait: the hub was stopping.",
     &Metrics::acknowledgements_not_delayed_closing_total},
    {"recipients_delivered_total", "Recipients that a next hop took.", &Metrics::recipients_delivered_total},
    {"recipients_deferred_total", "Attempts per recipient that ended with \"later\".",
     &Metrics::recipients_deferred_total},
    {"recipients_bounced_total", "Recipients given up.", &Metrics::recipients_bounced_total},
    {"notifications_total", "Delivery status notifications made.", &Metrics::notifications_total},
    {"messages_poisoned_total", "Messages held because the hub ended again and again while it was delivering them.",
     &Metrics::messages_poisoned_total},
    {"connections_out_total", "Connections made to next hops.", &Metrics::connections_out_total},
    {"connect_failures_total", "Connections to next hops that failed.", &Metrics::connect_failures_total},
    {"pressure_delays_total", "MAIL commands whose reply was kept back under pressure.", &Metrics::pressure_delays_total},
    {"pressure_refusals_total", "MAIL commands that got `452 4.3.1` under pressure.", &Metrics::pressure_refusals_total},
    {"throttled_total", "Connections, MAIL and RCPT commands that a throttling policy refused for now.", &Metrics::throttled_total},
    {"content_filter_messages_total", "Messages put before a content filter, once for each.", &Metrics::content_filter_messages_total},
    {"content_filter_refused_total", "Messages that a content filter refused, for good or for now.", &Metrics::content_filter_refused_total},
    {"content_filter_discarded_total", "Messages that a content filter had thrown away.", &Metrics::content_filter_discarded_total},
    {"content_filter_changed_total", "Messages that a content filter changed.", &Metrics::content_filter_changed_total},
    {"content_filter_failures_total", "Conversations with content filters that failed: no connection, no answer in time, a wrong answer.",
     &Metrics::content_filter_failures_total},
    {"content_filter_bypassed_total", "Messages taken without a content filter that was down (when_down: accept).", &Metrics::content_filter_bypassed_total},
    {"content_filter_down_total", "Messages refused because a content filter was down (when_down: tempfail, reject).", &Metrics::content_filter_down_total},
    {"content_filter_busy_total", "Messages refused with 451 because a content filter had no connection free in time.", &Metrics::content_filter_busy_total},
    {"shadows_made_total", "Copies of this hub's messages that another hub confirmed as durable.",
     &Metrics::shadows_made_total},
    {"shadows_made_early_total", "Of these, large bodies that were copied while they came in.", &Metrics::shadows_made_early_total},
    {"shadow_failures_total", "Offers of a copy that ended without a confirmation.",
     &Metrics::shadow_failures_total},
    {"shadows_stored_total", "Copies stored here for other hubs.", &Metrics::shadows_stored_total},
    {"discards_sent_total", "Discard status confirmed by other hubs.", &Metrics::discards_sent_total},
    {"notes_sent_total", "Notes about messages of this hub (held, alarm, attempts, history) confirmed by other hubs.", &Metrics::notes_sent_total},
    {"notes_received_total", "Notes noted here about copies held for other hubs.", &Metrics::notes_received_total},
    {"discards_received_total", "Discard status received from other hubs.",
     &Metrics::discards_received_total},
    {"takeovers_total", "Hubs taken over from.", &Metrics::takeovers_total},
    {"messages_taken_over_total", "Messages of other hubs that this hub took over.",
     &Metrics::messages_taken_over_total},
    {"messages_ceded_total", "Messages of this hub that another hub had taken over when it came back.",
     &Metrics::messages_ceded_total},
    {"messages_recovered_total", "Messages delivered although no 250 is known to have been sent for them.",
     &Metrics::messages_recovered_total},
    {"messages_handed_over_total", "Messages handed over to other hubs.", &Metrics::messages_handed_over_total},
    {"handovers_refused_total", "Offers of a hand-over that another hub did not take.", &Metrics::handovers_refused_total},
    {"messages_handed_to_next_hubs_total", "Messages handed over because their route leads to other hubs.", &Metrics::messages_handed_to_next_hubs_total},
    {"handovers_without_body_total", "Messages handed over to a hub that held a copy already: no body was sent.", &Metrics::handovers_without_body_total},
    {"handovers_not_held_total", "Offers without the body to a hub that did not hold the copy any more; the body was sent then.", &Metrics::handovers_not_held_total},
    {"handover_body_octets_total", "Octets of message bodies sent in hand-overs.", &Metrics::handover_body_octets_total},
    {"messages_received_total", "Messages that other hubs handed over to this one.", &Metrics::messages_received_total},
    {"messages_resent_total", "Messages sent again from the safety net.", &Metrics::messages_resent_total},
    {"possible_duplicates_total", "Attempts that may have given a recipient a second copy.",
     &Metrics::possible_duplicates_total},
    {"hub_protocol_errors_total", "Words of other hubs that broke the protocol.",
     &Metrics::hub_protocol_errors_total},
    {"discovery_failures_total", "Questions to DNS for the cluster's hubs without an answer that names any.",
     &Metrics::discovery_failures_total},
};

struct LevelRow {
  const char* name;
  const char* help;
  std::int64_t Metrics::* value;
};
constexpr LevelRow levels[] = {
    {"connections", "Open connections from clients.", &Metrics::connections},
    {"connections_out", "Open connections to next hops.", &Metrics::connections_out},
    {"acknowledgements_waiting", "Clients whose 250 waits for delivery.", &Metrics::acknowledgements_waiting},
};

struct HistogramRow {
  const char* name;
  const char* help;
  Histogram Metrics::* value;
};
constexpr HistogramRow histograms[] = {
    {"accept_seconds", "From the end of a message's data to its reply.", &Metrics::accept_seconds},
    {"content_filter_seconds", "How long content filters took for a message, each for itself.", &Metrics::content_filter_seconds},
    {"shadow_seconds", "From the offer of a copy to its confirmation.", &Metrics::shadow_seconds},
};

// A number that is missing from the tables above changes this sum.
static_assert(sizeof(Metrics) == sizeof(std::uint64_t) * (std::size(counters) + std::size(levels)) +
                                     sizeof(Histogram) * std::size(histograms),
              "a new member of Metrics needs a row");

struct GaugeRow {
  const char* name;
  const char* help;
  std::uint64_t Gauges::* value;
};
constexpr GaugeRow gauge_rows[] = {
    {"queue_messages", "Messages in delivery or held by the operator.", &Gauges::queue_messages},
    {"queue_held", "Messages held by the operator.", &Gauges::queue_held},
    {"unprotected_messages", "Acknowledged messages with fewer live copies than their policy asks for.",
     &Gauges::unprotected_messages},
    {"takeover_wait_seconds", "How long mail of a hub that is gone has waited for the answer of another hub, which may own it; 0: none waits.",
     &Gauges::takeover_wait_seconds},
    {"shadow_messages", "Copies held for other hubs.", &Gauges::shadow_messages},
    {"outbox_discards", "Discard status that other hubs have not confirmed yet.", &Gauges::outbox_discards},
    {"safety_net_messages", "Delivered messages that are kept in the safety net.", &Gauges::safety_net_messages},
    {"safety_net_octets", "Octets of these, as they count against `safety_net.size`.", &Gauges::safety_net_octets},
    {"cluster_members", "Hubs of the cluster as configured or found, this one included; 0 without a cluster.",
     &Gauges::cluster_members},
    {"cluster_members_alive", "Hubs of the cluster that are heard, this one included.",
     &Gauges::cluster_members_alive},
    {"mail_waits", "1: this hub may not deliver mail that other hubs hold copies of (it is in the minority).",
     &Gauges::mail_waits},
    {"spool_free_octets", "Free octets of the spool's file system.", &Gauges::spool_free_octets},
    {"spool_wal_octets", "Size of the spool's write-ahead log.", &Gauges::spool_wal_octets},
    {"spool_batches_total", "Group commits since the start, one fsync each.", &Gauges::spool_batches_total},
    {"spool_operations_total", "Operations in these group commits.", &Gauges::spool_operations_total},
    {"spool_failed_batches_total", "Group commits that failed.", &Gauges::spool_failed_batches_total},
    {"spool_waiting_operations", "Operations that wait for the next group commit.",
     &Gauges::spool_waiting_operations},
    {"spool_epoch", "Number of starts of this spool.", &Gauges::spool_epoch},
    {"spools_set_aside", "Damaged spools that are kept beside the present one.", &Gauges::spools_set_aside},
    {"certificates_refused",
     "Listeners, routes and cluster whose certificate was refused at the last reload, or is not valid now.",
     &Gauges::certificates_refused},
    {"configuration_last_reload_successful",
     "1: the configuration file was good when it was read last; 0: it was refused, and the former configuration is in force.",
     &Gauges::configuration_last_reload_successful},
    {"configuration_last_reload_success_timestamp_seconds", "Unix time at which the configuration in force was read.",
     &Gauges::configuration_last_reload_success_timestamp_seconds},
    {"configuration_keys_waiting_for_restart", "Keys that have another value in the file, as it was read last, and need a restart.",
     &Gauges::configuration_keys_waiting_for_restart},
    {"log_lines_dropped_total", "Lines of the event log that were never written, because it could not keep up or be written.",
     &Gauges::log_lines_dropped_total},
    {"log_octets_lost_total", "Octets of those among them that had been taken to be written.", &Gauges::log_octets_lost_total},
};

bool is_counter(std::string_view name) {
  return name.ends_with("_total");
}

class Families {
 public:
  void add(const char* name, const char* help, double value) {
    auto& family = begin(name, help, is_counter(name) ? MetricType::Counter : MetricType::Gauge);
    ClientMetric metric;
    (is_counter(name) ? metric.counter.value : metric.gauge.value) = value;
    family.metric.push_back(std::move(metric));
  }
  void add_labelled(const char* name, const char* help, const char* label, const std::vector<std::pair<std::string, std::int64_t>>& values) {
    if (values.empty()) return;
    auto& family = begin(name, help, is_counter(name) ? MetricType::Counter : MetricType::Gauge);
    for (const auto& [place, value] : values) {
      ClientMetric metric;
      metric.label.push_back({label, place});
      (is_counter(name) ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
      family.metric.push_back(std::move(metric));
    }
  }
  void add_reasons(const char* name, const char* help, std::initializer_list<std::pair<const char*, std::uint64_t>> values) {
    auto& family = begin(name, help, MetricType::Counter);
    for (const auto& [reason, value] : values) {
      ClientMetric metric;
      metric.label.push_back({"reason", reason});
      metric.counter.value = static_cast<double>(value);
      family.metric.push_back(std::move(metric));
    }
  }
  void add(const char* name, const char* help, const Histogram& histogram) {
    auto& family = begin(name, help, MetricType::Histogram);
    ClientMetric metric;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
      count += histogram.counts[i];
      bool is_last = i == Histogram::bounds.size();
      metric.histogram.bucket.push_back(
          {count, is_last ? std::numeric_limits<double>::infinity() : Histogram::bounds[i]});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = histogram.sum;
    family.metric.push_back(std::move(metric));
  }
  [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  MetricFamily& begin(const char* name, const char* help, MetricType type) {
    MetricFamily family;
    family.name = std::string("umbra_") + name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
    return families_.back();
  }
  std::vector<MetricFamily> families_;
};

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct DrainRow {
  const char* name;
  const char* help;
  std::uint64_t DrainGauges::*value;
};
constexpr DrainRow drain_rows[] = {
    {"drain_initial_messages", "What was left when handing over began.", &DrainGauges::initial},
    {"drain_remaining_queue", "Messages that a drain (what is due) or leave has still to deliver or hand over.", &DrainGauges::remaining_queue},
    {"drain_remaining_shadows", "Shadows that a leave has still to find another holder for.", &DrainGauges::remaining_shadows},
    {"drain_remaining_outbox", "Discards that are still owed.", &DrainGauges::remaining_outbox},
    {"drain_remaining_connections", "Clients that are still there.", &DrainGauges::remaining_sessions},
    {"drain_in_flight", "Messages that are being handed over this moment.", &DrainGauges::in_flight},
};
constexpr const char* drain_state_help = "0 active, 1 unready, 2 closing, 3 handing over, 4 paused, 5 drained, 6 incomplete, 7 left.";
constexpr const char* drain_started_help = "Unix time at which the present drain, leave or pause began; 0 without one.";
constexpr const char* evicted_help =
    "Messages that left the safety net, or did not fit into it; `reason` is `age`, `size` or `disk`.";
constexpr const char* oldest_help = "Age of the oldest message in the safety net; 0 without one.";
constexpr const char* ready_help = "1 when the hub takes mail.";
constexpr const char* commit_help = "How long the last group commit took.";
constexpr const char* expiry_help =
    "Unix time at which a certificate in use ends; one series per listener, route and cluster that has one.";
constexpr const char* drift_help =
    "Values that another hub is configured differently in; one series per hub of the cluster that tells its own.";
constexpr const char* suspensions_help = "What the operator has suspended (`umbra suspend`): listeners, destinations (`delivery`), domains of recipients and senders.";
constexpr const char* record_dropped_help = "Records that were never written, because a record log could not keep up or be written; `log` says which.";
constexpr const char* record_lost_help = "Octets of those among them that had been taken to be written.";
constexpr const char* record_waiting_help = "Octets of records that wait to be written.";
constexpr const char* record_trouble_help = "1: a record log cannot be written; the event log and `umbra status` say why.";
constexpr const char* content_filter_help = "A content filter: 1 down, 0 not; one series per configured filter.";
constexpr const char* content_filter_waiting_help = "Messages that are accepted and wait for a content filter; one series per configured filter.";
constexpr const char* content_filter_octets_help = "Octets of these; one series per configured filter.";
constexpr const char* peer_pressure_help = "Back pressure that another hub has told of: 0 normal, 1 medium, 2 high.";
constexpr const char* pressure_help = "Back pressure: 0 normal, 1 medium, 2 high; one series per resource that is watched.";
constexpr const char* start_help = "Unix time of the hub's start.";
constexpr const char* memory_help = "Resident memory of the process.";
constexpr const char* processor_help = "Processor time of the process.";
constexpr const char* descriptors_help = "Open file descriptors of the process.";

}  // namespace

std::string render_metrics(const Metrics& metrics, const Gauges& gauges) {
  Families families;
  for (const auto& row : counters) families.add(row.name, row.help, static_cast<double>(metrics.*row.value));
  for (const auto& row : levels) families.add(row.name, row.help, static_cast<double>(metrics.*row.value));
  for (const auto& row : histograms) families.add(row.name, row.help, metrics.*row.value);
  for (const auto& row : gauge_rows) families.add(row.name, row.help, static_cast<double>(gauges.*row.value));
  families.add("spool_last_commit_seconds", commit_help, gauges.spool_last_commit_seconds);
  families.add("safety_net_oldest_age_seconds", oldest_help, gauges.safety_net_oldest_age_seconds);
  families.add_reasons("safety_net_evicted_total", evicted_help,
                       {{"age", gauges.safety_net_evicted.age}, {"size", gauges.safety_net_evicted.size}, {"disk", gauges.safety_net_evicted.disk}});
  families.add("ready", ready_help, gauges.ready ? 1 : 0);
  families.add_labelled("certificate_expiry_timestamp_seconds", expiry_help, "place", gauges.certificate_expiry);
  families.add_labelled("configuration_drift", drift_help, "hub", gauges.configuration_drift);
  families.add_labelled("peer_pressure_level", peer_pressure_help, "hub", gauges.peer_pressure);
  std::vector<std::pair<std::string, std::int64_t>> filters;
  for (const auto& filter : gauges.content_filters) filters.emplace_back(filter.name, filter.is_down ? 1 : 0);
  families.add_labelled("content_filter_down", content_filter_help, "filter", filters);
  filters.clear();
  for (const auto& filter : gauges.content_filters) filters.emplace_back(filter.name, static_cast<std::int64_t>(filter.waiting));
  families.add_labelled("content_filter_waiting_messages", content_filter_waiting_help, "filter", filters);
  filters.clear();
  for (const auto& filter : gauges.content_filters) filters.emplace_back(filter.name, static_cast<std::int64_t>(filter.waiting_octets));
  families.add_labelled("content_filter_waiting_octets", content_filter_octets_help, "filter", filters);
  std::vector<std::pair<std::string, std::int64_t>> pressure;
  for (const auto& one : gauges.pressure.resources)
    if (one.value && one.marks.are_watched()) pressure.emplace_back(to_string(one.resource), static_cast<std::int64_t>(one.level));
  families.add_labelled("pressure_level", pressure_help, "resource", pressure);
  std::vector<std::pair<std::string, std::int64_t>> suspended;
  for (auto what : Suspension::all_kinds)
    suspended.emplace_back(to_string(what), std::ranges::count(gauges.suspensions, what, &Suspension::what));
  families.add_labelled("suspensions", suspensions_help, "what", suspended);
  std::vector<std::pair<std::string, std::int64_t>> dropped;
  std::vector<std::pair<std::string, std::int64_t>> lost;
  std::vector<std::pair<std::string, std::int64_t>> waiting;
  std::vector<std::pair<std::string, std::int64_t>> troubles;
  for (const auto& log : gauges.record_logs) {
    dropped.emplace_back(log.name, static_cast<std::int64_t>(log.lines_dropped));
    lost.emplace_back(log.name, static_cast<std::int64_t>(log.octets_lost));
    waiting.emplace_back(log.name, static_cast<std::int64_t>(log.octets_waiting));
    troubles.emplace_back(log.name, log.trouble.empty() ? 0 : 1);
  }
  families.add_labelled("record_log_lines_dropped_total", record_dropped_help, "log", dropped);
  families.add_labelled("record_log_octets_lost_total", record_lost_help, "log", lost);
  families.add_labelled("record_log_waiting_octets", record_waiting_help, "log", waiting);
  families.add_labelled("record_log_trouble", record_trouble_help, "log", troubles);
  for (const auto& row : drain_rows) families.add(row.name, row.help, static_cast<double>(gauges.drain.*row.value));
  families.add("drain_state", drain_state_help, static_cast<double>(gauges.drain.state_number));
  families.add("drain_started_timestamp_seconds", drain_started_help, gauges.drain.started_at);
  families.add("start_time_seconds", start_help,
               std::chrono::duration<double>(gauges.started_at.time_since_epoch()).count());
  families.add("process_resident_octets", memory_help, static_cast<double>(resident_octets().value_or(0)));
  families.add("process_processor_seconds_total", processor_help, processor_seconds());
  families.add("process_open_descriptors", descriptors_help, static_cast<double>(open_descriptors().value_or(0)));
  return families.text();
}

std::string metrics_reference() {
  std::ostringstream out;
  out << "# Metrics\n\n<!-- Made by `make docs` from the program itself; a test compares the two. -->\n\n"
         "`GET /metrics` on `admin.address`, in the Prometheus text format. There are no labels but the "
         "bounds of histograms, the places of certificates, the hubs of the cluster, the kinds of logs and a few reasons: the number "
         "of series does not grow with domains, next hops or messages.\n\n| name | type | what it counts "
         "|\n|---|---|---|\n";
  auto row = [&](const char* name, const char* type, const char* help) {
    out << "| `umbra_" << name << "` | " << type << " | " << help << " |\n";
  };
  auto simple = [&](const char* name, const char* help) {
    row(name, is_counter(name) ? "counter" : "gauge", help);
  };
  for (const auto& counter : counters) simple(counter.name, counter.help);
  for (const auto& level : levels) simple(level.name, level.help);
  for (const auto& histogram : histograms) row(histogram.name, "histogram", histogram.help);
  for (const auto& gauge : gauge_rows) simple(gauge.name, gauge.help);
  simple("spool_last_commit_seconds", commit_help);
  simple("safety_net_oldest_age_seconds", oldest_help);
  simple("safety_net_evicted_total", evicted_help);
  simple("ready", ready_help);
  simple("certificate_expiry_timestamp_seconds", expiry_help);
  simple("configuration_drift", drift_help);
  simple("peer_pressure_level", peer_pressure_help);
  simple("content_filter_down", content_filter_help);
  simple("content_filter_waiting_messages", content_filter_waiting_help);
  simple("content_filter_waiting_octets", content_filter_octets_help);
  simple("record_log_lines_dropped_total", record_dropped_help);
  simple("record_log_octets_lost_total", record_lost_help);
  simple("record_log_waiting_octets", record_waiting_help);
  simple("record_log_trouble", record_trouble_help);
  for (const auto& gauge : drain_rows) simple(gauge.name, gauge.help);
  simple("drain_state", drain_state_help);
  simple("drain_started_timestamp_seconds", drain_started_help);
  simple("start_time_seconds", start_help);
  simple("process_resident_octets", memory_help);
  simple("process_processor_seconds_total", processor_help);
  simple("process_open_descriptors", descriptors_help);
  out << "\n## What to watch\n\n"
         "* `umbra_drain_state` between 1 and 3 for longer than its deadline, or 6: a drain does not come to its end; `umbra drain status` says why.\n"
         "* `umbra_unprotected_messages` above 0: mail is on one disk only. It is protected again in the "
         "background; if it stays, a hub is missing.\n"
         "* `umbra_cluster_members_alive` below `umbra_cluster_members`: a hub is silent.\n"
         "* `umbra_configuration_drift` above 0 outside of a change: hubs are configured differently; `umbra peers` says in what.\n"
         "* `umbra_mail_waits` 1: this hub keeps its mail because it cannot be sure that no other one delivers it; "
         "`umbra status` says why.\n"
         "* `umbra_ready` 0: new mail is refused; `/healthz/ready` says why.\n"
         "* `umbra_queue_messages` growing with `umbra_connect_failures_total`: a next hop is away.\n"
         "* `umbra_possible_duplicates_total` growing: recipients may have got a second copy; the log names "
         "each message.\n"
         "* `umbra_spools_set_aside` above 0: a spool was damaged; see operations, \"spool damaged\".\n"
         "* `umbra_certificates_refused` above 0: a certificate could not be loaded, or has expired; the log says which "
         "and why. `umbra_certificate_expiry_timestamp_seconds` tells before.\n"
         "* `umbra_record_log_trouble` 1: a record log cannot be written; mail goes on, and records wait until their buffer is full. "
         "`umbra_record_log_lines_dropped_total` growing: records are missing from it.\n"
         "* `umbra_spool_free_octets` near `spool.reserve`: new mail will be refused with 452.\n";
  return out.str();
}

}  // namespace umbra::hub
