#include "hub/admin/report.h"

#include <algorithm>
#include <map>

#include "hub/admin/version.h"
#include "hub/logs/log_line.h"

namespace umbra::hub {
namespace {

constexpr std::size_t recipients_shown_max = 1000;

std::string_view to_string(storage::Holder::State state) {
  switch (state) {
    case storage::Holder::State::offered:
      return "offered";
    case storage::Holder::State::holds:
      return "holds";
    case storage::Holder::State::former_owner:
      return "former_owner";
    case storage::Holder::State::owed:
      return "owed";
    case storage::Holder::State::receiver:
      return "receiver";
  }
  return "unknown";
}

std::string_view to_string(storage::RecipientOutcome::State state) {
  switch (state) {
    case storage::RecipientOutcome::State::pending:
      return "pending";
    case storage::RecipientOutcome::State::delivered:
      return "delivered";
    case storage::RecipientOutcome::State::failed:
      return "failed";
    case storage::RecipientOutcome::State::expanded_elsewhere:
      return "expanded_elsewhere";
  }
  return "unknown";
}

Json holders_report(const std::vector<storage::Holder>& holders) {
  Json list = Json::array();
  for (const auto& holder : holders) {
    list.push_back(
        {{"hub", holder.hub}, {"spool", to_string(holder.spool)}, {"state", to_string(holder.state)}});
  }
  return list;
}

Json queue_report(const std::vector<storage::QueueEntry>& queue) {
  Json list = Json::array();
  for (const auto& entry : queue) {
    list.push_back(
        {{"destination", entry.destination}, {"due", to_text(entry.due)}, {"attempts", entry.attempts}});
  }
  return list;
}

Json history_report(const std::vector<OwnerRecord>& history) {
  Json list = Json::array();
  for (const auto& owner : history) {
    list.push_back({{"generation", owner.generation.value},
                    {"how", hub::to_string(owner.how)},
                    {"hub", owner.hub},
                    {"spool", to_string(owner.spool)},
                    {"since", owner.since == WallTime{} ? Json(nullptr) : Json(to_text(owner.since))},
                    {"attempts", owner.attempts}});
  }
  return list;
}

std::size_t pending_count(const storage::StoredMessage& message) {
  auto ended = std::ranges::count_if(message.progress, [](const auto& outcome) {
    return outcome.state != storage::RecipientOutcome::State::pending;
  });
  return message.envelope.recipients.size() -
         std::min(message.envelope.recipients.size(), static_cast<std::size_t>(ended));
}

Json recipients_report(const Envelope& envelope, const std::vector<storage::RecipientOutcome>& progress) {
  std::map<std::uint32_t, const storage::RecipientOutcome*> by_index;
  for (const auto& outcome : progress) by_index[outcome.index] = &outcome;
  Json list = Json::array();
  for (std::size_t i = 0; i < envelope.recipients.size() && i < recipients_shown_max; ++i) {
    Json one = {{"address", envelope.recipients[i].address}, {"state", "pending"}};
    if (auto known = by_index.find(static_cast<std::uint32_t>(i)); known != by_index.end()) {
      one["state"] = to_string(known->second->state);
      if (!known->second->detail.empty()) one["detail"] = known->second->detail;
    }
    list.push_back(std::move(one));
  }
  return list;
}

std::uint32_t attempts_of(const storage::StoredMessage& message) {
  std::uint32_t attempts = 0;
  for (const auto& entry : message.queue) attempts = std::max(attempts, entry.attempts);
  return attempts;
}

Json due_of(const storage::StoredMessage& message) {
  if (message.queue.empty()) return nullptr;
  return to_text(std::ranges::min(message.queue, {}, &storage::QueueEntry::due).due);
}

/// This hub's row, and every hub that said that it holds the copy.
std::size_t copies_of(const storage::StoredMessage& message) {
  return 1 + static_cast<std::size_t>(
                 std::ranges::count(message.holders, storage::Holder::State::holds, &storage::Holder::state));
}

}  // namespace

std::string_view to_string(storage::MessageState state) {
  switch (state) {
    case storage::MessageState::queued:
      return "queued";
    case storage::MessageState::held:
      return "held";
    case storage::MessageState::handing_over:
    case storage::MessageState::handing_over_held:
      return "handing_over";
  }
  return "unknown";
}

std::optional<storage::MessageState> parse_message_state(std::string_view text) {
  for (auto state :
       {storage::MessageState::queued, storage::MessageState::held, storage::MessageState::handing_over}) {
    if (to_string(state) == text) return state;
  }
  return std::nullopt;
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

Json record_logs_report(const std::vector<Gauges::RecordLog>& logs) {
  Json list = Json::array();
  for (const auto& log : logs)
    list.push_back({{"log", log.name},
                    {"lines_dropped", log.lines_dropped},
                    {"octets_lost", log.octets_lost},
                    {"octets_waiting", log.octets_waiting},
                    {"trouble", log.trouble}});
  return list;
}

Json pressure_report(const PressureState& pressure) {
  Json resources = Json::array();
  for (const auto& one : pressure.resources) {
    if (!one.value) continue;
    resources.push_back({{"resource", to_string(one.resource)},
                         {"level", one.marks.are_watched() ? Json(to_string(one.level)) : Json(nullptr)},
                         {"since", to_text(one.since)},
                         {"value", *one.value},
                         {"medium", one.marks.medium},
                         {"high", one.marks.high}});
  }
  return {{"level", to_string(pressure.level)},
          {"since", to_text(pressure.since)},
          {"cause", pressure.cause()},
          {"resources", std::move(resources)}};
}

Json filters_report(const std::vector<Gauges::ContentFilter>& filters) {
  Json list = Json::array();
  for (const auto& filter : filters)
    list.push_back(
        {{"name", filter.name},
         {"state", filter.is_down ? "down" : "up"},
         {"last_failure", filter.why},
         {"failed_at", filter.why.empty() ? Json(nullptr) : Json(to_text(filter.since))},
         {"waiting", filter.waiting},
         {"waiting_octets", filter.waiting_octets},
         {"waiting_since", filter.waiting_since ? Json(to_text(*filter.waiting_since)) : Json(nullptr)}});
  return list;
}

}  // namespace

Json suspension_report(const std::vector<Suspension>& suspensions) {
  Json list = Json::array();
  for (const auto& one : suspensions)
    list.push_back({{"what", to_string(one.what)},
                    {"name", one.name},
                    {"since", to_text(one.since)},
                    {"until", one.until == WallTime::max() ? Json(nullptr) : Json(to_text(one.until))},
                    {"reason", one.reason}});
  return list;
}

Json status_report(const HubIdentity& identity, const Health& health, const Gauges& gauges,
                   const Metrics& metrics, const std::vector<PeerReport>& peers,
                   const ConfigState& configuration) {
  Json peer_list = Json::array();
  for (const auto& peer : peers) peer_list.push_back(peer_report(peer));
  return {{"hub", identity.hub},
          {"host_name", identity.host_name},
          {"version", version},
          {"spool", to_string(identity.spool)},
          {"epoch", identity.epoch.value},
          {"live", health.live},
          {"ready", health.ready},
          {"reason", health.reason},
          {"mail_waits", health.mail_waits},
          {"started_at", to_text(gauges.started_at)},
          {"configuration", configuration_report(configuration)},
          {"queue",
           {{"messages", gauges.queue_messages},
            {"held", gauges.queue_held},
            {"unprotected", gauges.unprotected_messages}}},
          {"shadows", gauges.shadow_messages},
          {"discards_owed", gauges.outbox_discards},
          {"safety_net",
           {{"messages", gauges.safety_net_messages},
            {"octets", gauges.safety_net_octets},
            {"oldest_age_seconds", gauges.safety_net_oldest_age_seconds},
            {"evicted",
             {{"age", gauges.safety_net_evicted.age},
              {"size", gauges.safety_net_evicted.size},
              {"disk", gauges.safety_net_evicted.disk}}},
            {"resent", metrics.messages_resent_total}}},
          {"totals",
           {{"accepted", metrics.messages_accepted_total},
            {"recipients_delivered", metrics.recipients_delivered_total},
            {"recipients_bounced", metrics.recipients_bounced_total},
            {"taken_over", metrics.messages_taken_over_total},
            {"possible_duplicates", metrics.possible_duplicates_total}}},
          {"connections", metrics.connections},
          {"spool_free_octets", gauges.spool_free_octets},
          {"pressure", pressure_report(gauges.pressure)},
          {"record_logs", record_logs_report(gauges.record_logs)},
          {"suspended", suspension_report(gauges.suspensions)},
          {"content_filters", filters_report(gauges.content_filters)},
          {"peers", std::move(peer_list)}};
}

Json message_summary(const storage::StoredMessage& message) {
  return {{"id", to_string(message.id)},
          {"state", to_string(message.state)},
          {"sender", message.envelope.sender},
          {"recipients", message.envelope.recipients.size()},
          {"recipients_pending", pending_count(message)},
          {"size", message.size},
          {"accepted_at", to_text(message.envelope.accepted_at)},
          {"due", due_of(message)},
          {"attempts", attempts_of(message)},
          {"copies", copies_of(message)},
          {"protected", message.is_protected},
          {"last_error", message.last_error}};
}

Json message_report(const storage::StoredMessage& message, const std::string& this_hub) {
  auto report = message_summary(message);
  report["generation"] = message.generation.value;
  report["expires_at"] = to_text(message.envelope.expires_at);
  report["owner"] = this_hub;
  report["client"] = {{"address", message.envelope.client_address}, {"helo", message.envelope.client_helo}};
  report["envelope_id"] = message.envelope.envelope_id;
  auto holders = message.holders;
  if (message.receiver) holders.push_back(*message.receiver);
  report["holders"] = holders_report(holders);
  report["next_alarm"] = to_text(message.alarm_at);
  report["next_hop"] = message.next_hop.empty() ? Json(nullptr) : Json(message.next_hop);
  auto history = storage::note_of(message).history;
  if (history.empty() && message.generation == Generation{1})
    history.push_back({message.generation, OwnerRecord::How::accepted, this_hub, message.id.spool,
                       message.envelope.accepted_at, attempts_of(message)});
  report["history"] = history_report(history);
  report["queue"] = queue_report(message.queue);
  report["recipients"] = recipients_report(message.envelope, message.progress);
  if (message.envelope.recipients.size() > recipients_shown_max) {
    report["recipients_left_out"] = message.envelope.recipients.size() - recipients_shown_max;
  }
  return report;
}

Json shadow_summary(const storage::Shadow& shadow) {
  return {{"id", to_string(shadow.id)},
          {"owner", shadow.owner_hub},
          {"owner_spool", to_string(shadow.owner_spool)},
          {"owner_epoch", shadow.owner_epoch.value},
          {"generation", shadow.generation.value},
          {"sender", shadow.envelope.sender},
          {"recipients", shadow.envelope.recipients.size()},
          {"recipients_done", shadow.done.size()},
          {"size", shadow.size},
          {"accepted_at", to_text(shadow.envelope.accepted_at)}};
}

Json shadow_report(const storage::Shadow& shadow) {
  auto report = shadow_summary(shadow);
  report["state"] = "shadow";
  report["holders"] = holders_report(shadow.offered);
  const auto& note = shadow.note;
  report["held"] = note.is_held;
  report["next_alarm"] = note.alarm_at == WallTime{} ? Json(nullptr) : Json(to_text(note.alarm_at));
  report["next_hop"] = note.next_hop.empty() ? Json(nullptr) : Json(note.next_hop);
  report["last_error"] = note.last_error;
  Json attempts = Json::object();
  for (const auto& [destination, count] : note.attempts) attempts[destination] = count;
  report["attempts"] = std::move(attempts);
  report["history"] = history_report(note.history);
  std::vector<storage::RecipientOutcome> progress;
  for (auto index : shadow.done) progress.push_back({index, storage::RecipientOutcome::State::delivered, {}});
  report["recipients"] = recipients_report(shadow.envelope, progress);
  for (auto& recipient : report["recipients"]) {
    // A shadow hub is told that a recipient is done, not how it ended.
    if (recipient["state"] == "delivered") recipient["state"] = "done";
  }
  return report;
}

Json peer_report(const PeerReport& peer) {
  Json report = {{"hub", peer.hub}, {"address", to_string(peer.address)}, {"state", peer.state}};
  report["spool"] = peer.spool.value == 0 ? Json(nullptr) : Json(to_string(peer.spool));
  report["epoch"] = peer.spool.value == 0 ? Json(nullptr) : Json(peer.epoch.value);
  report["silent_for_seconds"] =
      peer.silent_for ? Json(std::chrono::duration<double>(*peer.silent_for).count()) : Json(nullptr);
  report["takes_copies"] = peer.takes_copies;
  report["pressure"] = to_string(peer.pressure);
  report["trouble"] = peer.trouble.empty() ? Json(nullptr) : Json(peer.trouble);
  report["configuration"] = !peer.drift ? "unknown" : peer.drift->empty() ? "same" : "differs";
  Json differences = Json::array();
  if (peer.drift)
    for (const auto& one : *peer.drift)
      differences.push_back({{"key", one.key},
                             {"here", one.here},
                             {"there", one.there},
                             {"refused", one.is_refused},
                             {"reason", one.why.empty() ? Json(nullptr) : Json(one.why)}});
  report["differences"] = std::move(differences);
  return report;
}

namespace {

Json or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json(nullptr);
}

Json problems_report(const std::vector<ConfigProblem>& problems) {
  Json list = Json::array();
  for (const auto& problem : problems)
    list.push_back({{"file", problem.file},
                    {"line", problem.line == 0 ? Json(nullptr) : Json(problem.line)},
                    {"problem", problem.what}});
  return list;
}

}  // namespace

