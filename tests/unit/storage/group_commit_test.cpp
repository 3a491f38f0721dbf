// Group commit: what is committed together, when completions come, what one failure takes along.
#include <algorithm>
#include <stdexcept>

#include "storage/database.h"
#include "storage/spool_error.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

class GroupCommitTest : public SpoolTest {
 protected:
  NewMessage prepared() { return new_message(spool(), {"a@example.com"}); }
  std::uint64_t wal_syncs() { return disk.syncs_of("/spool/spool.db-wal"); }
  std::size_t message_count() {
    return ask([](Reader& reader) { return reader.messages(RowId{0}, RowId{INT64_MAX}, 1000); }).size();
  }
  /// Submits an acceptance; its result comes to `results`.
  void submit(const NewMessage& message, std::size_t octets = 5) {
    spool().write([message](Writer& writer) { return accept(writer, message); }, octets,
                  [this](Result<void> result) { results.push_back(std::move(result)); });
  }
  std::vector<Result<void>> results;
};

TEST_F(GroupCommitTest, CommitsWhatWaitsTogetherWithOneSync) {
  auto syncs = wal_syncs();
  auto batches = spool().statistics().batches;
  for (int i = 0; i < 100; ++i) submit(prepared());
  box.run();
  EXPECT_EQ(results.size(), 100U);
  EXPECT_EQ(wal_syncs(), syncs + 1);
  EXPECT_EQ(spool().statistics().batches, batches + 1);
  EXPECT_EQ(spool().statistics().operations, 100U);
}

TEST_F(GroupCommitTest, SyncsOncePerBatch) {
  // The WAL begins anew after a checkpoint, which costs one sync more of its header: keep below that.
  auto syncs = wal_syncs();
  auto batches = spool().statistics().batches;
  for (int i = 0; i < 20; ++i) {
    submit(prepared());
    if (i % 3 == 0) submit(prepared());
    box.run();
  }
  EXPECT_EQ(wal_syncs() - syncs, spool().statistics().batches - batches);
  EXPECT_EQ(spool().statistics().batches - batches, 20U);
}

TEST_F(GroupCommitTest, NeverCompletesBeforeTheCommitReturned) {
  auto message = prepared();
  submit(message);
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(box.home.size(), 0U);
  auto syncs = wal_syncs();
  while (box.home.size() == 0) {
    EXPECT_EQ(wal_syncs(), syncs) << "nothing may be promised yet";
    ASSERT_TRUE(box.writer.run_one());
  }
  EXPECT_EQ(wal_syncs(), syncs + 1);
  // Only what the disk has for certain counts from here.
  box.crash();
  disk.crash(MemoryDisk::Crash::power);
  open();
  EXPECT_TRUE(ask([&](Reader& reader) { return reader.message(message.row); }));
}

TEST_F(GroupCommitTest, DoesNotWaitWhenIdle) {
  submit(prepared());
  EXPECT_EQ(box.writer.size(), 1U) << "one job, and it goes at once";
  submit(prepared());
  EXPECT_EQ(box.writer.size(), 1U) << "the second joins it";
}

TEST_F(GroupCommitTest, CompletesInTheOrderOfSubmission) {
  std::vector<int> order;
  for (int i = 0; i < 2000; ++i) {  // several batches
    spool().write([](Writer&) { return Result<void>(); }, 0,
                  [&order, i](Result<void>) { order.push_back(i); });
  }
  box.run();
  ASSERT_EQ(order.size(), 2000U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(GroupCommitTest, BoundsABatchByCountAndOctets) {
  box.close();
  box.options.batch_operations_max = 10;
  box.options.batch_octets_max = 1000;
  open();
  auto before = spool().statistics().batches;
  for (int i = 0; i < 25; ++i) submit(prepared(), 1);
  box.run();
  EXPECT_EQ(spool().statistics().batches - before, 3U);
  before = spool().statistics().batches;
  for (int i = 0; i < 4; ++i) submit(prepared(), 600);
  submit(prepared(), 5000);  // larger than the limit: alone, but it goes
  box.run();
  EXPECT_EQ(spool().statistics().batches - before, 5U);
  EXPECT_EQ(results.size(), 30U);
}

TEST_F(GroupCommitTest, RollsBackAloneWhatFails) {
  auto good = prepared();
  auto bad = prepared();
  auto thrown = prepared();
  auto last = prepared();
  submit(good);
  spool().write(
      [&](Writer& writer) -> Result<void> {
        EXPECT_TRUE(accept(writer, bad));
        return failure(std::errc::invalid_argument, "changed my mind");
      },
      0, [&](Result<void> result) { results.push_back(std::move(result)); });
  spool().write(
      [&](Writer& writer) -> Result<void> {
        EXPECT_TRUE(accept(writer, thrown));
        throw std::runtime_error("thrown");
      },
      0, [&](Result<void> result) { results.push_back(std::move(result)); });
  submit(last);
  auto before = spool().statistics().batches;
  box.run();
  ASSERT_EQ(results.size(), 4U);
  EXPECT_TRUE(results[0]);
  EXPECT_EQ(results[1].error().code, std::errc::invalid_argument);
  EXPECT_FALSE(results[2]);
  EXPECT_TRUE(results[3]);
  EXPECT_EQ(spool().statistics().batches - before, 1U);
  EXPECT_EQ(message_count(), 2U);
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(bad.row, 0); }), "");
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).messages, 2U);
}

