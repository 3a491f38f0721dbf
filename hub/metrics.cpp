// What every number is called and what it means, in one place: the text of a scrape and docs/metrics.md are
// both made from it. Over 300 lines, most of them tables.
#include "hub/metrics.h"

#include <ctime>

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "hub/admin/api.h"
#include "hub/admin/build.h"
#include "hub/admin/version.h"
#include "hub/metric_families.h"
#include "hub/pressure/own_process.h"

namespace umbra::hub {
namespace {

struct CounterRow {
  const char* name;
  const char* help;
  std::uint64_t Metrics::* value;
};
constexpr CounterRow counters[] = {
    {"connections_total", "Connections accepted from clients.", &Metrics::connections_total},
    {"connections_not_served_total",
     "Connections refused because no listener of their address serves their client.",
     &Metrics::connections_not_served_total},
    {"connections_per_source_refused_total",
     "Connections refused because their client's address has as many as a listener allows.",
     &Metrics::connections_per_source_refused_total},
    {"clients_slowed_total", "Sessions that are read slowly since they say many commands and send no mail.",
     &Metrics::clients_slowed_total},
    {"proxy_headers_refused_total", "Connections of proxies without a good header of the PROXY protocol.",
     &Metrics::proxy_headers_refused_total},
    {"messages_accepted_total", "Messages acknowledged with 250.", &Metrics::messages_accepted_total},
    {"message_bytes_accepted_total", "Octets of the messages acknowledged.", &Metrics::octets_accepted_total},
    {"messages_rejected_total", "Refusals for good (5xx) at or after MAIL.",
     &Metrics::messages_rejected_total},
    {"messages_deferred_total", "Refusals for now (4xx) at or after MAIL: the client keeps the message.",
     &Metrics::messages_deferred_total},
    {"protocol_errors_total", "Commands and data from clients that broke the protocol.",
     &Metrics::protocol_errors_total},
    {"tls_connections_total", "Connections from clients that were encrypted.",
     &Metrics::tls_connections_total},
    {"tls_handshake_failures_total", "TLS handshakes with clients that failed.",
     &Metrics::tls_handshake_failures_total},
    {"tls_sessions_resumed_total",
     "TLS sessions with clients and next hops that went on from an earlier one.",
     &Metrics::tls_sessions_resumed_total},
    {"tls_reload_failures_total", "Certificates refused at a reload; the former ones stayed in use.",
     &Metrics::tls_reload_failures_total},
    {"authentications_total", "Clients that logged on (AUTH).", &Metrics::authentications_total},
    {"authentication_failures_total", "Log-ons of clients that were refused.",
     &Metrics::authentication_failures_total},
    {"authentications_unavailable_total",
     "Log-ons of clients that could not be decided: nobody was there to check the password.",
     &Metrics::authentications_unavailable_total},
    {"authentications_out_total", "Connections to next hops on which this hub logged on.",
     &Metrics::authentications_out_total},
    {"authentication_failures_out_total",
     "Connections to next hops that ended because this hub could not log on.",
     &Metrics::authentication_failures_out_total},
    {"tls_connections_out_total", "Connections to next hops that were encrypted.",
     &Metrics::tls_connections_out_total},
    {"tls_failures_out_total", "Connections to next hops whose TLS handshake failed.",
     &Metrics::tls_failures_out_total},
    {"tls_fallbacks_total",
     "Connections to next hops made without TLS after it had failed (policy opportunistic).",
     &Metrics::tls_fallbacks_total},
    {"acknowledgements_delayed_total",
     "Messages without a copy whose 250 waited for delivery (delayed acknowledgement).",
     &Metrics::acknowledgements_delayed_total},
    {"acknowledgements_delayed_in_vain_total", "Of these, still unprotected when the 250 was sent.",
     &Metrics::acknowledgements_delayed_in_vain_total},
    {"acknowledgements_not_delayed_full_total",
     "Messages without a copy whose 250 did not wait: too many were waiting.",
     &Metrics::acknowledgements_not_delayed_full_total},
    {"acknowledgements_not_delayed_off_total",
     "Messages without a copy whose 250 did not wait: max_acknowledgement_delay is 0, or on_failure is "
     "accept.",
     &Metrics::acknowledgements_not_delayed_off_total},
    {"acknowledgements_not_delayed_closing_total",
     "Messages without a copy whose 250 did not wait: the hub was stopping.",
     &Metrics::acknowledgements_not_delayed_closing_total},
    {"recipients_delivered_total", "Recipients that a next hop took.", &Metrics::recipients_delivered_total},
    {"recipients_deferred_total", "Attempts per recipient that ended with \"later\".",
     &Metrics::recipients_deferred_total},
    {"recipients_bounced_total", "Recipients given up.", &Metrics::recipients_bounced_total},
    {"recipients_deleted_total",
     "Recipients discarded by the operator (`umbra queue delete`): neither delivered nor bounced.",
     &Metrics::recipients_deleted_total},
    {"messages_deleted_total", "Messages that the operator deleted, with what was left of them.",
     &Metrics::messages_deleted_total},
    {"messages_rerouted_total",
     "Messages that the operator sent another way (`umbra queue reroute`), or back.",
     &Metrics::messages_rerouted_total},
    {"notifications_total", "Delivery status notifications made.", &Metrics::notifications_total},
    {"messages_poisoned_total",
     "Messages held because the hub ended again and again while it was delivering them.",
     &Metrics::messages_poisoned_total},
    {"connections_out_total", "Connections made to next hops.", &Metrics::connections_out_total},
    {"connect_failures_total", "Connections to next hops that failed.", &Metrics::connect_failures_total},
    {"pressure_delays_total", "MAIL commands whose reply was kept back under pressure.",
     &Metrics::pressure_delays_total},
    {"pressure_refusals_total", "MAIL commands that got `452 4.3.1` under pressure.",
     &Metrics::pressure_refusals_total},
    {"throttled_total", "Connections, MAIL and RCPT commands that a throttling policy refused for now.",
     &Metrics::throttled_total},
    {"content_filter_messages_total", "Messages put before a content filter, once for each.",
     &Metrics::content_filter_messages_total},
    {"content_filter_refused_total", "Messages that a content filter refused, for good or for now.",
     &Metrics::content_filter_refused_total},
    {"content_filter_discarded_total", "Messages that a content filter had thrown away.",
     &Metrics::content_filter_discarded_total},
    {"content_filter_changed_total", "Messages that a content filter changed.",
     &Metrics::content_filter_changed_total},
    {"content_filter_failures_total",
     "Conversations with content filters that failed: no connection, no answer in time, a wrong answer.",
     &Metrics::content_filter_failures_total},
    {"content_filter_bypassed_total",
     "Messages taken without a content filter that was down (when_down: accept).",
     &Metrics::content_filter_bypassed_total},
    {"content_filter_down_total",
     "Messages refused because a content filter was down (when_down: tempfail, reject).",
     &Metrics::content_filter_down_total},
    {"content_filter_busy_total",
     "Messages refused with 451 because a content filter had no connection free in time.",
     &Metrics::content_filter_busy_total},
    {"shadows_made_total", "Copies of this hub's messages that another hub confirmed as durable.",
     &Metrics::shadows_made_total},
    {"shadows_made_early_total", "Of these, large bodies that were copied while they came in.",
     &Metrics::shadows_made_early_total},
    {"shadow_failures_total", "Offers of a copy that ended without a confirmation.",
     &Metrics::shadow_failures_total},
    {"shadows_stored_total", "Copies stored here for other hubs.", &Metrics::shadows_stored_total},
    {"discards_sent_total", "Discard status confirmed by other hubs.", &Metrics::discards_sent_total},
    {"notes_sent_total",
     "Notes about messages of this hub (held, alarm, attempts, history) confirmed by other hubs.",
     &Metrics::notes_sent_total},
    {"notes_received_total", "Notes noted here about copies held for other hubs.",
     &Metrics::notes_received_total},
    {"discards_received_total", "Discard status received from other hubs.",
     &Metrics::discards_received_total},
    {"takeovers_total", "Hubs taken over from.", &Metrics::takeovers_total},
    {"messages_taken_over_total", "Messages of other hubs that this hub took over.",
     &Metrics::messages_taken_over_total},
    {"messages_ceded_total", "Messages of this hub that another hub had taken over when it came back.",
     &Metrics::messages_ceded_total},
    {"messages_recovered_total", "Messages delivered although no 250 is known to have been sent for them.",
     &Metrics::messages_recovered_total},
    {"messages_handed_over_total", "Messages handed over to other hubs.",
     &Metrics::messages_handed_over_total},
    {"handovers_refused_total", "Offers of a hand-over that another hub did not take.",
     &Metrics::handovers_refused_total},
    {"messages_handed_to_next_hubs_total", "Messages handed over because their route leads to other hubs.",
     &Metrics::messages_handed_to_next_hubs_total},
    {"handovers_without_body_total",
     "Messages handed over to a hub that held a copy already: no body was sent.",
     &Metrics::handovers_without_body_total},
    {"handovers_not_held_total",
     "Offers without the body to a hub that did not hold the copy any more; the body was sent then.",
     &Metrics::handovers_not_held_total},
    {"handover_body_bytes_total", "Octets of message bodies sent in hand-overs.",
     &Metrics::handover_body_octets_total},
    {"messages_received_total", "Messages that other hubs handed over to this one.",
     &Metrics::messages_received_total},
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
    {"content_filter_seconds", "How long content filters took for a message, each for itself.",
     &Metrics::content_filter_seconds},
    {"shadow_seconds", "From the offer of a copy to its confirmation.", &Metrics::shadow_seconds},
};

struct StageRow {
  const char* stage;
  LongHistogram Metrics::* value;
};
constexpr StageRow delivery_stages[] = {
    {"queue", &Metrics::delivery_queue_seconds},
    {"connect", &Metrics::delivery_connect_seconds},
    {"transmit", &Metrics::delivery_transmit_seconds},
    {"total", &Metrics::delivery_total_seconds},
};

// A number that is missing from the tables above changes this sum.
static_assert(sizeof(Metrics) == sizeof(std::uint64_t) * (std::size(counters) + std::size(levels)) +
                                     sizeof(Histogram) * std::size(histograms) +
                                     sizeof(LongHistogram) * std::size(delivery_stages) +
                                     sizeof(smtp::CommandTally) + sizeof(Rejections) +
                                     sizeof(Metrics::drain_results),
              "a new member of Metrics needs a row");

constexpr std::array<std::string_view, storage::entered_words> entered_names = {
    "accepted", "received", "taken_over", "notification", "resent", "filtered"};
constexpr std::array<std::string_view, storage::left_words> left_names = {
    "delivered", "bounced",   "expired",     "discarded", "deleted",
    "filtered",  "elsewhere", "handed_over", "ceded",     "withdrawn"};

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
    {"takeover_wait_seconds",
     "How long mail of a hub that is gone has waited for the answer of another hub, which may own it; 0: "
     "none waits.",
     &Gauges::takeover_wait_seconds},
    {"shadow_messages", "Copies held for other hubs.", &Gauges::shadow_messages},
    {"outbox_discards", "Discard status that other hubs have not confirmed yet.", &Gauges::outbox_discards},
    {"safety_net_messages", "Delivered messages that are kept in the safety net.",
     &Gauges::safety_net_messages},
    {"safety_net_bytes", "Octets of these, as they count against `safety_net.size`.",
     &Gauges::safety_net_octets},
    {"cluster_members", "Hubs of the cluster as configured or found, this one included; 0 without a cluster.",
     &Gauges::cluster_members},
    {"cluster_members_alive", "Hubs of the cluster that are heard, this one included.",
     &Gauges::cluster_members_alive},
    {"mail_waits", "1: this hub may not deliver mail that other hubs hold copies of (it is in the minority).",
     &Gauges::mail_waits},
    {"spool_free_bytes", "Free octets of the spool's file system.", &Gauges::spool_free_octets},
    {"spool_wal_bytes", "Size of the spool's write-ahead log.", &Gauges::spool_wal_octets},
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
     "1: the configuration file was good when it was read last; 0: it was refused, and the former "
     "configuration is in force.",
     &Gauges::configuration_last_reload_successful},
    {"configuration_last_reload_success_timestamp_seconds",
     "Unix time at which the configuration in force was read.",
     &Gauges::configuration_last_reload_success_timestamp_seconds},
    {"configuration_keys_waiting_for_restart",
     "Keys that have another value in the file, as it was read last, and need a restart.",
     &Gauges::configuration_keys_waiting_for_restart},
    {"log_lines_dropped_total",
     "Lines of the event log that were never written, because it could not keep up or be written.",
     &Gauges::log_lines_dropped_total},
    {"log_bytes_lost_total", "Octets of those among them that had been taken to be written.",
     &Gauges::log_octets_lost_total},
};

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct DrainRow {
  const char* name;
  const char* help;
  std::uint64_t DrainGauges::* value;
};
constexpr DrainRow drain_rows[] = {
    {"drain_initial_messages", "What was left when handing over began.", &DrainGauges::initial},
    {"drain_remaining_queue",
     "Messages that a drain (what is due) or leave has still to deliver or hand over.",
     &DrainGauges::remaining_queue},
    {"drain_remaining_shadows", "Shadows that a leave has still to find another holder for.",
     &DrainGauges::remaining_shadows},
    {"drain_remaining_outbox", "Discards that are still owed.", &DrainGauges::remaining_outbox},
    {"drain_remaining_connections", "Clients that are still there.", &DrainGauges::remaining_sessions},
    {"drain_in_flight", "Messages that are being handed over this moment.", &DrainGauges::in_flight},
};
using Families = MetricFamilies;

