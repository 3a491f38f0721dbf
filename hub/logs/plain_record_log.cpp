#include "hub/logs/plain_record_log.h"

#include <filesystem>

#include "hub/logs/log_line.h"

namespace umbra::hub {

void PlainRecordLog::write(WallTime time, std::initializer_list<std::string_view> values) {
  const std::scoped_lock lock(mutex_);
  const std::string now = to_text(time);  // 2026-11-27T23:10:00.123456Z
  if (file_ == nullptr) {
    std::error_code ignored;
    std::filesystem::create_directories(folder_, ignored);
    const std::string day = now.substr(0, 4) + now.substr(5, 2) + now.substr(8, 2);
    file_ = std::fopen((folder_ + "/" + prefix_ + day + "-0001.log").c_str(), "a");
    if (file_ == nullptr) return;
    std::fprintf(file_, "#Software: Umbra\n#Version: 1\n#Log-Type: %s\n#Date: %s\n#Fields: date-time,%s\n",
                 type_.c_str(), now.c_str(), fields_.c_str());
  }
  std::string line = now.substr(0, 23) + "Z";
  for (auto value : values) {
    line += ',';
    const bool is_quoted = value.find_first_of(",\"") != std::string_view::npos;
    if (is_quoted) line += '"';
    for (const char c : value) {
      if (c == '"') line += '"';
      line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    if (is_quoted) line += '"';
  }
  std::fprintf(file_, "%s\n", line.c_str());
  std::fflush(file_);
}

}  // namespace umbra::hub
