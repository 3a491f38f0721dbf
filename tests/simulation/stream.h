// The streams and acceptors of the simulated network; made by network.cpp only.
#pragma once

#include <optional>

#include "tests/simulation/network.h"

namespace umbra::simulation {

class SimStream final : public hub::Stream {
 public:
  SimStream(ProcessNetwork& process, std::shared_ptr<Connection> connection, int side);
  ~SimStream() override;
  hub::Task<hub::IoResult> read_some(asio::mutable_buffer buffer) override;
  hub::Task<ErrorCode> write(std::string_view octets) override;
  hub::Task<ErrorCode> writable() override;
  void close() noexcept override;
  [[nodiscard]] const Endpoint& remote() const override { return connection_->sides[1 - side_].address; }

  /// When the other side wrote the newest octets that have come, where it has closed since: they waited for a
  /// long time, and their writer may be dead.
  [[nodiscard]] std::optional<Duration> left_behind_at() const;
  /// Something changed: waiting operations look again.
  void wake();

 private:
  [[nodiscard]] Side& mine() { return connection_->sides[side_]; }
  [[nodiscard]] ErrorCode failure_of_mine();

  ProcessNetwork& process_;
  std::shared_ptr<Connection> connection_;
  int side_;
  bool is_reading_ = false;
  bool is_writing_ = false;
  hub::Event readable_;
  hub::Event writable_;
};

class SimAcceptor final : public hub::Acceptor {
 public:
  SimAcceptor(ProcessNetwork& process, Endpoint local);
  ~SimAcceptor() override;
  hub::Task<Result<std::unique_ptr<hub::Stream>>> accept() override;
  void close() noexcept override;
  [[nodiscard]] const Endpoint& local() const override { return local_; }

  void arrived(std::unique_ptr<SimStream> stream);
  [[nodiscard]] bool is_full() const { return waiting_.size() >= 128; }
  [[nodiscard]] ProcessNetwork& process() { return process_; }
  [[nodiscard]] bool is_open() const { return is_open_; }

 private:
  ProcessNetwork& process_;
  Endpoint local_;
  bool is_open_ = true;
  std::deque<std::unique_ptr<SimStream>> waiting_;
  hub::Event came_;
};

}  // namespace umbra::simulation
