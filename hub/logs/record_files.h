// The files of one kind of record log: PREFIXyyyymmdd-nnnn.log in a folder, by the UTC day of their records,
// nnnn from 0001 each day. Goes on with the last file of the day after a restart, unless the fields or the
// version are others, or that file ends within a record. Whole records only. Makes the folder, and everything
// anew when somebody has moved it away. For the thread of RecordLogs alone; everything blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/logs/append_file.h"
#include "hub/logs/record_format.h"

namespace umbra::hub {

class RecordFiles {
 public:
  RecordFiles(std::string folder, const RecordKind& kind, RecordLogsConfig::Format format);

  /// Takes from the front of `records` what it has written. An error: not all of it.
  Result<void> write(std::string_view& records, const RecordLogConfig& limits);

  struct Removed {
    std::string file;
    bool is_for_size = false;
    bool is_early = false;  ///< it was not yet as old as files may become
    Duration age{};
    std::string problem;  ///< empty: it is gone
  };
  /// Removes files by the limits, the oldest first, and never the one that is written.
  std::vector<Removed> tidy(WallTime now, const RecordLogConfig& limits);
  /// A file was begun since the last tidy().
  [[nodiscard]] bool is_untidy() const { return is_untidy_; }

 private:
  struct File {
    std::string day;
    std::uint64_t number = 0;
    std::string name;
  };

  /// The files of this kind that are there, the oldest first.
  [[nodiscard]] std::vector<File> list() const;
  [[nodiscard]] std::optional<File> parse(const std::string& name) const;
  [[nodiscard]] std::string path_of(const std::string& name) const { return folder_ + "/" + name; }
  /// The octets at the front of `records` that are whole records of one day.
  [[nodiscard]] std::size_t of_one_day(std::string_view records, const std::string& day) const;
  Result<void> make_ready(const std::string& day, std::size_t next_octets, std::uint64_t octets_max);
  Result<void> make_folder() const;
  Result<void> go_on_with_last(const std::string& day);
  [[nodiscard]] bool can_go_on_with(const std::string& path) const;
  Result<void> begin(const std::string& day, std::uint64_t number);
  void leave_if_moved();

  const std::string folder_;
  const RecordKind& kind_;
  const RecordLogsConfig::Format format_;
  const RecordWriter writer_;  // for its first lines
  AppendFile file_;
  std::string name_;  // of it
  std::string day_;
  std::uint64_t number_ = 0;
  std::uint64_t first_octets_ = 0;  // of its first lines
  MonotonicTime looked_at_ = MonotonicTime::min();
  bool is_untidy_ = true;
};

}  // namespace umbra::hub
