// Opening a spool, and its face: what the home thread keeps of it (row keys, epoch) in front of group commit.
#include "storage/spool.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "storage/discards.h"
#include "storage/group_commit.h"
#include "storage/memory_disk.h"
#include "storage/schema.h"
#include "storage/set_aside.h"
#include "storage/spool_error.h"
#include "storage/suspects.h"
#include "storage/wal_check.h"

namespace umbra::storage {
namespace {

constexpr int counter_bits = 40;
constexpr std::int64_t epoch_max = (std::int64_t{1} << (63 - counter_bits)) - 1;
constexpr std::uint32_t page_octets = 4096;

RowId first_row(Epoch epoch) {
  UMBRA_ASSERT(epoch.value > 0 && epoch.value <= static_cast<std::uint64_t>(epoch_max));
  return RowId{static_cast<std::int64_t>(epoch.value << counter_bits)};
}

std::unexpected<Error> explained(const SpoolOptions& options, const Error& error) {
  return failure(error.code, fmt::format("open spool {}: {}", options.directory, error.what));
}

/// The high-water mark against the database, before anything is written.
Result<void> check_mark(const SpoolOptions& options, const EpochMark::Value& mark, SpoolId id, Epoch epoch) {
  if (mark.spool != id) {
    return failure(SpoolFault::not_the_last,
                   fmt::format("spool.db is spool {}, but spool {} was here last (epoch {}): put that "
                               "database back, or, if this "
                               "one is meant to be here, remove {}/spool.epoch",
                               to_string(id), to_string(mark.spool), mark.epoch.value, options.directory));
  }
  if (epoch < mark.epoch) {
    return failure(
        SpoolFault::not_the_last,
        fmt::format(
            "spool.db is at epoch {}, but epoch {} was begun here: it was restored from a backup, and would "
            "deliver mail again that is done. Put the newest database back; or, if that is lost, run `umbra "
            "spool set-aside {}`: "
            "the hub then starts empty and the other hubs deliver what they hold",
            epoch.value, mark.epoch.value, options.directory));
  }
  return {};
}

constexpr const char* hub_note = "hub";

/// The disk of one hub in the hands of another: the other hubs would take one spool for two hubs, or for one
/// that is gone and takes its mail over while it is delivered here.
Result<void> check_owner(const SpoolOptions& options, Database& database) {
  if (options.hub.empty()) return {};
  Discards notes(database);
  auto owner = notes.note(hub_note);
  if (auto result = database.outcome(); !result) return result;
  if (owner.empty() || owner == options.hub) return {};
  return failure(SpoolFault::not_the_last,
                 fmt::format("this is the spool of hub {}, and this hub is {}: start {} with it. If its mail "
                             "is not wanted any more, or it had "
                             "left, run `umbra spool set-aside {}`: the hub then starts empty",
                             owner, options.hub, owner, options.directory));
}

/// A small database is looked through as a whole, which takes milliseconds. In a large one damage is found
/// when it is read.
Result<void> check_small(Database& database) {
  constexpr std::int64_t pages_max = 65'536;  // 256 MiB: about 0.1 s, and 1 s from a cold disk
  if (database.number("PRAGMA page_count") > pages_max) return database.outcome();
  Statement check(database, "PRAGMA quick_check(1)");
  auto rows = check.rows();
  if (rows.next() && rows.octets(0) != "ok")
    return failure(SpoolFault::damaged, "quick_check: " + std::string(rows.octets(0)));
  return database.outcome();
}

class LocalSpool final : public Spool {
 public:
  LocalSpool(GroupCommit::Opened opened, GroupCommit::Lanes lanes)
      : directory_(opened.options.directory),
        vfs_(opened.options.vfs),
        id_(opened.id),
        epoch_(opened.epoch),
        core_(std::make_shared<GroupCommit>(std::move(opened), lanes)) {
    core_->start();
  }
  ~LocalSpool() override { core_->abandon(); }

  [[nodiscard]] SpoolId id() const override { return id_; }
  [[nodiscard]] Epoch epoch() const override { return epoch_; }
  [[nodiscard]] Sequence sequence() const override { return core_->sequence(); }

  RowId next_row() override {
    UMBRA_ASSERT(counter_ < (std::int64_t{1} << counter_bits) - 1);
    return RowId{first_row(epoch_).value + ++counter_};
  }
  [[nodiscard]] RowId first_row_of_epoch() const override { return first_row(epoch_); }

  void begin_next_epoch(WriteDone done) override {
    core_->begin_next_epoch([this, done = std::move(done)](Result<Epoch> epoch) mutable {
      if (epoch) {
        epoch_ = *epoch;
        counter_ = 0;
      }
      done(epoch ? Result<void>() : std::unexpected(epoch.error()));
    });
  }

  void write(WriteJob job, std::size_t octets, WriteDone done) override {
    core_->write(std::move(job), octets, std::move(done));
  }
  void read(ReadJob job, ReadDone done) override { core_->read(std::move(job), std::move(done)); }

  [[nodiscard]] std::optional<Error> unhealthy() const override { return core_->unhealthy(); }
  [[nodiscard]] SpoolStatistics statistics() const override { return core_->statistics(); }
  [[nodiscard]] std::uint64_t free_octets() const override {
    if (vfs_.empty()) return free_octets_of(directory_);
    auto* disk = MemoryDisk::find(vfs_);
    return disk == nullptr ? std::numeric_limits<std::uint64_t>::max() : disk->free_octets();
  }

  void stop() override { core_->stop(); }

