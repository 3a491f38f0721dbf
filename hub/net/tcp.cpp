#include "hub/net/tcp.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <list>

#include <netinet/tcp.h>

#include "hub/net/socket_stream.h"

namespace umbra::hub {
namespace {

using Tcp = asio::ip::tcp;
using Local = asio::local::stream_protocol;
using Socket = asio::basic_stream_socket<Tcp, IoExecutor>;
using LocalSocket = asio::basic_stream_socket<Local, IoExecutor>;
using TcpAcceptorSocket = asio::basic_socket_acceptor<Tcp, IoExecutor>;

constexpr int unsent_octets_max = 64 << 10;

Result<Tcp::endpoint> from_endpoint(const Endpoint& e) {
  ErrorCode error;
  auto address = asio::ip::make_address(e.host, error);
  if (error) return failure(error, "address " + e.host);
  return Tcp::endpoint{address, e.port};
}

std::unique_ptr<Stream> tcp_stream(Socket socket) {
  ErrorCode ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  const auto remote = socket.remote_endpoint(ignored);
  return std::make_unique<SocketStream<Tcp>>(std::move(socket), ignored ? Endpoint{} : to_endpoint(remote));
}

class TcpAcceptor final : public Acceptor {
 public:
  TcpAcceptor(TcpAcceptorSocket socket, Endpoint local)
      : socket_(std::move(socket)), local_(std::move(local)) {}

  Task<Result<std::unique_ptr<Stream>>> accept() override {
    ErrorCode error;
    Socket socket = co_await socket_.async_accept(asio::redirect_error(use_task, error));
    if (error) co_return failure(error, "accept on " + to_string(local_));
    // Who reads no replies does not make the kernel keep megabytes of them: whatever it may send, so much may
    // wait for that.
    const int octets = unsent_octets_max;
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &octets, sizeof octets);
    co_return tcp_stream(std::move(socket));
  }

  void close() noexcept override {
    ErrorCode ignored;
    socket_.close(ignored);
  }

  const Endpoint& local() const override { return local_; }

 private:
  TcpAcceptorSocket socket_;
  Endpoint local_;
};

class TcpNetwork final : public Network {
 public:
  explicit TcpNetwork(asio::io_context& io) : io_(io) {}

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, MonotonicTime deadline,
                                                std::string from) override {
    auto endpoint = from_endpoint(to);
    if (!endpoint) co_return std::unexpected(endpoint.error());
    // Shared with the timer's callback, which may run after this coroutine has ended.
    auto socket = std::make_shared<Socket>(io_);
    if (!from.empty()) {
      auto source = from_endpoint({from, 0});
      if (!source) co_return std::unexpected(source.error());
      ErrorCode error;
      socket->open(source->protocol(), error);
      // The port is chosen when it connects: the same one may be used towards many hosts.
      using LatePort = asio::detail::socket_option::boolean<IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT>;
      if (!error) socket->set_option(LatePort(true), error);
      if (!error) socket->bind(*source, error);
      if (error) co_return failure(error, "connect to " + to_string(to) + " from " + from);
    }
    if (auto error = co_await open(socket, *endpoint, deadline, connecting_))
      co_return failure(error, "connect to " + to_string(to));
    co_return tcp_stream(std::move(*socket));
  }

  Task<Result<std::unique_ptr<Stream>>> connect_local(std::string path, MonotonicTime deadline) override {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) co_return failure(std::errc::filename_too_long, path);
    auto socket = std::make_shared<LocalSocket>(io_);
    if (auto error = co_await open(socket, Local::endpoint(path), deadline, connecting_local_))
      co_return failure(error, "connect to " + path);
    co_return std::make_unique<SocketStream<Local>>(std::move(*socket), Endpoint{std::move(path), 0});
  }

  void cancel_connects() noexcept override {
    ErrorCode ignored;
    for (const auto& socket : connecting_) socket->close(ignored);
    for (const auto& socket : connecting_local_) socket->close(ignored);
  }

  Result<std::unique_ptr<Acceptor>> listen(const Endpoint& at) override {
    auto endpoint = from_endpoint(at);
    if (!endpoint) return std::unexpected(endpoint.error());
    ErrorCode error;
    TcpAcceptorSocket socket(io_);
    socket.open(endpoint->protocol(), error);
    if (!error) socket.set_option(Tcp::acceptor::reuse_address(true), error);
    if (!error) socket.bind(*endpoint, error);
    if (!error) socket.listen(1024, error);
    if (error) return failure(error, "listen on " + to_string(at));
    auto local = socket.local_endpoint(error);
    if (error) return failure(error, "listen on " + to_string(at));
    return std::make_unique<TcpAcceptor>(std::move(socket), to_endpoint(local));
  }

 private:
  template <class AnySocket, class AnyEndpoint>
  Task<ErrorCode> open(std::shared_ptr<AnySocket> socket, AnyEndpoint endpoint, MonotonicTime deadline,
                       std::list<std::shared_ptr<AnySocket>>& connecting) {
    auto place = connecting.insert(connecting.end(), socket);
    auto timed_out = std::make_shared<bool>(false);
    Timer timer(io_);
    timer.call_at(deadline, [socket, timed_out](bool came) {
      ErrorCode ignored;
      if (!came) return;
      *timed_out = true;
      socket->close(ignored);
    });
    ErrorCode error;
    co_await socket->async_connect(endpoint, asio::redirect_error(use_task, error));
    timer.cancel();
    connecting.erase(place);
    if (*timed_out) error = asio::error::timed_out;
    co_return error;
  }

  std::list<std::shared_ptr<Socket>> connecting_;
  std::list<std::shared_ptr<LocalSocket>> connecting_local_;
  asio::io_context& io_;
};

}  // namespace

std::unique_ptr<Network> make_tcp_network(asio::io_context& io) {
  return std::make_unique<TcpNetwork>(io);
}

}  // namespace umbra::hub
