// What a shortage means for the next MAIL: nothing, a delay, or 452 4.3.1. Connections are always accepted,
// and mail that was is not touched. PressureWatch gives it a reading every two seconds. Owned by the hub;
// home thread.
#pragma once

#include <optional>
#include <string_view>

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/pressure/level.h"
#include "hub/pressure/probe.h"
#include "hub/pressure/state.h"
#include "smtp/reply.h"

namespace umbra::hub {

class BackPressure {
 public:
  /// The references must outlive it. Before the first reading there is no pressure.
  BackPressure(const PressureConfig& config, EventLog& log);

  /// One look at the resources.
  void take(const Reading& reading);

  /// 452 4.3.1, or nothing. What the hub is short of is not the client's business: it is in the log.
  [[nodiscard]] std::optional<smtp::Reply> refuse(bool is_trusted) const;
  /// For how long the 250 to a MAIL is kept back.
  [[nodiscard]] Duration delay(bool is_trusted) const { return is_trusted ? Duration{} : ramp_.delay(); }
  /// Whether mail from there is served at medium pressure. `may_relay`: what the client says of the sender
  /// counts.
  [[nodiscard]] bool trusts(std::string_view client, std::string_view sender, bool may_relay) const;

  [[nodiscard]] const PressureState& state() const { return state_; }
  /// The length of the queue is looked at: it has to be read from the spool.
  [[nodiscard]] bool watches_queue() const { return config_.queue.high != 0; }

 private:
  const PressureConfig& config_;
  EventLog& log_;
  PressureState state_;
  PressureRamp ramp_;
};

}  // namespace umbra::hub
