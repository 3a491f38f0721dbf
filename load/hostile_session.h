// One bad client of `umbra-load hostile`: connects, misbehaves as its kind does, and comes again when it is
// closed. Owned by the command; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "load/connection.h"
#include "load/hostile.h"

namespace umbra::load {

enum class HostileKind : std::uint8_t {
  idle,
  slow_commands,
  slow_data,
  slow_tls,
  slow_reader,
  flood,
  recipients,
  churn
};

/// What all of them share. Outlives them.
struct HostileField {
  HostileCommand command;
  HostileKind kind = HostileKind::idle;
  Address target;
  std::string batch;            ///< what one that floods says at a time
  double connects_allowed = 0;  ///< by the rate
  std::uint64_t open = 0;
  std::uint64_t in_place = 0;     ///< open, and at what it came for
  std::uint64_t connections = 0;  ///< made so far
  std::uint64_t failures = 0;     ///< connections that did not come about
  std::uint64_t closed_by_hub = 0;
  std::uint64_t octets_sent = 0;
  std::uint64_t octets_received = 0;
};

class HostileSession final : public Connection {
 public:
  HostileSession(EventLoop& loop, HostileField& field, std::uint32_t number)
      : Connection(loop), field_(field), number_(number) {}

  /// Every few milliseconds. True: it began to connect.
  bool tick(MonotonicTime now);

 private:
  enum class Stage : std::uint8_t { closed, connecting, greeting, introduction, in_place };

  bool prepare(int fd) override;
  void on_connected() override;
  void on_received(std::string_view octets) override;
  void on_closed(int error) override;

  void say(std::string_view octets);
  void come_to_place(MonotonicTime now);
  void drip(MonotonicTime now);
  void ended();
  void begin();

  HostileField& field_;
  std::uint32_t number_;
  Stage stage_ = Stage::closed;
  MonotonicTime due_{};  ///< to connect again, or to send the next octet
  std::size_t dripped_ = 0;
};

}  // namespace umbra::load
