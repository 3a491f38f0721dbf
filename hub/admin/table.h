// Tables as operators see them: as wide as the terminal and no wider, coloured only where that is wanted. For
// the umbra commands; pure but for Screen::of_output().
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::hub {

struct Screen {
  std::size_t columns = 0;  ///< 0: no limit
  std::size_t lines = 0;
  bool has_colours = false;
  /// Of standard output. A terminal's size, or COLUMNS where that is set; no limit and no colours where it is
  /// none. Colours not where NO_COLOR is set (https://no-color.org) or TERM is dumb.
  static Screen of_output();
};

/// The first row is the heading. Columns are as wide as their longest cell; where that is too wide, the
/// widest ones are cut first, with an ellipsis, and never below `column_min`.
std::string table(const std::vector<std::vector<std::string>>& rows, const Screen& screen = {});
inline constexpr std::size_t column_min = 6;

/// Columns that a text takes: its characters (UTF-8), each counted as one.
std::size_t width_of(std::string_view text);
/// At most so many columns, the last of them an ellipsis where something was cut.
std::string cut_to(std::string_view text, std::size_t columns);

}  // namespace umbra::hub
