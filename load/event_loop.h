// The event loop of umbra-load: epoll, timers and signals on one thread, with plain callbacks. The load
// generator must cost as little as it can beside what it measures, so it does not use the hub's coroutines.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace umbra::load {

/// Whoever waits for a descriptor. `events` are EPOLL* bits. May be called once more after remove() within
/// the same batch of events, so descriptors are non-blocking and a call with nothing to do must be harmless.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  virtual void ready(std::uint32_t events) = 0;
};

class EventLoop {
 public:
  using TimerKey = std::pair<MonotonicTime, std::uint64_t>;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void add(int fd, std::uint32_t events, EventHandler& handler);
  void modify(int fd, std::uint32_t events, EventHandler& handler);
  void remove(int fd);

  /// Calls back once at or soon after `when` (the loop's resolution is 1 ms).
  TimerKey call_at(MonotonicTime when, std::move_only_function<void()> callback);
  void cancel(const TimerKey& key) { timers_.erase(key); }

  /// Destroys the handler when the present batch of events is done.
  void bury(std::unique_ptr<EventHandler> handler) { graveyard_.push_back(std::move(handler)); }

  /// SIGINT and SIGTERM call this instead of ending the process.
  void on_signal(std::function<void()> callback);

  void run();
  void stop() { stopped_ = true; }

 private:
  int epoll_;
  bool stopped_ = false;
  std::uint64_t next_timer_ = 0;
  std::map<TimerKey, std::move_only_function<void()>> timers_;
  std::vector<std::unique_ptr<EventHandler>> graveyard_;
  std::unique_ptr<EventHandler> signals_;
};

}  // namespace umbra::load
