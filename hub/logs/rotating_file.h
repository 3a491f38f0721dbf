// A log file with a cap: NAME is renamed NAME.1 (and .1 to .2, ...) when the next write would make it too
// large, and only so many files are kept. Without a name it is standard error. Used by the thread of
// BackgroundLog alone; writes block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hub/logs/append_file.h"

namespace umbra::hub {

class RotatingFile {
 public:
  /// Appends to a file that is there already. `name` empty: standard error, never rotated.
  static Result<RotatingFile> open(std::string name, std::uint64_t octets_max, std::uint32_t files_max);

  /// Takes from the front of `lines` what it has written. An error (the disk is full): not all of it; the
  /// next call tries again, and opens the file if it is not. Lines are not split over two files.
  Result<void> write(std::string_view& lines);

 private:
  RotatingFile(std::string name, std::uint64_t octets_max, std::uint32_t files_max);
  Result<void> open_file();
  Result<void> rotate();

  std::string name_;
  std::uint64_t octets_max_;
  std::uint32_t files_max_;
  AppendFile file_;
};

}  // namespace umbra::hub
