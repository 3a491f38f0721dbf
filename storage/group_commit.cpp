#include "storage/group_commit.h"

#include <algorithm>
#include <exception>

#include "storage/set_aside.h"
#include "storage/spool_error.h"

namespace umbra::storage {
namespace {

constexpr std::uint64_t wal_octets_limit = 64 << 20;  // beyond this a checkpoint waits for readers (RESTART)
constexpr std::size_t reads_per_transaction = 128;
constexpr std::int64_t free_octets_kept = 64
                                          << 20;  // free pages inside the file: a high-water mark is healthy
constexpr std::uint64_t batches_between_looks = 64;  // how often the free pages are counted

Error stopped_error() {
  return Error{std::make_error_code(std::errc::operation_canceled), "the spool is stopping"};
}

}  // namespace

GroupCommit::GroupCommit(Opened opened, Lanes lanes)
    : options_(std::move(opened.options)),
      lock_(std::move(opened.lock)),
      mark_(std::move(opened.mark)),
      id_(opened.id),
      lanes_(lanes),
      writer_database_(std::move(opened.writer)),
      writer_(*writer_database_, id_),
      epoch_(opened.epoch),
      sequence_(opened.sequence),
      reader_database_(std::move(opened.reader)),
      reader_(*reader_database_, id_, ledgers_),
      refusing_reader_(*reader_database_, id_, ledgers_),
      delivered_sequence_(opened.sequence) {
  writer_.counts = opened.counts;
  ledgers_.put(sequence_, writer_.counts.ledger);
  writer_.set_safety_net(options_.safety_net);
  refusing_reader_.refuse(stopped_error());
  checkpoint_at_frames_ = options_.checkpoint_octets / writer_database_->page_octets();
}

// ---------------------------------------------------------------------------------------------- home thread

void GroupCommit::start() {
  {
    std::lock_guard lock(mutex_);
    write_drain_posted_ = true;
  }
  lanes_.writer.post([self = shared_from_this()] { self->drain_writes(); });
}

void GroupCommit::write(Spool::WriteJob job, std::size_t octets, Spool::WriteDone done) {
  bool post = false;
  bool refused = false;
  {
    std::lock_guard lock(mutex_);
    refused = stopping_;
    if (!refused) {
      writes_.push_back({std::move(job), octets, std::move(done), {}});
      waiting_octets_ += octets;
      post = !std::exchange(write_drain_posted_, true);
    }
  }
  if (refused) {
    lanes_.home.post([done = std::move(done)]() mutable { done(std::unexpected(stopped_error())); });
  } else if (post) {
    lanes_.writer.post([self = shared_from_this()] { self->drain_writes(); });
  }
}

void GroupCommit::read(Spool::ReadJob job, Spool::ReadDone done) {
  bool post = false;
  bool refused = false;
  {
    std::lock_guard lock(mutex_);
    refused = stopping_;
    if (!refused) {
      reads_.push_back({std::move(job), std::move(done)});
      post = !std::exchange(read_drain_posted_, true);
    }
  }
  if (refused) {
    lanes_.home.post([self = shared_from_this(), job = std::move(job), done = std::move(done)]() mutable {
      job(self->refusing_reader_);
      done();
    });
  } else if (post) {
    lanes_.reader.post([self = shared_from_this()] { self->drain_reads(); });
  }
}

void GroupCommit::begin_next_epoch(std::move_only_function<void(Result<Epoch>)> done) {
  auto begun = std::make_shared<Epoch>();
  write(
      [this, begun](Writer&) -> Result<void> {
        *begun = Epoch{next_epoch_.value_or(epoch_).value + 1};
        next_epoch_ = *begun;
        return {};
      },
      0,
      [begun, done = std::move(done)](Result<void> result) mutable {
        done(result ? Result<Epoch>(*begun) : std::unexpected(result.error()));
      });
}

void GroupCommit::stop() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
}

void GroupCommit::abandon() {
  std::deque<Write> writes;
  std::deque<Read> reads;
  std::lock_guard lock(mutex_);
  stopping_ = true;
  abandoned_ = true;
  writes.swap(writes_);
  reads.swap(reads_);
}

bool GroupCommit::is_abandoned() {
  std::lock_guard lock(mutex_);
  return abandoned_;
}

std::optional<Error> GroupCommit::unhealthy() {
  std::lock_guard lock(mutex_);
  return unhealthy_;
}

SpoolStatistics GroupCommit::statistics() {
  auto statistics = delivered_;
  std::lock_guard lock(mutex_);
  statistics.waiting_operations = writes_.size();
  statistics.waiting_octets = waiting_octets_;
  return statistics;
}

// ---------------------------------------------------------------------------------------------- writer lane

