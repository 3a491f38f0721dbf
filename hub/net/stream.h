// What the hub needs of a network: streams, connecting, listening, name resolution. Implemented by
// hub/net/tcp.h with real sockets and by tests/simulation with queues on virtual time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hub/net/task.h"

namespace umbra::hub {

struct Endpoint {
  std::string host;  ///< an address literal, or a host name to resolve
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};
std::string to_string(const Endpoint& endpoint);

struct IoResult {
  ErrorCode error;
  std::size_t octets = 0;
};

/// A connected byte stream. One read and one write may be under way at a time, by coroutines of the owner's
/// thread. close() may be called at any time; operations under way end with an error. Destroy only when none
/// is under way.
class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one octet, or an error (asio::error::eof when the peer has closed).
  virtual Task<IoResult> read_some(asio::mutable_buffer buffer) = 0;
  /// All of it, or an error. The octets must stay until it returns.
  virtual Task<ErrorCode> write(std::string_view octets) = 0;
  /// Until a little can be written without waiting for the other side, or an error. Whoever must look at
  /// something right before octets leave waits here first: a write() that has to wait goes on by itself
  /// afterwards, also after the process was stopped meanwhile. A stream that cannot tell returns at once.
  virtual Task<ErrorCode> writable() { co_return ErrorCode{}; }
  /// Tells the other side that nothing more will be written, where there is a way to say it before the end of
  /// the connection (TLS). Counts as a write.
  virtual Task<void> finish() { co_return; }
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual const Endpoint& remote() const = 0;
  /// This end; without a host where it is not known.
  [[nodiscard]] virtual Endpoint local() const { return {}; }
};

class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual const Endpoint& local() const = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  /// `to.host` is an address literal. Fails with timed_out at the deadline. `from`: an address of this
  /// machine to connect from, of the same family; empty: the system's choice.
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, MonotonicTime deadline,
                                                        std::string from = {}) = 0;
  /// To a Unix socket of this machine.
  virtual Task<Result<std::unique_ptr<Stream>>> connect_local(std::string path, MonotonicTime) {
    co_return failure(std::errc::not_supported, "connect to " + path);
  }
  virtual Result<std::unique_ptr<Acceptor>> listen(const Endpoint& at) = 0;
  /// A hub that stops: every connect() under way ends soon with an error. May do nothing where deadlines are
  /// short.
  virtual void cancel_connects() noexcept {}
};

struct MailExchanger {
  std::uint16_t preference = 0;
  std::string host;
};

struct ServiceTarget {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string host;
};

/// Name resolution. `not found` is an empty list, a failure of the resolver itself is an Error (temporary).
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// Address literals of a host (A and AAAA); a literal resolves to itself.
  virtual Task<Result<std::vector<std::string>>> addresses(std::string host) = 0;
  /// MX records sorted by preference; RFC 7505 null MX comes as one entry with an empty host.
  virtual Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string domain) = 0;
  /// SRV records of a name (RFC 2782), in any order.
  virtual Task<Result<std::vector<ServiceTarget>>> services(std::string name) {
    co_return failure(std::errc::not_supported, "SRV " + name);
  }
  /// A hub that stops: every query under way ends soon with an error. May do nothing where deadlines are
  /// short.
  virtual void cancel() noexcept {}
};

/// Closes a stream when its deadline passes. Set anew as often as wanted: costs nothing but a comparison when
/// the new deadline is later. The stream must outlive it.
class Watchdog {
 public:
  Watchdog(asio::io_context& io, Stream& stream);
  ~Watchdog();
  void expires_at(MonotonicTime deadline);
  void expires_after(Duration span) { expires_at(MonotonicClock::now() + span); }
  /// True once the deadline passed and the stream was closed for it.
  [[nodiscard]] bool fired() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace umbra::hub
