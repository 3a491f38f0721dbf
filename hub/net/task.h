// The coroutine vocabulary of the hub: Task, Timer, Event, TaskScope. Everything of one hub that touches
// sockets or state runs on one thread (docs/decisions); crossing threads is posting a value.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using IoExecutor = asio::io_context::executor_type;

/// A coroutine of the hub. Parameters by value, or references whose owner provably outlives it.
template <class T>
using Task = asio::awaitable<T, IoExecutor>;
inline constexpr asio::use_awaitable_t<IoExecutor> use_task{};

/// Under virtual time a wait ends as soon as the clock says so: never sleep for real.
struct WaitTraits {
  static Duration to_wait_duration(const Duration& d) { return time_source() != nullptr ? Duration{0} : d; }
  static Duration to_wait_duration(const MonotonicTime& t) {
    return to_wait_duration(t - MonotonicClock::now());
  }
};

/// A timer on MonotonicClock. wait_*() gives true when the time came, false when cancel() was called. Setting
/// it anew or destroying it cancels the wait under way.
class Timer {
 public:
  explicit Timer(asio::io_context& io);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }
  Task<bool> wait_until(MonotonicTime when);
  Task<bool> wait_for(Duration span) { return wait_until(MonotonicClock::now() + span); }
  void cancel();

  /// For callers that are not coroutines: calls back with true (time came) or false (cancelled or set anew).
  void call_at(MonotonicTime when, std::move_only_function<void(bool)> callback);

 private:
  asio::io_context& io_;
  /// Empty where the time source keeps the timers: Asio's ones cost two system calls for every poll of the
  /// loop.
  std::optional<asio::basic_waitable_timer<MonotonicClock, WaitTraits, IoExecutor>> timer_;
  std::uint64_t virtual_timer_ = 0;
};

/// A latch for one waiting coroutine: set() lets the present or the next wait() go on, and is taken by it.
class Event {
 public:
  explicit Event(asio::io_context& io) : io_(io) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set() {
    if (waiter_) {
      auto waiter = std::exchange(waiter_, nullptr);
      waiter();
    } else {
      is_set_ = true;
    }
  }

  Task<void> wait() {
    if (std::exchange(is_set_, false)) co_return;
    UMBRA_ASSERT(!waiter_);
    co_await asio::async_initiate<const asio::use_awaitable_t<IoExecutor>, void()>(
        [this](auto handler) {
          waiter_ = [this, handler = std::move(handler)]() mutable { asio::post(io_, std::move(handler)); };
        },
        use_task);
  }

 private:
  asio::io_context& io_;
  bool is_set_ = false;
  std::move_only_function<void()> waiter_;
};

/// Owns running coroutines: spawn() starts one, join() waits until all have ended. The owner first makes them
/// end (closes their streams, cancels their timers, sets their events), then joins, then is destroyed. An
/// exception that leaves a task is a broken invariant: it is written to stderr with the task's name and
/// aborts.
class TaskScope {
 public:
  explicit TaskScope(asio::io_context& io) : io_(io), idle_(io) {}
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;
  ~TaskScope() { UMBRA_ASSERT(running_ == 0); }

  void spawn(const char* name, Task<void> task);
  Task<void> join();
  [[nodiscard]] std::size_t running() const { return running_; }

 private:
  asio::io_context& io_;
  std::size_t running_ = 0;
  bool joining_ = false;
  Event idle_;
};

}  // namespace umbra::hub
