// A file that whole lines are appended to, readable for its owner and group only. What a full disk took half
// of a line of is cut off again. Writes block: for the threads of logs alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace umbra::hub {

class AppendFile {
 public:
  AppendFile() = default;
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile() { close(); }

  static AppendFile standard_error();
  /// Made if it is not there. `is_new`: it must not be there (file_exists).
  static Result<AppendFile> open(const std::string& path, bool is_new = false);

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  /// As far as this object has written it, and found it.
  [[nodiscard]] std::uint64_t octets() const { return octets_; }
  /// The file at `path` is this one: nobody has moved or removed it.
  [[nodiscard]] bool is_at(const std::string& path) const;

  /// Takes from the front of `lines` what it has written: in a file whole lines, at standard error any
  /// octets. An error: not all of it.
  Result<void> append(std::string_view& lines);
  void close();

 private:
  /// How much of `done` octets of `lines` stays in the file.
  std::size_t cut_torn_line(std::string_view lines, std::size_t done);

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t octets_ = 0;
};

}  // namespace umbra::hub
