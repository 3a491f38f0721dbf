#include "hub/logs/rotating_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace umbra::hub {

RotatingFile::RotatingFile(std::string name, std::uint64_t octets_max, std::uint32_t files_max)
    : name_(std::move(name)), octets_max_(octets_max), files_max_(std::max(files_max, 1U)) {}

Result<RotatingFile> RotatingFile::open(std::string name, std::uint64_t octets_max, std::uint32_t files_max) {
  RotatingFile file(std::move(name), octets_max, files_max);
  if (auto opened = file.open_file(); !opened) return std::unexpected(opened.error());
  return file;
}

Result<void> RotatingFile::open_file() {
  if (name_.empty()) {
    file_ = AppendFile::standard_error();
    return {};
  }
  auto opened = AppendFile::open(name_);
  if (!opened) return std::unexpected(opened.error());
  file_ = std::move(*opened);
  return {};
}

Result<void> RotatingFile::rotate() {
  auto numbered = [this](std::uint32_t n) { return n == 0 ? name_ : name_ + "." + std::to_string(n); };
  file_.close();
  if (files_max_ == 1) {
    ::unlink(name_.c_str());
    return open_file();
  }
  // rename() replaces: what falls off the end is the oldest file.
  for (auto n = files_max_ - 1; n > 0; --n) {
    if (std::rename(numbered(n - 1).c_str(), numbered(n).c_str()) != 0 && errno != ENOENT) {
      return failure(std::error_code(errno, std::generic_category()), "rename log file " + numbered(n - 1));
    }
  }
  return open_file();
}

Result<void> RotatingFile::write(std::string_view& lines) {
  if (name_.empty()) return file_.append(lines);
  while (!lines.empty()) {
    if (!file_.is_open()) {
      if (auto opened = open_file(); !opened) return opened;
    }
    auto room = file_.octets() < octets_max_ ? octets_max_ - file_.octets() : 0;
    auto part = lines.size();
    if (part > room) {
      auto end = lines.rfind('\n', static_cast<std::size_t>(room));
      part = end == std::string_view::npos || end >= room ? 0 : end + 1;
      // A line longer than a whole file goes into a file of its own.
      if (part == 0 && file_.octets() == 0) part = std::min(lines.find('\n'), lines.size() - 1) + 1;
    }
    if (part == 0) {
      if (auto rotated = rotate(); !rotated) return rotated;
      continue;
    }
    auto rest = lines.substr(0, part);
    auto written = file_.append(rest);
    lines.remove_prefix(part - rest.size());
    if (!written) return written;
  }
  return {};
}

}  // namespace umbra::hub
