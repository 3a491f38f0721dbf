#include "hub/logs/background_log.h"

#include <pthread.h>

#include <csignal>

namespace umbra::hub {

Result<std::unique_ptr<BackgroundLog>> open_log(const LogConfig& config, std::string_view hub) {
  auto file = RotatingFile::open(config.file, config.file_octets_max, config.files_max);
  if (!file) return std::unexpected(file.error());
  BackgroundLog::Options options;
  options.level = log_level_of(config.level);
  return std::make_unique<BackgroundLog>(std::move(*file), hub, options);
}

BackgroundLog::BackgroundLog(RotatingFile file, std::string_view hub, Options options)
    : options_(options), level_(options.level), file_(std::move(file)), lines_(hub) {
  buffer_.reserve(64U << 10);
  // Signals are for the main thread: a new thread takes over the mask of its maker.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

BackgroundLog::~BackgroundLog() {
  stop();
}

void BackgroundLog::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  has_lines_.notify_one();
  has_room_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundLog::make_room(std::unique_lock<std::mutex>& lock) {
  has_room_.wait(lock, [this] { return buffer_.size() < options_.buffer_octets_max || stopping_; });
}

void BackgroundLog::added(bool was_empty) {
  // One wake-up per batch, not per line; a second one when the batch is large enough to be written early.
  if (was_empty || buffer_.size() >= options_.buffer_octets_max / 4) has_lines_.notify_one();
}

void BackgroundLog::message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) {
  std::unique_lock lock(mutex_);
  make_room(lock);
  if (stopping_) return;
  bool was_empty = buffer_.empty();
  lines_.message(buffer_, WallClock::now(), event, id, fields);
  added(was_empty);
}

void BackgroundLog::line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) {
  if (level < level_.load(std::memory_order_relaxed)) return;
  std::unique_lock lock(mutex_);
  if (level == LogLevel::debug && buffer_.size() >= options_.buffer_octets_max) {
    lines_dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  make_room(lock);
  if (stopping_) return;
  bool was_empty = buffer_.empty();
  lines_.line(buffer_, WallClock::now(), level, text, fields);
  added(was_empty);
}

void BackgroundLog::run() {
  std::string batch;
  std::unique_lock lock(mutex_);
  while (true) {
    has_lines_.wait(lock, [this] { return !buffer_.empty() || stopping_; });
    if (buffer_.empty()) return;
    has_lines_.wait_for(lock, options_.flush_after,
                        [this] { return stopping_ || buffer_.size() >= options_.buffer_octets_max / 4; });
    std::swap(batch, buffer_);
    lock.unlock();
    has_room_.notify_all();
    write(batch);
    batch.clear();
    lock.lock();
  }
}

void BackgroundLog::write(std::string& batch) {
  auto dropped = lines_dropped();
  auto lost = octets_lost();
  if (dropped != told_dropped_ || lost != told_lost_) {
    std::lock_guard lock(mutex_);
    lines_.line(batch, WallClock::now(), LogLevel::warning, "the log could not keep up",
                {{"lines_dropped", static_cast<std::int64_t>(dropped - told_dropped_)},
                 {"octets_lost", static_cast<std::int64_t>(lost - told_lost_)}});
  }
  if (file_.write(batch)) {
    told_dropped_ = dropped;
    told_lost_ = lost;
  } else {
    octets_lost_.fetch_add(batch.size(), std::memory_order_relaxed);
  }
}

}  // namespace umbra::hub