Json plan_report(const std::string& hub, const ConfigState& state, const LiveConfig::Plan& plan) {
  auto changes = [](const std::vector<ConfigChange>& list) {
    Json all = Json::array();
    for (const auto& change : list)
      all.push_back(
          {{"key", change.key}, {"in_force", or_null(change.from)}, {"in_file", or_null(change.to)}});
    return all;
  };
  return {{"hub", hub},
          {"result", plan.changed.empty() && plan.waiting.empty() ? "same" : "differs"},
          {"file", state.file},
          {"version_in_force", state.version},
          {"version_in_file", plan.version},
          {"at_reload", changes(plan.changed)},
          {"at_restart", changes(plan.waiting)}};
}

Json configuration_report(const ConfigState& state) {
  Json waiting = Json::array();
  for (const auto& change : state.waiting)
    waiting.push_back(
        {{"key", change.key}, {"in_force", or_null(change.from)}, {"in_file", or_null(change.to)}});
  return {{"file", state.file},
          {"version", state.version},
          {"read_at", to_text(state.read_at)},
          {"last_reload",
           {{"at", to_text(state.tried_at)},
            {"result", state.is_refused ? "refused" : "good"},
            {"problems", problems_report(state.problems)}}},
          {"needs_restart", std::move(waiting)}};
}

