// The event log of a simulated hub: lines are kept in order, for checks and for comparing two runs. One
// thread.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hub/logs/event_log.h"
#include "hub/logs/log_line.h"

namespace umbra::hub {

class MemoryLog final : public EventLog {
 public:
  explicit MemoryLog(std::string_view hub) : lines_(hub) {}

  void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) override {
    if (on_message) on_message(event, id, fields);
    if (is_silent) return;
    std::string text;
    lines_.message(text, WallClock::now(), event, id, fields);
    keep(std::move(text));
  }
  void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override {
    if (is_silent || level < least) return;
    std::string out;
    lines_.line(out, WallClock::now(), level, text, fields);
    keep(std::move(out));
  }

  void set_level(LogLevel level) override { least = level; }

  /// With the line ends.
  [[nodiscard]] const std::vector<std::string>& lines() const { return kept_; }
  void clear() { kept_.clear(); }

  bool is_silent = false;            ///< formats and keeps nothing; on_message is still called
  LogLevel least = LogLevel::debug;  ///< of line(); events of messages are always kept
  std::function<void(MessageEvent, MessageId, std::initializer_list<LogField>)> on_message;

 private:
  void keep(std::string text) { kept_.push_back(std::move(text)); }

  LogLineWriter lines_;
  std::vector<std::string> kept_;
};

}  // namespace umbra::hub
