#include "hub/logs/rotating_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace umbra::hub {
namespace {

std::unexpected<Error> system_failure(const std::string& what) {
  return failure(std::error_code(errno, std::generic_category()), what);
}

}  // namespace

RotatingFile::RotatingFile(std::string name, std::uint64_t octets_max, std::uint32_t files_max)
    : name_(std::move(name)), octets_max_(octets_max), files_max_(std::max(files_max, 1U)) {}

RotatingFile::RotatingFile(RotatingFile&& other) noexcept
    : name_(std::move(other.name_)),
      octets_max_(other.octets_max_),
      files_max_(other.files_max_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      octets_(other.octets_) {}

RotatingFile::~RotatingFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<RotatingFile> RotatingFile::open(std::string name, std::uint64_t octets_max, std::uint32_t files_max) {
  RotatingFile file(std::move(name), octets_max, files_max);
  if (auto opened = file.open_file(); !opened) return std::unexpected(opened.error());
  return file;
}

Result<void> RotatingFile::open_file() {
  if (name_.empty()) {
    descriptor_ = STDERR_FILENO;
    return {};
  }
  // Addresses of people are in it: not for everybody.
  descriptor_ = ::open(name_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor_ < 0) return system_failure("open log file " + name_);
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) return system_failure("look at log file " + name_);
  octets_ = static_cast<std::uint64_t>(status.st_size);
  return {};
}

Result<void> RotatingFile::rotate() {
  auto numbered = [this](std::uint32_t n) { return n == 0 ? name_ : name_ + "." + std::to_string(n); };
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (files_max_ == 1) {
    ::unlink(name_.c_str());
    return open_file();
  }
  // rename() replaces: what falls off the end is the oldest file.
  for (auto n = files_max_ - 1; n > 0; --n) {
    if (std::rename(numbered(n - 1).c_str(), numbered(n).c_str()) != 0 && errno != ENOENT) {
      return system_failure("rename log file " + numbered(n - 1));
    }
  }
  return open_file();
}

Result<void> RotatingFile::write(std::string_view octets) {
  if (name_.empty()) return write_all(octets);
  while (!octets.empty()) {
    if (descriptor_ < 0) {
      if (auto opened = open_file(); !opened) return opened;
    }
    auto room = octets_ < octets_max_ ? octets_max_ - octets_ : 0;
    auto part = octets.size();
    if (part > room) {
      auto end = octets.rfind('\n', static_cast<std::size_t>(room));
      part = end == std::string_view::npos || end >= room ? 0 : end + 1;
      // A line longer than a whole file goes into a file of its own.
      if (part == 0 && octets_ == 0) part = std::min(octets.find('\n'), octets.size() - 1) + 1;
    }
    if (part == 0) {
      if (auto rotated = rotate(); !rotated) return rotated;
      continue;
    }
    if (auto written = write_all(octets.substr(0, part)); !written) return written;
    octets.remove_prefix(part);
  }
  return {};
}

Result<void> RotatingFile::write_all(std::string_view octets) {
  while (!octets.empty()) {
    auto written = ::write(descriptor_, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd waiting{descriptor_, POLLOUT, 0};
      ::poll(&waiting, 1, 1000);
      continue;
    }
    if (written < 0) return system_failure("write log file " + (name_.empty() ? "(standard error)" : name_));
    octets_ += static_cast<std::uint64_t>(written);
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace umbra::hub