TEST_F(GroupCommitTest, FailsAnOperationThatHidesAFailedStatement) {
  auto message = prepared();
  must([&](Writer& writer) { return accept(writer, message); });
  auto result = box.write([&](Writer& writer) -> Result<void> {
    (void)writer.put_chunk(RowId{1}, 0, "left behind");
    (void)writer.insert_message(message);  // is there already
    return {};
  });
  EXPECT_FALSE(result);
  EXPECT_EQ(ask([](Reader& reader) { return reader.chunk(RowId{1}, 0); }), "");
}

TEST_F(GroupCommitTest, CountsItsCommits) {
  auto before = spool().sequence();
  must([](Writer& writer) { return writer.remember_peer({"hub2", SpoolId{2}, Epoch{1}, Sequence{1}}); });
  must([](Writer& writer) { return writer.remember_peer({"hub2", SpoolId{2}, Epoch{1}, Sequence{2}}); });
  EXPECT_EQ(spool().sequence().value, before.value + 2);
  auto told = spool().sequence();
  lose_power();
  EXPECT_GT(spool().sequence(), told) << "a start is a commit too";
}

TEST_F(GroupCommitTest, SpendsNoCommitOnABatchInWhichNothingSucceeded) {
  auto syncs = wal_syncs();
  auto sequence = spool().sequence();
  auto result = box.write([](Writer&) -> Result<void> { return failure(std::errc::invalid_argument, "no"); });
  EXPECT_FALSE(result);
  EXPECT_EQ(wal_syncs(), syncs);
  EXPECT_EQ(spool().sequence(), sequence);
}

TEST_F(GroupCommitTest, LetsReadsSeeWhatWasCommittedBefore) {
  auto message = prepared();
  submit(message);
  while (box.home.size() == 0) box.writer.run_one();
  bool seen = false;
  spool().read([&](Reader& reader) { seen = reader.message(message.row).value().has_value(); }, [] {});
  box.run();
  EXPECT_TRUE(seen);
}

TEST_F(GroupCommitTest, CompletesReadsInOrderOnTheHomeThread) {
  std::vector<int> order;
  for (int i = 0; i < 500; ++i) spool().read([](Reader&) {}, [&order, i] { order.push_back(i); });
  while (box.reader.run_one()) {
  }
  EXPECT_TRUE(order.empty());
  box.run();
  ASSERT_EQ(order.size(), 500U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(GroupCommitTest, KeepsTheLogSmallUnderLoad) {
  std::string body(100'000, 'x');
  for (int round = 0; round < 200; ++round) {
    auto message = prepared();
    message.size = body.size();
    must([&](Writer& writer) { return accept(writer, message, body); });
    must([&](Writer& writer) {
      return outcome_of(writer.record_attempt(attempt(message.row, {delivered(0)})));
    });
    // A query now and then must not keep the log from being reused.
    ask([](Reader& reader) { return reader.counts(); });
  }
  EXPECT_LT(spool().statistics().wal_octets, 8U << 20);
  EXPECT_LT(disk.octets(), 16U << 20) << "20 MB went through";
}

TEST_F(GroupCommitTest, FinishesWhatWasSubmittedThenRefusesEverything) {
  auto message = prepared();
  submit(message);
  bool read_done = false;
  spool().read([](Reader&) {}, [&] { read_done = true; });
  spool().stop();
  submit(prepared());
  std::optional<Error> refusal;
  spool().read(
      [&](Reader& reader) {
        auto answer = reader.counts();
        if (!answer) refusal = answer.error();
      },
      [] {});
  box.run();
  ASSERT_EQ(results.size(), 2U);
  auto succeeded = std::ranges::count_if(results, [](const auto& result) { return result.has_value(); });
  EXPECT_EQ(succeeded, 1);
  EXPECT_TRUE(read_done);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, std::errc::operation_canceled);
  open();
  EXPECT_EQ(message_count(), 1U);
}

TEST_F(GroupCommitTest, TellsNobodyAfterItsOwnerIsGone) {
  submit(prepared());
  while (box.home.size() == 0) box.writer.run_one();
  submit(prepared());
  box.spool.reset();
  box.run();
  EXPECT_TRUE(results.empty());
  open();
  EXPECT_EQ(message_count(), 1U);
}

TEST_F(GroupCommitTest, BeginsTheNextEpochDurably) {
  auto epoch = spool().epoch();
  auto row = spool().next_row();
  Result<void> result = failure(std::errc::timed_out, "");
  spool().begin_next_epoch([&](Result<void> outcome) { result = std::move(outcome); });
  EXPECT_EQ(spool().epoch(), epoch) << "not before it is durable";
  box.run();
  ASSERT_TRUE(result);
  EXPECT_EQ(spool().epoch().value, epoch.value + 1);
  EXPECT_GT(spool().next_row(), row);
  EXPECT_GT(spool().first_row_of_epoch(), row);
  lose_power();
  EXPECT_EQ(spool().epoch().value, epoch.value + 2);
}

TEST_F(GroupCommitTest, StopsWritingForGoodAfterAFailedSync) {
  auto before = prepared();
  must([&](Writer& writer) { return accept(writer, before); });
  disk.fail(MemoryDisk::Change::sync, 1, false);
  submit(prepared());
  submit(prepared());
  box.run();
  submit(prepared());
  box.run();
  ASSERT_EQ(results.size(), 3U);
  for (const auto& result : results) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, std::errc::io_error);
  }
  ASSERT_TRUE(spool().unhealthy());
  EXPECT_EQ(spool().unhealthy()->code, std::errc::io_error);
  EXPECT_TRUE(ask([&](Reader& reader) { return reader.message(before.row); }))
      << "what is there can still be read";
  lose_power();
  EXPECT_FALSE(spool().unhealthy());
  EXPECT_EQ(message_count(), 1U);
}