std::vector<GroupCommit::Write> GroupCommit::take_writes() {
  std::vector<Write> batch;
  std::size_t octets = 0;
  std::lock_guard lock(mutex_);
  while (!writes_.empty() && batch.size() < options_.batch_operations_max &&
         (batch.empty() || octets + writes_.front().octets <= options_.batch_octets_max)) {
    octets += writes_.front().octets;
    batch.push_back(std::move(writes_.front()));
    writes_.pop_front();
  }
  waiting_octets_ -= octets;
  return batch;
}

void GroupCommit::drain_writes() {
  auto batch = take_writes();
  bool more = false;
  if (!batch.empty()) {
    for (std::size_t first = 0; first < batch.size();) first = run_transaction(batch, first);
    deliver(std::move(batch));
    checkpoint_if_due();
    more = true;
  } else {
    more = maintain();
  }
  {
    std::lock_guard lock(mutex_);
    if (abandoned_) return;
    if (!more && writes_.empty()) {
      write_drain_posted_ = false;
      return;
    }
  }
  lanes_.writer.post([self = shared_from_this()] { self->drain_writes(); });
}

std::size_t GroupCommit::run_transaction(std::vector<Write>& batch, std::size_t first) {
  if (auto error = unhealthy()) {
    for (std::size_t i = first; i < batch.size(); ++i) batch[i].result = std::unexpected(*error);
    return batch.size();
  }
  auto& database = *writer_database_;
  auto counts_before = writer_.counts;
  next_epoch_.reset();
  database.clear();
  begin_.run();
  std::size_t end = database.ok() ? first : batch.size();
  bool something = false;
  while (database.ok() && end < batch.size()) {
    run_operation(batch[end]);
    something = something || batch[end].result.has_value();
    ++end;
  }
  if (database.ok() && something) {
    if (auto result = commit(); result) {
      committed_.operations += end - first;
      return end;
    }
  }
  // Nothing to commit, or the transaction is lost with everything in it; what was not run yet gets one of its
  // own.
  auto error = database.error();
  roll_back();
  writer_.counts = counts_before;
  if (error) fail_range(batch, first, std::max(end, first + 1), *error);
  return std::max(end, first + 1);
}

void GroupCommit::run_operation(Write& write) {
  auto& database = *writer_database_;
  auto counts_before = writer_.counts;
  auto epoch_before = next_epoch_;
  writer_.bodies().begin_operation();
  savepoint_.run();
  try {
    write.result = write.job(writer_);
  } catch (const std::exception& exception) {
    write.result =
        failure(std::errc::state_not_recoverable, std::string("change of the spool: ") + exception.what());
  }
  if (write.result) writer_.bodies().end_operation();
  if (!database.ok()) {
    // Whatever the closure made of it: a statement failed, so the operation did.
    auto error = *database.error();
    write.result = std::unexpected(error);
    if (database.is_broken() || !database.in_transaction()) return;
    database.clear();
  }
  if (!write.result) {
    writer_.counts = counts_before;
    next_epoch_ = epoch_before;
    back_.run();
  }
  release_.run();
}

Result<void> GroupCommit::commit() {
  auto& database = *writer_database_;
  if (writer_.bodies().may_have_garbage()) writer_.bodies().collect();
  auto epoch = next_epoch_.value_or(epoch_);
  const auto& counts = writer_.counts;
  meta_.run(epoch.value, sequence_.value + 1, counts.messages, counts.held, counts.unprotected,
            counts.shadows, counts.outbox, counts.kept, counts.kept_octets);
  ledgers_.put(Sequence{sequence_.value + 1},
               counts.ledger);  // a reader may see the commit before this lane goes on
  auto started = MonotonicClock::now();
  commit_.run();
  if (!database.ok()) return database.outcome();
  committed_.last_commit = MonotonicClock::now() - started;
  committed_.commit_seconds.observe(committed_.last_commit);
  committed_.wal_octets = database.wal_frames() * database.page_octets();
  committed_.kept_gone_age = static_cast<std::uint64_t>(counts.kept_gone_age);
  committed_.kept_gone_size = static_cast<std::uint64_t>(counts.kept_gone_size);
  committed_.kept_gone_disk = static_cast<std::uint64_t>(counts.kept_gone_disk);
  ++committed_.batches;
  ++sequence_.value;
  if (epoch != epoch_) {
    epoch_ = epoch;
    if (auto marked = mark_.write({id_, epoch_}); !marked) latch(marked.error());
  }
  return {};
}

void GroupCommit::roll_back() {
  auto& database = *writer_database_;
  database.clear();
  if (!database.in_transaction()) return;
  rollback_.run();
  database.clear();
}

