// One address where the hub listens for clients: accepts each and brings it to the listener that serves it,
// of those that share the address the one with the longest network that the client lies in. Who lies in none
// gets 554 5.7.1. A proxy that one of the listeners names must say first whose connection it is (PROXY
// protocol), within a few seconds; everything later is about that client. Owned by Listeners; home thread.
// When the process has no more file descriptors, accepting goes on a moment later: the clients wait in the
// kernel's queue.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/inbound/listener.h"

namespace umbra::hub {

class Entrance : public std::enable_shared_from_this<Entrance> {
 public:
  /// `log` and `metrics` must outlive it.
  Entrance(Runtime runtime, Endpoint address, EventLog& log, Metrics& metrics);
  /// Only when never started, or after stop().
  ~Entrance() = default;

  /// For the clients that come from now on. `host_name` is what a client that none of them serves is told.
  void lead_to(std::vector<std::shared_ptr<Listener>> listeners, std::string host_name);
  /// Listens; returns where (the port, when the one of the address is 0).
  Result<Endpoint> start();
  /// The same with what listens already at the address.
  void start(std::unique_ptr<Acceptor> acceptor);
  /// No new client.
  void close();
  /// close(), and waits until nobody is on his way to a listener any more. Bounded: a few seconds.
  Task<void> stop();

  [[nodiscard]] const Endpoint& address() const { return address_; }
  [[nodiscard]] const std::vector<std::shared_ptr<Listener>>& listeners() const { return listeners_; }

 private:
  Task<void> accept_clients();
  void bring(std::unique_ptr<Stream> stream, Introduction whose = {});
  [[nodiscard]] bool is_proxy(std::string_view address) const;
  /// Reads the header that a proxy puts in front.
  Task<void> introduce(std::unique_ptr<Stream> stream);
  [[nodiscard]] std::shared_ptr<Listener> listener_of(std::string_view client) const;
  /// Of a client that no listener serves: the connector is the address; logged where one of the listeners is.
  [[nodiscard]] SessionFacts facts_of(const Stream& stream) const;
  void log_failure(const Error& error);

  Runtime runtime_;
  Endpoint address_;
  EventLog& log_;
  Metrics& metrics_;
  TaskScope scope_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::string host_name_;
  std::size_t introducing_ = 0;
  std::shared_ptr<std::size_t> turning_away_ = std::make_shared<std::size_t>(0);
  Timer pause_;
  std::optional<MonotonicTime> failure_logged_;
  bool is_closing_ = false;
};

}  // namespace umbra::hub
