#include "load/connection.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace umbra::load {

namespace {
constexpr std::size_t read_octets_max = 256U << 10;
// One for all connections: octets are handed on before the next read, so ten thousand idle sessions share it.
std::array<char, read_octets_max> read_buffer;
}  // namespace

Result<Address> resolve(const std::string& text) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) {
    return failure(std::errc::invalid_argument, "\"" + text + "\" is not HOST:PORT");
  }
  auto host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int rc = getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found);
  if (rc != 0)
    return failure(std::errc::address_not_available, "cannot resolve " + text + ": " + gai_strerror(rc));
  Address address;
  address.text = text;
  address.size = found->ai_addrlen;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return address;
}

void Connection::adopt(int fd) {
  fd_ = fd;
  connecting_ = false;
  events_ = EPOLLIN;
  int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  loop_.add(fd_, events_, *this);
}

bool Connection::connect(const Address& address) {
  close();
  int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool is_prepared = prepare(fd);
  if (!is_prepared ||
      (::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 &&
       errno != EINPROGRESS)) {
    ::close(fd);
    return false;
  }
  adopt(fd);
  connecting_ = true;
  update_events();
  return true;
}

void Connection::close() {
  if (fd_ >= 0) {
    loop_.remove(fd_);
    ::close(fd_);
    fd_ = -1;
  }
  connecting_ = false;
  paused_ = false;
  out_.clear();
  out_sent_ = 0;
}

void Connection::lost(int error) {
  close();
  on_closed(error);
}

void Connection::send(std::string_view octets) {
  if (fd_ < 0) return;
  if (out_.empty() && !connecting_) {
    auto sent = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
    // Errors are left to the next read, which reports them in one place.
    if (sent > 0) octets.remove_prefix(static_cast<std::size_t>(sent));
  }
  if (octets.empty()) return;
  out_.append(octets);
  update_events();
}

void Connection::flush() {
  if (out_.empty()) return;
  auto sent = ::send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL);
  if (sent > 0) out_sent_ += static_cast<std::size_t>(sent);
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  }
  update_events();
}

void Connection::pause(bool paused) {
  paused_ = paused;
  update_events();
}

void Connection::update_events() {
  if (fd_ < 0) return;
  std::uint32_t wanted =
      (paused_ || connecting_ ? 0U : EPOLLIN) | (connecting_ || !out_.empty() ? EPOLLOUT : 0U);
  if (wanted != events_) {
    events_ = wanted;
    loop_.modify(fd_, events_, *this);
  }
}

void Connection::ready(std::uint32_t events) {
  if (fd_ < 0) return;
  if (connecting_) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost(error);
    if ((events & EPOLLOUT) == 0) return;
    connecting_ = false;
    update_events();
    on_connected();
    return;
  }
  if ((events & EPOLLOUT) != 0) flush();
  if (fd_ < 0 || (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
  if (paused_) {
    // Both directions are gone, or reset: whoever waits for the end of the pause need not.
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) lost(ECONNRESET);
    return;
  }
  auto got = recv(fd_, read_buffer.data(), read_buffer.size(), 0);
  if (got > 0) {
    on_received({read_buffer.data(), static_cast<std::size_t>(got)});
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    lost(got == 0 ? 0 : errno);
  }
}

}  // namespace umbra::load
