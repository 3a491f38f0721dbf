#include "hub/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

namespace umbra::hub {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint64_t microseconds(Duration span) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(span).count());
}

/// One line: what is said to people must not become a line of its own.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (auto& letter : line)
    if (letter == '\n') letter = ' ';
  return line;
}

}  // namespace

bool notify_service(const std::string& socket, std::string_view state) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() < 2 || socket.size() > sizeof address.sun_path - 1 ||
      (socket[0] != '/' && socket[0] != '@'))
    return false;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  // The length tells where an abstract name ends; a path ends at its zero.
  auto length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size() + (socket[0] == '/' ? 1 : 0));
  if (socket[0] == '@') address.sun_path[0] = '\0';
  int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return false;
  auto sent = ::sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL,
                       reinterpret_cast<const sockaddr*>(&address), length);
  ::close(descriptor);
  return sent == static_cast<ssize_t>(state.size());
}

bool notify_service(std::string_view state) {
  return notify_service(std::string(environment("NOTIFY_SOCKET")), state);
}

void notify_ready(std::string_view status) {
  notify_service(fmt::format("READY=1\nSTATUS={}\n", one_line(status)));
}

void notify_reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // that of the manager, whatever the hub's clock is
  notify_service(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reading the configuration anew\n",
                             now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void notify_stopping(std::string_view status, Duration within) {
  notify_service(
      fmt::format("STOPPING=1\nSTATUS={}\nEXTEND_TIMEOUT_USEC={}\n", one_line(status), microseconds(within)));
}

ServiceWatchdog::ServiceWatchdog() {
  auto limit = number(environment("WATCHDOG_USEC"));
  auto process = number(environment("WATCHDOG_PID"));
  if (!limit || *limit == 0 || (process && *process != static_cast<std::uint64_t>(getpid()))) return;
  constexpr std::uint64_t day_us = 86'400'000'000;
  interval_ = std::chrono::microseconds{static_cast<std::int64_t>(std::min(*limit, day_us) / 2)};
}

void ServiceWatchdog::tick(MonotonicTime now) {
  if (!interval_ || now < next_) return;
  next_ = now + *interval_;
  notify_service("WATCHDOG=1\n");
}

}  // namespace umbra::hub
