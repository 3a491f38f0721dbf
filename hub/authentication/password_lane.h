// Where passwords are checked: hashes are slow by design, so they are computed on a thread of their own and
// never hold up mail. At most `waiting_max` checks wait, and none that would wait longer than `wait_max` as
// things go: such a one is told that nobody has time. Owned by the hub, used on the home thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "hub/net/task.h"
#include "storage/spool.h"

namespace umbra::hub {

class PasswordLane {
 public:
  static constexpr std::size_t waiting_max = 64;
  static constexpr Duration wait_max = std::chrono::seconds(10);

  /// `lane` runs jobs one after the other; it must outlive every run().
  PasswordLane(asio::io_context& io, storage::Executor& lane) : io_(io), lane_(lane) {}

  /// What `job` returns, computed on the lane. Nothing: too many wait already.
  template <class T>
  Task<std::optional<T>> run(std::move_only_function<T()> job) {
    if (waiting_ >= waiting_max || last_span_ * static_cast<int>(waiting_) > wait_max) co_return std::nullopt;
    ++waiting_;
    auto answer = std::make_shared<Answer<T>>(io_);
    lane_.post([&io = io_, answer, job = std::move(job)]() mutable {
      const auto began = MonotonicClock::now();
      auto value = job();
      const auto span = MonotonicClock::now() - began;
      asio::post(io, [answer = std::move(answer), value = std::move(value), span]() mutable {
        answer->value.emplace(std::move(value));
        answer->span = span;
        answer->came.set();
      });
    });
    co_await answer->came.wait();
    --waiting_;
    last_span_ = answer->span;
    co_return std::move(answer->value);
  }
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  template <class T>
  struct Answer {
    explicit Answer(asio::io_context& io) : came(io) {}
    Event came;
    std::optional<T> value;
    Duration span{};
  };
  asio::io_context& io_;
  storage::Executor& lane_;
  std::size_t waiting_ = 0;
  Duration last_span_{};
};

}  // namespace umbra::hub
