#include "hub/net/unix_stream.h"

#include <sys/un.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

namespace umbra::hub {
namespace {

using Local = asio::local::stream_protocol;
using Socket = asio::basic_stream_socket<Local, IoExecutor>;

class UnixStream final : public Stream {
 public:
  UnixStream(Socket socket, std::string path) : socket_(std::move(socket)), remote_{std::move(path), 0} {}

  Task<IoResult> read_some(asio::mutable_buffer buffer) override {
    IoResult result;
    result.octets = co_await socket_.async_read_some(buffer, asio::redirect_error(use_task, result.error));
    co_return result;
  }
  Task<ErrorCode> write(std::string_view octets) override {
    ErrorCode error;
    co_await asio::async_write(socket_, asio::const_buffer(octets.data(), octets.size()), asio::redirect_error(use_task, error));
    co_return error;
  }
  void close() noexcept override {
    ErrorCode ignored;
    if (!socket_.is_open()) return;
    socket_.shutdown(Local::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }
  const Endpoint& remote() const override { return remote_; }

 private:
  Socket socket_;
  Endpoint remote_;
};

}  // namespace

Task<Result<std::unique_ptr<Stream>>> connect_unix(asio::io_context& io, std::string path, MonotonicTime deadline) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) co_return failure(std::errc::filename_too_long, path);
  // Shared with the timer's callback, which may run after this coroutine has ended.
  auto socket = std::make_shared<Socket>(io);
  auto timed_out = std::make_shared<bool>(false);
  Timer timer(io);
  timer.call_at(deadline, [socket, timed_out](bool came) {
    ErrorCode ignored;
    if (!came) return;
    *timed_out = true;
    socket->close(ignored);
  });
  ErrorCode error;
  co_await socket->async_connect(Local::endpoint(path), asio::redirect_error(use_task, error));
  timer.cancel();
  if (*timed_out) error = asio::error::timed_out;
  if (error) co_return failure(error, "connect to " + path);
  co_return std::make_unique<UnixStream>(std::move(*socket), std::move(path));
}

}  // namespace umbra::hub
