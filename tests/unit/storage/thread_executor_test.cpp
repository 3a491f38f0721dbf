// Lanes of their own threads, and a spool on them.
#include "storage/thread_executor.h"

#include <algorithm>
#include <semaphore>
#include <set>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

TEST(ThreadExecutor, RunsJobsInOrderOnOneOtherThread) {
  ThreadExecutor lane("test");
  std::vector<int> order;
  std::set<std::thread::id> threads;
  for (int i = 0; i < 10'000; ++i) {
    lane.post([&, i] {
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    });
  }
  lane.stop();
  EXPECT_EQ(order.size(), 10'000U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(threads.size(), 1U);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(ThreadExecutor, FinishesAlsoWhatItsJobsPostWhenStopped) {
  ThreadExecutor lane("test");
  int ran = 0;
  lane.post([&] {
    lane.post([&] {
      ++ran;
      lane.post([&] { ++ran; });
    });
  });
  lane.stop();
  EXPECT_EQ(ran, 2);
  lane.post([&] { ++ran; });
  lane.stop();
  EXPECT_EQ(ran, 2) << "after stop() nothing runs";
}

TEST(ThreadExecutor, CarriesASpoolUnderManyWritesAndReads) {
  MemoryDisk disk("thread-disk");
  CountingRandom random(1);
  ThreadExecutor writer("writer");
  ThreadExecutor reader("reader");
  ThreadExecutor home("home");
  auto opened = Spool::open({.directory = "/spool", .vfs = disk.name()}, random, writer, reader, home);
  ASSERT_TRUE(opened) << opened.error().what;
  auto& spool = **opened;
  constexpr int count = 2000;
  std::binary_semaphore finished(0);
  int delivered_count = 0;
  int seen = 0;
  home.post([&] {
    for (int i = 0; i < count; ++i) {
      auto message = new_message(spool, {"a@example.com"});
      spool.write(
          [message](Writer& to) { return accept(to, message); }, 5,
          [&, row = message.row](Result<void> result) {
            ASSERT_TRUE(result) << result.error().what;
            auto found = std::make_shared<bool>(false);
            spool.read(
                [found, row](Reader& from) { *found = from.message(row).value_or(std::nullopt).has_value(); },
                [&, found, row] {
                  seen += *found ? 1 : 0;
                  spool.write(
                      [row](Writer& to) {
                        return outcome_of(to.record_attempt(attempt(row, {delivered(0)})));
                      },
                      1,
                      [&](Result<void> ended) {
                        ASSERT_TRUE(ended) << ended.error().what;
                        if (++delivered_count == count) finished.release();
                      });
                });
          });
    }
  });
  finished.acquire();
  home.post([&] { spool.stop(); });
  home.post([&] { finished.release(); });
  finished.acquire();
  writer.stop();
  reader.stop();
  home.stop();
  EXPECT_EQ(seen, count) << "a completed write is there for the next read";
  EXPECT_EQ(spool.statistics().operations, 2U * count);
  EXPECT_LE(spool.statistics().batches, 2U * count);
}

}  // namespace
}  // namespace umbra::storage
