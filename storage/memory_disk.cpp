#include "storage/memory_disk.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::storage {

/// A change that was not synced yet.
struct Unsynced {
  std::uint64_t offset = 0;
  std::string octets;
  bool truncates = false;  ///< to `offset`

  void apply(std::string& content) const {
    if (truncates) {
      content.resize(std::min<std::uint64_t>(content.size(), offset));
      return;
    }
    if (content.size() < offset + octets.size()) content.resize(offset + octets.size());
    std::memcpy(content.data() + offset, octets.data(), octets.size());
  }
};

struct MemoryDisk::File {
  std::string path;
  std::string content;
  std::string durable;
  std::vector<Unsynced> unsynced;

  // Locks of sqlite3_io_methods: how many handles have SHARED, and who has more.
  int shared = 0;
  const Handle* reserved = nullptr;
  const Handle* exclusive = nullptr;  // PENDING counts as EXCLUSIVE to come

  // The WAL index.
  static constexpr std::size_t region_octets = 32768;
  std::vector<std::unique_ptr<std::byte[]>> regions;
  int shm_users = 0;
  std::array<int, SQLITE_SHM_NLOCK> shm_shared{};
  std::array<const Handle*, SQLITE_SHM_NLOCK> shm_exclusive{};

  void change(Unsynced step) {
    step.apply(content);
    unsynced.push_back(std::move(step));
  }
  void sync() {
    for (const auto& step : unsynced) step.apply(durable);
    unsynced.clear();
  }
  void drop_locks() {
    shared = 0;
    reserved = exclusive = nullptr;
    regions.clear();
    shm_users = 0;
    shm_shared.fill(0);
    shm_exclusive.fill(nullptr);
  }
};

struct MemoryDisk::Handle {
  sqlite3_file base;  // first: SQLite sees this
  MemoryDisk* disk;
  std::shared_ptr<File> file;
  std::uint64_t life;
  int level;
  bool has_shm;
  std::array<bool, SQLITE_SHM_NLOCK> shm_shared;

  [[nodiscard]] bool dead() const { return life != disk->life_; }
};

struct MemoryDisk::Methods {
  static Handle& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
  static MemoryDisk& of(sqlite3_vfs* vfs) { return *static_cast<MemoryDisk*>(vfs->pAppData); }

  static int close(sqlite3_file* file) {
    auto& handle = of(file);
    unlock(file, SQLITE_LOCK_NONE);
    shm_unmap(file, 0);
    handle.~Handle();
    return SQLITE_OK;
  }

