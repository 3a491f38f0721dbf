#include "load/progress.h"

#include <unistd.h>

#include <array>
#include <cstdio>

namespace umbra::load {

Progress::Progress(bool quiet) : quiet_(quiet), is_terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& line) {
  if (quiet_) return;
  if (is_terminal_) {
    std::string padded = line;
    if (padded.size() < shown_) padded.append(shown_ - padded.size(), ' ');
    std::fprintf(stderr, "\r%s", padded.c_str());
    shown_ = line.size();
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

void Progress::end() {
  if (!quiet_ && is_terminal_ && shown_ > 0) std::fputc('\n', stderr);
  shown_ = 0;
}

std::string with_commas(std::uint64_t number) {
  auto text = std::to_string(number);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<std::size_t>(i), 1, ',');
  return text;
}

std::string span_text(std::uint64_t us) {
  std::array<char, 32> text;
  if (us < 1000) {
    std::snprintf(text.data(), text.size(), "%u us", static_cast<unsigned>(us));
  } else if (us < 1'000'000) {
    std::snprintf(text.data(), text.size(), "%.2f ms", static_cast<double>(us) / 1e3);
  } else {
    std::snprintf(text.data(), text.size(), "%.2f s", static_cast<double>(us) / 1e6);
  }
  return text.data();
}

bool write_file(const std::string& path, const std::string& text) {
  if (path == "-")
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  auto fresh = path + ".new";
  std::FILE* file = std::fopen(fresh.c_str(), "w");
  if (file == nullptr) return false;
  bool ok = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  ok = std::fclose(file) == 0 && ok;
  return ok && std::rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace umbra::load