void GroupCommit::fail_range(std::vector<Write>& batch, std::size_t first, std::size_t end,
                             const Error& error) {
  for (std::size_t i = first; i < end; ++i) batch[i].result = std::unexpected(error);
  ++committed_.failed_batches;
  if (is_damage(error))
    ++committed_.failed_damaged;
  else if (error.code == std::errc::io_error)
    ++committed_.failed_io;
  else if (error.code == std::errc::no_space_on_device)
    ++committed_.failed_full;
  if (error.code == std::errc::io_error) {
    latch(error);
  } else if (error.code == std::errc::no_space_on_device) {
    // What is in the WAL already may still fit into the file, and then the next changes need no new space.
    writer_database_->checkpoint(SQLITE_CHECKPOINT_PASSIVE);
    if (writer_database_->is_broken()) latch(*writer_database_->error());
    writer_database_->clear();
  }
}

void GroupCommit::latch(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    if (unhealthy_) return;
    unhealthy_ = is_damage(error)
                     ? Error{error.code, "the spool is damaged and has stopped writing: " + error.what}
                     : Error{std::make_error_code(std::errc::io_error),
                             "the spool has stopped writing, restart the hub to recover: " + error.what};
  }
  // Without the mark the next start may not meet the damage again for a while. Not written (a disk that is
  // gone): it meets it when it meets it.
  if (is_damage(error)) (void)DamageMark(options_.vfs, options_.directory).set(error.what);
}

void GroupCommit::deliver(std::vector<Write> batch) {
  lanes_.home.post([self = shared_from_this(), batch = std::move(batch), sequence = sequence_,
                    statistics = committed_]() mutable {
    if (self->is_abandoned()) return;
    self->delivered_sequence_ = sequence;
    self->delivered_ = statistics;
    for (auto& write : batch) {
      auto done = std::move(write.done);
      done(std::move(write.result));
    }
  });
}

void GroupCommit::checkpoint_if_due() {
  auto& database = *writer_database_;
  auto step = options_.checkpoint_octets / database.page_octets();
  if (database.wal_frames() < step) checkpoint_at_frames_ = step;  // the WAL began anew
  const bool is_wanted = writer_.take_checkpoint_wish();
  if ((database.wal_frames() < checkpoint_at_frames_ && !is_wanted) || unhealthy()) return;
  bool over_limit = database.wal_frames() * database.page_octets() > wal_octets_limit;
  database.clear();
  database.checkpoint(over_limit ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE);
  if (database.is_broken()) latch(*database.error());
  database.clear();
  checkpoint_at_frames_ = database.wal_frames() + step;
}

bool GroupCommit::maintain() {
  auto& database = *writer_database_;
  bool garbage = writer_.bodies().may_have_garbage();
  if (!garbage && committed_.batches < look_for_free_pages_at_) return false;
  if (unhealthy()) return false;
  database.clear();
  begin_.run();
  bool more = garbage ? writer_.bodies().collect() : give_back_free_pages();
  if (more && !commit()) more = false;
  if (database.is_broken()) latch(*database.error());
  roll_back();
  checkpoint_if_due();
  return more;
}

bool GroupCommit::give_back_free_pages() {
  auto& database = *writer_database_;
  auto free = database.number("PRAGMA freelist_count");
  if (free * static_cast<std::int64_t>(database.page_octets()) < free_octets_kept ||
      free < database.number("PRAGMA page_count") / 4) {
    look_for_free_pages_at_ = committed_.batches + batches_between_looks;
    return false;
  }
  database.execute("PRAGMA incremental_vacuum(256)");
  return database.ok();
}

// ---------------------------------------------------------------------------------------------- reader lane

void GroupCommit::drain_reads() {
  std::vector<Read> batch;
  {
    std::lock_guard lock(mutex_);
    auto count = std::min(reads_.size(), reads_per_transaction);
    batch.assign(std::make_move_iterator(reads_.begin()),
                 std::make_move_iterator(reads_.begin() + static_cast<std::ptrdiff_t>(count)));
    reads_.erase(reads_.begin(), reads_.begin() + static_cast<std::ptrdiff_t>(count));
    if (batch.empty()) {
      read_drain_posted_ = false;
      return;
    }
  }
  auto& database = *reader_database_;
  database.clear();
  begin_read_.run();
  reader_.refuse(database.error());
  for (auto& read : batch) read.job(reader_);
  if (auto damage = reader_.take_damage()) latch(*damage);
  database.clear();
  if (database.in_transaction()) end_read_.run();
  lanes_.home.post([self = shared_from_this(), batch = std::move(batch)]() mutable {
    if (self->is_abandoned()) return;
    for (auto& read : batch) {
      auto done = std::move(read.done);
      done();
    }
  });
  lanes_.reader.post([self = shared_from_this()] { self->drain_reads(); });
}

}  // namespace umbra::storage
