// Two ends of one connection in memory, for code that speaks with code: what one writes the other reads, in
// pieces as small as the test wants, with no more under way than the test allows. One thread.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "hub/net/stream.h"

namespace umbra::testing {

/// One direction.
struct Pipe {
  explicit Pipe(hub::asio::io_context& io) : readable(io), writable(io) {}
  std::string octets;
  std::size_t piece = SIZE_MAX;     ///< most that one read gives
  std::size_t capacity = SIZE_MAX;  ///< a writer waits while there is so much
  bool is_ended = false;
  hub::Event readable;
  hub::Event writable;
  void end() {
    is_ended = true;
    readable.set();
    writable.set();
  }
};

class PairedStream final : public hub::Stream {
 public:
  PairedStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out)
      : in_(std::move(in)), out_(std::move(out)) {}
  ~PairedStream() override { close(); }
  hub::Task<hub::IoResult> read_some(hub::asio::mutable_buffer buffer) override {
    while (in_->octets.empty() && !in_->is_ended) co_await in_->readable.wait();
    if (in_->octets.empty()) co_return hub::IoResult{hub::asio::error::eof, 0};
    auto count = std::min({buffer.size(), in_->octets.size(), in_->piece});
    std::copy_n(in_->octets.data(), count, static_cast<char*>(buffer.data()));
    in_->octets.erase(0, count);
    in_->writable.set();
    co_return hub::IoResult{{}, count};
  }
  hub::Task<hub::ErrorCode> write(std::string_view octets) override {
    while (!octets.empty()) {
      while (out_->octets.size() >= out_->capacity && !out_->is_ended) co_await out_->writable.wait();
      if (out_->is_ended) co_return hub::asio::error::broken_pipe;
      auto count = std::min(octets.size(), out_->capacity - out_->octets.size());
      out_->octets += octets.substr(0, count);
      octets.remove_prefix(count);
      out_->readable.set();
    }
    co_return hub::ErrorCode{};
  }
  void close() noexcept override {
    in_->end();
    out_->end();
  }
  [[nodiscard]] const hub::Endpoint& remote() const override { return remote_; }

 private:
  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  hub::Endpoint remote_{"192.0.2.1", 25};
};

struct StreamPair {
  explicit StreamPair(hub::asio::io_context& io)
      : to_server(std::make_shared<Pipe>(io)),
        to_client(std::make_shared<Pipe>(io)),
        client(std::make_unique<PairedStream>(to_client, to_server)),
        server(std::make_unique<PairedStream>(to_server, to_client)) {}
  std::shared_ptr<Pipe> to_server;
  std::shared_ptr<Pipe> to_client;
  std::unique_ptr<hub::Stream> client;
  std::unique_ptr<hub::Stream> server;
};

}  // namespace umbra::testing
