// What guards a spool's directory besides the database: is it a place for a spool at all, is nobody else at
// it, and is the database the one that was here last. Called by Spool::open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace umbra::storage {

/// The directory exists, can be written to, and is not on a network file system (where locks and shared
/// memory lie).
Result<void> check_directory(const std::string& directory);

/// Holds <directory>/spool.lock (flock) for its life. The file names the process that has it.
class DirectoryLock {
 public:
  static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock() = default;
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;

 private:
  int file_ = -1;
};

/// The high-water mark <directory>/spool.epoch: which spool was opened here last, and in which epoch. A
/// database that is behind it was restored from a backup. Two slots, written in turn and synced, so that a
/// crash spoils at most the newer; in text, for people. Goes through the SQLite VFS, so that simulated disks
/// have it too.
class EpochMark {
 public:
  struct Value {
    SpoolId spool;
    Epoch epoch;
  };

  /// `vfs` empty: the default one.
  EpochMark(std::string vfs, std::string path) : vfs_(std::move(vfs)), path_(std::move(path)) {}

  /// nullopt: there is none, or none that was written completely.
  [[nodiscard]] Result<std::optional<Value>> read() const;
  /// Durable when it returns.
  [[nodiscard]] Result<void> write(Value value) const;
  [[nodiscard]] Result<void> remove() const;

 private:
  std::string vfs_;
  std::string path_;
};

/// A file of a VFS, to be read. One that is not there has no octets.
class ReadableFile {
 public:
  static Result<ReadableFile> open(const std::string& vfs, const std::string& path);
  ReadableFile(ReadableFile&&) noexcept;
  ~ReadableFile();
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Fills `into`, from `at` on; what is beyond the end is zeros.
  Result<void> read(std::uint64_t at, std::string& into);

 private:
  struct Handle;
  ReadableFile();
  std::unique_ptr<Handle> handle_;
  std::string path_;
  std::uint64_t size_ = 0;
};

/// Its content, at most `octets_max` of it; empty when there is none.
Result<std::string> read_small_file(const std::string& vfs, const std::string& path, std::size_t octets_max);
/// Made anew; durable when it returns.
Result<void> write_small_file(const std::string& vfs, const std::string& path, const std::string& content);

/// Whether a file of this name is there and not empty.
Result<bool> has_content(const std::string& vfs, const std::string& path);

/// Makes an empty file that only this user may read, unless there is one.
Result<void> make_private_file(const std::string& path);

/// Octets that an ordinary user may still write to the file system of `directory`; the largest number if
/// nobody can say.
std::uint64_t free_octets_of(const std::string& directory);

}  // namespace umbra::storage
