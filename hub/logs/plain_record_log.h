// A record log without limits or a thread of its own: lines of CSV appended to one file of the day. In place
// of hub/logs/record_logs.h until that is there; then it goes.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>

#include "hub/logs/record_log.h"

namespace umbra::hub {

class PlainRecordLog final : public RecordLog {
 public:
  PlainRecordLog(std::string folder, std::string prefix, std::string type, std::string fields)
      : folder_(std::move(folder)),
        prefix_(std::move(prefix)),
        type_(std::move(type)),
        fields_(std::move(fields)) {}
  ~PlainRecordLog() override {
    if (file_ != nullptr) std::fclose(file_);
  }
  PlainRecordLog(const PlainRecordLog&) = delete;
  PlainRecordLog& operator=(const PlainRecordLog&) = delete;
  [[nodiscard]] bool is_enabled() const override { return true; }
  void write(WallTime time, std::initializer_list<std::string_view> values) override;

 private:
  const std::string folder_, prefix_, type_, fields_;
  std::mutex mutex_;
  std::FILE* file_ = nullptr;
};

}  // namespace umbra::hub
