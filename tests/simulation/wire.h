// Lines and octets over a simulated stream, each with a deadline: all that the clients and sinks of a run
// need to speak SMTP. Shares no code with smtp/, so that a mistake there cannot hide itself.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hub/net/stream.h"
#include "tests/simulation/world.h"

namespace umbra::simulation {

/// Owned by one coroutine. After any false the connection is of no use any more.
class Wire {
 public:
  Wire(Host& host, std::unique_ptr<hub::Stream> stream)
      : stream_(std::move(stream)), watchdog_(host.io(), *stream_) {}

  /// One line without its CRLF.
  hub::Task<bool> read_line(std::string& line, Duration limit);
  /// Exactly `count` octets.
  hub::Task<bool> read_octets(std::string& octets, std::size_t count, Duration limit);
  hub::Task<bool> write(std::string octets, Duration limit);
  /// A whole reply, of one line or several; `code` is 0 when none came in time.
  hub::Task<bool> read_reply(int& code, std::string& text, Duration limit);
  void close() { stream_->close(); }
  [[nodiscard]] std::string remote() const { return stream_->remote().host; }
  /// When the newest octets that have come were written, where the other side has closed since.
  [[nodiscard]] std::optional<Duration> left_behind_at() const;

 private:
  hub::Task<bool> fill(Duration limit);

  std::unique_ptr<hub::Stream> stream_;
  hub::Watchdog watchdog_;
  std::string buffer_;
};

}  // namespace umbra::simulation
