// The addresses of hosts that throttling policies name: looked up every minute, so that a client is found by
// its address and no session waits for DNS. What a look-up that fails would have changed stays as it was.
// Owned by the hub; home thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hub/inbound/throttle.h"
#include "hub/logs/event_log.h"
#include "hub/net/runtime.h"

namespace umbra::hub {

class ClientHosts {
 public:
  static constexpr Duration interval = std::chrono::minutes(1);

  /// The references must outlive it.
  ClientHosts(Runtime runtime, const std::vector<ThrottlingPolicyConfig>& policies, Throttle& throttle,
              EventLog& log);

  void start();
  Task<void> stop();
  /// Names may have come: they are looked up now.
  void configuration_changed() { wake_.cancel(); }

 private:
  Task<void> watch();
  Task<void> look_up(std::string name);

  Runtime runtime_;
  const std::vector<ThrottlingPolicyConfig>& policies_;
  Throttle& throttle_;
  EventLog& log_;
  TaskScope tasks_;
  Timer wake_;
  Throttle::Addresses addresses_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
