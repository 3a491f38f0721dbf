// What becomes of a spool whose files cannot be believed: a mark says so durably, and the files are moved
// into a folder of their own beside it, from where `umbra spool export` reads what is readable. Nothing is
// ever removed here. The mark comes first and goes last, so that a move that was cut by a crash is finished
// by the next one, into the same folder.
//
// Called by Spool::open (is there a mark?), group commit (damage was found), hub/ and `umbra spool set-aside`
// (move).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::storage {

/// <directory>/spool.damaged. `vfs` empty: the default one.
class DamageMark {
 public:
  DamageMark(std::string vfs, const std::string& directory)
      : vfs_(std::move(vfs)), path_(directory + "/spool.damaged") {}

  struct Value {
    std::string folder;  ///< where the files go, a name without a path
    std::string reason;
  };
  /// nullopt: there is none. One that cannot be parsed is one without a reason.
  [[nodiscard]] Result<std::optional<Value>> read() const;
  /// Durable when it returns. A mark that is there already stays as it is.
  [[nodiscard]] Result<void> set(const std::string& reason) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string vfs_;
  std::string path_;
};

/// The folders of spools set aside in `directory`, oldest first (none with a VFS of its own).
std::vector<std::string> spools_set_aside(const std::string& directory);

/// Moves the spool's files away; gives the folder's path. Nobody may have the spool open (its lock is taken
/// meanwhile). With `kept_max` folders there already nothing is moved: a disk that damages one spool after
/// the other has to be looked at, and what is kept may be the only copy of something.
Result<std::string> set_aside(const std::string& directory, const std::string& vfs, const std::string& reason,
                              std::uint32_t kept_max);

}  // namespace umbra::storage
