// One SQLite connection: RAII handle, pragmas set and read back, prepared statements. Used by the tables of
// storage/ only, on the lane that owns the connection; nothing here is shared between threads at one time.
//
// Errors stick: the first failure is kept, and until clear() every further statement does nothing and gives
// no rows. So a series of statements is written straight down and judged once, by outcome() at its end.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace umbra::storage {

/// Octets to be bound as a BLOB; a plain string_view is bound as TEXT.
struct Blob {
  std::string_view octets;
};

class Database {
 public:
  enum class Mode : std::uint8_t { writer, reader };

  /// Once per process, before SQLite is used at all; later it has no effect.
  static void prepare_library();
  /// The writer creates the file if there is none and sets what is kept in it; the reader is query_only and
  /// comes second. `page_octets` matters only to a file that is made.
  static Result<std::unique_ptr<Database>> open(const std::string& path, const std::string& vfs, Mode mode,
                                                std::uint32_t page_octets);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] sqlite3* handle() const { return handle_; }

  /// Runs statements without parameters, outside the hot path.
  void execute(const char* sql);
  /// First column of the first row; 0 if there is none or after a failure.
  std::int64_t number(const char* sql);

  /// Records a failure unless there is one already. `code` is an (extended) SQLite result code.
  void fail(int code, const char* what);
  [[nodiscard]] bool ok() const { return !error_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  /// The failure is of the kind after which nothing of this file may be believed any more: a read, write or
  /// sync that failed, or damage. A full disk is not.
  [[nodiscard]] bool is_broken() const { return broken_; }
  /// The failure is that what was read makes no sense.
  [[nodiscard]] bool is_damaged() const { return damaged_; }
  /// Success, or the failure that stuck.
  [[nodiscard]] Result<void> outcome() const;
  void clear();

  /// Whether a transaction is open. Some failures end it by themselves.
  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  /// Frames in the WAL after the last commit of this connection.
  [[nodiscard]] std::uint64_t wal_frames() const { return wal_frames_; }
  [[nodiscard]] std::uint64_t page_octets() const { return page_octets_; }

  struct Checkpoint {
    bool complete = false;  ///< every frame is in the database file
    int frames = 0;
    int moved = 0;
  };
  /// `mode` is SQLITE_CHECKPOINT_*. A busy reader is no failure; a full disk is, but not a broken one.
  Checkpoint checkpoint(int mode);

 private:
  Database() = default;
  Result<void> configure(Mode mode, std::uint32_t page_octets);

  std::string path_;
  sqlite3* handle_ = nullptr;
  std::optional<Error> error_;
  bool broken_ = false;
  bool damaged_ = false;
  std::uint64_t wal_frames_ = 0;
  std::uint64_t page_octets_ = 0;
};

/// A statement that is prepared at its first use and kept. One user at a time.
class Statement {
 public:
  /// `sql` must outlive the statement: a literal.
  Statement(Database& database, const char* sql) : database_(database), sql_(sql) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Rows of one execution; resets the statement at the end of its scope. What column functions return lives
  /// until the next call of next().
  class Rows {
   public:
    explicit Rows(Statement* statement) : statement_(statement) {}
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    ~Rows();
    bool next();
    [[nodiscard]] std::int64_t number(int column) const;
    [[nodiscard]] std::uint64_t unsigned_number(int column) const;
    [[nodiscard]] std::string_view octets(int column) const;
    [[nodiscard]] bool is_null(int column) const;

   private:
    Statement* statement_;  ///< nullptr: a failure stuck, no rows
  };

  /// Binds the parameters in order; they must outlive the result.
  template <class... Arguments>
  Rows rows(const Arguments&... arguments) {
    if (!begin()) return Rows(nullptr);
    int index = 0;
    (bind(++index, arguments), ...);
    return Rows(this);
  }

  /// Runs to the end. Returns how many rows were changed, 0 after a failure.
  template <class... Arguments>
  std::int64_t run(const Arguments&... arguments) {
    auto result = rows(arguments...);
    while (result.next()) {
    }
    return database_.ok() ? sqlite3_changes64(database_.handle()) : 0;
  }

 private:
  bool begin();
  void bind(int index, std::int64_t value) { sqlite3_bind_int64(statement_, index, value); }
  void bind(int index, std::uint64_t value) { bind(index, static_cast<std::int64_t>(value)); }
  void bind(int index, std::uint32_t value) { bind(index, std::int64_t{value}); }
  void bind(int index, int value) { bind(index, std::int64_t{value}); }
  void bind(int index, bool value) { bind(index, std::int64_t{value}); }
  void bind(int index, std::nullptr_t) { sqlite3_bind_null(statement_, index); }
  void bind(int index, std::string_view text);
  void bind(int index, const std::string& text) { bind(index, std::string_view(text)); }
  void bind(int index, Blob blob);
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    if (value) {
      bind(index, *value);
    } else {
      bind(index, nullptr);
    }
  }

  Database& database_;
  const char* sql_;
  sqlite3_stmt* statement_ = nullptr;
  bool in_use_ = false;
};

}  // namespace umbra::storage
