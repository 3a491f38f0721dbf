#include "hub/outbound/hop.h"

#include "smtp/hop_field.h"

namespace umbra::hub {

std::string hop_field_of(const Config& config, const Job& job, WallTime now) {
  if (!config.delivery.trace_field) return {};
  const auto& message = *job.message;
  smtp::Hop hop;
  hop.hub = config.hub_name;
  hop.host = config.host_name;
  hop.id = message.id;
  if (message.envelope.accepted_at != WallTime{}) hop.received = message.envelope.accepted_at;
  hop.sent = now;
  hop.attempt = job.attempts + 1;
  if (const auto& known = job.acknowledgement) {
    hop.way = known->way;
    hop.copies = known->copies;
    hop.copied = known->copied;
    hop.acknowledged = known->acknowledged;
    hop.filtered = known->filtered;
  }
  // Where there is one owner, it is the one that received it.
  const bool has_changed =
      message.history.size() > 1 ||
      (message.history.size() == 1 && message.history[0].how != OwnerRecord::How::accepted);
  if (has_changed) hop.owners = message.history;
  return smtp::hop_field(hop);
}

}  // namespace umbra::hub
