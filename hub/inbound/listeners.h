// The receive connectors of a hub as a whole, and how they follow the configuration: a listener of the same
// address and name (or of the same clients, under another name) goes on with other settings, new addresses
// are opened before old ones are closed, and where one cannot be opened nothing changes. Several listeners
// may have one address (hub/inbound/entrance.h). Owned by the composition root; home thread.
#pragma once

#include <map>
#include <vector>

#include "hub/inbound/entrance.h"
#include "hub/inbound/listener.h"
#include "hub/suspension/suspensions.h"

namespace umbra::hub {

class Listeners {
 public:
  /// The references must outlive it; `config` is read when it is started and when it has changed.
  Listeners(Runtime runtime, const Config& config, MessageIntake& intake, const BackPressure& pressure,
            Throttle& throttle, EventLog& log, Metrics& metrics);
  /// Only when never started, or after stop().
  ~Listeners() = default;

  Result<void> start();
  void close();
  Task<void> stop();
  /// Turns clients away, or lets them in again.
  void set_draining(bool is_draining);
  /// Turns the clients of those away that are suspended, and of those only.
  void suspensions_changed(const Suspensions& suspensions);
  [[nodiscard]] bool are_all_suspended() const;
  [[nodiscard]] std::size_t sessions() const;

  using Opened = std::multimap<Endpoint, std::unique_ptr<Acceptor>>;
  /// Listens where `next` says and nobody does yet; the error says where that was not possible. What is not
  /// used is closed again.
  [[nodiscard]] Result<Opened> open(const Config& next) const;
  /// The configuration is the one that `opened` was made for. Listeners that are not in it any more end
  /// gently.
  void configuration_changed(Opened opened);

 private:
  [[nodiscard]] bool is_suspended(const ListenerConfig& listener) const {
    return suspensions_ != nullptr && suspensions_->is_suspended(Suspension::What::listener, listener.name);
  }
  [[nodiscard]] std::shared_ptr<Listener> make(const ListenerConfig& config) const;
  /// One for each address of the configuration; those that are there already stay, the others are closed.
  void lead(Opened opened);
  Task<void> end(std::shared_ptr<Listener> listener);
  Task<void> end_entrance(std::shared_ptr<Entrance> entrance);

  Runtime runtime_;
  const Config& config_;
  MessageIntake& intake_;
  const BackPressure& pressure_;
  Throttle& throttle_;
  EventLog& log_;
  Metrics& metrics_;
  std::vector<std::shared_ptr<Listener>> listeners_;  ///< in the order of the configuration
  std::vector<std::shared_ptr<Listener>> ending_;     ///< not configured any more
  std::vector<std::shared_ptr<Entrance>> entrances_;
  TaskScope scope_;
  bool is_draining_ = false;
  const Suspensions* suspensions_ = nullptr;
};

}  // namespace umbra::hub
