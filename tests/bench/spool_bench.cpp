// How many messages a second the spool alone can take in and finish, and what each costs in CPU: acceptance
// (chunk and row), then the attempt that ends it. On a real directory, with real syncs.
//   spool_bench [directory] [messages] [holders] [body octets]
// One line per batch size. `writer us` is CPU of the writer lane per message; the home thread's own work is
// not in it.
#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "storage/thread_executor.h"

namespace umbra::storage {
namespace {

double seconds(timespec time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double process_cpu() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return seconds(time);
}

double thread_cpu() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return seconds(time);
}

double wall() {
  return std::chrono::duration<double>(MonotonicClock::now().time_since_epoch()).count();
}

struct Bench {
  std::string directory;
  std::size_t messages;
  std::size_t holders;
  std::size_t body_octets;

  NewMessage message(Spool& spool) const {
    NewMessage message;
    message.row = spool.next_row();
    message.id = {spool.id(), static_cast<std::uint64_t>(message.row.value)};
    message.generation = Generation{1};
    message.envelope.sender = "sender@example.org";
    message.envelope.recipients.push_back({"recipient@example.com", "", notify_unset});
    message.envelope.accepted_at = WallClock::now();
    message.envelope.expires_at = message.envelope.accepted_at + std::chrono::hours(48);
    message.envelope.client_address = "192.0.2.1";
    message.envelope.client_helo = "client.example.org";
    message.size = body_octets;
    message.alarm_at = message.envelope.accepted_at + std::chrono::hours(4);
    message.queue = {{"example.com", message.envelope.accepted_at, 0}};
    for (std::size_t i = 0; i < holders; ++i) {
      message.holders.push_back(
          {"hub" + std::to_string(i + 2), SpoolId{0x9000000000000000ULL + i}, Holder::State::holds});
    }
    return message;
  }

  /// `batch` acceptances are under way at a time, and as many attempts of messages accepted before.
  void run(std::size_t batch) const {
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory);
    SystemRandom random;
    ThreadExecutor writer("bench-writer");
    ThreadExecutor reader("bench-reader");
    ThreadExecutor home("bench-home");
    SpoolOptions options;
    options.directory = directory;
    auto opened = Spool::open(options, random, writer, reader, home);
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().what.c_str());
      std::exit(1);
    }
    Spool& spool = **opened;
    std::string body(body_octets, 'x');
    std::counting_semaphore<> turn(0);
    double writer_cpu = 0;
    auto on_writer = [&](auto measure) {
      writer.post([&, measure] {
        measure();
        turn.release();
      });
      turn.acquire();
    };
    std::vector<NewMessage> accepted;
    on_writer([&] { writer_cpu = -thread_cpu(); });
    double cpu = -process_cpu();
    double time = -wall();
    std::size_t finished = 0;
    while (finished < messages) {
      std::size_t pending = 0;
      std::vector<NewMessage> fresh;
      home.post([&] {  // as the hub: everything is submitted from the home thread
        for (std::size_t i = 0; i < batch; ++i) fresh.push_back(message(spool));
        pending = fresh.size() + accepted.size();
        auto done = [&](Result<void> result) {
          if (!result) {
            std::fprintf(stderr, "%s\n", result.error().what.c_str());
            std::exit(1);
          }
          if (--pending == 0) turn.release();
        };
        for (auto& one : accepted) {
          spool.write(
              [&one](Writer& to) -> Result<void> {
                AttemptRecord record;
                record.row = one.row;
                record.destination = "example.com";
                record.outcomes.push_back(
                    {0, RecipientOutcome::State::delivered, "250 2.0.0 ok queued as 12345"});
                auto effect = to.record_attempt(record);
                if (!effect) return std::unexpected(effect.error());
                return {};
              },
              64, done);
        }
        for (auto& one : fresh) {
          spool.write(
              [&one, &body](Writer& to) -> Result<void> {
                if (auto put = to.put_chunk(one.row, 0, body); !put) return put;
                return to.insert_message(one);
              },
              body_octets, done);
        }
      });
      turn.acquire();
      finished += accepted.size();
      accepted = std::move(fresh);
    }
    time += wall();
    cpu += process_cpu();
    on_writer([&] { writer_cpu += thread_cpu(); });
    auto statistics = spool.statistics();
    double count = static_cast<double>(finished);
    std::printf(
        "batch %4zu: %8.0f messages/s, writer %6.1f us, process %6.1f us per message, %.2f commits per "
        "message\n",
        batch, count / time, writer_cpu / count * 1e6, cpu / count * 1e6,
        static_cast<double>(statistics.batches) / count);
    spool.stop();
    writer.stop();
    reader.stop();
    home.stop();
    opened->reset();
    std::filesystem::remove_all(directory);
  }
};

}  // namespace
}  // namespace umbra::storage

int main(int argc, char** argv) {
  umbra::storage::Bench bench{.directory = argc > 1 ? argv[1] : "spool_bench.tmp",
                              .messages = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20'000,
                              .holders = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0,
                              .body_octets = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 4096};
  for (std::size_t batch : {std::size_t{1}, std::size_t{32}, std::size_t{128}}) {
    auto scaled = bench;
    if (batch == 1) scaled.messages /= 10;
    scaled.run(batch);
  }
}
