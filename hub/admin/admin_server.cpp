#include "hub/admin/admin_server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>

#include <array>
#include <set>

#include "hub/admin/version.h"

namespace umbra::hub {
namespace {

namespace http = boost::beast::http;
using LocalProtocol = asio::local::stream_protocol;
using TcpProtocol = asio::ip::tcp;

constexpr std::size_t connections_max = 64;  // per listener
constexpr std::size_t body_octets_max = 64U << 10;
constexpr std::uint32_t header_octets_max = 8U << 10;
constexpr Duration idle_timeout = 30s;    // for a request to come in whole
constexpr Duration answer_timeout = 60s;  // for the hub to find its answer and the client to take it, or a piece of it

/// One connection: its socket, and a timer that closes it. Shared with the timer's callback.
template <class Protocol>
struct Connection {
  Connection(asio::io_context& io, asio::basic_stream_socket<Protocol, IoExecutor> accepted)
      : socket(std::move(accepted)), timer(io) {}

  void close() {
    ErrorCode ignored;
    socket.close(ignored);
  }
  static void deadline(const std::shared_ptr<Connection>& self, Duration span) {
    self->timer.call_at(MonotonicClock::now() + span, [self](bool came) {
      if (came) self->close();
    });
  }

  asio::basic_stream_socket<Protocol, IoExecutor> socket;
  Timer timer;
};

/// One listening socket and its connections.
template <class Protocol>
class HttpListener {
 public:
  using Handler = Task<ApiResponse> (AdminApi::*)(ApiRequest);
  using Acceptor = asio::basic_socket_acceptor<Protocol, IoExecutor>;

  HttpListener(asio::io_context& io, Acceptor acceptor, AdminApi& api, Handler handler)
      : io_(io), acceptor_(std::move(acceptor)), api_(api), handler_(handler), pause_(io), tasks_(io) {}

  void start() { tasks_.spawn("admin listener", accept_all()); }

  Task<void> stop() {
    stopping_ = true;
    ErrorCode ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    for (const auto& connection : open_) connection->close();
    co_await tasks_.join();
  }

  [[nodiscard]] const Acceptor& acceptor() const { return acceptor_; }

 private:
  using Shared = std::shared_ptr<Connection<Protocol>>;

  Task<void> accept_all() {
    while (!stopping_) {
      asio::basic_stream_socket<Protocol, IoExecutor> socket(io_.get_executor());
      ErrorCode error;
      co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, error));
      if (stopping_) co_return;
      if (error) {
        // Out of descriptors, most likely: not in a tight loop.
        co_await pause_.wait_for(100ms);
        continue;
      }
      if (open_.size() >= connections_max) continue;  // closes it
      auto connection = std::make_shared<Connection<Protocol>>(io_, std::move(socket));
      open_.insert(connection);
      tasks_.spawn("admin connection", serve(std::move(connection)));
    }
  }

  Task<void> serve(Shared connection) {
    co_await answer_requests(connection);
    connection->timer.cancel();
    connection->close();
    open_.erase(connection);
  }

