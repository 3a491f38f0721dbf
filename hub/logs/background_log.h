// The event log of a running hub: JSON lines to a rotating file or standard error, written by a thread of its
// own so that a slow disk does not stop the I/O thread. Lines reach the file within 50 ms and at stop(). Any
// thread may log, and never waits.
//
// The buffer is bounded. When it is full lines are dropped and counted (debug lines when it is half full, so
// that the events of messages have the rest), and the log itself says how many are missing as soon as it can
// be written again. What a full disk does not take waits in the buffer, too.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "hub/config/config.h"
#include "hub/logs/background_writer.h"
#include "hub/logs/event_log.h"
#include "hub/logs/log_line.h"
#include "hub/logs/rotating_file.h"

namespace umbra::hub {

class BackgroundLog final : public EventLog, private LineSink {
 public:
  struct Options {
    LogLevel level = LogLevel::info;
    std::size_t buffer_octets_max = 16U << 20;
    Duration flush_after = 25ms;
    Duration retry_after = 1s;
  };

  BackgroundLog(RotatingFile file, std::string_view hub, Options options);
  ~BackgroundLog() override { stop(); }

  void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) override;
  void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override;

  void set_level(LogLevel level) override { level_.store(level, std::memory_order_relaxed); }
  /// Returns when everything logged so far is written. Called at the end; later lines are written by nobody.
  void stop() { writer_.stop(); }
  [[nodiscard]] std::uint64_t lines_dropped() const override { return writer_.state(0).lines_dropped; }
  [[nodiscard]] std::uint64_t octets_lost() const override { return writer_.state(0).octets_lost; }

 private:
  // LineSink
  Result<void> write(std::size_t channel, std::string_view& lines) override;
  void round_ended() override;
  bool write_note();

  std::atomic<LogLevel> level_;
  LogLineWriter lines_;  ///< under the lock of the writer
  RotatingFile file_;    ///< the thread's, like all below
  LogLineWriter own_lines_;
  std::string note_;  ///< how many are missing, as far as it is not written yet
  std::uint64_t told_dropped_ = 0;
  /// Standard error may take half of a line; nothing else comes between the halves.
  bool is_line_torn_ = false;
  bool is_note_torn_ = false;
  BackgroundWriter writer_;
};

/// From the configuration; the error names the file.
Result<std::unique_ptr<BackgroundLog>> open_log(const LogConfig& config, std::string_view hub);

}  // namespace umbra::hub
