// Accepts the clients of one receive connector and gives each a ClientSession, with the settings of that moment. Owned by the hub; everything
// on the home thread. Beyond connections_max a client gets 421 4.3.2. When the process has no more file
// descriptors, accepting goes on a moment later: the clients wait in the kernel's queue.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "hub/inbound/session.h"

namespace umbra::hub {

class Listener {
 public:
  /// `intake`, `log` and `metrics` must outlive it.
  Listener(Runtime runtime, const ListenerConfig& config, const std::string& host_name, MessageIntake& intake,
           const BackPressure& pressure, Throttle& throttle, EventLog& log, Metrics& metrics);
  /// Only when never started, or after stop().
  ~Listener();

  /// Listens; returns where (the port, when the configured one is 0).
  Result<Endpoint> start();
  /// The same with what listens already at the configured address.
  void start(std::unique_ptr<Acceptor> acceptor);
  /// For the clients that come from now on; those that are there go on as they began. The address is the one of before.
  void configure(const ListenerConfig& config, const std::string& host_name);
  /// No new client; those that are there get 421 4.3.2, "`what` is closing", as soon as no message of theirs is on its way in.
  void close(const std::string& what = "this hub");
  /// close(), and waits until the last session has ended. Bounded: 10 s for a message still coming, then the
  /// reply.
  Task<void> stop();

  /// Still listens, but turns clients away with 421 4.3.2, those that are there as soon as no message of theirs is on its way in; or
  /// lets them in again.
  void set_draining(bool is_draining);

  [[nodiscard]] const ListenerConfig& config() const { return shared_.settings->config; }
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

 private:
  Task<void> accept_clients();
  /// What speaks against this client; nothing: it is served.
  std::optional<smtp::Reply> refuse(Throttle::Client& client);
  Task<void> serve(std::unique_ptr<Stream> stream, Throttle::Client client);
  Task<void> turn_away(std::unique_ptr<Stream> stream, smtp::Reply reply);
  void log_failure(const Error& error);

  TaskScope scope_;
  ListenerShared shared_;
  std::unique_ptr<Acceptor> acceptor_;
  std::list<ClientSession> sessions_;
  std::size_t turning_away_ = 0;
  Timer pause_;
  std::optional<MonotonicTime> failure_logged_;
  bool is_closing_ = false;
  bool is_draining_ = false;
};

}  // namespace umbra::hub