Json reload_report(const ConfigReload& reload) {
  Json changed = Json::array();
  for (const auto& change : reload.changed)
    changed.push_back({{"key", change.key},
                       {"from", or_null(change.from)},
                       {"to", or_null(change.to)},
                       {"change", to_string(change)}});
  auto report = configuration_report(reload.state);
  return {{"file", reload.state.file},
          {"version", reload.state.version},
          {"result", reload.state.is_refused  ? "refused"
                     : reload.changed.empty() ? "unchanged"
                                              : "changed"},
          {"problems", report["last_reload"]["problems"]},
          {"changed", std::move(changed)},
          {"needs_restart", report["needs_restart"]}};
}

Json certificate_facts_report(const CertificateFacts& facts) {
  return {{"subject", facts.subject},
          {"issuer", facts.issuer},
          {"names", facts.names},
          {"serial", facts.serial},
          {"sha256", facts.fingerprint},
          {"valid_from", to_text(facts.valid_from)},
          {"valid_until", to_text(facts.valid_until)}};
}

Json certificate_report(const CertificateReport& report) {
  bool is_good = report.problem.empty();
  bool has_end = report.valid_until != WallTime::max();
  Json certificates = Json::array();
  for (const auto& one : report.certificates) certificates.push_back(certificate_facts_report(one));
  return {{"place", report.place},
          {"result", is_good ? "loaded" : "refused"},
          {"problem", report.problem},
          {"valid_until", has_end ? Json(to_text(report.valid_until)) : Json(nullptr)},
          {"names", report.names},
          {"certificates", std::move(certificates)}};
}

}  // namespace umbra::hub
