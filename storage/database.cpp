#include "storage/database.h"

#include <cerrno>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include "storage/spool_error.h"

namespace umbra::storage {
namespace {

/// A full file system shows in several ways: ENOSPC as SQLITE_FULL, a quota as a failed write, and a
/// shared-memory index that could not grow as its own code. Nothing was lost in any of them.
bool is_full(int code, int system_error) {
  return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE ||
         (code == SQLITE_IOERR_WRITE && (system_error == EDQUOT || system_error == ENOSPC));
}

std::errc meaning(int code, int system_error) {
  if (is_full(code, system_error)) return std::errc::no_space_on_device;
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return std::errc::device_or_resource_busy;
    case SQLITE_NOMEM:
      return std::errc::not_enough_memory;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return std::errc::permission_denied;
    case SQLITE_CANTOPEN:
      return std::errc::no_such_file_or_directory;
    case SQLITE_CONSTRAINT:
      return std::errc::file_exists;
    case SQLITE_TOOBIG:
      return std::errc::value_too_large;
    default:
      return std::errc::io_error;
  }
}

constexpr std::int64_t journal_octets_kept = 64 << 20;
constexpr int busy_wait_ms = 5000;  // only a tool that an operator attached can make us wait

}  // namespace

void Database::prepare_library() {
  // Its count of allocated memory takes a lock for every allocation, and every statement allocates.
  static std::once_flag once;
  std::call_once(once, [] { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const std::string& vfs, Mode mode,
                                                 std::uint32_t page_octets) {
  std::unique_ptr<Database> database(new Database());
  database->path_ = path;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (mode == Mode::writer) flags |= SQLITE_OPEN_CREATE;
  int code = sqlite3_open_v2(path.c_str(), &database->handle_, flags, vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) {
    database->fail(code, "open");
    return std::unexpected(*database->error_);
  }
  if (auto result = database->configure(mode, page_octets); !result) return std::unexpected(result.error());
  return database;
}

Database::~Database() {
  // Statements go before their connection; close would refuse otherwise, and a leaked connection keeps its
  // locks.
  if (handle_ != nullptr) UMBRA_ASSERT(sqlite3_close(handle_) == SQLITE_OK);
}

Result<void> Database::configure(Mode mode, std::uint32_t page_octets) {
  sqlite3_busy_timeout(handle_, busy_wait_ms);
  // A checkpoint at close would be a second place that checkpoints; the writer does it when it stops in
  // order.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  if (mode == Mode::writer) {
    // Both are fixed once the first table is there, and page_size even before: once the file is in WAL mode.
    execute(fmt::format("PRAGMA page_size={}", page_octets).c_str());
    execute("PRAGMA auto_vacuum=INCREMENTAL");
    sqlite3_wal_hook(
        handle_,
        [](void* self, sqlite3*, const char*, int frames) {
          static_cast<Database*>(self)->wal_frames_ = static_cast<std::uint64_t>(frames);
          return SQLITE_OK;
        },
        this);
  }
  struct Setting {
    const char* set;
    const char* get;
    std::int64_t value;
  };
  const Setting settings[] = {
      // Debian builds SQLite with secure_delete on: a queue, where everything is deleted, would write ten
      // times as much.
      {"PRAGMA secure_delete=OFF", "PRAGMA secure_delete", 0},
      {"PRAGMA synchronous=FULL", "PRAGMA synchronous", 2},
      {"PRAGMA mmap_size=0", "PRAGMA mmap_size", 0},
      {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2},
      {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", 1},
      {mode == Mode::writer ? "PRAGMA cache_size=-16384" : "PRAGMA cache_size=-4096", "PRAGMA cache_size",
       mode == Mode::writer ? -16384 : -4096},
      {mode == Mode::writer ? "PRAGMA query_only=OFF" : "PRAGMA query_only=ON", "PRAGMA query_only",
       mode == Mode::writer ? 0 : 1},
  };
  if (mode == Mode::writer) execute("PRAGMA journal_mode=WAL");
  for (const auto& setting : settings) {
    execute(setting.set);
    auto value = number(setting.get);
    if (ok() && value != setting.value) {
      return failure(std::errc::not_supported,
                     fmt::format("{}: {} gives {}, not {}", path_, setting.get, value, setting.value));
    }
  }
  Statement journal(*this, "PRAGMA journal_mode");
  {
    auto rows = journal.rows();
    if (rows.next() && rows.octets(0) != "wal") {
      return failure(std::errc::not_supported,
                     fmt::format("{}: not in WAL mode but {}", path_, rows.octets(0)));
    }
  }
  if (mode == Mode::writer) {
    execute(fmt::format("PRAGMA journal_size_limit={}", journal_octets_kept).c_str());
    if (ok() && number("PRAGMA auto_vacuum") != 2) {
      return failure(std::errc::not_supported, path_ + ": auto_vacuum is not INCREMENTAL");
    }
  }
  page_octets_ = static_cast<std::uint64_t>(number("PRAGMA page_size"));
  return outcome();
}

void Database::execute(const char* sql) {
  if (error_) return;
  if (int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code, sql);
}

std::int64_t Database::number(const char* sql) {
  Statement statement(*this, sql);
  auto rows = statement.rows();
  return rows.next() ? rows.number(0) : 0;
}

void Database::fail(int code, const char* what) {
  if (error_) return;
  int system_error = handle_ == nullptr ? 0 : sqlite3_system_errno(handle_);
  int primary = code & 0xff;
  damaged_ = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
  broken_ = (primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) &&
            !is_full(code, system_error);
  auto text = fmt::format("{}: {}: {} ({})", path_, what, sqlite3_errstr(code), code);
  if (handle_ != nullptr && primary != SQLITE_MISUSE && sqlite3_extended_errcode(handle_) == code) {
    text = fmt::format("{}: {}: {} ({})", path_, what, sqlite3_errmsg(handle_), code);
  }
  if (system_error != 0 &&
      (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL)) {
    text += fmt::format(": {}", std::strerror(system_error));
  }
  auto kind =
      damaged_ ? make_error_code(SpoolFault::damaged) : std::make_error_code(meaning(code, system_error));
  error_ = Error{kind, std::move(text)};
}

Result<void> Database::outcome() const {
  if (error_) return std::unexpected(*error_);
  return {};
}

void Database::clear() {
  error_.reset();
  broken_ = false;
  damaged_ = false;
}

Database::Checkpoint Database::checkpoint(int mode) {
  Checkpoint result;
  if (error_) return result;
  int code = sqlite3_wal_checkpoint_v2(handle_, "main", mode, &result.frames, &result.moved);
  if ((code & 0xff) == SQLITE_BUSY) return result;
  if (code != SQLITE_OK) {
    fail(code, "checkpoint");
    return result;
  }
  result.complete = result.frames == result.moved;
  if (result.complete && mode != SQLITE_CHECKPOINT_PASSIVE) wal_frames_ = 0;
  return result;
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

bool Statement::begin() {
  if (!database_.ok()) return false;
  UMBRA_ASSERT(!in_use_);
  if (statement_ == nullptr) {
    int code =
        sqlite3_prepare_v3(database_.handle(), sql_, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    if (code != SQLITE_OK) {
      database_.fail(code, sql_);
      return false;
    }
  }
  in_use_ = true;
  return true;
}

void Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}

void Statement::bind(int index, Blob blob) {
  sqlite3_bind_blob64(statement_, index, blob.octets.empty() ? "" : blob.octets.data(), blob.octets.size(),
                      SQLITE_STATIC);
}

Statement::Rows::~Rows() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_->statement_);
  statement_->in_use_ = false;
}

bool Statement::Rows::next() {
  if (statement_ == nullptr || !statement_->database_.ok()) return false;
  int code = sqlite3_step(statement_->statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) statement_->database_.fail(code, statement_->sql_);
  return false;
}

std::int64_t Statement::Rows::number(int column) const {
  return sqlite3_column_int64(statement_->statement_, column);
}

std::uint64_t Statement::Rows::unsigned_number(int column) const {
  return static_cast<std::uint64_t>(number(column));
}

std::string_view Statement::Rows::octets(int column) const {
  // For text and blobs alike: the stored octets, without conversion.
  const void* data = sqlite3_column_blob(statement_->statement_, column);
  int size = sqlite3_column_bytes(statement_->statement_, column);
  return data == nullptr ? std::string_view{}
                         : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

bool Statement::Rows::is_null(int column) const {
  return sqlite3_column_type(statement_->statement_, column) == SQLITE_NULL;
}

}  // namespace umbra::storage
