#include "hub/admin/admin_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>
#include <list>

#include "hub/admin/answers.h"
#include "hub/admin/doorkeeper.h"
#include "hub/admin/http_session.h"
#include "hub/net/socket_stream.h"
#include "hub/net/tls_stream.h"

namespace umbra::hub {
namespace {

using LocalProtocol = asio::local::stream_protocol;
using TcpProtocol = asio::ip::tcp;
using LocalAcceptor = asio::basic_socket_acceptor<LocalProtocol, IoExecutor>;
using TcpAcceptor = asio::basic_socket_acceptor<TcpProtocol, IoExecutor>;

constexpr std::size_t connections_max = 64;  // per listener
constexpr char tls_handshake_octet =
    0x16;  // RFC 8446 section 5.1: what a TLS connection begins with, and no HTTP request

/// Requests over TCP get no more of the I/O thread than this, which is mail's too: those that come faster
/// wait their turn.
class Pace {
 public:
  static constexpr Duration ahead_max = 250ms;
  /// How long to wait before something that costs so much.
  Duration take(MonotonicTime now, Duration cost) {
    free_at_ = std::max(free_at_, now - ahead_max) + cost;
    return std::max<Duration>(free_at_ - now, Duration{0});
  }
  /// Who has gone before his turn came costs nothing.
  void give_back(Duration cost) { free_at_ -= cost; }

 private:
  MonotonicTime free_at_ = MonotonicTime::min() + 1h;
};
constexpr Duration cost_of_health = 1ms;
constexpr Duration cost_of_request = 5ms;
constexpr Duration cost_of_handshake = 10ms;
constexpr Duration cost_of_connection = 500us;

/// A stream of which the beginning was read already.
class BegunStream final : public Stream {
 public:
  BegunStream(std::unique_ptr<Stream> below, std::string begun)
      : below_(std::move(below)), begun_(std::move(begun)) {}
  Task<IoResult> read_some(asio::mutable_buffer buffer) override {
    if (begun_.empty()) co_return co_await below_->read_some(buffer);
    const auto octets = std::min(buffer.size(), begun_.size());
    std::memcpy(buffer.data(), begun_.data(), octets);
    begun_.erase(0, octets);
    co_return IoResult{{}, octets};
  }
  Task<ErrorCode> write(std::string_view octets) override { return below_->write(octets); }
  Task<ErrorCode> writable() override { return below_->writable(); }
  Task<void> finish() override { return below_->finish(); }
  void close() noexcept override { below_->close(); }
  [[nodiscard]] const Endpoint& remote() const override { return below_->remote(); }
  [[nodiscard]] Endpoint local() const override { return below_->local(); }

 private:
  std::unique_ptr<Stream> below_;
  std::string begun_;
};

/// One listening socket and its connections. When there are too many, the one that has waited longest for a
/// request goes in favour of a new one: connections that say nothing keep nobody out, a probe of health least
/// of all.
template <class Protocol>
class HttpListener {
 public:
  using Acceptor = asio::basic_socket_acceptor<Protocol, IoExecutor>;
  using Shared = std::shared_ptr<HttpSession>;
  using Serve = std::function<Task<void>(Shared session, TaskScope& tasks)>;

  HttpListener(asio::io_context& io, Acceptor acceptor, Duration pace, Serve serve)
      : io_(io),
        acceptor_(std::move(acceptor)),
        cost_(pace),
        serve_(std::move(serve)),
        pause_(io),
        tasks_(io) {}

  void start() { tasks_.spawn("admin listener", accept_all()); }

  Task<void> stop() {
    stopping_ = true;
    ErrorCode ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto& session : open_) session->close();
    co_await tasks_.join();
  }

 private:
  Task<void> accept_all() {
    Pace pace;
    while (!stopping_) {
      asio::basic_stream_socket<Protocol, IoExecutor> socket(io_.get_executor());
      ErrorCode error;
      co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, error));
      if (stopping_) co_return;
      // Out of descriptors, most likely: not in a tight loop.
      const auto wait = error ? Duration(100ms) : pace.take(MonotonicClock::now(), cost_);
      if (wait > Duration{0}) co_await pause_.wait_for(wait);
      if (error) continue;
      if (open_.size() >= connections_max && !make_room()) continue;  // closes it
      Endpoint remote;
      if constexpr (std::is_same_v<Protocol, TcpProtocol>) {
        const auto peer = socket.remote_endpoint(error);
        if (error) continue;
        remote = to_endpoint(peer);
      }
      auto stream = std::make_unique<SocketStream<Protocol>>(std::move(socket), std::move(remote));
      open_.push_back(std::make_shared<HttpSession>(io_, tasks_, std::move(stream), HttpLimits{}));
      tasks_.spawn("admin connection", run(std::prev(open_.end())));
    }
  }

  /// The list is in order of age.
  bool make_room() {
    auto idle = std::ranges::find_if(open_, [](const auto& session) { return !session->is_answering(); });
    if (idle == open_.end()) return false;
    (*idle)->close();
    // Until it has ended it is one too many, which ends at once.
    open_.splice(open_.end(), open_, idle);
    return open_.size() < 2 * connections_max;
  }

  Task<void> run(std::list<Shared>::iterator at) {
    const auto session = *at;
    co_await serve_(session, tasks_);
    session->close();
    open_.erase(at);
  }

  asio::io_context& io_;
  Acceptor acceptor_;
  Duration cost_;
  Serve serve_;
  Timer pause_;
  TaskScope tasks_;
  std::list<Shared> open_;
  bool stopping_ = false;
};

