// One receive connector: gives each client that is brought to it a ClientSession, with the settings of that
// moment, or turns it away: 421 4.3.2 beyond connections_max, 421 4.7.0 when its address has enough of them.
// Made by Listeners; everything on the home thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "hub/inbound/session.h"

namespace umbra::hub {

class Listener {
 public:
  /// `intake`, `log` and `metrics` must outlive it.
  Listener(Runtime runtime, const ListenerConfig& config, const std::string& host_name, MessageIntake& intake,
           const BackPressure& pressure, Throttle& throttle, EventLog& log, Metrics& metrics);
  /// Only when never started, or after stop().
  ~Listener();

  /// A client that was accepted at its address.
  void take(std::unique_ptr<Stream> stream, Introduction whose = {});
  /// Where a connection goes that has become another client's by XCLIENT.
  using Bring = std::function<void(std::unique_ptr<Stream>, Introduction)>;
  void lead_back_by(Bring bring) { bring_ = std::move(bring); }
  /// For the clients that come from now on; those that are there go on as they began. The address is the one
  /// of before.
  void configure(const ListenerConfig& config, const std::string& host_name);
  /// No new client; those that are there get 421 4.3.2, "`what` is closing", as soon as no message of theirs
  /// is on its way in.
  void close(const std::string& what = "this hub");
  /// close(), and waits until the last session has ended. Bounded: 10 s for a message still coming, then the
  /// reply.
  Task<void> stop();

  /// Turns clients away with 421 4.3.2, those that are there as soon as no message of theirs is on its way
  /// in; or lets them in again.
  void set_draining(bool is_draining);
  /// The same by the operator's word, for this listener alone.
  void set_suspended(bool is_suspended);

  [[nodiscard]] const ListenerConfig& config() const { return shared_.settings->config; }
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

 private:
  /// What speaks against this client; nothing: it is served.
  std::optional<smtp::Reply> refuse(Throttle::Client& client, const std::string& source);
  [[nodiscard]] SessionFacts facts_of(const Stream& stream) const;
  [[nodiscard]] bool has_enough(const std::string& source) const;
  Task<void> serve(std::unique_ptr<Stream> stream, Throttle::Client client, std::string source,
                   Introduction whose);

  TaskScope scope_;
  ListenerShared shared_;
  Bring bring_;
  std::list<ClientSession> sessions_;
  std::unordered_map<std::string, std::size_t> open_by_source_;
  std::shared_ptr<std::size_t> turning_away_ = std::make_shared<std::size_t>(0);
  bool is_closing_ = false;
  bool is_draining_ = false;
  bool is_suspended_ = false;
};

}  // namespace umbra::hub
