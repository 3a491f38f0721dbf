// Group commit: the core of a spool that its lanes share. Changes are gathered while the previous ones are
// being synced, and go out together: one transaction, one fsync, one post of all completions. Nothing waits
// when the lane is idle.
//
// Three parties touch it: the home thread submits; the writer lane and the reader lane each own a connection.
// What they share is under `mutex_`. Jobs and completions are destroyed on the home thread, where what they
// captured lives.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/reader.h"
#include "storage/spool_files.h"
#include "storage/writer.h"

namespace umbra::storage {

class GroupCommit final : public std::enable_shared_from_this<GroupCommit> {
 public:
  struct Opened {
    SpoolOptions options;
    DirectoryLock lock;
    EpochMark mark;
    SpoolId id;
    Epoch epoch;
    Sequence sequence;
    Counts counts;
    std::unique_ptr<Database> writer;
    std::unique_ptr<Database> reader;
  };
  struct Lanes {
    Executor& writer;
    Executor& reader;
    Executor& home;
  };

  GroupCommit(Opened opened, Lanes lanes);

  /// Begins with what the last life left to be cleared away.
  void start();
  void write(Spool::WriteJob job, std::size_t octets, Spool::WriteDone done);
  void read(Spool::ReadJob job, Spool::ReadDone done);
  /// `done` is given the epoch that has begun.
  void begin_next_epoch(std::move_only_function<void(Result<Epoch>)> done);
  void stop();
  /// The owner has gone: what is still queued is dropped, and no completion runs any more.
  void abandon();

  [[nodiscard]] std::optional<Error> unhealthy();
  /// Home thread: as of the completions that were delivered.
  [[nodiscard]] SpoolStatistics statistics();
  [[nodiscard]] Sequence sequence() const { return delivered_sequence_; }

 private:
  bool is_abandoned();

  struct Write {
    Spool::WriteJob job;
    std::size_t octets = 0;
    Spool::WriteDone done;
    Result<void> result;
  };
  struct Read {
    Spool::ReadJob job;
    Spool::ReadDone done;
  };

  // Writer lane.
  void drain_writes();
  std::vector<Write> take_writes();
  std::size_t run_transaction(std::vector<Write>& batch, std::size_t first);
  void run_operation(Write& write);
  Result<void> commit();
  void roll_back();
  /// All of [first, end) failed with the error that stuck to the connection; latches it if it is final.
  void fail_range(std::vector<Write>& batch, std::size_t first, std::size_t end, const Error& error);
  void latch(const Error& error);
  void deliver(std::vector<Write> batch);
  void checkpoint_if_due();
  /// Something to do while nothing is waiting: a piece of garbage, or giving back free pages. False: nothing.
  bool maintain();
  bool give_back_free_pages();

  // Reader lane.
  void drain_reads();

  SpoolOptions options_;
  DirectoryLock lock_;
  EpochMark mark_;
  SpoolId id_;
  Lanes lanes_;

  // Shared.
  std::mutex mutex_;
  std::deque<Write> writes_;
  std::size_t waiting_octets_ = 0;
  bool write_drain_posted_ = false;
  std::deque<Read> reads_;
  bool read_drain_posted_ = false;
  bool stopping_ = false;
  bool abandoned_ = false;
  std::optional<Error> unhealthy_;

  LedgerHistory ledgers_;

  // Writer lane. Order matters: statements go before their connection.
  std::unique_ptr<Database> writer_database_;
  SpoolWriter writer_;
  std::optional<Epoch> next_epoch_;  ///< begun by an operation of the present transaction
  Epoch epoch_;
  Sequence sequence_;
  SpoolStatistics committed_;
  std::uint64_t checkpoint_at_frames_ = 0;
  std::uint64_t look_for_free_pages_at_ = 0;
  Statement begin_{*writer_database_, "BEGIN IMMEDIATE"};
  Statement savepoint_{*writer_database_, "SAVEPOINT operation"};
  Statement release_{*writer_database_, "RELEASE operation"};
  Statement back_{*writer_database_, "ROLLBACK TO operation"};
  Statement meta_{*writer_database_,
                  "UPDATE meta SET epoch = ?, sequence = ?, messages = ?, held = ?, unprotected = ?, shadows "
                  "= ?, outbox = ?, kept = ?, kept_octets = ?"};
  Statement commit_{*writer_database_, "COMMIT"};
  Statement rollback_{*writer_database_, "ROLLBACK"};

  // Reader lane.
  std::unique_ptr<Database> reader_database_;
  SpoolReader reader_;
  Statement begin_read_{*reader_database_, "BEGIN"};
  Statement end_read_{*reader_database_, "ROLLBACK"};

  // Home thread.
  SpoolReader refusing_reader_;
  SpoolStatistics delivered_;
  Sequence delivered_sequence_;
};

}  // namespace umbra::storage
