#include "hub/logs/append_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace umbra::hub {
namespace {

constexpr int patience_ms = 1000;

std::unexpected<Error> system_failure(int error, const std::string& what) {
  return failure(std::error_code(error, std::generic_category()), what);
}

}  // namespace

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      octets_(std::exchange(other.octets_, 0)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  close();
  path_ = std::move(other.path_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  octets_ = std::exchange(other.octets_, 0);
  return *this;
}

void AppendFile::close() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  descriptor_ = -1;
}

AppendFile AppendFile::standard_error() {
  AppendFile file;
  file.path_ = "(standard error)";
  file.descriptor_ = STDERR_FILENO;
  return file;
}

Result<AppendFile> AppendFile::open(const std::string& path, bool is_new) {
  AppendFile file;
  file.path_ = path;
  // Addresses of people are in it: not for everybody.
  file.descriptor_ =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (is_new ? O_EXCL : 0), 0640);
  if (file.descriptor_ < 0) return system_failure(errno, "open log file " + path);
  struct stat status{};
  if (::fstat(file.descriptor_, &status) != 0) return system_failure(errno, "look at log file " + path);
  file.octets_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

bool AppendFile::is_at(const std::string& path) const {
  struct stat here{};
  struct stat there{};
  return ::fstat(descriptor_, &here) == 0 && ::stat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

std::size_t AppendFile::cut_torn_line(std::string_view lines, std::size_t done) {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return done;
  const auto end = lines.substr(0, done).rfind('\n');
  const auto whole = end == std::string_view::npos ? 0 : end + 1;
  const auto torn = static_cast<off_t>(done - whole);
  if (torn == 0 || status.st_size < torn || ::ftruncate(descriptor_, status.st_size - torn) != 0) return done;
  return whole;
}

Result<void> AppendFile::append(std::string_view& lines) {
  std::size_t done = 0;
  int error = 0;
  while (done < lines.size() && error == 0) {
    const auto written = ::write(descriptor_, lines.data() + done, lines.size() - done);
    if (written > 0) {
      done += static_cast<std::size_t>(written);
    } else if (written == 0) {
      error = EIO;
    } else if (errno == EAGAIN) {
      pollfd waiting{descriptor_, POLLOUT, 0};
      if (::poll(&waiting, 1, patience_ms) == 0) error = EAGAIN;
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error != 0) done = cut_torn_line(lines, done);
  octets_ += done;
  lines.remove_prefix(done);
  if (error != 0) return system_failure(error, "write log file " + path_);
  return {};
}

}  // namespace umbra::hub
