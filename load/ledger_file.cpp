#include "load/ledger_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace umbra::load {

namespace {
constexpr std::size_t buffer_octets_max = 256U << 10;
}

LedgerFile::~LedgerFile() {
  if (fd_ < 0) return;
  flush();
  close(fd_);
}

LedgerFile::LedgerFile(LedgerFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), buffer_(std::move(other.buffer_)) {}

LedgerFile& LedgerFile::operator=(LedgerFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

Result<LedgerFile> LedgerFile::open(const std::string& path) {
  LedgerFile file;
  if (path.empty()) return file;
  file.fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return failure(std::error_code(errno, std::generic_category()), "open ledger " + path);
  file.path_ = path;
  file.buffer_.reserve(buffer_octets_max + 4096);
  return file;
}

void LedgerFile::line(std::string_view kind, std::initializer_list<std::string_view> fields) {
  if (fd_ < 0) return;
  buffer_.append(kind);
  buffer_.push_back(' ');
  std::array<char, 24> digits;
  auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), WallClock::now().time_since_epoch().count())
          .ptr;
  buffer_.append(digits.data(), end);
  for (auto field : fields) {
    buffer_.push_back(' ');
    for (char c : field) buffer_.push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
  buffer_.push_back('\n');
  if (buffer_.size() >= buffer_octets_max) flush();
}

void LedgerFile::flush() {
  if (fd_ < 0) return;
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    auto written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      std::fprintf(stderr, "umbra-load: cannot write ledger %s: %s\n", path_.c_str(), std::strerror(errno));
      std::_Exit(2);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

}  // namespace umbra::load