  static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    auto& handle = of(file);
    std::lock_guard lock(handle.disk->mutex_);
    if (handle.dead()) return SQLITE_IOERR_READ;
    const auto& content = handle.file->content;
    auto wanted = static_cast<std::size_t>(size);
    auto from = std::min(static_cast<std::size_t>(offset), content.size());
    auto got = std::min(wanted, content.size() - from);
    std::memcpy(to, content.data() + from, got);
    if (got == wanted) return SQLITE_OK;
    std::memset(static_cast<char*>(to) + got, 0, wanted - got);
    return SQLITE_IOERR_SHORT_READ;
  }

  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    auto& handle = of(file);
    auto& disk = *handle.disk;
    std::lock_guard lock(disk.mutex_);
    if (handle.dead()) return SQLITE_IOERR_WRITE;
    auto octets = static_cast<std::size_t>(size);
    auto place = static_cast<std::uint64_t>(offset);
    auto end = place + octets;
    bool grows = end > handle.file->content.size();
    if (disk.change_fails(Change::write)) {
      if (disk.tear_ && disk.fault_.countdown == 0) {
        handle.file->change({place, std::string(static_cast<const char*>(from), octets / 2), false});
      }
      return SQLITE_IOERR_WRITE;
    }
    if (grows && disk.octets_locked() + (end - handle.file->content.size()) > disk.capacity_)
      return SQLITE_FULL;
    handle.file->change({place, std::string(static_cast<const char*>(from), octets), false});
    return SQLITE_OK;
  }

  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    auto& handle = of(file);
    std::lock_guard lock(handle.disk->mutex_);
    if (handle.dead() || handle.disk->change_fails(Change::write)) return SQLITE_IOERR_TRUNCATE;
    handle.file->change({static_cast<std::uint64_t>(size), {}, true});
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* file, int /*flags*/) {
    auto& handle = of(file);
    auto& disk = *handle.disk;
    std::lock_guard lock(disk.mutex_);
    if (handle.dead()) return SQLITE_IOERR_FSYNC;
    ++disk.syncs_of_[handle.file->path];
    if (disk.change_fails(Change::sync)) return SQLITE_IOERR_FSYNC;
    handle.file->sync();
    return SQLITE_OK;
  }

  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    auto& handle = of(file);
    std::lock_guard lock(handle.disk->mutex_);
    if (handle.dead()) return SQLITE_IOERR_FSTAT;
    *size = static_cast<sqlite3_int64>(handle.file->content.size());
    return SQLITE_OK;
  }

  static int lock(sqlite3_file* file, int level) {
    auto& handle = of(file);
    std::lock_guard guard(handle.disk->mutex_);
    if (handle.dead()) return SQLITE_IOERR_LOCK;
    if (level <= handle.level) return SQLITE_OK;
    auto& target = *handle.file;
    if (level == SQLITE_LOCK_SHARED) {
      if (target.exclusive != nullptr) return SQLITE_BUSY;
      ++target.shared;
    } else if (level == SQLITE_LOCK_RESERVED) {
      if (target.reserved != nullptr || target.exclusive != nullptr) return SQLITE_BUSY;
      target.reserved = &handle;
    } else {
      if (target.exclusive != nullptr && target.exclusive != &handle) return SQLITE_BUSY;
      if (target.reserved != nullptr && target.reserved != &handle) return SQLITE_BUSY;
      target.exclusive = &handle;
      handle.level = SQLITE_LOCK_PENDING;
      if (target.shared > 1) return SQLITE_BUSY;
    }
    handle.level = level;
    return SQLITE_OK;
  }

  static int unlock(sqlite3_file* file, int level) {
    auto& handle = of(file);
    std::lock_guard guard(handle.disk->mutex_);
    if (handle.dead()) return SQLITE_OK;
    if (level >= handle.level) return SQLITE_OK;
    auto& target = *handle.file;
    if (target.exclusive == &handle) target.exclusive = nullptr;
    if (target.reserved == &handle) target.reserved = nullptr;
    if (level == SQLITE_LOCK_NONE) --target.shared;
    handle.level = level;
    return SQLITE_OK;
  }

  static int check_reserved_lock(sqlite3_file* file, int* result) {
    auto& handle = of(file);
    std::lock_guard guard(handle.disk->mutex_);
    *result = handle.file->reserved != nullptr || handle.file->exclusive != nullptr;
    return SQLITE_OK;
  }

  static int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file*) { return 4096; }
  /// As the kernel's file systems: a write that is torn spoils nothing around it.
  static int device_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
    auto& handle = of(file);
    std::lock_guard guard(handle.disk->mutex_);
    *memory = nullptr;
    if (handle.dead()) return SQLITE_IOERR_SHMMAP;
    UMBRA_ASSERT(size == static_cast<int>(File::region_octets));
    auto& regions = handle.file->regions;
    if (!handle.has_shm) {
      handle.has_shm = true;
      ++handle.file->shm_users;
    }
    auto index = static_cast<std::size_t>(region);
    if (index >= regions.size() && extend == 0) return SQLITE_OK;
    while (regions.size() <= index) regions.push_back(std::make_unique<std::byte[]>(File::region_octets));
    *memory = regions[index].get();
    return SQLITE_OK;
  }

  static int shm_lock(sqlite3_file* file, int first, int count, int flags) {
    auto& handle = of(file);
    std::lock_guard guard(handle.disk->mutex_);
    if (handle.dead()) return SQLITE_IOERR_SHMLOCK;
    auto& target = *handle.file;
    auto begin = static_cast<std::size_t>(first);
    auto end = begin + static_cast<std::size_t>(count);
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      for (auto i = begin; i < end; ++i) {
        if (target.shm_exclusive[i] == &handle) target.shm_exclusive[i] = nullptr;
        if (handle.shm_shared[i]) {
          handle.shm_shared[i] = false;
          --target.shm_shared[i];
        }
      }
      return SQLITE_OK;
    }
    bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    for (auto i = begin; i < end; ++i) {
      if (target.shm_exclusive[i] != nullptr && target.shm_exclusive[i] != &handle) return SQLITE_BUSY;
      if (exclusive && target.shm_shared[i] > (handle.shm_shared[i] ? 1 : 0)) return SQLITE_BUSY;
    }
    for (auto i = begin; i < end; ++i) {
      if (exclusive) {
        target.shm_exclusive[i] = &handle;
      } else if (!handle.shm_shared[i]) {
        handle.shm_shared[i] = true;
        ++target.shm_shared[i];
      }
    }
    return SQLITE_OK;
  }

  static void shm_barrier(sqlite3_file* file) {
    std::lock_guard guard(of(file).disk->mutex_);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  static int shm_unmap(sqlite3_file* file, int /*remove*/) {
    auto& handle = of(file);
    if (!handle.has_shm) return SQLITE_OK;
    shm_lock(file, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    std::lock_guard guard(handle.disk->mutex_);
    handle.has_shm = false;
    if (handle.dead()) return SQLITE_OK;
    // The last one out takes the index along; the next one in makes it anew from the WAL, as after a start.
    if (--handle.file->shm_users == 0) handle.file->regions.clear();
    return SQLITE_OK;
  }

  static int fetch(sqlite3_file*, sqlite3_int64, int, void** memory) {
    *memory = nullptr;
    return SQLITE_OK;
  }
  static int unfetch(sqlite3_file*, sqlite3_int64, void*) { return SQLITE_OK; }

  static const sqlite3_io_methods* io() {
    static const sqlite3_io_methods methods = {3,
                                               close,
                                               read,
                                               write,
                                               truncate,
                                               sync,
                                               file_size,
                                               lock,
                                               unlock,
                                               check_reserved_lock,
                                               file_control,
                                               sector_size,
                                               device_characteristics,
                                               shm_map,
                                               shm_lock,
                                               shm_barrier,
                                               shm_unmap,
                                               fetch,
                                               unfetch};
    return &methods;
  }

  // ---- the VFS itself

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* given) {
    auto& disk = of(vfs);
    file->pMethods = nullptr;
    if (path == nullptr) return SQLITE_CANTOPEN;
    std::lock_guard guard(disk.mutex_);
    auto found = disk.files_.find(path);
    if (found == disk.files_.end()) {
      if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
      auto made = std::make_shared<File>();
      made->path = path;
      found = disk.files_.emplace(path, std::move(made)).first;
    }
    auto* handle = new (file) Handle{};
    handle->disk = &disk;
    handle->file = found->second;
    handle->life = disk.life_;
    handle->base.pMethods = io();
    if (given != nullptr) *given = flags;
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* vfs, const char* path, int /*sync_directory*/) {
    auto& disk = of(vfs);
    std::lock_guard guard(disk.mutex_);
    auto found = disk.files_.find(path);
    if (found == disk.files_.end()) return SQLITE_IOERR_DELETE_NOENT;
    if (disk.change_fails(Change::write)) return SQLITE_IOERR_DELETE;
    disk.files_.erase(found);
    return SQLITE_OK;
  }

  static int access(sqlite3_vfs* vfs, const char* path, int flags, int* result) {
    auto& disk = of(vfs);
    std::lock_guard guard(disk.mutex_);
    auto found = disk.files_.find(path);
    *result =
        found != disk.files_.end() && (flags != SQLITE_ACCESS_EXISTS || !found->second->content.empty());
    return SQLITE_OK;
  }

  static int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
    auto length = std::strlen(path);
    if (length >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
    std::memcpy(out, path, length + 1);
    return SQLITE_OK;
  }

  static int randomness(sqlite3_vfs* vfs, int size, char* out) {
    auto& disk = of(vfs);
    std::lock_guard guard(disk.mutex_);
    for (int i = 0; i < size; ++i) {
      disk.random_state_ = disk.random_state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      out[i] = static_cast<char>(disk.random_state_ >> 56);
    }
    return size;
  }

  static int sleep(sqlite3_vfs*, int micros) { return micros; }  // nobody else runs meanwhile

  static int current_time(sqlite3_vfs*, sqlite3_int64* out) {
    constexpr sqlite3_int64 unix_epoch_ms = 210866760000000;  // Julian day of 1970-01-01
    *out = unix_epoch_ms +
           std::chrono::duration_cast<std::chrono::milliseconds>(WallClock::now().time_since_epoch()).count();
    return SQLITE_OK;
  }
  static int current_time_days(sqlite3_vfs* vfs, double* out) {
    sqlite3_int64 ms = 0;
    current_time(vfs, &ms);
    *out = static_cast<double>(ms) / 86400000.0;
    return SQLITE_OK;
  }
  static int last_error(sqlite3_vfs*, int, char*) { return 0; }
};

