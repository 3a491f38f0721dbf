#include "storage/wal_check.h"

#include <sqlite3.h>

#include <cstdint>

#include <fmt/format.h>

#include "storage/spool_error.h"
#include "storage/spool_files.h"

namespace umbra::storage {
namespace {

constexpr std::size_t header_octets = 32;
constexpr std::size_t frame_header_octets = 24;
constexpr std::uint32_t magic_little = 0x377f0682;  // the lowest bit says how the checksums read their words
constexpr std::uint32_t magic_big = 0x377f0683;

std::uint32_t word(const char* at, bool is_big) {
  auto octet = [at](int i) { return std::uint32_t{static_cast<unsigned char>(at[i])}; };
  return is_big ? octet(0) << 24 | octet(1) << 16 | octet(2) << 8 | octet(3)
                : octet(3) << 24 | octet(2) << 16 | octet(1) << 8 | octet(0);
}

struct Sum {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  void add(const char* octets, std::size_t size, bool is_big) {
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      a += word(octets + i, is_big) + b;
      b += word(octets + i + 4, is_big) + a;
    }
  }
  [[nodiscard]] bool is(const char* stored) const {
    return a == word(stored, true) && b == word(stored + 4, true);
  }
};

}  // namespace

Result<bool> check_wal(const std::string& vfs, const std::string& path) {
  auto opened = ReadableFile::open(vfs, path);
  if (!opened) return std::unexpected(opened.error());
  auto& file = *opened;
  if (file.size() < header_octets + frame_header_octets) return true;
  std::string header(header_octets, '\0');
  if (auto read = file.read(0, header); !read) return std::unexpected(read.error());
  auto magic = word(header.data(), true);
  bool is_big = magic == magic_big;
  std::size_t page = word(header.data() + 8, true);
  Sum sum;
  sum.add(header.data(), 24, is_big);
  // A header that does not check was being written anew when the power went: what is behind it is in the
  // database.
  if ((!is_big && magic != magic_little) || page < 512 || page > 65'536 || !sum.is(header.data() + 24))
    return false;
  const std::string salts = header.substr(16, 8);
  std::string frame(frame_header_octets + page, '\0');
  bool is_whole = true;         // up to here
  std::size_t ends_behind = 0;  // of transactions, in frames that continue one another
  std::uint64_t number = 0;
  for (auto at = std::uint64_t{header_octets}; at + frame.size() <= file.size(); at += frame.size()) {
    ++number;
    if (auto read = file.read(at, frame); !read) return std::unexpected(read.error());
    // The sum of a frame goes on from that of the one before, as it was computed or, behind a break, as it is
    // stored.
    sum.add(frame.data(), 8, is_big);
    sum.add(frame.data() + frame_header_octets, page, is_big);
    bool continues = frame.compare(8, 8, salts) == 0 && sum.is(frame.data() + 16);
    if (!continues) {
      is_whole = false;
      ends_behind = 0;
      sum = {word(frame.data() + 16, true), word(frame.data() + 20, true)};
    } else if (!is_whole && word(frame.data() + 4, true) != 0 && ++ends_behind > 1) {
      return failure(
          SpoolFault::damaged,
          fmt::format(
              "{}: a frame of the write-ahead log does not check, and committed ones lie behind it, up to "
              "frame {} at least",
              path, number));
    }
  }
  return true;
}

}  // namespace umbra::storage