std::unexpected<Error> cannot(const std::string& what, ErrorCode error) {
  return failure(std::error_code(error.value(), std::generic_category()), what + ": " + error.message());
}

/// True when a process answers at the socket file.
bool is_served(const std::string& path) {
  asio::io_context io;
  LocalProtocol::socket probe(io);
  ErrorCode error;
  probe.connect(LocalProtocol::endpoint(path), error);
  return !error;
}

Result<LocalAcceptor> listen_locally(asio::io_context& io, const std::string& path) {
  auto what = "listen on the admin socket " + path;
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      return failure(std::errc::file_exists, what + ": a file of another kind is there");
    if (is_served(path)) return failure(std::errc::address_in_use, what + ": another hub answers there");
    ::unlink(path.c_str());
  }
  LocalAcceptor acceptor(io.get_executor());
  ErrorCode error;
  acceptor.open(LocalProtocol(), error);
  if (error) return cannot(what, error);
  // Before bind(): then the file is never there with another mode.
  if (::fchmod(acceptor.native_handle(), 0600) != 0) return failure(static_cast<std::errc>(errno), what);
  acceptor.bind(LocalProtocol::endpoint(path), error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot(what, error);
  return acceptor;
}

Result<TcpAcceptor> listen_on(asio::io_context& io, const Endpoint& address) {
  auto what = "listen on the admin address " + to_string(address);
  ErrorCode error;
  auto host = asio::ip::make_address(address.host, error);
  if (error) return cannot(what, error);
  TcpProtocol::endpoint endpoint(host, address.port);
  TcpAcceptor acceptor(io.get_executor());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return cannot(what, error);
  return acceptor;
}

class AdminServerImpl final : public AdminServer {
 public:
  AdminServerImpl(asio::io_context& io, const AdminConfig& config, AdminBackend& backend, EventLog& log,
                  std::shared_ptr<TlsPlace> tls, std::optional<LocalAcceptor> local,
                  std::optional<TcpAcceptor> tcp)
      : io_(io),
        api_(backend),
        log_(log),
        path_(config.socket),
        doorkeeper_(config, log),
        tls_(std::move(tls)) {
    if (local)
      local_.emplace(io, std::move(*local), Duration{0},
                     [this](auto session, TaskScope&) { return serve_locally(std::move(session)); });
    if (tcp) {
      ErrorCode error;
      auto endpoint = tcp->local_endpoint(error);
      if (!error) address_ = Endpoint{endpoint.address().to_string(), endpoint.port()};
      tcp_.emplace(io, std::move(*tcp), cost_of_connection,
                   [this](auto session, TaskScope&) { return serve_over_tcp(std::move(session)); });
    }
  }

  void begin() {
    if (local_) local_->start();
    if (tcp_) tcp_->start();
  }

  Task<void> stop() override {
    if (local_) {
      ::unlink(path_.c_str());
      co_await local_->stop();
    }
    if (tcp_) co_await tcp_->stop();
  }

  void configuration_changed() override { doorkeeper_.configuration_changed(); }
  [[nodiscard]] std::optional<Endpoint> address() const override { return address_; }
  [[nodiscard]] const RequestCounts& counts() const override { return api_.counts(); }

 private:
  using Shared = std::shared_ptr<HttpSession>;

  Task<void> serve_locally(Shared session) {
    return session->run({[this](Shared, HttpRequest request) {
                           return answer_here({std::move(request.method), std::move(request.target)});
                         },
                         refused()});
  }

  Task<void> serve_over_tcp(Shared session) {
    auto entrance = std::make_shared<AdminEntrance>(AdminEntrance{.remote = session->stream().remote()});
    if (tls_ && !co_await look_for_tls(session, *entrance)) co_return;
    co_await session->run({[this, entrance](Shared one, HttpRequest request) {
                             return answer_over_tcp(std::move(one), entrance, std::move(request));
                           },
                           refused()});
  }

  std::function<void(unsigned)> refused() {
    return [this](unsigned status) { api_.count_refused(status); };
  }