template <class Names, class Values>
void add_all(Families& families, std::string_view label, const Names& names, const Values& values) {
  for (std::size_t i = 0; i < names.size(); ++i)
    families.value(static_cast<double>(values[i]), {{label, names[i]}});
}

std::string in_words(std::string_view label, std::span<const std::string_view> words) {
  std::string text(label);
  for (std::size_t i = 0; i < words.size(); ++i) text.append(i == 0 ? ": " : ", ").append(words[i]);
  return text;
}

void add_ledger(Families& families, const storage::Balance& balance) {
  const auto& ledger = balance.ledger;
  families.family("ledger_entered_messages_total",
                  "Messages that came into this hub's queue, counted in the commit that brought them.",
                  in_words("how", entered_names));
  add_all(families, "how", entered_names, ledger.entered);
  families.family("ledger_left_messages_total",
                  "Messages that left this hub's queue, counted in the commit that took them out.",
                  in_words("how", left_names));
  add_all(families, "how", left_names, ledger.left);
  families.family("ledger_at_start_messages", "Messages that were in the queue when the process began.")
      .value(static_cast<double>(ledger.at_start));
  families
      .family("ledger_imbalance_messages",
              "Messages in the queue, counted, less what was there at the start and came, plus what left. "
              "Not 0: mail came or went that nobody has counted.")
      .value(static_cast<double>(balance.imbalance()));
}

