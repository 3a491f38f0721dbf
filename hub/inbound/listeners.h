// The receive connectors of a hub as a whole, and how they follow the configuration: what listens at the same address goes on with other
// settings, new addresses are opened before old ones are closed, and where one cannot be opened nothing changes. Owned by the
// composition root; home thread.
#pragma once

#include <map>
#include <vector>

#include "hub/inbound/listener.h"

namespace umbra::hub {

class Listeners {
 public:
  /// The references must outlive it; `config` is read when it is started and when it has changed.
  Listeners(Runtime runtime, const Config& config, MessageIntake& intake, const BackPressure& pressure, Throttle& throttle, EventLog& log,
            Metrics& metrics);
  /// Only when never started, or after stop().
  ~Listeners() = default;

  Result<void> start();
  void close();
  Task<void> stop();
  /// Turns clients away, or lets them in again.
  void set_draining(bool is_draining);
  [[nodiscard]] std::size_t sessions() const;

  using Opened = std::multimap<Endpoint, std::unique_ptr<Acceptor>>;
  /// Listens where `next` says and nobody does yet; the error says where that was not possible. What is not used is closed again.
  [[nodiscard]] Result<Opened> open(const Config& next) const;
  /// The configuration is the one that `opened` was made for. Listeners that are not in it any more end gently.
  void configuration_changed(Opened opened);

 private:
  [[nodiscard]] std::unique_ptr<Listener> make(const ListenerConfig& config) const;
  Task<void> end(std::shared_ptr<Listener> listener);

  Runtime runtime_;
  const Config& config_;
  MessageIntake& intake_;
  const BackPressure& pressure_;
  Throttle& throttle_;
  EventLog& log_;
  Metrics& metrics_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::shared_ptr<Listener>> ending_;  ///< not configured any more
  TaskScope scope_;
  bool is_draining_ = false;
};

}  // namespace umbra::hub
