// Log-ons decided by Dovecot's authentication server over its Unix socket: one connection for all clients of
// a hub, kept open, made anew a second after it was lost. While it is away every log-on is told to come later
// (454), at once. Owned by Authenticators; home thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "hub/authentication/authenticator.h"
#include "hub/authentication/dovecot_protocol.h"
#include "hub/logs/event_log.h"
#include "hub/net/stream.h"

namespace umbra::hub {

class DovecotAuthenticator final : public Authenticator,
                                   public std::enable_shared_from_this<DovecotAuthenticator> {
 public:
  /// Makes a connection by the deadline.
  using Connect = std::function<Task<Result<std::unique_ptr<Stream>>>(MonotonicTime)>;
  static constexpr std::size_t log_ons_max = 1000;  ///< at once
  static constexpr Duration answer_timeout = std::chrono::seconds(60);

  /// `place`: what it is called in the log. `scope` and `log` must outlive it.
  DovecotAuthenticator(asio::io_context& io, TaskScope& scope, std::string place, Connect connect,
                       EventLog& log);

  void start();
  /// Every log-on ends now; nothing more is asked. What was spawned ends soon.
  void close();

  /// What it last said of itself; before it has said anything PLAIN, so that a client learns that it shall
  /// come later.
  [[nodiscard]] std::string mechanisms() const override { return mechanisms_; }
  std::unique_ptr<AuthExchange> begin(std::string_view mechanism, AuthClient client) override;
  [[nodiscard]] bool is_there() const { return is_there_; }

 private:
  class Exchange;
  struct Waiting {
    explicit Waiting(asio::io_context& io) : came(io), timer(io) {}
    Event came;
    Timer timer;
    std::optional<DovecotProtocol::Answer> answer;  // nothing when it came: there is none
  };

  static Task<void> run(std::shared_ptr<DovecotAuthenticator> self);
  /// One connection, to its end; what ended it.
  Task<std::string> serve();
  static Task<void> write_all(std::shared_ptr<DovecotAuthenticator> self);
  void send(std::string_view line);
  Task<AuthStep> ask(std::uint32_t id, std::string line);
  void lose_all();

  asio::io_context& io_;
  TaskScope& scope_;
  const std::string place_;
  Connect connect_;
  EventLog& log_;
  std::string mechanisms_ = "PLAIN";
  std::shared_ptr<Stream> stream_;  // null: away
  std::map<std::uint32_t, std::shared_ptr<Waiting>> waiting_;
  std::string output_;
  Timer pause_;
  std::uint32_t next_id_ = 1;
  bool is_writing_ = false;
  bool is_there_ = false;
  bool is_closed_ = false;
};

}  // namespace umbra::hub
