// Bodies: the octets of messages and shadows, in chunks. A body is known by the row of its message or shadow;
// each has a checksum, because the database has none and would hand out decayed octets without a word. Chunks
// may be there before (streaming), and then the body is remembered as unfinished, so that a crash
// leaves nothing behind. Large bodies are removed piece by piece, so that removing one never stalls the
// commits of others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "storage/database.h"

namespace umbra::storage {

class Bodies {
 public:
  explicit Bodies(Database& database) : database_(database) {}

  void put(RowId body, std::uint32_t number, std::string_view octets);
  /// Empty past the end. One whose checksum is wrong is damage.
  std::string chunk(RowId body, std::uint32_t number);
  /// A message or shadow has come for this body.
  void claim(RowId body);
  /// Removes a body of `size` octets; a large one later, by collect().
  void remove(RowId body, std::uint64_t size);
  /// The same for a body whose size nobody knows and that may be unfinished.
  void remove_unclaimed(RowId body);

  /// Brackets one operation: chunks put in it without a claim in it become unfinished at its end.
  void begin_operation() {
    put_now_.clear();
    claimed_now_.clear();
  }
  void end_operation();

  /// After a crash: unfinished bodies become garbage.
  void sweep_unfinished();
  /// Removes a piece of garbage, about a megabyte. False: there is none.
  bool collect();
  [[nodiscard]] bool may_have_garbage() const { return garbage_; }

 private:
  std::string checked(Statement::Rows rows);

  Database& database_;
  struct Put {
    RowId body;
    bool from_start;  ///< chunk 0 among them
  };
  std::vector<Put> put_now_;  ///< of the present operation, not claimed
  std::vector<RowId> claimed_now_;
  bool garbage_ = true;  ///< unknown at first

  Statement put_first_{database_, "INSERT INTO bodies VALUES(?, ?, ?)"};
  Statement put_other_{database_, "INSERT INTO chunks VALUES(?, ?, ?, ?)"};
  Statement first_{database_, "SELECT octets, checksum FROM bodies WHERE row = ?"};
  Statement other_{database_, "SELECT octets, checksum FROM chunks WHERE body = ? AND number = ?"};
  Statement remove_first_{database_, "DELETE FROM bodies WHERE row = ?"};
  Statement remove_others_{database_, "DELETE FROM chunks WHERE body = ?"};
  Statement remember_{database_, "INSERT OR IGNORE INTO unfinished VALUES(?)"};
  Statement claim_{database_, "DELETE FROM unfinished WHERE body = ?"};
  Statement discard_{database_, "INSERT OR IGNORE INTO garbage VALUES(?)"};
  // Of a body that has found its owner meanwhile nothing is removed.
  Statement discard_unclaimed_{database_,
                               "INSERT OR IGNORE INTO garbage SELECT ?1 WHERE "
                               "NOT EXISTS (SELECT 1 FROM messages WHERE row = ?1) AND "
                               "NOT EXISTS (SELECT 1 FROM shadows WHERE row = ?1) AND "
                               "NOT EXISTS (SELECT 1 FROM kept WHERE row = ?1)"};
  Statement next_garbage_{database_, "SELECT body FROM garbage ORDER BY body LIMIT 1"};
  Statement piece_{database_,
                   "SELECT number, length(octets) FROM chunks WHERE body = ? ORDER BY number LIMIT 64"};
  Statement remove_piece_{database_, "DELETE FROM chunks WHERE body = ? AND number <= ?"};
  Statement garbage_done_{database_, "DELETE FROM garbage WHERE body = ?"};
};

}  // namespace umbra::storage
