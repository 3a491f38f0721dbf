// Reads what is readable of a spool that may be damaged: behind `umbra spool check` and `umbra spool export`.
// Read only; the hub that the spool belongs to may be running. Every read is judged by itself: one that fails
// costs what it was after, and the next one goes on beyond it.
//
// One thing hides others: SQLite reads whole pieces of other bodies while it looks for the second or a later
// piece of one (beyond 64 KiB), so a damaged one may make its neighbours unreadable too.
//
// Rows are found by walking each table from both ends up to the damage, and beyond it by looking for a key
// that can be read again; the indexes and the queue give the keys of rows that are not found so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/database.h"
#include "storage/spool.h"

namespace umbra::storage {

/// A message, a shadow, or what the safety net keeps, as far as it could be read; the envelope always was.
struct SalvagedCopy {
  enum class Kind : std::uint8_t { message, shadow, kept };
  Kind kind = Kind::message;
  StoredMessage
      message;  ///< of a shadow: `holders` are the hubs that were offered the copy, `progress` what is done
  std::string owner_hub;              ///< of a shadow; of a kept one that was a shadow
  SpoolId owner_spool;                ///< the same
  bool is_held_elsewhere = false;     ///< of a message: another hub said that it holds a copy
  std::vector<std::string> problems;  ///< what of it could not be read
};

struct SalvagedBody {
  std::uint64_t octets = 0;  ///< that were given out
  std::string problem;       ///< empty: whole, as it was accepted
};

class Salvage {
 public:
  using Kind = SalvagedCopy::Kind;

  /// The spool in `directory`; `vfs` empty: the default one. Fails when not even its first page can be read.
  static Result<std::unique_ptr<Salvage>> open(const std::string& directory, const std::string& vfs);

  [[nodiscard]] SpoolId id() const { return id_; }
  /// The keys of all rows of a kind, ascending, with those that only an index or a body still speaks of.
  std::vector<RowId> rows(Kind kind);
  /// What is there under this key. Nothing: no such row. An error: there is (or may be) one, and it cannot be
  /// read.
  Result<std::optional<SalvagedCopy>> load(Kind kind, RowId row);
  /// Gives the octets of a body in order, those of damaged pieces too. UINT64_MAX: nobody knows its size. An
  /// error is the sink's.
  Result<SalvagedBody> body(RowId row, std::uint64_t size,
                            const std::function<Result<void>(std::string_view)>& sink);
  /// Bodies that were accepted, and belong to nothing that can be found. Needs all rows of all kinds,
  /// ascending, as they were found before: what a hub at work has accepted since is looked for once more.
  std::vector<RowId> orphan_bodies(const std::vector<RowId>& messages, const std::vector<RowId>& shadows,
                                   const std::vector<RowId>& kept);
  /// Messages that are on no other hub, as far as the index of them can be read.
  Result<std::vector<MessageId>> unprotected();

  /// What SQLite says of the file, at most `limit` lines; none: it is whole.
  std::vector<std::string> structure(std::size_t limit);
  /// The counts that the spool keeps of itself; nullopt: not readable.
  std::optional<QueueCounts> counts();

 private:
  struct Gap;
  explicit Salvage(std::unique_ptr<Database> database);

  std::vector<std::int64_t> walk(const char* table);
  std::vector<std::int64_t> find_between(const std::string& up, const std::string& down, const Gap& gap,
                                         std::size_t& probes);
  bool is_body_gone(RowId row);
  /// False: an older version wrote the file.
  bool has_safety_net();
  void add_keys(std::vector<std::int64_t>& keys, const char* sql);
  std::vector<std::int64_t> probe(const std::string& sql, std::int64_t key, std::int64_t until, bool up,
                                  bool& is_blocked);
  void read_envelope(SalvagedCopy& copy, std::string_view octets, bool& is_read);
  static void read_held(SalvagedCopy& copy, RowId row, const Statement::Rows& rows);
  void read_progress(SalvagedCopy& copy);
  std::string problem();

  std::unique_ptr<Database> database_;
  SpoolId id_;
  Epoch epoch_;  ///< the last one that is known: where keys are looked for
};

}  // namespace umbra::storage