void add_queue(Families& families, const Gauges& gauges) {
  const auto handing_over = gauges.balance.handing_over;
  families
      .family("queue_state_messages",
              "Messages in the queue by state: due now or later; held by the operator; being handed to "
              "another hub.",
              "state: queued, held, handing_over")
      .value(static_cast<double>(gauges.queue_messages -
                                 std::min(gauges.queue_messages, gauges.queue_held + handing_over)),
             {{"state", "queued"}})
      .value(static_cast<double>(gauges.queue_held), {{"state", "held"}})
      .value(static_cast<double>(handing_over), {{"state", "handing_over"}});
  families
      .family("queue_oldest_age_seconds", "Age of the message that is longest in the queue; 0: it is empty.")
      .value(gauges.queue_oldest_age_seconds);
}

void add_receiving(Families& families, const Metrics& metrics) {
  families.family("smtp_commands_total",
                  "Replies to clients, by the command that they answer and their first digit.",
                  in_words("verb", smtp::verb_names) + "; " + in_words("class", smtp::reply_classes));
  for (std::size_t verb = 0; verb < smtp::verbs; ++verb)
    for (std::size_t kind = 0; kind < smtp::reply_classes.size(); ++kind)
      families.value(static_cast<double>(metrics.smtp_commands.counts[verb][kind]),
                     {{"verb", smtp::verb_names[verb]}, {"class", smtp::reply_classes[kind]}});
  families.family(
      "smtp_rejections_total",
      "Connections, senders, recipients and messages refused, by the place in the session and the reason.",
      in_words("stage", rejection_stages) + "; " + in_words("reason", rejection_reasons));
  for (std::size_t stage = 0; stage < rejection_stages.size(); ++stage)
    for (std::size_t reason = 0; reason < rejection_reasons.size(); ++reason)
      families.value(static_cast<double>(metrics.smtp_rejections.counts[stage][reason]),
                     {{"stage", rejection_stages[stage]}, {"reason", rejection_reasons[reason]}});
}

