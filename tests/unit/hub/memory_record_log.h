// A record log that keeps its records for the test: values separated by "|", without the time.
#pragma once

#include <string>
#include <vector>

#include "hub/logs/record_log.h"

namespace umbra::hub {

class MemoryRecordLog final : public RecordLog {
 public:
  [[nodiscard]] bool is_enabled() const override { return enabled; }
  void write(WallTime, std::initializer_list<std::string_view> values) override {
    std::vector<std::string> record;
    for (auto value : values) record.emplace_back(value);
    records.push_back(std::move(record));
  }
  /// "event data (context)", one a line; of the fields of a protocol log.
  [[nodiscard]] std::string dialog() const {
    std::string text;
    for (const auto& record : records)
      text += record[5] + (record[6].empty() ? "" : " " + record[6]) +
              (record[7].empty() ? "" : " (" + record[7] + ")") + "\n";
    return text;
  }
  bool enabled = true;
  std::vector<std::vector<std::string>> records;
};

}  // namespace umbra::hub
