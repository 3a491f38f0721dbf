// The live progress line: redrawn in place on a terminal, one line per second otherwise, nothing when quiet.
#pragma once

#include <cstdint>
#include <string>

namespace umbra::load {

class Progress {
 public:
  explicit Progress(bool quiet);
  /// How often show() is worth calling, in milliseconds.
  [[nodiscard]] int interval_ms() const { return is_terminal_ ? 200 : 1000; }
  void show(const std::string& line);
  /// Leaves the last line standing.
  void end();

 private:
  bool quiet_;
  bool is_terminal_;
  std::size_t shown_ = 0;
};

/// 12345678 -> "12,345,678"
std::string with_commas(std::uint64_t number);
/// Microseconds for people: "870 us", "2.15 ms", "1.20 s".
std::string span_text(std::uint64_t us);

/// Writes a small file whole: readers see the old or the new text, never half of it.
bool write_file(const std::string& path, const std::string& text);

}  // namespace umbra::load