TEST_F(GroupCommitTest, MayFindAfterTheNextStartWhatAFailedSyncRefused) {
  disk.fail(MemoryDisk::Change::sync, 1, false);
  submit(prepared());
  box.run();
  ASSERT_EQ(results.size(), 1U);
  ASSERT_FALSE(results[0]);
  EXPECT_TRUE(may_have_been_kept(results[0].error()));
  reopen();  // the process ends, the machine does not: every write is there
  EXPECT_EQ(message_count(), 1U) << "so nobody may be told that it was not kept";
}

TEST_F(GroupCommitTest, StopsWritingWhenAQueryFindsDamage) {
  std::vector<RowId> rows;
  for (int i = 0; i < 200; ++i) {
    auto message = prepared();
    rows.push_back(message.row);
    must([&](Writer& writer) { return accept(writer, message, std::string(3000, 'x')); });
  }
  box.close();
  {  // move everything into the database file, then scribble over most of it
    auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->checkpoint(SQLITE_CHECKPOINT_TRUNCATE).complete);
  }
  open();
  CountingRandom noise(7);
  disk.decay("/spool/spool.db", 40 * 4096, 1 << 30, noise);
  bool failed = false;
  for (auto row : rows) failed = failed || !box.read([&](Reader& reader) { return reader.chunk(row, 0); });
  EXPECT_TRUE(failed);
  ASSERT_TRUE(spool().unhealthy());
  auto result = box.write([](Writer&) { return Result<void>(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, std::errc::io_error);
  EXPECT_TRUE(is_damage(*spool().unhealthy()));
  box.close();
  auto again = box.open();
  ASSERT_FALSE(again) << "a mark keeps it from being used again";
  EXPECT_TRUE(is_damage(again.error()));
  EXPECT_THAT(again.error().what, ::testing::HasSubstr("was found to be damaged"));
}

// One flipped bit in a body, which the database itself does not notice.
TEST_F(GroupCommitTest, FindsABodyThatDecayed) {
  auto message = prepared();
  std::string body(100'000, 'x');
  must([&](Writer& writer) { return accept(writer, message, body); });
  box.close();
  {
    auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->checkpoint(SQLITE_CHECKPOINT_TRUNCATE).complete);
  }
  auto image = disk.current();
  auto& file = image["/spool/spool.db"];
  auto at = file.find(std::string(3000, 'x'));
  ASSERT_NE(at, std::string::npos);
  file[at + 1000] = 'y';
  disk.restore(image);
  open();
  EXPECT_FALSE(box.read([&](Reader& reader) { return reader.chunk(message.row, 0); }));
  ASSERT_TRUE(spool().unhealthy());
  EXPECT_TRUE(is_damage(*spool().unhealthy()));
}

TEST_F(GroupCommitTest, GoesOnAfterAFullDisk) {
  must([&](Writer& writer) { return accept(writer, prepared()); });
  disk.set_capacity(disk.octets() + 8192);
  EXPECT_EQ(spool().free_octets(), 8192U);
  std::string body(200'000, 'x');
  auto large = prepared();
  auto refused = box.write([&](Writer& writer) { return accept(writer, large, body); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::no_space_on_device);
  EXPECT_FALSE(spool().unhealthy());
  EXPECT_EQ(message_count(), 1U);
  disk.heal();
  must([&](Writer& writer) { return accept(writer, large, body); });
  EXPECT_EQ(message_count(), 2U);
}

}  // namespace
}  // namespace umbra::storage