  Task<void> answer_requests(Shared connection) {
    boost::beast::flat_buffer buffer(header_octets_max + body_octets_max);
    bool keep = true;
    while (keep && !stopping_) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(header_octets_max);
      parser.body_limit(body_octets_max);
      ErrorCode error;
      Connection<Protocol>::deadline(connection, idle_timeout);
      co_await http::async_read(connection->socket, buffer, parser, asio::redirect_error(use_task, error));
      if (error == http::error::end_of_stream || !connection->socket.is_open()) co_return;

      ApiResponse answer;
      unsigned protocol_version = 11;
      bool is_head = false;
      keep = false;
      if (error) {
        if (error.category() != http::make_error_code(http::error::bad_method).category())
          co_return;  // the connection is gone
        bool too_large = error == http::error::body_limit || error == http::error::header_limit ||
                         error == http::error::buffer_overflow;
        answer = {too_large ? 413U : 400U, "application/json",
                  "{\"error\":\"" + std::string(too_large ? "too large" : "not HTTP") + "\"}\n"};
      } else {
        const auto& request = parser.get();
        keep = request.keep_alive();
        protocol_version = request.version();
        is_head = request.method() == http::verb::head;
        ApiRequest asked{std::string(request.method_string()), std::string(request.target())};
        Connection<Protocol>::deadline(connection, answer_timeout);
        answer = co_await (api_.*handler_)(std::move(asked));
      }
      if (answer.stream != nullptr) {
        if (!is_head) co_await stream_out(connection, std::move(answer), protocol_version);
        co_return;
      }
      keep = co_await send(connection, std::move(answer), protocol_version, keep, is_head) && keep;
    }
  }

  Task<bool> send(Shared connection, ApiResponse answer, unsigned protocol_version, bool keep, bool is_head) {
    http::response<http::string_body> response(static_cast<http::status>(answer.status), protocol_version);
    response.set(http::field::server, std::string("umbra/") + version);
    response.set(http::field::content_type, answer.content_type);
    response.keep_alive(keep);
    response.content_length(answer.body.size());
    if (!is_head) response.body() = std::move(answer.body);
    ErrorCode error;
    http::response_serializer<http::string_body> serializer(response);
    if (is_head) {
      co_await http::async_write_header(connection->socket, serializer,
                                        asio::redirect_error(use_task, error));
    } else {
      co_await http::async_write(connection->socket, serializer, asio::redirect_error(use_task, error));
    }
    co_return !error;
  }

  /// Pieces as they come, until there is no more or the client has gone. Then the connection is closed.
  Task<void> stream_out(Shared connection, ApiResponse answer, unsigned protocol_version) {
    http::response<http::empty_body> response(static_cast<http::status>(answer.status), protocol_version);
    response.set(http::field::server, std::string("umbra/") + version);
    response.set(http::field::content_type, answer.content_type);
    response.keep_alive(false);
    response.chunked(true);
    http::response_serializer<http::empty_body> serializer(response);
    ErrorCode error;
    tasks_.spawn("admin client's end", note_end(connection, answer.stream));
    co_await http::async_write_header(connection->socket, serializer, asio::redirect_error(use_task, error));
    while (!error) {
      connection->timer.cancel();  // waiting for the next piece may take any time
      const std::string piece = co_await answer.stream->next();
      if (!connection->socket.is_open()) co_return answer.stream->abandon();
      Connection<Protocol>::deadline(connection, answer_timeout);
      if (piece.empty()) {
        co_await asio::async_write(connection->socket, http::make_chunk_last(), asio::redirect_error(use_task, error));
        break;
      }
      co_await asio::async_write(connection->socket, http::make_chunk(asio::buffer(piece)), asio::redirect_error(use_task, error));
    }
    answer.stream->abandon();
  }

  /// A client that has gone, or says more than its request, gets no more.
  static Task<void> note_end(Shared connection, std::shared_ptr<ApiStream> stream) {
    std::array<char, 1> octet{};
    ErrorCode ignored;
    co_await connection->socket.async_read_some(asio::buffer(octet), asio::redirect_error(use_task, ignored));
    stream->abandon();
  }

  asio::io_context& io_;
  Acceptor acceptor_;
  AdminApi& api_;
  Handler handler_;
  Timer pause_;
  TaskScope tasks_;
  std::set<Shared> open_;  // order matters to nobody: they are only closed
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

using LocalAcceptor = asio::basic_socket_acceptor<LocalProtocol, IoExecutor>;
using TcpAcceptor = asio::basic_socket_acceptor<TcpProtocol, IoExecutor>;

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
  AdminServerImpl(asio::io_context& io, AdminBackend& backend, std::string path,
                  std::optional<LocalAcceptor> local, std::optional<TcpAcceptor> tcp)
      : api_(backend), path_(std::move(path)) {
    if (local) local_.emplace(io, std::move(*local), api_, &AdminApi::commands);
    if (tcp) {
      ErrorCode error;
      auto endpoint = tcp->local_endpoint(error);
      if (!error) address_ = Endpoint{endpoint.address().to_string(), endpoint.port()};
      tcp_.emplace(io, std::move(*tcp), api_, &AdminApi::observations);
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

  [[nodiscard]] std::optional<Endpoint> address() const override { return address_; }

 private:
  AdminApi api_;
  std::string path_;
  std::optional<HttpListener<LocalProtocol>> local_;
  std::optional<HttpListener<TcpProtocol>> tcp_;
  std::optional<Endpoint> address_;
};

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::start(asio::io_context& io, const AdminConfig& config,
                                                        AdminBackend& backend, EventLog& log) {
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
  auto server =
      std::make_unique<AdminServerImpl>(io, backend, config.socket, std::move(local), std::move(tcp));
  server->begin();
  auto where = server->address() ? to_string(*server->address()) : std::string("none");
  log.line(LogLevel::info, "admin listening",
           {{"socket", std::string_view(config.socket)}, {"address", std::string_view(where)}});
  return server;
}

}  // namespace umbra::hub
