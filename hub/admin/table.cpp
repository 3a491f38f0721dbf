#include "hub/admin/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>

namespace umbra::hub {
namespace {

constexpr std::size_t few_columns = 8;
constexpr std::size_t columns_max = 10'000;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

/// Of words that tell a state: what needs a look is red, what waits yellow.
std::string_view colour_of(std::string_view cell) {
  static const std::map<std::string_view, std::string_view> colours = {
      {"silent", "31"},     {"refused", "31"}, {"expired", "31"}, {"no answer", "31"},
      {"taken over", "31"}, {"held", "33"},    {"differs", "33"}, {"draining", "33"}};
  if (cell.ends_with("(!)")) return "31";
  auto found = colours.find(cell);
  return found == colours.end() ? std::string_view{} : found->second;
}

std::string tinted(const std::string& text, std::string_view colour) {
  return colour.empty() ? text : "\x1b[" + std::string(colour) + "m" + text + "\x1b[0m";
}

void shrink(std::vector<std::size_t>& widths, std::size_t columns, std::size_t gap) {
  auto total = std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
  while (total > columns) {
    auto widest = std::ranges::max_element(widths);
    if (*widest <= column_min) return;
    // Down to the next one at most, so that two long columns share what there is.
    std::size_t second = column_min;
    for (auto width : widths)
      if (width < *widest) second = std::max(second, width);
    auto cut = std::min(total - columns, std::max<std::size_t>(*widest - second, 1));
    *widest -= cut;
    total -= cut;
  }
}

}  // namespace

Screen Screen::of_output() {
  Screen screen;
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  winsize size{};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    screen.columns = size.ws_col;
    screen.lines = size.ws_row;
  }
  if (is_set("COLUMNS")) {
    auto columns = std::strtoul(std::getenv("COLUMNS"), nullptr, 10);
    if (columns > 0 && columns <= columns_max) screen.columns = columns;
  }
  const char* term = std::getenv("TERM");
  screen.has_colours =
      is_terminal && !is_set("NO_COLOR") && term != nullptr && std::string_view(term) != "dumb";
  return screen;
}

std::size_t width_of(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, is_continuation));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    if (is_continuation(text[end])) continue;
    if (seen++ == columns - 1) break;
  }
  return std::string(text.substr(0, end)) + "\u2026";
}

std::string table(const std::vector<std::vector<std::string>>& rows, const Screen& screen) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  // Many columns stand closer together before any of them is cut.
  const auto wanted = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
  const bool is_tight =
      screen.columns > 0 && widths.size() > few_columns && wanted + 2 * (widths.size() - 1) > screen.columns;
  const std::size_t gap = is_tight ? 1 : 2;
  if (screen.columns > 0 && !widths.empty()) shrink(widths, screen.columns, gap);
  std::string out;
  for (std::size_t number = 0; number < rows.size(); ++number) {
    const auto& row = rows[number];
    std::string line;
    std::size_t left = screen.columns > 0 ? screen.columns : std::string::npos;
    for (std::size_t i = 0; i < row.size() && left > 0; ++i) {
      // What does not fit when all columns are as narrow as they may be.
      auto cell = cut_to(cut_to(row[i], widths[i]), left);
      const auto width = width_of(cell);
      left -= std::min(left, widths[i] + gap);
      if (screen.has_colours && !cell.empty()) cell = tinted(cell, number == 0 ? "1" : colour_of(row[i]));
      line += cell;
      if (i + 1 < row.size()) line.append(widths[i] - width + gap, ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + '\n';
  }
  return out;
}

}  // namespace umbra::hub
