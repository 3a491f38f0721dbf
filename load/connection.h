// One non-blocking TCP connection of umbra-load: sends what fits, keeps the rest, hands received octets to
// its owner. Used by the source's and the sink's sessions; lives as long as its owner and may be connected
// again after close().
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "load/event_loop.h"

namespace umbra::load {

/// A resolved address, and the text it was given as.
struct Address {
  std::string text;
  sockaddr_storage storage{};
  socklen_t size = 0;
};
/// "HOST:PORT" or "[IPv6]:PORT"; host names are resolved (blocks).
Result<Address> resolve(const std::string& text);

class Connection : public EventHandler {
 public:
  explicit Connection(EventLoop& loop) : loop_(loop) {}
  ~Connection() override { close(); }

  /// Takes a connected socket (the sink's accept).
  void adopt(int fd);
  /// Starts connecting; on_connected() or on_closed() follows, or false at once.
  bool connect(const Address& address);
  void close();
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  /// Sends now what the kernel takes and the rest later.
  void send(std::string_view octets);
  /// Octets given to send() that the kernel has not taken yet.
  [[nodiscard]] std::size_t unsent() const { return out_.size() - out_sent_; }
  /// Stops or resumes reading.
  void pause(bool paused);

  void ready(std::uint32_t events) final;

 protected:
  /// Before a socket connects: its options, and where it comes from. False: it cannot.
  virtual bool prepare(int /*fd*/) { return true; }
  virtual void on_connected() {}
  virtual void on_received(std::string_view octets) = 0;
  /// The connection was lost; it is closed already. errno-style code, 0: closed by the peer.
  virtual void on_closed(int error) = 0;

  EventLoop& loop_;

 private:
  void flush();
  void update_events();
  void lost(int error);

  int fd_ = -1;
  bool connecting_ = false;
  bool paused_ = false;
  std::uint32_t events_ = 0;
  std::string out_;
  std::size_t out_sent_ = 0;
};

}  // namespace umbra::load
