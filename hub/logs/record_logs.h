// The record logs of a hub and the thread that writes them all. Made by run_hub(), once for the process;
// without a folder (tests, simulations) there is no thread, and nobody keeps anything. Trouble with the files
// is told in the event log, and costs mail nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "hub/logs/background_writer.h"
#include "hub/logs/event_log.h"
#include "hub/logs/record_files.h"
#include "hub/logs/record_log.h"

namespace umbra::hub {

class RecordLogs final : private LineSink {
 public:
  struct Options {
    std::size_t buffer_octets_max = 8U << 20;  ///< of each kind
    Duration flush_after = 50ms;
    Duration retry_after = 1s;
    Duration tidy_after = 1min;  ///< files are looked through so often, and when one is begun
  };

  /// `log` outlives it, and is told on the thread of these logs.
  RecordLogs(const RecordLogsConfig& config, EventLog& log, Options options);
  RecordLogs(const RecordLogsConfig& config, EventLog& log) : RecordLogs(config, log, Options{}) {}
  ~RecordLogs() override;

  RecordLog& receive() { return kind(0); }
  RecordLog& send() { return kind(1); }
  RecordLog& connectivity() { return kind(2); }
  RecordLog& tracking() { return kind(3); }

  /// What is enabled, the limits, and whether subjects are kept. The folder and the format stay.
  void configuration_changed(const RecordLogsConfig& config);
  [[nodiscard]] bool keeps_subjects() const { return keeps_subjects_.load(std::memory_order_relaxed); }
  /// Returns when every record is written, or is lost; later ones are dropped.
  void stop();

  struct State {
    std::string name;
    BackgroundWriter::State buffer;
    std::string trouble;  ///< why nothing can be written; empty: it can
  };
  /// Of each kind.
  [[nodiscard]] std::vector<State> state() const;

 private:
  class Kind;
  [[nodiscard]] RecordLog& kind(std::size_t number);

  // LineSink
  Result<void> write(std::size_t number, std::string_view& records) override;
  void round_ended() override;

  void tell_trouble(Kind& kind, const Error& error);
  void tell_missing(std::size_t number, Duration again_after);
  void tidy(Kind& kind);
  [[nodiscard]] RecordLogConfig limits_of(std::size_t number) const;

  EventLog& log_;
  const Options options_;
  mutable std::mutex mutex_;  ///< of the limits and troubles
  std::atomic<bool> keeps_subjects_;
  std::array<std::unique_ptr<Kind>, std::size(record_kinds)> kinds_;
  BackgroundWriter writer_;
};

}  // namespace umbra::hub