void add_spool(Families& families, const Gauges& gauges) {
  families
      .histograms("spool_commit_seconds", "How long group commits took, each with its write and its fsync.")
      .value(gauges.spool_commit_seconds);
  families.family("spool_last_commit_seconds", "How long the last group commit took.")
      .value(gauges.spool_last_commit_seconds);
  families
      .family("spool_errors_total",
              "Group commits that failed, by the reason: no room; a write or sync failed for good; the "
              "database is damaged.",
              "code: full, io, damaged")
      .value(static_cast<double>(gauges.spool_failed_full), {{"code", "full"}})
      .value(static_cast<double>(gauges.spool_failed_io), {{"code", "io"}})
      .value(static_cast<double>(gauges.spool_failed_damaged), {{"code", "damaged"}});
  families
      .family("safety_net_oldest_age_seconds", "Age of the oldest message in the safety net; 0 without one.")
      .value(gauges.safety_net_oldest_age_seconds);
  families
      .family("safety_net_evicted_total", "Messages that left the safety net, or did not fit into it.",
              "reason: age, size, disk")
      .value(static_cast<double>(gauges.safety_net_evicted.age), {{"reason", "age"}})
      .value(static_cast<double>(gauges.safety_net_evicted.size), {{"reason", "size"}})
      .value(static_cast<double>(gauges.safety_net_evicted.disk), {{"reason", "disk"}});
}

