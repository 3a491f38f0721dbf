// Spool rows and cluster reports as JSON: the one place that decides the names scripts rely on.
#pragma once

#include <nlohmann/json.hpp>

#include "hub/admin/backend.h"

namespace umbra::hub {

using Json = nlohmann::ordered_json;

/// JSON text. Octets from the network that are not UTF-8 are replaced.
std::string to_text(const Json& json);

Json drain_report(const std::string& hub, const DrainReport& report);
Json suspension_report(const std::vector<Suspension>& suspensions);
Json status_report(const HubIdentity& identity, const Health& health, const Gauges& gauges,
                   const Metrics& metrics, const std::vector<PeerReport>& peers,
                   const ConfigState& configuration);
/// One line of the queue: no recipients, only how many.
Json message_summary(const storage::StoredMessage& message);
/// Everything about one message; at most 1000 recipients are listed, the others counted.
Json message_report(const storage::StoredMessage& message, const std::string& this_hub);
Json shadow_summary(const storage::Shadow& shadow);
Json shadow_report(const storage::Shadow& shadow);
Json peer_report(const PeerReport& peer);
Json certificate_report(const CertificateReport& report);
Json configuration_report(const ConfigState& state);
Json reload_report(const ConfigReload& reload);
/// What a reload would do.
Json plan_report(const std::string& hub, const ConfigState& state, const LiveConfig::Plan& plan);

std::string_view to_string(storage::MessageState state);
std::optional<storage::MessageState> parse_message_state(std::string_view text);

}  // namespace umbra::hub
