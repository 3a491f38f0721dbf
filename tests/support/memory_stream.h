// Streams, a network that listens, and virtual time inside one test, without sockets: the test plays the peer
// with plain functions (send, received, leave), the code under test sees Stream, Acceptor and Network. One
// thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "hub/net/stream.h"

namespace umbra::testing {

/// One connection as the test's side of it sees it.
class MemoryPeer {
 public:
  MemoryPeer(hub::asio::io_context& io, hub::Endpoint from)
      : address(std::move(from)), readable(io), writable(io) {}

  void send(std::string_view octets) {
    to_stream += octets;
    readable.set();
  }
  /// What the other side wrote since the last time.
  std::string received() {
    writable.set();
    return std::exchange(from_stream, {});
  }
  /// Closes: the other side reads what was sent, then the end.
  void leave() {
    has_left = true;
    readable.set();
    writable.set();
  }

  hub::Endpoint address;
  std::string to_stream;
  std::string from_stream;
  std::size_t capacity = SIZE_MAX;  ///< the other side's writes wait while so much is not yet received
  int writes = 0;
  bool has_left = false;
  bool is_closed = false;  ///< by the other side
  hub::Event readable;
  hub::Event writable;
};

class MemoryStream final : public hub::Stream {
 public:
  explicit MemoryStream(std::shared_ptr<MemoryPeer> peer) : peer_(std::move(peer)) {}
  ~MemoryStream() override { close(); }

  hub::Task<hub::IoResult> read_some(hub::asio::mutable_buffer buffer) override {
    while (peer_->to_stream.empty() && !peer_->has_left && !peer_->is_closed) co_await peer_->readable.wait();
    if (peer_->is_closed) co_return hub::IoResult{hub::asio::error::operation_aborted, 0};
    if (peer_->to_stream.empty()) co_return hub::IoResult{hub::asio::error::eof, 0};
    const auto octets = std::min(buffer.size(), peer_->to_stream.size());
    std::copy_n(peer_->to_stream.data(), octets, static_cast<char*>(buffer.data()));
    peer_->to_stream.erase(0, octets);
    co_return hub::IoResult{{}, octets};
  }

  hub::Task<hub::ErrorCode> write(std::string_view octets) override {
    while (peer_->from_stream.size() >= peer_->capacity && !peer_->has_left && !peer_->is_closed)
      co_await peer_->writable.wait();
    if (peer_->is_closed) co_return hub::asio::error::operation_aborted;
    if (peer_->has_left) co_return hub::asio::error::broken_pipe;
    peer_->from_stream += octets;
    ++peer_->writes;
    co_return hub::ErrorCode{};
  }

  void close() noexcept override {
    peer_->is_closed = true;
    peer_->readable.set();
    peer_->writable.set();
  }

  [[nodiscard]] const hub::Endpoint& remote() const override { return peer_->address; }

 private:
  std::shared_ptr<MemoryPeer> peer_;
};

/// A network whose only listener is reached by connect_from(). Connecting out fails.
class MemoryNetwork final : public hub::Network {
 public:
  explicit MemoryNetwork(hub::asio::io_context& io) : io_(io), came_(io) {}

  std::shared_ptr<MemoryPeer> connect_from(std::string host) {
    auto peer = std::make_shared<MemoryPeer>(io_, hub::Endpoint{std::move(host), 40000});
    waiting_.push_back(peer);
    came_.set();
    return peer;
  }
  /// So many accepts fail, as with EMFILE.
  void fail_accepts(int count) {
    failures_ = count;
    came_.set();
  }
  [[nodiscard]] bool is_listening() const { return is_listening_; }

  hub::Task<Result<std::unique_ptr<hub::Stream>>> connect(hub::Endpoint to, MonotonicTime,
                                                          std::string) override {
    co_return failure(std::errc::connection_refused, "connect to " + hub::to_string(to));
  }
  Result<std::unique_ptr<hub::Acceptor>> listen(const hub::Endpoint& at) override {
    is_listening_ = true;
    return std::make_unique<Waiting>(*this, at);
  }

 private:
  class Waiting final : public hub::Acceptor {
   public:
    Waiting(MemoryNetwork& network, hub::Endpoint local) : network_(network), local_(std::move(local)) {}
    hub::Task<Result<std::unique_ptr<hub::Stream>>> accept() override {
      auto& n = network_;
      while (n.waiting_.empty() && n.failures_ == 0 && n.is_listening_) co_await n.came_.wait();
      if (!n.is_listening_) co_return failure(std::errc::operation_canceled, "accept");
      if (n.failures_ > 0) {
        --n.failures_;
        co_return failure(std::errc::too_many_files_open, "accept");
      }
      auto peer = std::move(n.waiting_.front());
      n.waiting_.pop_front();
      co_return std::make_unique<MemoryStream>(std::move(peer));
    }
    void close() noexcept override {
      network_.is_listening_ = false;
      network_.came_.set();
    }
    [[nodiscard]] const hub::Endpoint& local() const override { return local_; }

   private:
    MemoryNetwork& network_;
    hub::Endpoint local_;
  };

  hub::asio::io_context& io_;
  hub::Event came_;
  std::deque<std::shared_ptr<MemoryPeer>> waiting_;
  int failures_ = 0;
  bool is_listening_ = false;
};

/// Virtual time for the thread while it lives. It starts at 2024-01-02 03:04:05 UTC.
class VirtualTime final : public TimeSource {
 public:
  VirtualTime() { set_time_source(this); }
  VirtualTime(const VirtualTime&) = delete;
  VirtualTime& operator=(const VirtualTime&) = delete;
  ~VirtualTime() override { set_time_source(nullptr); }

  MonotonicTime monotonic() noexcept override { return now_; }
  WallTime wall() noexcept override {
    return WallTime{std::chrono::seconds{1704164645}} +
           std::chrono::duration_cast<WallClock::duration>(now_.time_since_epoch());
  }
  void note_deadline(MonotonicTime when) noexcept override { deadlines_.insert(when); }

  /// Does everything that can be done now.
  void settle(hub::asio::io_context& io) {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  /// Lets so much time pass, waking whoever waits for a moment in between.
  void pass(hub::asio::io_context& io, Duration span) {
    const auto end = now_ + span;
    settle(io);
    while (!deadlines_.empty() && *deadlines_.begin() <= end) {
      now_ = std::max(now_, *deadlines_.begin());
      deadlines_.erase(deadlines_.begin());
      settle(io);
    }
    now_ = end;
    settle(io);
  }

 private:
  MonotonicTime now_{};
  std::multiset<MonotonicTime> deadlines_;
};

}  // namespace umbra::testing
