// The admin API over HTTP/1.1: commands on a Unix socket (mode 0600: the user that runs the hub), health and
// metrics on a TCP port. Real sockets only; runs on the hub's I/O thread. Bounded: so many connections,
// requests of at most 64 KB, and deadlines for slow clients.
#pragma once

#include <memory>

#include "hub/admin/api.h"
#include "hub/config/config.h"
#include "hub/logs/event_log.h"

namespace umbra::hub {

class AdminServer {
 public:
  /// Listens where the configuration says (an empty socket: TCP only); a socket file that a dead hub left
  /// behind is replaced, one of a living hub is an error. The backend and the log outlive the server.
  static Result<std::unique_ptr<AdminServer>> start(asio::io_context& io, const AdminConfig& config,
                                                    AdminBackend& backend, EventLog& log);
  virtual ~AdminServer() = default;

  /// Closes everything and waits for requests under way. To be awaited before destruction.
  virtual Task<void> stop() = 0;
  /// Where the TCP port is, for port 0; empty without one.
  [[nodiscard]] virtual std::optional<Endpoint> address() const = 0;
};

}  // namespace umbra::hub