 private:
  std::string directory_;
  std::string vfs_;
  SpoolId id_;
  Epoch epoch_;
  std::int64_t counter_ = 0;
  std::shared_ptr<GroupCommit> core_;
};

/// One more end of the process for each message that was being delivered; those that are gone are forgotten.
void count_suspects(GroupCommit::Opened& opened, Epoch before) {
  auto& database = *opened.writer;
  Suspects suspects(database);
  const auto& interrupted = opened.options.interrupted;
  // Of an older run, it was counted when the one after it began.
  if (interrupted && interrupted->spool == opened.id && interrupted->epoch == before)
    for (auto id : interrupted->attempts) suspects.count(id);
  Messages messages(database, opened.id);
  Shadows shadows(database);
  for (const auto& suspect : suspects.list(std::numeric_limits<std::int32_t>::max()))
    if (!messages.find(suspect.id) && !shadows.find_row(suspect.id)) suspects.forget(suspect.id);
}

/// Reads what the spool is, refuses what must not be opened, begins the next epoch. `opened` has its writer
/// connection.
Result<void> begin_epoch(GroupCommit::Opened& opened, bool is_new) {
  auto& database = *opened.writer;
  Epoch before;
  {
    Statement meta(database,
                   "SELECT spool, epoch, sequence, messages, held, unprotected, shadows, outbox, kept, "
                   "kept_octets FROM meta");
    auto rows = meta.rows();
    if (!rows.next()) {
      if (auto result = database.outcome(); !result) return result;
      return failure(SpoolFault::damaged, "spool.db has lost its first row");
    }
    opened.id.value = rows.unsigned_number(0);
    before.value = rows.unsigned_number(1);
    opened.sequence.value = rows.unsigned_number(2) + 1;
    opened.counts = {.messages = rows.number(3),
                     .held = rows.number(4),
                     .unprotected = rows.number(5),
                     .shadows = rows.number(6),
                     .outbox = rows.number(7),
                     .kept = rows.number(8),
                     .kept_octets = rows.number(9)};
  }
  opened.counts.ledger.at_start =
      Messages(database, opened.id).row_counts().all(static_cast<std::uint64_t>(opened.counts.held));
  if (auto result = database.outcome(); !result) return result;
  if (!is_new) {
    auto mark = opened.mark.read();
    if (!mark) return std::unexpected(mark.error());
    if (*mark) {
      if (auto checked = check_mark(opened.options, **mark, opened.id, before); !checked) return checked;
    }
  }
  if (auto owned = check_owner(opened.options, database); !owned) return owned;
  if (before.value >= static_cast<std::uint64_t>(epoch_max))
    return failure(std::errc::value_too_large, "epoch out of range");
  opened.epoch.value = before.value + 1;
  database.execute("BEGIN IMMEDIATE");
  Bodies(database).sweep_unfinished();
  count_suspects(opened, before);
  if (!opened.options.hub.empty()) Discards(database).set_note(hub_note, opened.options.hub);
  {
    Statement next(database, "UPDATE meta SET epoch = ?, sequence = ?");
    next.run(opened.epoch.value, opened.sequence.value);
  }
  database.execute("COMMIT");
  if (auto result = database.outcome(); !result) return result;
  return opened.mark.write({opened.id, opened.epoch});
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const SpoolOptions& options, Random& random, Executor& writer_lane,
                                           Executor& reader_lane, Executor& home) {
  Database::prepare_library();
  auto path = options.directory + "/spool.db";
  GroupCommit::Opened opened{.options = options,
                             .lock = {},
                             .mark = EpochMark(options.vfs, options.directory + "/spool.epoch"),
                             .id = {},
                             .epoch = {},
                             .sequence = {},
                             .counts = {},
                             .writer = nullptr,
                             .reader = nullptr};
  if (options.vfs.empty()) {
    if (auto checked = check_directory(options.directory); !checked)
      return explained(options, checked.error());
    auto lock = DirectoryLock::take(options.directory);
    if (!lock) return explained(options, lock.error());
    opened.lock = std::move(*lock);
  }
  auto marked = DamageMark(options.vfs, options.directory).read();
  if (!marked) return explained(options, marked.error());
  if (*marked)
    return explained(options, {SpoolFault::damaged, "it was found to be damaged: " + (*marked)->reason});
  auto exists = has_content(options.vfs, path);
  if (!exists) return explained(options, exists.error());
  if (!*exists) {
    // The mark of a database that is gone says nothing about the one to be made.
    if (auto removed = opened.mark.remove(); !removed) return explained(options, removed.error());
  }
  if (options.vfs.empty()) {
    // Mail is nobody else's business; the WAL and its index take their mode from the database.
    if (auto made = make_private_file(path); !made) return explained(options, made.error());
  }
  bool has_torn_header = false;
  if (*exists) {
    auto checked = check_wal(options.vfs, path + "-wal");
    if (!checked) return explained(options, checked.error());
    has_torn_header = !*checked;
  }
  auto writer = Database::open(path, options.vfs, Database::Mode::writer, page_octets);
  if (!writer) return explained(options, writer.error());
  opened.writer = std::move(*writer);
  // SQLite would begin the log anew with the salts that it finds in the torn header, those of the log before:
  // behind the new frames its old ones would look like committed ones that decay has cut off.
  if (has_torn_header) opened.writer->checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
  if (*exists)
    if (auto checked = check_small(*opened.writer); !checked) return explained(options, checked.error());
  if (auto migrated = migrate(*opened.writer, random); !migrated) return explained(options, migrated.error());
  if (auto begun = begin_epoch(opened, !*exists); !begun) return explained(options, begun.error());
  auto reader = Database::open(path, options.vfs, Database::Mode::reader, page_octets);
  if (!reader) return explained(options, reader.error());
  opened.reader = std::move(*reader);
  return std::make_unique<LocalSpool>(std::move(opened), GroupCommit::Lanes{writer_lane, reader_lane, home});
}

}  // namespace umbra::storage
