#include "storage/spool_files.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>

#include <fmt/format.h>

namespace umbra::storage {
namespace {

std::unexpected<Error> system_failure(int error, const std::string& what) {
  auto code = std::error_code(error, std::generic_category());
  return failure(code, what + ": " + code.message());
}

struct FileSystem {
  std::uint64_t magic;
  const char* name;
};

// statfs(2), linux/magic.h. FUSE is refused as a whole: what is behind it cannot be seen.
constexpr FileSystem network_file_systems[] = {
    {0x6969, "NFS"},        {0x517b, "SMB"},
    {0xfe534d42, "SMB2"},   {0xff534d42, "CIFS"},
    {0x01021997, "9p"},     {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},    {0x6b414653, "AFS"},
    {0x73757245, "Coda"},   {0x65735546, "FUSE"},
    {0x0bd00bd0, "Lustre"}, {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},  {0x564c, "NCP"},
    {0x47504653, "GPFS"},   {0x786f4256, "VirtualBox shared folder"},
    {0x19830326, "BeeGFS"}, {0xaad7aaea, "PanFS"},
};

constexpr std::size_t slot_octets = 512;

std::uint64_t checksum(std::string_view text) {  // FNV-1a: against torn writes, not against people
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::string slot_text(EpochMark::Value value) {
  auto text = fmt::format("umbra spool {} epoch {:020}", to_string(value.spool), value.epoch.value);
  text += fmt::format(" check {:016x}\n", checksum(text));
  return text;
}

std::optional<EpochMark::Value> parse_slot(std::string_view slot) {
  constexpr std::string_view head = "umbra spool ";
  constexpr std::string_view middle = " epoch ";
  slot = slot.substr(0, slot.find('\n') == std::string_view::npos ? 0 : slot.find('\n') + 1);
  if (slot.size() < head.size() + 16 + middle.size() + 20) return std::nullopt;
  auto spool = parse_spool_id(slot.substr(head.size(), 16));
  auto epoch = parse_number(slot.substr(head.size() + 16 + middle.size(), 20));
  if (!spool || !epoch) return std::nullopt;
  EpochMark::Value value{*spool, Epoch{*epoch}};
  if (slot_text(value) != slot) return std::nullopt;
  return value;
}

/// A file of a SQLite VFS, closed at the end of its scope.
class VfsFile {
 public:
  VfsFile(sqlite3_vfs* vfs, const std::string& path, bool create)
      : memory_(new char[static_cast<std::size_t>(vfs->szOsFile)]()),
        file_(reinterpret_cast<sqlite3_file*>(memory_.get())) {
    // Opened as a super-journal: the one kind whose creation syncs the directory and that has no locks.
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_SUPER_JOURNAL | (create ? SQLITE_OPEN_CREATE : 0);
    int given = 0;
    code_ = vfs->xOpen(vfs, path.c_str(), file_, flags, &given);
  }
  ~VfsFile() {
    if (file_->pMethods != nullptr) file_->pMethods->xClose(file_);
  }
  VfsFile(const VfsFile&) = delete;
  VfsFile& operator=(const VfsFile&) = delete;
  [[nodiscard]] int code() const { return code_; }
  sqlite3_file* operator->() { return file_; }
  sqlite3_file* get() { return file_; }

 private:
  std::unique_ptr<char[]> memory_;
  sqlite3_file* file_;
  int code_;
};

Result<sqlite3_vfs*> find_vfs(const std::string& name) {
  auto* vfs = sqlite3_vfs_find(name.empty() ? nullptr : name.c_str());
  if (vfs == nullptr) return failure(std::errc::no_such_device, "there is no SQLite VFS " + name);
  return vfs;
}

std::unexpected<Error> file_failure(const std::string& path, const char* what, int code) {
  bool full = (code & 0xff) == SQLITE_FULL;
  return failure(full ? std::errc::no_space_on_device : std::errc::io_error,
                 fmt::format("{}: {}: {} ({})", path, what, sqlite3_errstr(code), code));
}

}  // namespace

Result<void> check_directory(const std::string& directory) {
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) return system_failure(errno, "spool directory " + directory);
  if (!S_ISDIR(status.st_mode))
    return failure(std::errc::not_a_directory, "spool directory " + directory + " is not a directory");
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return system_failure(errno, "spool directory " + directory + " cannot be written to by this user");
  }
  struct statfs system{};
  if (::statfs(directory.c_str(), &system) != 0) return system_failure(errno, "spool directory " + directory);
  for (const auto& refused : network_file_systems) {
    if (static_cast<std::uint32_t>(system.f_type) != refused.magic) continue;
    return failure(std::errc::not_supported, fmt::format("spool directory {} is on {}: a spool needs a local "
                                                         "file system, because its locks, shared memory "
                                                         "and fsync must be those of this machine",
                                                         directory, refused.name));
  }
  return {};
}

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  auto path = directory + "/spool.lock";
  DirectoryLock lock;
  lock.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.file_ < 0) return system_failure(errno, "open " + path);
  if (::flock(lock.file_, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    if (error != EWOULDBLOCK) return system_failure(error, "lock " + path);
    std::array<char, 32> text{};
    auto size = ::pread(lock.file_, text.data(), text.size() - 1, 0);
    std::string_view owner(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    owner = owner.substr(0, owner.find('\n'));
    return failure(std::errc::device_or_resource_busy,
                   fmt::format("spool {} is in use by process {}: one hub, one spool", directory,
                               owner.empty() ? "?" : owner));
  }
  auto text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.file_, 0) != 0 || ::pwrite(lock.file_, text.data(), text.size(), 0) < 0) {
    return system_failure(errno, "write " + path);
  }
  return lock;
}

