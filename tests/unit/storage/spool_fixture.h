// A spool whose lanes are queues that the test runs by hand: what happens between two steps is the test's
// choice.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "storage/memory_disk.h"
#include "storage/spool.h"

namespace umbra::storage {

/// Jobs wait until run() is called.
class ManualExecutor final : public Executor {
 public:
  void post(std::move_only_function<void()> job) override { jobs_.push_back(std::move(job)); }
  bool run_one() {
    if (jobs_.empty()) return false;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
    return true;
  }
  void drop() { jobs_.clear(); }
  [[nodiscard]] std::size_t size() const { return jobs_.size(); }

 private:
  std::deque<std::move_only_function<void()>> jobs_;
};

class CountingRandom final : public Random {
 public:
  explicit CountingRandom(std::uint64_t state) : state_(state) {}
  std::uint64_t next() override {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

/// One spool and its three lanes.
struct SpoolBox {
  explicit SpoolBox(SpoolOptions wanted, std::uint64_t seed = 1) : options(std::move(wanted)), random(seed) {}

  Result<void> open() {
    auto opened = Spool::open(options, random, writer, reader, home);
    if (!opened) return std::unexpected(opened.error());
    spool = std::move(*opened);
    return {};
  }
  void close() {
    if (spool) spool->stop();
    run();
    spool.reset();
    run();
  }
  /// What a process that dies leaves: nothing more is written, nobody is told.
  void crash() {
    spool.reset();
    writer.drop();
    reader.drop();
    home.drop();
  }
  void run() {
    while (writer.run_one() || reader.run_one() || home.run_one()) {
    }
  }
  Result<void> write(Spool::WriteJob job, std::size_t octets = 0) {
    Result<void> result = failure(std::errc::timed_out, "no completion came");
    spool->write(std::move(job), octets, [&result](Result<void> outcome) { result = std::move(outcome); });
    run();
    return result;
  }
  template <class Query>
  auto read(Query query) {
    decltype(query(std::declval<Reader&>())) result = failure(std::errc::timed_out, "no answer came");
    spool->read([&](Reader& from) { result = query(from); }, [] {});
    run();
    return result;
  }

  SpoolOptions options;
  CountingRandom random;
  ManualExecutor writer;
  ManualExecutor reader;
  ManualExecutor home;
  std::unique_ptr<Spool> spool;
};

/// A spool on a simulated disk of its own.
class SpoolTest : public ::testing::Test {
 protected:
  static constexpr const char* directory = "/spool";
  SpoolTest() : disk("unit-test-disk"), box({.directory = directory, .vfs = disk.name()}) {}
  void SetUp() override { open(); }
  void TearDown() override { box.close(); }
  void open() {
    auto opened = box.open();
    ASSERT_TRUE(opened) << opened.error().what;
  }
  void reopen() {
    box.close();
    open();
  }
  /// The same after a loss of power.
  void lose_power() {
    box.crash();
    disk.crash(MemoryDisk::Crash::power);
    open();
  }
  Spool& spool() { return *box.spool; }
  void must(Spool::WriteJob job) {
    auto result = box.write(std::move(job));
    ASSERT_TRUE(result) << result.error().what;
  }
  template <class Query>
  auto ask(Query query) {
    auto result = box.read(query);
    EXPECT_TRUE(result) << result.error().what;
    return result ? std::move(*result) : typename decltype(result)::value_type{};
  }

  MemoryDisk disk;
  SpoolBox box;
};

inline WallTime at(std::int64_t seconds) {
  return WallTime(std::chrono::seconds(1'700'000'000 + seconds));
}

inline Envelope envelope_for(std::vector<std::string> addresses) {
  Envelope envelope;
  envelope.sender = "sender@example.org";
  for (auto& address : addresses) envelope.recipients.push_back({std::move(address), "", notify_unset});
  envelope.accepted_at = at(0);
  envelope.expires_at = at(172'800);
  envelope.client_address = "192.0.2.1";
  envelope.client_helo = "client.example.org";
  return envelope;
}

/// A message accepted here, due at once.
inline NewMessage new_message(Spool& spool, std::vector<std::string> addresses,
                              std::string destination = "example.com") {
  NewMessage message;
  message.row = spool.next_row();
  message.id = {spool.id(), static_cast<std::uint64_t>(message.row.value)};
  message.generation = Generation{1};
  message.envelope = envelope_for(std::move(addresses));
  message.size = 5;
  message.alarm_at = at(14'400);
  message.queue = {{std::move(destination), at(0), 0}};
  return message;
}

inline Result<void> accept(Writer& writer, const NewMessage& message, std::string_view body = "body\n") {
  if (auto put = writer.put_chunk(message.row, 0, body); !put) return put;
  return writer.insert_message(message);
}

inline AttemptRecord attempt(RowId row, std::vector<RecipientOutcome> outcomes,
                             std::vector<QueueEntry> again = {}, std::string destination = "example.com") {
  AttemptRecord record;
  record.row = row;
  record.destination = std::move(destination);
  record.outcomes = std::move(outcomes);
  record.again = std::move(again);
  return record;
}

inline RecipientOutcome delivered(std::uint32_t index) {
  return {index, RecipientOutcome::State::delivered, "250 ok"};
}
inline RecipientOutcome failed(std::uint32_t index) {
  return {index, RecipientOutcome::State::failed, "550 no"};
}
inline RecipientOutcome deferred(std::uint32_t index) {
  return {index, RecipientOutcome::State::pending, "451 later"};
}

inline Holder holder(std::string hub, std::uint64_t spool, Holder::State state = Holder::State::holds) {
  return {std::move(hub), SpoolId{spool}, state};
}

inline Result<void> outcome_of(const auto& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

}  // namespace umbra::storage
