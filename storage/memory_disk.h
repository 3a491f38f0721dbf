// The simulated disk: an SQLite VFS in memory, for simulations, crash tests and unit tests. Not used by a
// running hub.
//
// A disk keeps, per file, what would survive a loss of power (everything up to the last sync) and the changes
// since. It can lose power, fill up, fail at a chosen write or sync, and be copied. Many disks live in one
// process, each a VFS of its own name. Deterministic: it reads neither clock nor kernel. WAL works (shared
// memory is heap memory); connections may be on different threads.
//
// Limits: creating and deleting a file is durable at once; no temporary files (spools keep those in memory).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace umbra::storage {

class MemoryDisk {
 public:
  /// Registers a VFS named `name`, which must be unused. Connections must be closed before the disk is
  /// destroyed.
  explicit MemoryDisk(std::string name);
  ~MemoryDisk();
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  /// For SpoolOptions::vfs. Any directory will do with it, e.g. "/spool".
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The disk behind a VFS name, or nullptr.
  static MemoryDisk* find(const std::string& vfs);

  // ---- crashes
  enum class Crash : std::uint8_t {
    process,      ///< kill -9: the kernel has every write and goes on
    power,        ///< everything since the last sync of each file is gone
    power_partly  ///< of the writes since then a random part has reached the disk, the last of them perhaps
                  ///< torn
  };
  /// What is open now is dead: every later call on it fails, its locks are gone. Chosen faults are over.
  void crash(Crash kind, Random* random = nullptr);

  // ---- faults
  enum class Change : std::uint8_t { write, sync };  // a truncation or deletion counts as a write
  /// The nth (from 1) such change from now fails with an I/O error; `for_good`: and so does every change
  /// after it.
  void fail(Change kind, std::uint64_t nth, bool for_good);
  /// Half of the write that fails by fail() is done nevertheless.
  void tear_failing_write(bool tear);
  /// No fault any more.
  void heal();
  /// Writes that would make all files together larger than this fail with SQLITE_FULL.
  void set_capacity(std::uint64_t octets);

  /// Durable at once, like creating and deleting. Of a file that is not there: nothing.
  Result<void> rename(const std::string& from, const std::string& to);
  /// Bits flip in what is kept: `octets` from `at` on, as far as the file reaches, are replaced by noise.
  /// Handles that are open see it.
  void decay(const std::string& path, std::uint64_t at, std::uint64_t octets, Random& random);

  // ---- what happened
  [[nodiscard]] std::uint64_t writes() const;
  [[nodiscard]] std::uint64_t syncs() const;
  [[nodiscard]] std::uint64_t syncs_of(const std::string& path) const;
  [[nodiscard]] std::uint64_t octets() const;
  [[nodiscard]] std::uint64_t free_octets() const;
  /// A chosen fault has struck.
  [[nodiscard]] bool has_failed() const;

  // ---- copies: path -> content
  using Image = std::map<std::string, std::string>;
  [[nodiscard]] Image durable() const;
  /// As the process sees it, synced or not.
  [[nodiscard]] Image current() const;
  /// Replaces every file; like crash() for what is open.
  void restore(Image image);

 private:
  struct File;
  struct Handle;
  struct Methods;

  struct Fault {
    Change kind = Change::write;
    std::uint64_t countdown = 0;  ///< 0: none
    bool for_good = false;
    bool struck = false;
  };

  /// Counts a change; true: it is to fail.
  bool change_fails(Change kind);
  void drop_handles();
  std::uint64_t octets_locked() const;

  std::string name_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<File>> files_;
  std::uint64_t life_ = 0;  ///< one higher with every crash: a handle of an earlier one is dead
  Fault fault_;
  bool tear_ = false;
  std::uint64_t capacity_ = UINT64_MAX;
  std::uint64_t writes_ = 0;
  std::uint64_t syncs_ = 0;
  std::map<std::string, std::uint64_t> syncs_of_;
  std::uint64_t random_state_ = 0;
  std::unique_ptr<sqlite3_vfs> vfs_;
};

}  // namespace umbra::storage
