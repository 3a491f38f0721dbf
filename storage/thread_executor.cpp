#include "storage/thread_executor.h"

#include <pthread.h>

namespace umbra::storage {

ThreadExecutor::ThreadExecutor(const char* name) : thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), name);
}

void ThreadExecutor::post(std::move_only_function<void()> job) {
  bool was_empty = false;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    was_empty = jobs_.empty();
    jobs_.push_back(std::move(job));
  }
  if (was_empty) wake_.notify_one();
}

void ThreadExecutor::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ThreadExecutor::run() {
  std::vector<std::move_only_function<void()>> running;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) {
        ended_ = true;
        return;
      }
      running.swap(jobs_);
    }
    for (auto& job : running) {
      job();
      job = nullptr;  // what it owns goes here and now, not with the batch
    }
    running.clear();
  }
}

}  // namespace umbra::storage
