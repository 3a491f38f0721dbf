// The admin API over HTTP/1.1: with all rights on a Unix socket (mode 0600: the user that runs the hub); on a
// TCP port, plain and by TLS, health and metrics for everybody and the rest for those with credentials
// (hub/admin/doorkeeper.h). Real sockets only; runs on the hub's I/O thread. Bounded: so many connections,
// requests of at most 64 KB, deadlines for slow clients, and over TCP so many requests a second.
#pragma once

#include <memory>

#include "hub/admin/api.h"
#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/net/tls_store.h"

namespace umbra::hub {

class AdminServer {
 public:
  /// Listens where the configuration says (an empty socket: TCP only); a socket file that a dead hub left
  /// behind is replaced, one of a living hub is an error. The configuration (the one in
  /// force), the backend and the log outlive the server. `tls`: what TLS connections use; null: there are
  /// none.
  static Result<std::unique_ptr<AdminServer>> start(asio::io_context& io, const AdminConfig& config,
                                                    AdminBackend& backend, EventLog& log,
                                                    std::shared_ptr<TlsPlace> tls = nullptr);
  virtual ~AdminServer() = default;

  /// Closes everything and waits for requests under way. To be awaited before destruction.
  virtual Task<void> stop() = 0;
  /// Tokens and names are others.
  virtual void configuration_changed() = 0;
  /// For metrics: requests by AdminApi::routes().
  [[nodiscard]] virtual const RequestCounts& counts() const = 0;
  /// Where the TCP port is, for port 0; empty without one.
  [[nodiscard]] virtual std::optional<Endpoint> address() const = 0;
};

}  // namespace umbra::hub
