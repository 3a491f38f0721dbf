#include "storage/set_aside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "base/iso_time.h"
#include "storage/memory_disk.h"
#include "storage/spool_files.h"

namespace umbra::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view folder_prefix = "set-aside-";
constexpr std::size_t mark_octets_max = 4096;

std::unexpected<Error> system_failure(int error, const std::string& what) {
  auto code = std::error_code(error, std::generic_category());
  return failure(code, what + ": " + code.message());
}

/// set-aside-20261122T201344.123456Z: sorts by time, and two in one second differ.
std::string folder_name(WallTime now) {
  auto time = iso_time_microseconds(now);
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return std::string(folder_prefix) + time;
}

bool is_folder_name(std::string_view name) {
  return name.starts_with(folder_prefix) && name.size() < 64 &&
         std::ranges::all_of(
             name,
             [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'T' || c == 'Z' || c == '.' ||
                      c == '-';
             });
}

Result<void> sync_directory(const std::string& directory) {
  int file = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return system_failure(errno, "open " + directory);
  int result = ::fsync(file);
  int error = errno;
  ::close(file);
  if (result != 0) return system_failure(error, "sync " + directory);
  return {};
}

/// What is not there has been moved before.
Result<void> move_file(const std::string& vfs, const std::string& from, const std::string& to) {
  if (!vfs.empty()) {
    auto* disk = MemoryDisk::find(vfs);
    if (disk == nullptr)
      return failure(std::errc::not_supported, "move " + from + ": this VFS cannot rename");
    return disk->rename(from, to);
  }
  if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT)
    return system_failure(errno, "move " + from + " to " + to);
  return {};
}

}  // namespace

Result<std::optional<DamageMark::Value>> DamageMark::read() const {
  auto text = read_small_file(vfs_, path_, mark_octets_max);
  if (!text) return std::unexpected(text.error());
  if (text->empty()) return std::nullopt;
  Value value;
  auto end = text->find('\n');
  value.folder = text->substr(0, end);
  if (end != std::string::npos) value.reason = text->substr(end + 1, text->find('\n', end + 1) - end - 1);
  if (!is_folder_name(value.folder))
    value = {std::string(folder_prefix) + "unknown-time", "its mark cannot be read"};
  return value;
}

Result<void> DamageMark::set(const std::string& reason) const {
  auto present = has_content(vfs_, path_);
  if (!present) return std::unexpected(present.error());
  if (*present) return {};
  std::string line = reason.substr(0, mark_octets_max / 2);
  std::ranges::replace(line, '\n', ' ');
  return write_small_file(vfs_, path_, folder_name(WallClock::now()) + '\n' + line + '\n');
}

std::vector<std::string> spools_set_aside(const std::string& directory) {
  std::vector<std::string> folders;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (auto name = entry->path().filename().string(); is_folder_name(name) && entry->is_directory(error))
      folders.push_back(entry->path());
  std::ranges::sort(folders);
  return folders;
}

Result<std::string> set_aside(const std::string& directory, const std::string& vfs, const std::string& reason,
                              std::uint32_t kept_max) {
  DirectoryLock lock;
  if (vfs.empty()) {
    if (auto checked = check_directory(directory); !checked) return std::unexpected(checked.error());
    auto taken = DirectoryLock::take(directory);
    if (!taken) return std::unexpected(taken.error());
    lock = std::move(*taken);
  }
  DamageMark mark(vfs, directory);
  auto before = mark.read();
  if (!before) return std::unexpected(before.error());
  auto kept = vfs.empty() ? spools_set_aside(directory) : std::vector<std::string>{};
  if (*before) std::erase(kept, directory + "/" + (*before)->folder);
  if (kept.size() >= kept_max) {
    return failure(
        std::errc::file_too_large,
        fmt::format(
            "{} spools are set aside in {} already: this disk damages what is written to it. Look at it; "
            "export what is kept (umbra spool export) and remove those folders",
            kept.size(), directory));
  }
  if (auto set = mark.set(reason); !set) return std::unexpected(set.error());
  auto value = mark.read();
  if (!value) return std::unexpected(value.error());
  auto folder = directory + "/" + (*value)->folder;
  if (vfs.empty() && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return system_failure(errno, "make " + folder);
  // The index of the WAL is made anew from the WAL by whoever opens it. Two half moves are two moves: with
  // the database gone and its WAL still here, the mark keeps everybody from opening anything.
  for (const auto* name : {"/spool.db", "/spool.db-wal", "/spool.db-shm", "/spool.epoch"})
    if (auto moved = move_file(vfs, directory + name, folder + name); !moved)
      return std::unexpected(moved.error());
  if (vfs.empty()) {
    if (auto synced = sync_directory(folder); !synced) return std::unexpected(synced.error());
    if (auto synced = sync_directory(directory); !synced) return std::unexpected(synced.error());
  }
  if (auto moved = move_file(vfs, mark.path(), folder + "/spool.damaged"); !moved)
    return std::unexpected(moved.error());
  if (vfs.empty())
    if (auto synced = sync_directory(directory); !synced) return std::unexpected(synced.error());
  return folder;
}

}  // namespace umbra::storage