DirectoryLock::~DirectoryLock() {
  if (file_ >= 0) ::close(file_);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

Result<std::optional<EpochMark::Value>> EpochMark::read() const {
  auto present = has_content(vfs_, path_);
  if (!present) return std::unexpected(present.error());
  if (!*present) return std::nullopt;
  auto vfs = find_vfs(vfs_);
  if (!vfs) return std::unexpected(vfs.error());
  VfsFile file(*vfs, path_, false);
  if (file.code() != SQLITE_OK) return file_failure(path_, "open", file.code());
  std::optional<Value> best;
  for (int slot = 0; slot < 2; ++slot) {
    std::array<char, slot_octets> octets{};
    int code = file->pMethods->xRead(file.get(), octets.data(), static_cast<int>(slot_octets),
                                     static_cast<sqlite3_int64>(slot_octets) * slot);
    if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return file_failure(path_, "read", code);
    auto value = parse_slot({octets.data(), octets.size()});
    if (value && (!best || value->epoch > best->epoch)) best = value;
  }
  return best;
}

Result<void> EpochMark::write(Value value) const {
  auto vfs = find_vfs(vfs_);
  if (!vfs) return std::unexpected(vfs.error());
  VfsFile file(*vfs, path_, true);
  if (file.code() != SQLITE_OK) return file_failure(path_, "create", file.code());
  auto text = slot_text(value);
  text.resize(slot_octets, '\n');
  auto offset = static_cast<sqlite3_int64>(value.epoch.value % 2 * slot_octets);
  int code = file->pMethods->xWrite(file.get(), text.data(), static_cast<int>(text.size()), offset);
  if (code == SQLITE_OK) code = file->pMethods->xSync(file.get(), SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) return file_failure(path_, "write", code);
  return {};
}

Result<void> EpochMark::remove() const {
  auto vfs = find_vfs(vfs_);
  if (!vfs) return std::unexpected(vfs.error());
  int code = (*vfs)->xDelete(*vfs, path_.c_str(), 1);
  if (code != SQLITE_OK && code != SQLITE_IOERR_DELETE_NOENT) return file_failure(path_, "remove", code);
  return {};
}

struct ReadableFile::Handle {
  VfsFile file;
};

ReadableFile::ReadableFile() = default;
ReadableFile::ReadableFile(ReadableFile&&) noexcept = default;
ReadableFile::~ReadableFile() = default;

Result<ReadableFile> ReadableFile::open(const std::string& vfs_name, const std::string& path) {
  ReadableFile file;
  file.path_ = path;
  auto present = has_content(vfs_name, path);
  if (!present) return std::unexpected(present.error());
  if (!*present) return file;
  auto vfs = find_vfs(vfs_name);
  if (!vfs) return std::unexpected(vfs.error());
  file.handle_ = std::unique_ptr<Handle>(new Handle{VfsFile(*vfs, path, false)});
  auto& handle = file.handle_->file;
  if (handle.code() != SQLITE_OK) return file_failure(path, "open", handle.code());
  sqlite3_int64 size = 0;
  if (int code = handle->pMethods->xFileSize(handle.get(), &size); code != SQLITE_OK)
    return file_failure(path, "size", code);
  file.size_ = static_cast<std::uint64_t>(size);
  return file;
}

Result<void> ReadableFile::read(std::uint64_t at, std::string& into) {
  auto& handle = handle_->file;
  int code = handle->pMethods->xRead(handle.get(), into.data(), static_cast<int>(into.size()),
                                     static_cast<sqlite3_int64>(at));
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ) return file_failure(path_, "read", code);
  return {};
}

