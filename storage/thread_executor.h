// A lane of the spool in production: one thread that runs jobs in the order in which they were posted.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/spool.h"

namespace umbra::storage {

class ThreadExecutor final : public Executor {
 public:
  /// `name`: what the thread is called in ps and gdb, at most 15 octets.
  explicit ThreadExecutor(const char* name);
  ~ThreadExecutor() override { stop(); }
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  /// From any thread, the lane itself included. After stop() a job is destroyed without being run.
  void post(std::move_only_function<void()> job) override;
  /// Runs what was posted, and what those jobs post themselves, then ends the thread. Blocks; not from the
  /// lane. Idempotent.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::move_only_function<void()>> jobs_;
  bool stopping_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace umbra::storage