// One series per other hub; they end with its membership.
void add_peers(Families& families, const Gauges& gauges) {
  families.family("shadow_peer_up", "1: that hub is heard within its lease, and a session to it is open.",
                  "hub");
  for (const auto& peer : gauges.peers) families.value(peer.is_up ? 1 : 0, {{"hub", peer.hub}});
  families.family("shadow_heartbeat_age_seconds",
                  "Since the last word of that hub; none before it was heard in this run.", "hub");
  for (const auto& peer : gauges.peers)
    if (peer.silent_seconds >= 0) families.value(peer.silent_seconds, {{"hub", peer.hub}});
  families.family(
      "configuration_drift",
      "Values that another hub is configured differently in; one series per hub that tells its own.", "hub");
  for (const auto& [hub, differences] : gauges.configuration_drift)
    families.value(static_cast<double>(differences), {{"hub", hub}});
  families.family("peer_pressure_level",
                  "Back pressure that another hub has told of: 0 normal, 1 medium, 2 high.", "hub");
  for (const auto& [hub, level] : gauges.peer_pressure)
    families.value(static_cast<double>(level), {{"hub", hub}});
}

void add_filters(Families& families, const std::vector<Gauges::ContentFilter>& filters) {
  families.family("content_filter_down", "A content filter: 1 down, 0 not.", "filter");
  for (const auto& filter : filters) families.value(filter.is_down ? 1 : 0, {{"filter", filter.name}});
  families.family("content_filter_waiting_messages",
                  "Messages that are accepted and wait for a content filter.", "filter");
  for (const auto& filter : filters)
    families.value(static_cast<double>(filter.waiting), {{"filter", filter.name}});
  families.family("content_filter_waiting_bytes", "Octets of these.", "filter");
  for (const auto& filter : filters)
    families.value(static_cast<double>(filter.waiting_octets), {{"filter", filter.name}});
}

void add_record_logs(Families& families, const std::vector<Gauges::RecordLog>& logs) {
  families.family("record_log_lines_dropped_total",
                  "Records that were never written, because a record log could not keep up or be written.",
                  "log");
  for (const auto& log : logs) families.value(static_cast<double>(log.lines_dropped), {{"log", log.name}});
  families.family("record_log_bytes_lost_total",
                  "Octets of those among them that had been taken to be written.", "log");
  for (const auto& log : logs) families.value(static_cast<double>(log.octets_lost), {{"log", log.name}});
  families.family("record_log_waiting_bytes", "Octets of records that wait to be written.", "log");
  for (const auto& log : logs) families.value(static_cast<double>(log.octets_waiting), {{"log", log.name}});
  families.family("record_log_trouble",
                  "1: a record log cannot be written; the event log and `umbra status` say why.", "log");
  for (const auto& log : logs) families.value(log.trouble.empty() ? 0 : 1, {{"log", log.name}});
}

