#include "hub/admin/http_session.h"

#include <array>
#include <boost/beast/http.hpp>
#include <sstream>

#include "hub/admin/answers.h"
#include "hub/admin/version.h"

namespace umbra::hub {
namespace {

namespace http = boost::beast::http;

constexpr Duration last_words_timeout = 2s;  // for what a refused client still sends
constexpr std::size_t last_words_octets_max = 1U << 20;

template <class Body>
http::response<Body> begin_response(const ApiResponse& answer, unsigned protocol_version, bool keep) {
  http::response<Body> response(static_cast<http::status>(answer.status), protocol_version);
  response.set(http::field::server, std::string("umbra/") + version);
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : answer.headers) response.set(name, value);
  response.keep_alive(keep);
  return response;
}

/// Its head as octets.
template <class Body>
std::string head_of(const http::response<Body>& response) {
  std::ostringstream out;
  out << response.base();
  return std::move(out).str();
}

}  // namespace

struct HttpSession::Reading {
  http::request_parser<http::string_body> parser;
  ErrorCode error;  ///< what is wrong with the request
};

HttpSession::HttpSession(asio::io_context& io, TaskScope& tasks, std::unique_ptr<Stream> stream,
                         HttpLimits limits)
    : tasks_(tasks),
      stream_(std::move(stream)),
      limits_(limits),
      timer_(io),
      pause_(io),
      late_said_(io),
      buffer_(limits.header_octets_max + limits.body_octets_max) {}

void HttpSession::expires_after(Duration span) {
  timer_.call_at(MonotonicClock::now() + span, [weak = weak_from_this()](bool came) {
    if (auto self = came ? weak.lock() : nullptr) self->close();
  });
}

void HttpSession::expects_request() {
  is_reading_ = true;
  has_request_begun_ = buffer_.size() != 0;
  timer_.call_at(MonotonicClock::now() + limits_.request_timeout, [weak = weak_from_this()](bool came) {
    auto self = came ? weak.lock() : nullptr;
    if (!self || !self->is_reading_) return;
    if (!self->has_request_begun_) return self->close();
    self->is_late_ = true;
    self->tasks_.spawn("admin client's late request", say_late(self));
  });
}

/// While its request is still being read: a stream has room for one read and one write.
Task<void> HttpSession::say_late(std::shared_ptr<HttpSession> self) {
  self->expires_after(last_words_timeout);
  if (co_await self->send(error_answer(408, "the request did not come in whole in time"), 11, false, false))
    co_await self->stream_->finish();
  self->late_said_.set();
}

Task<bool> HttpSession::pause(Duration span) {
  if (!is_closed_) (void)co_await pause_.wait_for(span);
  co_return !is_closed_;
}

Task<void> HttpSession::run(Handler handler) {
  const auto self = shared_from_this();
  bool keep = true;
  while (keep && !is_closed_) {
    Reading reading;
    reading.parser.header_limit(limits_.header_octets_max);
    reading.parser.body_limit(limits_.body_octets_max);
    reading.parser.eager(true);
    expects_request();
    const bool is_read = co_await read(reading);
    is_reading_ = false;
    if (is_late_) {
      handler.refused(408);
      co_await late_said_.wait();
      break;
    }
    if (!is_read) break;
    if (reading.error) {
      const bool is_large = reading.error == http::error::body_limit ||
                            reading.error == http::error::header_limit ||
                            reading.error == http::error::buffer_overflow;
      auto answer = error_answer(is_large ? 413U : 400U, is_large ? "too large" : "not HTTP");
      handler.refused(answer.status);
      // Who is still sending would lose an answer that is followed by a reset.
      if (co_await send(std::move(answer), 11, false, false)) co_await read_to_end();
      break;
    }
    const auto& request = reading.parser.get();
    const auto protocol_version = request.version();
    const bool is_head = request.method() == http::verb::head;
    keep = request.keep_alive();
    HttpRequest asked{std::string(request.method_string()), std::string(request.target()),
                      std::string(request[http::field::authorization])};
    expires_after(limits_.answer_timeout);
    is_answering_ = true;
    ++requests_;
    auto answer = co_await handler.answer(self, std::move(asked));
    if (is_closed_) break;
    if (answer.stream != nullptr) {
      if (!is_head) co_await stream_out(std::move(answer), protocol_version);
      break;
    }
    // Who does not take his answer makes room for others, as who says nothing does.
    is_answering_ = false;
    expires_after(limits_.answer_timeout);
    keep = co_await send(std::move(answer), protocol_version, keep, is_head) && keep;
  }
  timer_.cancel();
  close();
}

/// False: the connection is over.
Task<bool> HttpSession::read(Reading& reading) {
  auto& parser = reading.parser;
  while (true) {
    if (buffer_.size() != 0) {
      const auto taken = parser.put(buffer_.data(), reading.error);
      buffer_.consume(taken);
      if (reading.error && reading.error != http::error::need_more) co_return true;
      reading.error = {};
      if (parser.is_done()) co_return true;
    }
    if (buffer_.size() >= limits_.header_octets_max) {
      reading.error = http::error::header_limit;
      co_return true;
    }
    auto got = co_await stream_->read_some(buffer_.prepare(4096));
    if (got.error || is_closed_) co_return false;
    has_request_begun_ = true;
    buffer_.commit(got.octets);
  }
}

Task<bool> HttpSession::send(ApiResponse answer, unsigned protocol_version, bool keep, bool is_head) {
  auto response = begin_response<http::empty_body>(answer, protocol_version, keep);
  response.content_length(answer.body.size());
  auto octets = head_of(response);
  if (!is_head) octets += answer.body;
  co_return !co_await stream_->write(octets);
}

/// Pieces as they come, until there is no more or the client has gone. Then the connection is closed.
Task<void> HttpSession::stream_out(ApiResponse answer, unsigned protocol_version) {
  auto response = begin_response<http::empty_body>(answer, protocol_version, false);
  response.chunked(true);
  const auto head = head_of(response);
  tasks_.spawn("admin client's end", note_end(shared_from_this(), answer.stream));
  auto error = co_await stream_->write(head);
  while (!error) {
    timer_.cancel();  // waiting for the next piece may take any time
    const std::string piece = co_await answer.stream->next();
    if (is_closed_) break;
    expires_after(limits_.answer_timeout);
    std::ostringstream chunk;
    chunk << std::hex << piece.size() << "\r\n"
          << piece << "\r\n";  // an empty one is the last (RFC 9112 section 7.1)
    const auto octets = std::move(chunk).str();
    error = co_await stream_->write(octets);
    if (piece.empty()) break;
  }
  answer.stream->abandon();
}

/// A client that has gone, or says more than its request, gets no more.
Task<void> HttpSession::note_end(std::shared_ptr<HttpSession> self, std::shared_ptr<ApiStream> stream) {
  std::array<char, 1> octet{};
  (void)co_await self->stream_->read_some(asio::buffer(octet));
  stream->abandon();
}

Task<void> HttpSession::read_to_end() {
  expires_after(last_words_timeout);
  co_await stream_->finish();
  std::array<char, 8192> octets{};
  for (std::size_t total = 0; total < last_words_octets_max && !is_closed_;) {
    auto got = co_await stream_->read_some(asio::buffer(octets));
    if (got.error) co_return;
    total += got.octets;
  }
}

}  // namespace umbra::hub
