// The event log of a running hub: JSON lines to a rotating file or standard error, written by a thread of its
// own so that a slow disk does not stop the I/O thread. Lines reach the file within 50 ms and at stop(). Any
// thread may log.
//
// The buffer is bounded. When it is full, debug lines are dropped and counted; everything else waits for
// room, the events of messages above all: the trace has no holes. Octets that cannot be written at all (disk
// full) are lost, counted, and said in the log as soon as it can be written again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/logs/log_line.h"
#include "hub/logs/rotating_file.h"

namespace umbra::hub {

class BackgroundLog final : public EventLog {
 public:
  struct Options {
    LogLevel level = LogLevel::info;
    std::size_t buffer_octets_max = 4U << 20;
    Duration flush_after = 25ms;
  };

  BackgroundLog(RotatingFile file, std::string_view hub, Options options);
  ~BackgroundLog() override;

  void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) override;
  void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override;

  void set_level(LogLevel level) override { level_.store(level, std::memory_order_relaxed); }
  /// Returns when everything logged so far is written. Called at the end; later lines are written by nobody.
  void stop();
  [[nodiscard]] std::uint64_t lines_dropped() const override {
    return lines_dropped_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t octets_lost() const override {
    return octets_lost_.load(std::memory_order_relaxed);
  }

 private:
  void run();
  void write(std::string& batch);
  /// Waits for room; the lock is held before and after.
  void make_room(std::unique_lock<std::mutex>& lock);
  void added(bool was_empty);

  const Options options_;
  std::atomic<LogLevel> level_;
  RotatingFile file_;  ///< the thread's
  std::mutex mutex_;
  std::condition_variable has_lines_;
  std::condition_variable has_room_;
  LogLineWriter lines_;
  std::string buffer_;
  bool stopping_ = false;
  std::atomic<std::uint64_t> lines_dropped_{0};
  std::atomic<std::uint64_t> octets_lost_{0};
  std::uint64_t told_dropped_ = 0;
  std::uint64_t told_lost_ = 0;
  std::thread thread_;
};

/// From the configuration; the error names the file.
Result<std::unique_ptr<BackgroundLog>> open_log(const LogConfig& config, std::string_view hub);

}  // namespace umbra::hub