// Other classes of status are not answered with.
constexpr std::pair<const char*, std::size_t> answer_classes[] = {{"2xx", 1}, {"4xx", 3}, {"5xx", 4}};

void add_admin(Families& families, const Gauges& gauges) {
  const auto routes = AdminApi::routes();
  families.family(
      "admin_requests_total",
      "Requests that the admin API has answered, by their path in its description (`/v1/openapi.json`); "
      "`none`: of no such path, or refused before it was looked at.",
      "route: `METHOD PATH` or `none`; class: 2xx, 4xx, 5xx");
  for (std::size_t i = 0; i <= routes.size(); ++i) {
    const auto route = i == routes.size()
                           ? std::string("none")
                           : std::string(routes[i].method) + " " + std::string(routes[i].pattern);
    for (const auto& [name, at] : answer_classes) {
      const auto count = i < gauges.admin_requests.size() ? gauges.admin_requests[i][at] : 0;
      families.value(static_cast<double>(count), {{"route", route}, {"class", name}});
    }
  }
}

void add_state(Families& families, const Gauges& gauges) {
  families.family("ready", "1 when the hub takes mail.").value(gauges.ready ? 1 : 0);
  families.family("certificate_expiry_timestamp_seconds",
                  "Unix time at which a certificate in use ends; one series per listener, route and cluster "
                  "that has one.",
                  "place");
  for (const auto& [place, ends] : gauges.certificate_expiry)
    families.value(static_cast<double>(ends), {{"place", place}});
  families.family("configuration_hash_info",
                  "1, and a digest of what hubs compare with each other: the same on every hub of a cluster "
                  "without drift.",
                  "hash");
  if (!gauges.configuration_hash.empty()) families.value(1, {{"hash", gauges.configuration_hash}});
  families.family("pressure_level",
                  "Back pressure: 0 normal, 1 medium, 2 high; one series per resource that is watched.",
                  "resource");
  for (const auto& one : gauges.pressure.resources)
    if (one.value && one.marks.are_watched())
      families.value(static_cast<double>(one.level), {{"resource", to_string(one.resource)}});
  families.family("suspensions",
                  "What the operator has suspended (`umbra suspend`): listeners, destinations (`delivery`), "
                  "domains of recipients and senders.",
                  "what");
  for (auto what : Suspension::all_kinds)
    families.value(static_cast<double>(std::ranges::count(gauges.suspensions, what, &Suspension::what)),
                   {{"what", to_string(what)}});
}

void add_drain(Families& families, const Metrics& metrics, const DrainGauges& drain) {
  for (const auto& row : drain_rows)
    families.family(row.name, row.help).value(static_cast<double>(drain.*row.value));
  families
      .family("drain_state",
              "0 active, 1 unready, 2 closing, 3 handing over, 4 paused, 5 drained, 6 incomplete, 7 left.")
      .value(static_cast<double>(drain.state_number));
  families
      .family("drain_started_timestamp_seconds",
              "Unix time at which the present drain, leave or pause began; 0 without one.")
      .value(drain.started_at);
  families.family("drain_results_total", "How drains and leaves ended.", in_words("result", drain_ends));
  add_all(families, "result", drain_ends, metrics.drain_results);
}

void add_process(Families& families, const Gauges& gauges) {
  const auto build = this_build();
  families
      .family("build_info", "1, and what this program is made of.", "version, commit, sqlite, boost, openssl")
      .value(1, {{"version", version},
                 {"commit", build.commit},
                 {"sqlite", build.sqlite},
                 {"boost", build.boost},
                 {"openssl", build.openssl}});
  families.family("process_start_time_seconds", "Unix time of the hub's start.")
      .value(std::chrono::duration<double>(gauges.started_at.time_since_epoch()).count());
  families.family("process_cpu_seconds_total", "Processor time of the process.").value(processor_seconds());
  families.family("process_resident_memory_bytes", "Resident memory of the process.")
      .value(static_cast<double>(resident_octets().value_or(0)));
  families.family("process_open_fds", "Open file descriptors of the process.")
      .value(static_cast<double>(open_descriptors().value_or(0)));
  families.family("process_max_fds", "How many it may open.").value(static_cast<double>(descriptors_max()));
}