MemoryDisk::MemoryDisk(std::string name) : name_(std::move(name)), vfs_(std::make_unique<sqlite3_vfs>()) {
  UMBRA_ASSERT(sqlite3_vfs_find(name_.c_str()) == nullptr);
  vfs_->iVersion = 2;
  vfs_->szOsFile = sizeof(Handle);
  vfs_->mxPathname = 512;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->xOpen = Methods::open;
  vfs_->xDelete = Methods::remove;
  vfs_->xAccess = Methods::access;
  vfs_->xFullPathname = Methods::full_path;
  vfs_->xRandomness = Methods::randomness;
  vfs_->xSleep = Methods::sleep;
  vfs_->xCurrentTime = Methods::current_time_days;
  vfs_->xGetLastError = Methods::last_error;
  vfs_->xCurrentTimeInt64 = Methods::current_time;
  UMBRA_ASSERT(sqlite3_vfs_register(vfs_.get(), 0) == SQLITE_OK);
}

MemoryDisk::~MemoryDisk() {
  sqlite3_vfs_unregister(vfs_.get());
}

MemoryDisk* MemoryDisk::find(const std::string& vfs) {
  auto* found = sqlite3_vfs_find(vfs.c_str());
  if (found == nullptr || found->xOpen != Methods::open) return nullptr;
  return static_cast<MemoryDisk*>(found->pAppData);
}