Result<std::string> read_small_file(const std::string& vfs_name, const std::string& path,
                                    std::size_t octets_max) {
  auto present = has_content(vfs_name, path);
  if (!present) return std::unexpected(present.error());
  if (!*present) return std::string();
  auto vfs = find_vfs(vfs_name);
  if (!vfs) return std::unexpected(vfs.error());
  VfsFile file(*vfs, path, false);
  if (file.code() != SQLITE_OK) return file_failure(path, "open", file.code());
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file.get(), &size);
  if (code != SQLITE_OK) return file_failure(path, "size", code);
  std::string content(std::min(octets_max, static_cast<std::size_t>(size)), '\0');
  code = file->pMethods->xRead(file.get(), content.data(), static_cast<int>(content.size()), 0);
  if (code != SQLITE_OK) return file_failure(path, "read", code);
  return content;
}

Result<void> write_small_file(const std::string& vfs_name, const std::string& path,
                              const std::string& content) {
  auto vfs = find_vfs(vfs_name);
  if (!vfs) return std::unexpected(vfs.error());
  VfsFile file(*vfs, path, true);
  if (file.code() != SQLITE_OK) return file_failure(path, "create", file.code());
  int code = file->pMethods->xTruncate(file.get(), 0);
  if (code == SQLITE_OK)
    code = file->pMethods->xWrite(file.get(), content.data(), static_cast<int>(content.size()), 0);
  if (code == SQLITE_OK) code = file->pMethods->xSync(file.get(), SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) return file_failure(path, "write", code);
  return {};
}

Result<bool> has_content(const std::string& vfs_name, const std::string& path) {
  auto vfs = find_vfs(vfs_name);
  if (!vfs) return std::unexpected(vfs.error());
  int there = 0;
  int code =
      (*vfs)->xAccess(*vfs, path.c_str(), SQLITE_ACCESS_EXISTS, &there);  // an empty file does not exist
  if (code != SQLITE_OK) return file_failure(path, "look for", code);
  return there != 0;
}

Result<void> make_private_file(const std::string& path) {
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return system_failure(errno, "create " + path);
  ::close(file);
  return {};
}

std::uint64_t free_octets_of(const std::string& directory) {
  struct statvfs status{};
  if (::statvfs(directory.c_str(), &status) != 0) return std::numeric_limits<std::uint64_t>::max();
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

}  // namespace umbra::storage
