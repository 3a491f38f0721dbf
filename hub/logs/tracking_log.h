// The message tracking log: a record for every event of a message (docs/logs.md has the table). It is an
// event log that passes everything on to another one, so that whatever is told of a message is told once. Any
// thread.
#pragma once

#include <atomic>
#include <string>

#include "hub/logs/event_log.h"
#include "hub/logs/record_format.h"
#include "hub/logs/record_log.h"

namespace umbra::hub {

class RecordLogs;

class TrackingLog final : public EventLog {
 public:
  /// `inner` and `logs` outlive it.
  TrackingLog(EventLog& inner, RecordLogs& logs, std::string host_name);

  void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) override;
  void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) override {
    inner_.line(level, text, fields);
  }
  void set_level(LogLevel level) override { inner_.set_level(level); }
  [[nodiscard]] bool keeps_tracking() const override { return records_.is_enabled(); }
  [[nodiscard]] bool keeps_subjects() const override;
  [[nodiscard]] std::uint64_t lines_dropped() const override { return inner_.lines_dropped(); }
  [[nodiscard]] std::uint64_t octets_lost() const override { return inner_.octets_lost(); }

 private:
  EventLog& inner_;
  const RecordLogs& logs_;
  RecordLog& records_;
  const std::string host_name_;
  const std::string run_;  ///< of this process, in front of the numbers of its records
  std::atomic<std::uint64_t> next_{0};
};

/// Addresses for a field "to": "a@example.com;b@example.com", as many as a value of a record has room for;
/// then "..." ends it.
template <class Recipients>
std::string addresses_for_tracking(const Recipients& recipients) {
  std::string text;
  for (const auto& recipient : recipients) {
    if (!text.empty()) text += ';';
    if (text.size() + recipient.address.size() + 4 > record_value_octets_max) {
      text += "...";
      break;
    }
    text += recipient.address;
  }
  return text;
}

}  // namespace umbra::hub
