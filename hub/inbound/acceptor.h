// Makes an incoming message safe and says so: own spool and a copy on another hub side by side, then the
// reply (MessageIntake of hub/inbound/accept.h). The 250 is never sent before both are durable, or the policy
// says otherwise.
#pragma once

#include <map>

#include "hub/inbound/accept.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/peering.h"
#include "hub/safety_net/keeper.h"
#include "storage/spool.h"

namespace umbra::hub {

class MessageAcceptor final : public MessageIntake {
 public:
  MessageAcceptor(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering,
                  Outbound& outbound, const SafetyNetKeeper& net, EventLog& log, Metrics& metrics);

  std::optional<smtp::Reply> refuse(std::uint64_t announced_octets) override;
  std::unique_ptr<Acceptance> begin(Envelope envelope, const ListenerConfig& listener) override;

  /// From now on MAIL gets 421: the hub is closing.
  void close() {
    is_closing_ = true;
    peering_.waits().close();
  }
  /// Why no mail is taken now; empty: it is. For readiness.
  [[nodiscard]] std::string why_not_ready();

 private:
  class Incoming;

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Peering& peering_;
  Outbound& outbound_;
  const SafetyNetKeeper& net_;
  EventLog& log_;
  Metrics& metrics_;
  const MonotonicTime started_at_ = MonotonicClock::now();
  bool is_closing_ = false;
  std::map<std::string, std::size_t> waiting_;  ///< acknowledgements that are delayed, by listener
  std::uint64_t free_octets_ = 0;
  MonotonicTime free_octets_at_ = MonotonicTime::min();
};

}  // namespace umbra::hub