Families collect(const Metrics& metrics, const Gauges& gauges) {
  Families families;
  add_ledger(families, gauges.balance);
  add_queue(families, gauges);
  for (const auto& row : gauge_rows)
    families.family(row.name, row.help).value(static_cast<double>(gauges.*row.value));
  for (const auto& row : counters)
    families.family(row.name, row.help).value(static_cast<double>(metrics.*row.value));
  for (const auto& row : levels)
    families.family(row.name, row.help).value(static_cast<double>(metrics.*row.value));
  add_receiving(families, metrics);
  for (const auto& row : histograms) families.histograms(row.name, row.help).value(metrics.*row.value);
  families.histograms("delivery_latency_seconds",
                      "Messages that a next hop took: from being due to a connection (queue), from MAIL to "
                      "its reply (transmit), from acceptance to its reply (total). And connections to next "
                      "hops, until they can be used (connect).",
                      "stage: queue, connect, transmit, total");
  for (const auto& row : delivery_stages) families.value(metrics.*row.value, {{"stage", row.stage}});
  add_spool(families, gauges);
  add_peers(families, gauges);
  add_filters(families, gauges.content_filters);
  add_record_logs(families, gauges.record_logs);
  add_state(families, gauges);
  add_admin(families, gauges);
  add_drain(families, metrics, gauges.drain);
  add_process(families, gauges);
  return families;
}

}  // namespace

std::string render_metrics(const Metrics& metrics, const Gauges& gauges) {
  return collect(metrics, gauges).text();
}
std::size_t series_count(const Metrics& metrics, const Gauges& gauges) {
  return collect(metrics, gauges).series();
}

std::string metrics_reference() {
  std::string text =
      R"(# Metrics

<!-- Made by `make docs` from the program itself; a test compares the two. -->

`GET /metrics` on `admin.address`, in the Prometheus text format; names and units follow its rules (`promtool check metrics` is clean, a test runs it). The alerts that watch them are
in [helm/umbra/files/alerts.yaml](../helm/umbra/files/alerts.yaml), each with a page in [runbooks](runbooks/README.md); the dashboard is `helm/umbra/files/dashboard.json`.

**How many series.** Labels have closed lists, all of which are there from the first scrape with 0, or name what is configured (listeners, filters, certificates) and the hubs of the cluster. Nothing grows with
domains, next hops, clients or messages, and the series of a hub end when it is no member any more. A hub has )" +
      std::to_string(series_count({}, {})) + R"( series, and 4 more for each other hub: below )" +
      std::to_string(series_ceiling) +
      R"( in a cluster of 20 (a test holds it to that, with mail to 100,000 domains). What there is for one domain is asked for: `umbra queue`, the tracking log.

## The ledger

Every message that this hub owns came in some way and goes in some way, and each way is counted in the commit that moves the message. So, at every moment,

    ledger_at_start + sum(ledger_entered_total) - sum(ledger_left_total) = queue_messages

and `umbra_ledger_imbalance_messages` is the right side less the left, with the messages of the queue counted anew for each scrape: 0, busy or at rest, and through restarts, since every run begins with what it finds. It is per message, not per recipient.
`entered{how="accepted"}` is committed before the client's 250; one that could not be made redundant leaves as `withdrawn`, with a 4xx. `delivered` has one delivered recipient or more; `bounced` and `expired` none. What another hub says is done leaves as `elsewhere`. A message that waited for a content filter
leaves as `filtered` and what became of it enters so. Over a whole cluster, what is `handed_over` is `received`, and `taken_over` by one hub means `ceded` or `elsewhere` at the other, when that comes back.

## All of them

| name | type | labels | what it counts |
|---|---|---|---|
)";
  return text + collect({}, {}).table();
}

}  // namespace umbra::hub