  /// TLS where the client begins with it. False: the connection is over.
  Task<bool> look_for_tls(Shared session, AdminEntrance& entrance) {
    session->expires_after(HttpLimits{}.request_timeout);
    std::string begun(512, '\0');
    auto got = co_await session->stream().read_some(asio::buffer(begun));
    if (got.error || got.octets == 0) co_return false;
    begun.resize(got.octets);
    const bool is_tls = begun.front() == tls_handshake_octet;
    session->wrap(
        [&](auto below) { return std::make_unique<BegunStream>(std::move(below), std::move(begun)); });
    if (!is_tls) co_return true;
    if (!co_await wait_turn(*session, strangers_, cost_of_handshake)) co_return false;
    auto context = tls_->context();
    if (!context) co_return false;
    TlsStream* tls = nullptr;
    session->wrap([&](auto below) {
      auto made = std::make_unique<TlsStream>(io_, std::move(below), context);
      tls = made.get();
      return made;
    });
    if (auto shaken = co_await tls->handshake(); !shaken) co_return false;
    entrance.is_encrypted = true;
    entrance.names = tls->peer_names();
    co_return true;
  }

  /// False: the connection was closed before its turn came.
  static Task<bool> wait_turn(HttpSession& session, Pace& pace, Duration cost) {
    const auto wait = pace.take(MonotonicClock::now(), cost);
    if (wait == Duration{0} || co_await session.pause(wait)) co_return true;
    pace.give_back(cost);
    co_return false;
  }

  Task<ApiResponse> answer_over_tcp(Shared session, std::shared_ptr<AdminEntrance> entrance,
                                    HttpRequest request) {
    const bool is_health = request.target.starts_with("/healthz/");
    ApiRequest asked{std::move(request.method), std::move(request.target), AdminRole::none, "nobody"};
    if (asked.target.starts_with("/v1") && doorkeeper_.has_credentials()) {
      auto verdict = doorkeeper_.look(*entrance, request.authorization, asked.method, asked.target);
      if (verdict.role == AdminRole::none) {
        api_.count_refused(verdict.refusal.status);
        session->set_answering(false);
        if (co_await wait_turn(*session, strangers_, cost_of_request))
          (void)co_await session->pause(Doorkeeper::refusal_delay);
        session->set_answering(true);
        co_return std::move(verdict.refusal);
      }
      asked.role = verdict.role;
      asked.by = std::move(verdict.by);
    }
    const bool is_known = asked.role != AdminRole::none;
    if (is_health && session->is_first_request()) {
      // A probe is not kept waiting: there are no more of them than connections are accepted.
      (void)strangers_.take(MonotonicClock::now(), cost_of_health);
    } else {
      // Operators wait for each other alone, and keep their connections: a flood of strangers does not lock
      // them out.
      session->set_answering(is_known);
      if (!co_await wait_turn(*session, is_known ? known_ : strangers_,
                              is_health ? cost_of_health : cost_of_request))
        co_return error_answer(503, "closed");
    }
    session->set_answering(true);
    const auto [by, method, target] = std::tuple(asked.by, asked.method, asked.target);
    auto answer = co_await answer_here(std::move(asked));
    if (is_known && answer.status == 403) doorkeeper_.note_forbidden(*entrance, by, method, target);
    co_return answer;
  }

  /// Who has ordered what is in the log.
  Task<ApiResponse> answer_here(ApiRequest request) {
    const bool is_order = request.method == "POST" && request.role == AdminRole::write;
    if (!is_order) co_return co_await api_.answer(std::move(request));
    const auto [by, target] = std::pair(request.by, request.target);
    auto answer = co_await api_.answer(std::move(request));
    log_.line(LogLevel::info, "admin order",
              {{"by", by}, {"order", target}, {"status", static_cast<std::int64_t>(answer.status)}});
    co_return answer;
  }

  asio::io_context& io_;
  AdminApi api_;
  EventLog& log_;
  std::string path_;
  Doorkeeper doorkeeper_;
  std::shared_ptr<TlsPlace> tls_;
  Pace strangers_;
  Pace known_;
  std::optional<HttpListener<LocalProtocol>> local_;
  std::optional<HttpListener<TcpProtocol>> tcp_;
  std::optional<Endpoint> address_;
};

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::start(asio::io_context& io, const AdminConfig& config,
                                                        AdminBackend& backend, EventLog& log,
                                                        std::shared_ptr<TlsPlace> tls) {
  std::optional<LocalAcceptor> local;
  if (!config.socket.empty()) {
    auto listening = listen_locally(io, config.socket);
    if (!listening) return std::unexpected(listening.error());
    local.emplace(std::move(*listening));
  }
  std::optional<TcpAcceptor> tcp;
  if (config.address) {
    auto listening = listen_on(io, *config.address);
    if (!listening) {
      if (local) ::unlink(config.socket.c_str());
      return std::unexpected(listening.error());
    }
    tcp.emplace(std::move(*listening));
  }
  auto server = std::make_unique<AdminServerImpl>(io, config, backend, log, std::move(tls), std::move(local),
                                                  std::move(tcp));
  server->begin();
  auto where = server->address() ? to_string(*server->address()) : std::string("none");
  log.line(LogLevel::info, "admin listening",
           {{"socket", std::string_view(config.socket)}, {"address", std::string_view(where)}});
  return server;
}

}  // namespace umbra::hub