bool MemoryDisk::change_fails(Change kind) {
  ++(kind == Change::write ? writes_ : syncs_);
  if (fault_.struck && fault_.for_good) return true;
  if (fault_.countdown == 0 || fault_.kind != kind || --fault_.countdown != 0) return false;
  fault_.struck = true;
  return true;
}

void MemoryDisk::drop_handles() {
  ++life_;
  for (auto& [path, file] : files_) file->drop_locks();
  fault_ = {};
}

void MemoryDisk::crash(Crash kind, Random* random) {
  std::lock_guard guard(mutex_);
  for (auto& [path, file] : files_) {
    if (kind == Crash::process) continue;
    if (kind == Crash::power_partly) {
      UMBRA_ASSERT(random != nullptr);
      for (auto& step : file->unsynced) {
        auto fate = random->below(4);
        if (fate == 0) continue;  // did not make it
        if (fate == 1 && !step.truncates && step.octets.size() > 512)
          step.octets.resize(step.octets.size() / 1024 * 512);
        step.apply(file->durable);
      }
    }
    file->unsynced.clear();
    file->content = file->durable;
  }
  drop_handles();
}

void MemoryDisk::fail(Change kind, std::uint64_t nth, bool for_good) {
  std::lock_guard guard(mutex_);
  fault_ = {kind, nth, for_good, false};
}

void MemoryDisk::tear_failing_write(bool tear) {
  std::lock_guard guard(mutex_);
  tear_ = tear;
}

void MemoryDisk::heal() {
  std::lock_guard guard(mutex_);
  fault_ = {};
  capacity_ = UINT64_MAX;
}

void MemoryDisk::set_capacity(std::uint64_t octets) {
  std::lock_guard guard(mutex_);
  capacity_ = octets;
}

std::uint64_t MemoryDisk::writes() const {
  std::lock_guard guard(mutex_);
  return writes_;
}

std::uint64_t MemoryDisk::syncs() const {
  std::lock_guard guard(mutex_);
  return syncs_;
}

std::uint64_t MemoryDisk::syncs_of(const std::string& path) const {
  std::lock_guard guard(mutex_);
  auto found = syncs_of_.find(path);
  return found == syncs_of_.end() ? 0 : found->second;
}

std::uint64_t MemoryDisk::octets_locked() const {
  std::uint64_t sum = 0;
  for (const auto& [path, file] : files_) sum += file->content.size();
  return sum;
}

std::uint64_t MemoryDisk::octets() const {
  std::lock_guard guard(mutex_);
  return octets_locked();
}

std::uint64_t MemoryDisk::free_octets() const {
  std::lock_guard guard(mutex_);
  auto used = octets_locked();
  return capacity_ > used ? capacity_ - used : 0;
}

bool MemoryDisk::has_failed() const {
  std::lock_guard guard(mutex_);
  return fault_.struck;
}

MemoryDisk::Image MemoryDisk::durable() const {
  std::lock_guard guard(mutex_);
  Image image;
  for (const auto& [path, file] : files_) image[path] = file->durable;
  return image;
}

MemoryDisk::Image MemoryDisk::current() const {
  std::lock_guard guard(mutex_);
  Image image;
  for (const auto& [path, file] : files_) image[path] = file->content;
  return image;
}

void MemoryDisk::restore(Image image) {
  std::lock_guard guard(mutex_);
  drop_handles();
  files_.clear();
  for (auto& [path, content] : image) {
    auto file = std::make_shared<File>();
    file->path = path;
    file->content = content;
    file->durable = std::move(content);
    files_[path] = std::move(file);
  }
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  std::lock_guard guard(mutex_);
  auto found = files_.find(from);
  if (found == files_.end()) return {};
  if (change_fails(Change::write)) return failure(std::errc::io_error, "rename " + from);
  auto file = std::move(found->second);
  files_.erase(found);
  file->path = to;
  files_[to] = std::move(file);
  return {};
}

void MemoryDisk::decay(const std::string& path, std::uint64_t at, std::uint64_t octets, Random& random) {
  std::lock_guard guard(mutex_);
  auto found = files_.find(path);
  if (found == files_.end()) return;
  auto end = std::min<std::uint64_t>(at + octets,
                                     std::max(found->second->content.size(), found->second->durable.size()));
  for (auto i = at; i < end; ++i) {
    char noise = static_cast<char>(random.below(256));
    for (auto* kept : {&found->second->content, &found->second->durable})
      if (i < kept->size()) (*kept)[i] = noise;
  }
}

}  // namespace umbra::storage
