#include "tests/simulation/stream.h"

#include <boost/asio/error.hpp>

namespace umbra::simulation {

SimStream::SimStream(ProcessNetwork& process, std::shared_ptr<Connection> connection, int side)
    : process_(process),
      connection_(std::move(connection)),
      side_(side),
      readable_(process.host().io()),
      writable_(process.host().io()) {
  mine().stream = this;
}

SimStream::~SimStream() {
  UMBRA_ASSERT(!is_reading_ && !is_writing_);
  close();
  mine().stream = nullptr;
}

void SimStream::wake() {
  readable_.set();
  writable_.set();
  process_.host().wake();
}

ErrorCode SimStream::failure_of_mine() {
  if (mine().is_closed) return asio::error::operation_aborted;
  if (process_.is_cut()) return asio::error::connection_aborted;
  return mine().error;
}

hub::Task<hub::IoResult> SimStream::read_some(asio::mutable_buffer buffer) {
  UMBRA_ASSERT(!is_reading_ && buffer.size() > 0);
  auto& random = process_.fabric_.random_;
  is_reading_ = true;
  hub::IoResult result;
  for (;;) {
    auto& side = mine();
    auto there = side.received.size() - side.received_taken;
    if (side.is_closed || process_.is_cut()) {
      result.error = failure_of_mine();
      break;
    }
    if (there > 0) {  // what came before a reset can still be read
      result.octets = std::min(there, buffer.size());
      if (random.chance(60)) result.octets = 1 + random.below(result.octets);
      std::copy_n(side.received.data() + side.received_taken, result.octets,
                  static_cast<char*>(buffer.data()));
      side.received_taken += result.octets;
      if (side.received_taken == side.received.size()) {
        side.received.clear();
        side.received_taken = 0;
      }
      process_.fabric_.acknowledge(connection_, side_, result.octets);
      break;
    }
    if (side.error) {
      result.error = side.error;
      break;
    }
    if (side.at_end) {
      result.error = asio::error::eof;
      break;
    }
    co_await readable_.wait();
  }
  is_reading_ = false;
  co_return result;
}

hub::Task<ErrorCode> SimStream::write(std::string_view octets) {
  UMBRA_ASSERT(!is_writing_);
  auto& random = process_.fabric_.random_;
  is_writing_ = true;
  ErrorCode error;
  while (!octets.empty()) {
    error = failure_of_mine();
    if (error) break;
    auto& side = mine();
    auto room = connection_->window - std::min(connection_->window, side.unacknowledged);
    if (room == 0) {
      co_await writable_.wait();
      continue;
    }
    auto count = std::min(room, octets.size());
    if (random.chance(100)) count = 1 + random.below(count);
    process_.fabric_.send(connection_, side_, Side::Packet::Kind::data, std::string(octets.substr(0, count)));
    octets.remove_prefix(count);
  }
  is_writing_ = false;
  co_return error;
}

std::optional<Duration> SimStream::left_behind_at() const {
  if (!connection_->sides[1 - side_].is_closed) return std::nullopt;
  return connection_->sides[side_].newest_sent;
}

hub::Task<ErrorCode> SimStream::writable() {
  UMBRA_ASSERT(!is_writing_);
  is_writing_ = true;
  ErrorCode error = failure_of_mine();
  while (!error && mine().unacknowledged >= connection_->window) {
    co_await writable_.wait();
    error = failure_of_mine();
  }
  is_writing_ = false;
  co_return error;
}

void SimStream::close() noexcept {
  if (mine().is_closed) return;
  process_.fabric_.close_side(connection_, side_);
  wake();
}

SimAcceptor::SimAcceptor(ProcessNetwork& process, Endpoint local)
    : process_(process), local_(std::move(local)), came_(process.host().io()) {
  process_.acceptors_.push_back(this);
}

SimAcceptor::~SimAcceptor() {
  close();
  std::erase(process_.acceptors_, this);
}

hub::Task<Result<std::unique_ptr<hub::Stream>>> SimAcceptor::accept() {
  while (is_open_ && waiting_.empty()) co_await came_.wait();
  if (!is_open_) co_return failure(asio::error::make_error_code(asio::error::operation_aborted), "accept");
  std::unique_ptr<hub::Stream> stream = std::move(waiting_.front());
  waiting_.pop_front();
  co_return stream;
}

void SimAcceptor::arrived(std::unique_ptr<SimStream> stream) {
  waiting_.push_back(std::move(stream));
  came_.set();
  process_.host().wake();
}

void SimAcceptor::close() noexcept {
  if (!is_open_) return;
  is_open_ = false;
  waiting_.clear();
  process_.fabric_.machines_[local_.host].listeners.erase(local_.port);
  came_.set();
  process_.host().wake();
}

}  // namespace umbra::simulation
