// One connection of the admin API: HTTP/1.1 requests over any stream, one after the other. Bounded: so much
// header and body, a deadline for a request to come in whole and one for its answer to be taken. Whoever owns
// many of these may close those that are not being answered.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "hub/admin/api.h"
#include "hub/net/stream.h"

namespace umbra::hub {

/// What the owner needs of a request.
struct HttpRequest {
  std::string method;
  std::string target;
  std::string authorization;  ///< that header field; empty without one
};

struct HttpLimits {
  std::size_t body_octets_max = 64U << 10;
  std::uint32_t header_octets_max = 8U << 10;
  Duration request_timeout =
      std::chrono::seconds(30);  ///< for a request to come in whole, from the end of the one before
  Duration answer_timeout = std::chrono::seconds(
      60);  ///< for the hub to find its answer and the client to take it, or a piece of it
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  /// Answers a request; counts what is refused before there is one.
  struct Handler {
    std::function<Task<ApiResponse>(std::shared_ptr<HttpSession> session, HttpRequest request)> answer;
    std::function<void(unsigned status)> refused;
  };

  /// `tasks` is joined after close() and before `handler` goes.
  HttpSession(asio::io_context& io, TaskScope& tasks, std::unique_ptr<Stream> stream, HttpLimits limits);

  Task<void> run(Handler handler);
  /// run() ends soon.
  void close() {
    stream_->close();
    is_closed_ = true;
    pause_.cancel();
  }
  /// Before an answer. False: the connection was closed meanwhile, and nobody waits for it.
  Task<bool> pause(Duration span);

  /// The hub works on an answer, or sends it. Else nobody is wronged who is closed in favour of another.
  [[nodiscard]] bool is_answering() const { return is_answering_; }
  /// The request under way is the first one of its connection.
  [[nodiscard]] bool is_first_request() const { return requests_ == 1; }
  void set_answering(bool is_answering) { is_answering_ = is_answering; }
  /// From now on everything goes through `make` of the stream that there is (TLS).
  void wrap(const std::function<std::unique_ptr<Stream>(std::unique_ptr<Stream>)>& make) {
    stream_ = make(std::move(stream_));
  }
  [[nodiscard]] Stream& stream() { return *stream_; }
  /// Closes the connection when it passes.
  void expires_after(Duration span);

 private:
  struct Reading;
  /// A request that has begun and does not end in time is answered 408; a connection that says nothing is
  /// closed.
  void expects_request();
  static Task<void> say_late(std::shared_ptr<HttpSession> self);
  Task<bool> read(Reading& reading);
  Task<bool> send(ApiResponse answer, unsigned protocol_version, bool keep, bool is_head);
  Task<void> stream_out(ApiResponse answer, unsigned protocol_version);
  static Task<void> note_end(std::shared_ptr<HttpSession> self, std::shared_ptr<ApiStream> stream);
  Task<void> read_to_end();

  TaskScope& tasks_;
  std::unique_ptr<Stream> stream_;
  HttpLimits limits_;
  Timer timer_;
  Timer pause_;
  Event late_said_;
  boost::beast::flat_buffer buffer_;
  std::size_t requests_ = 0;
  bool is_answering_ = false;
  bool is_reading_ = false;  ///< a request
  bool has_request_begun_ = false;
  bool is_late_ = false;  ///< the request under way: say_late() runs, or has run
  bool is_closed_ = false;
};

}  // namespace umbra::hub
