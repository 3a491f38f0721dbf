// A log file with a cap: NAME is renamed NAME.1 (and .1 to .2, ...) when the next write would make it too
// large, and only so many files are kept. Without a name it is standard error. Used by the thread of
// BackgroundLog alone; writes block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace umbra::hub {

class RotatingFile {
 public:
  /// Appends to a file that is there already. `name` empty: standard error, never rotated.
  static Result<RotatingFile> open(std::string name, std::uint64_t octets_max, std::uint32_t files_max);
  RotatingFile(RotatingFile&& other) noexcept;
  RotatingFile& operator=(RotatingFile&&) = delete;
  ~RotatingFile();

  /// All of it, or an error (the disk is full). Lines are not split over two files.
  Result<void> write(std::string_view octets);

 private:
  RotatingFile(std::string name, std::uint64_t octets_max, std::uint32_t files_max);
  Result<void> open_file();
  Result<void> rotate();
  Result<void> write_all(std::string_view octets);

  std::string name_;
  std::uint64_t octets_max_;
  std::uint32_t files_max_;
  int descriptor_ = -1;
  std::uint64_t octets_ = 0;
};

}  // namespace umbra::hub
