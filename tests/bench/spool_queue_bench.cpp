// What a spool costs with many messages queued: the rate of acceptance against an empty queue, the time to
// open it, the memory, and how long each listing takes.
//   spool_queue_bench [directory] [messages] [body octets]
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <semaphore>
#include <string>

#include "storage/thread_executor.h"

namespace umbra::storage {
namespace {

double wall() {
  return std::chrono::duration<double>(MonotonicClock::now().time_since_epoch()).count();
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      long kib = 0;
      status >> kib;
      return kib;
    }
  }
  return 0;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().what.c_str());
    std::exit(1);
  }
  return std::move(*result);
}

/// A spool on lanes of its own; the caller's thread stands still while the home thread works.
struct Bench {
  std::string directory;
  std::string body;
  SystemRandom random;
  ThreadExecutor writer{"bench-writer"};
  ThreadExecutor reader{"bench-reader"};
  ThreadExecutor home{"bench-home"};
  std::unique_ptr<Spool> spool;
  std::size_t made = 0;
  bool backlog = false;

  void open() {
    double started = wall();
    SpoolOptions options;
    options.directory = directory;
    spool = must(Spool::open(options, random, writer, reader, home));
    ask("open, first answer", [](Reader& from) { return from.counts(); }, started);
  }
  void close() {
    spool->stop();
    writer.stop();
    reader.stop();
    home.stop();
    spool.reset();
  }

  NewMessage message() {
    NewMessage message;
    message.row = spool->next_row();
    message.id = {spool->id(), static_cast<std::uint64_t>(message.row.value)};
    message.generation = Generation{1};
    message.envelope.sender = "sender@example.org";
    message.envelope.recipients.push_back({"recipient@example.com", "", notify_unset});
    message.envelope.accepted_at = WallClock::now();
    message.envelope.expires_at = message.envelope.accepted_at + std::chrono::hours(48);
    message.size = body.size();
    message.alarm_at = message.envelope.accepted_at + std::chrono::hours(4);
    // A thousand destinations; a backlog is due over the next hours, what is accepted now is due now.
    auto due = message.envelope.accepted_at;
    if (backlog) due += std::chrono::seconds(made * 7919 % 20'000);
    message.queue = {{"destination-" + std::to_string(made % 1000) + ".example", due, 1}};
    message.holders = {{"hub2", SpoolId{0x9000000000000000ULL}, Holder::State::holds}};
    ++made;
    return message;
  }

  double accept(std::size_t count) {
    double time = -wall();
    std::binary_semaphore turn(0);
    for (std::size_t left = count; left > 0;) {
      std::size_t batch = std::min<std::size_t>(left, 64);
      std::size_t pending = batch;
      home.post([&] {
        for (std::size_t i = 0; i < batch; ++i) {
          spool->write(
              [this, one = message()](Writer& to) -> Result<void> {
                if (auto put = to.put_chunk(one.row, 0, body); !put) return put;
                return to.insert_message(one);
              },
              body.size(),
              [&](Result<void> result) {
                if (!result) must<int>(std::unexpected(result.error()));
                if (--pending == 0) turn.release();
              });
        }
      });
      turn.acquire();
      left -= batch;
    }
    time += wall();
    return static_cast<double>(count) / time;
  }

  template <class Query>
  void ask(const char* what, Query query, double started = wall()) {
    std::binary_semaphore turn(0);
    home.post([&] { spool->read([&](Reader& from) { must(query(from)); }, [&] { turn.release(); }); });
    turn.acquire();
    std::printf("  %-40s %9.2f ms\n", what, (wall() - started) * 1e3);
  }
};

void run(const std::string& directory, std::size_t messages, std::size_t body_octets) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  constexpr std::size_t sample = 20'000;
  std::uint64_t last = 0;
  {
    Bench bench{
        .directory = directory, .body = std::string(body_octets, 'x'), .random = {}, .spool = nullptr};
    bench.open();
    std::printf("empty queue: accepts %.0f messages/s\n", bench.accept(sample));
    bench.backlog = true;
    bench.accept(messages - sample);
    bench.backlog = false;
    ::sync();  // the gigabytes of the backlog are not part of what is measured
    std::printf("%zu queued: accepts %.0f messages/s, resident %ld KiB, file %.0f MiB\n", bench.made,
                bench.accept(sample), resident_kib(),
                static_cast<double>(std::filesystem::file_size(directory + "/spool.db")) / (1 << 20));
    last = static_cast<std::uint64_t>(bench.spool->next_row().value);
    bench.close();
  }
  Bench bench{.directory = directory, .body = std::string(body_octets, 'x'), .random = {}, .spool = nullptr};
  bench.open();
  bench.ask("due_by_destination (1000)", [](Reader& from) { return from.due_by_destination(); });
  bench.ask("due of one destination, 100", [](Reader& from) {
    return from.due("destination-7.example", WallClock::now() + std::chrono::hours(24), 100, {});
  });
  bench.ask("alarms, 100", [](Reader& from) { return from.alarms(WallTime::max(), 100); });
  bench.ask("messages, 1000", [](Reader& from) { return from.messages(RowId{0}, RowId{INT64_MAX}, 1000); });
  bench.ask("one message",
            [&](Reader& from) { return from.message(RowId{static_cast<std::int64_t>(last - 100)}); });
  bench.ask("unprotected, 100", [](Reader& from) { return from.unprotected(RowId{0}, 100); });
  bench.ask("messages_held_by a hub, 1000 found", [](Reader& from) {
    return from.messages_held_by(SpoolId{0x9000000000000000ULL}, RowId{0}, 1000);
  });
  bench.ask("messages_held_by a hub, none found",
            [](Reader& from) { return from.messages_held_by(SpoolId{1}, RowId{0}, 1000); });
  bench.ask("counts", [](Reader& from) { return from.counts(); });
  std::printf("resident %ld KiB\n", resident_kib());
  bench.close();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace umbra::storage

int main(int argc, char** argv) {
  umbra::storage::run(argc > 1 ? argv[1] : "spool_bench.tmp",
                      argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100'000,
                      argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 4096);
}
