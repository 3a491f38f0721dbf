#include "hub/net/task.h"

#include <boost/asio/co_spawn.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace umbra::hub {

namespace {
VirtualTimers* virtual_timers() {
  auto* source = time_source();
  return source == nullptr ? nullptr : source->timers();
}
}  // namespace

Timer::Timer(asio::io_context& io) : io_(io) {
  if (virtual_timers() == nullptr) timer_.emplace(io);
}

Task<bool> Timer::wait_until(MonotonicTime when) {
  if (!timer_) {
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<IoExecutor>, void(bool)>(
        [this, when](auto handler) { call_at(when, std::move(handler)); }, use_task);
  }
  timer_->expires_at(when);
  if (auto* source = time_source()) source->note_deadline(when);
  ErrorCode error;
  co_await timer_->async_wait(asio::redirect_error(use_task, error));
  co_return !error;
}

void Timer::cancel() {
  if (timer_) {
    timer_->cancel();
  } else if (auto* timers = virtual_timers(); timers != nullptr && virtual_timer_ != 0) {
    timers->cancel(std::exchange(virtual_timer_, 0));
  }
}

void Timer::call_at(MonotonicTime when, std::move_only_function<void(bool)> callback) {
  if (auto* timers = virtual_timers(); timers != nullptr && !timer_) {
    cancel();
    virtual_timer_ = timers->start(when, [&io = io_, callback = std::move(callback)](bool came) mutable {
      asio::post(io, [came, callback = std::move(callback)]() mutable { callback(came); });
    });
    return;
  }
  UMBRA_ASSERT(timer_);
  timer_->expires_at(when);
  if (auto* source = time_source()) source->note_deadline(when);
  timer_->async_wait([callback = std::move(callback)](ErrorCode error) mutable { callback(!error); });
}

void TaskScope::spawn(const char* name, Task<void> task) {
  ++running_;
  asio::co_spawn(io_, std::move(task), [this, name](const std::exception_ptr& thrown) {
    if (thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "umbra: task %s ended by an exception: %s\n", name, e.what());
      } catch (...) {
        std::fprintf(stderr, "umbra: task %s ended by an unknown exception\n", name);
      }
      std::abort();
    }
    if (--running_ == 0 && joining_) idle_.set();
  });
}

Task<void> TaskScope::join() {
  joining_ = true;
  while (running_ != 0) co_await idle_.wait();
  joining_ = false;
}

}  // namespace umbra::hub
