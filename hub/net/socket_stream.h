// A connected socket as a Stream: what hub/net/tcp and the admin server make of what they connect and accept.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "hub/net/stream.h"

namespace umbra::hub {

inline Endpoint to_endpoint(const asio::ip::tcp::endpoint& e) {
  auto address = e.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return {asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string(), e.port()};
  return {address.to_string(), e.port()};
}

/// Of either kind: TCP, or to this machine.
template <class Protocol>
class SocketStream final : public Stream {
 public:
  using Socket = asio::basic_stream_socket<Protocol, IoExecutor>;
  SocketStream(Socket socket, Endpoint remote) : socket_(std::move(socket)), remote_(std::move(remote)) {}

  Task<IoResult> read_some(asio::mutable_buffer buffer) override {
    IoResult result;
    result.octets = co_await socket_.async_read_some(buffer, asio::redirect_error(use_task, result.error));
    co_return result;
  }

  Task<ErrorCode> write(std::string_view octets) override {
    ErrorCode error;
    co_await asio::async_write(socket_, asio::const_buffer(octets.data(), octets.size()),
                               asio::redirect_error(use_task, error));
    co_return error;
  }

  Task<ErrorCode> writable() override {
    ErrorCode error;
    co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(use_task, error));
    co_return error;
  }

  void close() noexcept override {
    ErrorCode ignored;
    if (!socket_.is_open()) return;
    socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  const Endpoint& remote() const override { return remote_; }
  Endpoint local() const override {
    if constexpr (std::is_same_v<Protocol, asio::ip::tcp>) {
      ErrorCode error;
      const auto local = socket_.local_endpoint(error);
      return error ? Endpoint{} : to_endpoint(local);
    }
    return {};
  }

 private:
  Socket socket_;
  Endpoint remote_;
};

}  // namespace umbra::hub
