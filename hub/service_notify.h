// Tells the service manager how the hub is (sd_notify(3): a datagram to the Unix socket that $NOTIFY_SOCKET
// names), so that `systemctl start umbra` returns when the hub listens and `systemctl status umbra` says what
// it does. Called by run.cpp, on the home thread. Without $NOTIFY_SOCKET nothing is done; nothing waits, and
// no failure is one of the hub.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace umbra::hub {

/// Sends lines of "NAME=VALUE" to the socket of that name: a path, or "@" and an abstract name. False when it
/// was not taken.
bool notify_service(const std::string& socket, std::string_view state);
/// The same to $NOTIFY_SOCKET.
bool notify_service(std::string_view state);

/// The hub listens; `status` is one line for people.
void notify_ready(std::string_view status);
/// The configuration is being read anew; notify_ready() ends it.
void notify_reloading();
/// The hub ends, and needs at most `within` to do so.
void notify_stopping(std::string_view status, Duration within);

/// Keeps the watchdog of the service manager quiet (WatchdogSec=), if there is one for this process: call
/// tick() often.
class ServiceWatchdog {
 public:
  ServiceWatchdog();
  void tick(MonotonicTime now);

 private:
  std::optional<Duration> interval_;  ///< half of what the manager waits
  MonotonicTime next_ = MonotonicTime::min();
};

}  // namespace umbra::hub
