// Everything of a hub that checks or proves who somebody is: the lane on which passwords are checked, and
// what the listeners ask. Owned by the hub, in its Runtime; home thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "hub/authentication/dovecot_authenticator.h"
#include "hub/authentication/password_lane.h"
#include "hub/config/config.h"

namespace umbra::hub {

class Authenticators {
 public:
  /// `network`, `lane` and `log` must outlive it.
  Authenticators(asio::io_context& io, Network& network, storage::Executor& lane, EventLog& log)
      : io_(io), network_(network), log_(log), lane_(io, lane), scope_(io) {}

  /// For a listener as it is configured (and was found good). Null: nobody logs on there. Sessions keep it.
  std::shared_ptr<Authenticator> of(const ListenerAuthenticationConfig& config);
  [[nodiscard]] PasswordLane& lane() { return lane_; }

  /// Log-ons that wait for others end now.
  void close();
  Task<void> stop();

 private:
  std::shared_ptr<DovecotAuthenticator> dovecot(const std::string& path);

  asio::io_context& io_;
  Network& network_;
  EventLog& log_;
  PasswordLane lane_;
  TaskScope scope_;
  std::map<std::string, std::shared_ptr<DovecotAuthenticator>> dovecots_;  ///< by socket
  bool is_closed_ = false;
};

}  // namespace umbra::hub
