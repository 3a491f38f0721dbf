#include "load/event_loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/result.h"

namespace umbra::load {

namespace {

class SignalHandler final : public EventHandler {
 public:
  SignalHandler(EventLoop& loop, std::function<void()> callback) : callback_(std::move(callback)) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    UMBRA_ASSERT(fd_ >= 0);
    loop.add(fd_, EPOLLIN, *this);
  }
  ~SignalHandler() override { close(fd_); }
  void ready(std::uint32_t) override {
    signalfd_siginfo info;
    while (read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) callback_();
  }

 private:
  std::function<void()> callback_;
  int fd_ = -1;
};

epoll_event make_event(std::uint32_t events, EventHandler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  return event;
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  UMBRA_ASSERT(epoll_ >= 0);
}

EventLoop::~EventLoop() {
  signals_.reset();
  close(epoll_);
}

void EventLoop::add(int fd, std::uint32_t events, EventHandler& handler) {
  auto event = make_event(events, handler);
  UMBRA_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void EventLoop::modify(int fd, std::uint32_t events, EventHandler& handler) {
  auto event = make_event(events, handler);
  UMBRA_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::remove(int fd) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerKey EventLoop::call_at(MonotonicTime when, std::move_only_function<void()> callback) {
  TimerKey key{when, next_timer_++};
  timers_.emplace(key, std::move(callback));
  return key;
}

void EventLoop::on_signal(std::function<void()> callback) {
  signals_ = std::make_unique<SignalHandler>(*this, std::move(callback));
}

void EventLoop::run() {
  std::array<epoll_event, 256> events;
  while (!stopped_) {
    int wait_ms = -1;
    if (!timers_.empty()) {
      auto span = timers_.begin()->first.first - MonotonicClock::now();
      // Rounded up, so that the loop does not spin in the last millisecond before a timer.
      auto ms = std::chrono::ceil<std::chrono::milliseconds>(span).count();
      wait_ms = static_cast<int>(std::clamp<long long>(ms, 0, 60'000));
    }
    int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms);
    UMBRA_ASSERT(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; ++i) {
      auto& event = events[static_cast<std::size_t>(i)];
      static_cast<EventHandler*>(event.data.ptr)->ready(event.events);
    }
    if (!timers_.empty()) {
      auto now = MonotonicClock::now();
      while (!timers_.empty() && timers_.begin()->first.first <= now) {
        auto callback = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        callback();
      }
    }
    graveyard_.clear();
  }
}

}  // namespace umbra::load
