#include "load/hostile_session.h"

#include <arpa/inet.h>

#include <array>

namespace umbra::load {

using namespace std::chrono_literals;

namespace {

constexpr Duration pause_after_loss = 200ms;
const int tiny_buffer_octets = 2048;
constexpr std::size_t unread_octets_max = 64U << 10;  // said by a slow reader and not taken by the kernel yet

/// The beginning of a ClientHello of 512 octets; its end never comes.
constexpr std::array<unsigned char, 11> client_hello{0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
                                                     0x00, 0x01, 0xfc, 0x03, 0x03};

/// What a client that is slow says, octet by octet, for as long as it is let.
char slow_octet(HostileKind kind, std::size_t at) {
  constexpr std::string_view command = "MAIL FROM:<";
  if (kind == HostileKind::slow_tls)
    return at < client_hello.size() ? static_cast<char>(client_hello[at]) : '\x5a';
  if (kind == HostileKind::slow_commands && at < command.size()) return command[at];
  return 'a';
}

}  // namespace

bool HostileSession::prepare(int fd) {
  if (field_.kind == HostileKind::slow_reader)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &tiny_buffer_octets, sizeof tiny_buffer_octets);
  if (field_.kind == HostileKind::churn) {
    // Gone without a trace, so that this machine does not run out of ports.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  if (field_.command.sources == 0) return true;
  const auto source = number_ % field_.command.sources;
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl((127U << 24) | (77U << 16) | (source + 1));
  return bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0;
}

void HostileSession::begin() {
  if (!connect(field_.target)) {
    ++field_.failures;
    due_ = MonotonicClock::now() + pause_after_loss;
    return;
  }
  stage_ = Stage::connecting;
}

bool HostileSession::tick(MonotonicTime now) {
  if (stage_ == Stage::closed) {
    if (now < due_ || (field_.command.rate > 0 && field_.connects_allowed < 1)) return false;
    field_.connects_allowed -= 1;
    begin();
    return true;
  }
  if (stage_ != Stage::in_place) return false;
  switch (field_.kind) {
    case HostileKind::slow_commands:
    case HostileKind::slow_data:
    case HostileKind::slow_tls:
      drip(now);
      break;
    case HostileKind::slow_reader:
      if (unsent() < unread_octets_max) say(field_.batch);
      break;
    default:
      break;
  }
  return false;
}

void HostileSession::drip(MonotonicTime now) {
  if (now < due_) return;
  due_ = now + std::chrono::milliseconds(field_.command.drip_ms);
  const char octet = slow_octet(field_.kind, dripped_++);
  say({&octet, 1});
}

void HostileSession::say(std::string_view octets) {
  field_.octets_sent += octets.size();
  send(octets);
}

void HostileSession::on_connected() {
  ++field_.open;
  ++field_.connections;
  stage_ = Stage::greeting;
}

void HostileSession::come_to_place(MonotonicTime now) {
  stage_ = Stage::in_place;
  ++field_.in_place;
  // Not all at the same moment.
  due_ = now + std::chrono::milliseconds(field_.command.drip_ms) * number_ / field_.command.connections;
  dripped_ = 0;
}

void HostileSession::on_received(std::string_view octets) {
  field_.octets_received += octets.size();
  const auto now = MonotonicClock::now();
  switch (field_.kind) {
    case HostileKind::idle:
      if (stage_ == Stage::greeting) {
        say("EHLO hostile.example\r\n");
        come_to_place(now);
      }
      break;
    case HostileKind::slow_commands:
      if (stage_ == Stage::greeting) come_to_place(now);
      break;
    case HostileKind::slow_data:
      if (stage_ == Stage::greeting) {
        stage_ = Stage::introduction;
        say("EHLO hostile.example\r\nMAIL FROM:<bad@source.example>\r\nRCPT "
            "TO:<load-0@sink.example>\r\nDATA\r\n");
      } else if (stage_ == Stage::introduction && octets.find("354 ") != std::string_view::npos) {
        come_to_place(now);
      }
      break;
    case HostileKind::slow_tls:
      if (stage_ == Stage::greeting) {
        stage_ = Stage::introduction;
        say("EHLO hostile.example\r\n");
      } else if (stage_ == Stage::introduction && octets.starts_with("250")) {
        say("STARTTLS\r\n");
      } else if (stage_ == Stage::introduction && octets.starts_with("220 ")) {
        come_to_place(now);
      }
      break;
    case HostileKind::slow_reader:
      if (stage_ == Stage::greeting) {
        come_to_place(now);
        pause(true);
        say(field_.batch);
      }
      break;
    case HostileKind::flood:
    case HostileKind::recipients:
      if (stage_ == Stage::greeting) {
        say("EHLO hostile.example\r\n");
        come_to_place(now);
      }
      // As much as the connection takes: each word of the hub is answered with a batch.
      if (unsent() == 0) say(field_.batch);
      break;
    case HostileKind::churn:
      close();
      ended();
      if (field_.command.rate == 0) begin();
      break;
  }
}

void HostileSession::ended() {
  if (stage_ != Stage::closed && stage_ != Stage::connecting) --field_.open;
  if (stage_ == Stage::in_place) --field_.in_place;
  stage_ = Stage::closed;
}

void HostileSession::on_closed(int) {
  ++(stage_ == Stage::connecting ? field_.failures : field_.closed_by_hub);
  const bool comes_at_once = field_.kind == HostileKind::flood || field_.kind == HostileKind::recipients;
  due_ = MonotonicClock::now() + (comes_at_once ? Duration{} : pause_after_loss);
  ended();
}

}  // namespace umbra::load
