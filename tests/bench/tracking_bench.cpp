// What the tracking log costs the thread that tells of a message: processor time of that thread per event,
// with the line of the event log and without, to real files.
//   tracking_bench [folder] [events]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/envelope.h"
#include "hub/logs/background_log.h"
#include "hub/logs/record_logs.h"
#include "hub/logs/tracking_log.h"
#include "smtp/header_search.h"

namespace umbra::hub {
namespace {

/// Nowhere.
class NoLog final : public EventLog {
 public:
  void message(MessageEvent, MessageId, std::initializer_list<LogField>) override {}
  void line(LogLevel, std::string_view text, std::initializer_list<LogField>) override {
    std::printf("  (%.*s)\n", static_cast<int>(text.size()), text.data());
  }
};

double thread_cpu_us() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

template <class Work>
void measure(const char* what, int count, Work work) {
  // Gathered to batches as a busy hub would make them, so that the buffers do not overflow.
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto began = thread_cpu_us();
    for (int i = 0; i < count; ++i) work(i);
    best = std::min(best, (thread_cpu_us() - began) / count);
    timespec pause{0, 300'000'000};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
  }
  std::printf("%-52s %6.2f us\n", what, best);
}

int run(const std::string& folder, int count) {
  NoLog none;
  RecordLogsConfig config;
  config.folder = folder + "/logs";
  RecordLogs logs(config, none);
  RecordLogs no_logs(RecordLogsConfig{}, none);
  auto file = RotatingFile::open(folder + "/events.log", 1ULL << 30, 2);
  if (!file) return 1;
  BackgroundLog events(std::move(*file), "hub-a", {});
  TrackingLog tracked(none, logs, "hub-a");
  TrackingLog both(events, logs, "hub-a");
  TrackingLog untracked(events, no_logs, "hub-a");
  const std::string header =
      "Received: from client.example (client.example [192.0.2.1])\r\n\tby hub-a.example with ESMTP id "
      "9f86d081884c7d65-10000000002\r\n\tfor <b@sink.example>; "
      "Fri, 27 Nov 2026 23:10:00 +0000\r\nFrom: A <a@source.example>\r\nTo: B <b@sink.example>\r\nSubject: a "
      "subject of usual length\r\n"
      "Date: Fri, 27 Nov 2026 23:10:00 +0000\r\nMessage-ID: "
      "<20261127231000.123456@source.example>\r\nMIME-Version: 1.0\r\n\r\nhello\r\n";
  auto accepted = [&](EventLog& log, int i) {
    std::string id;
    std::string to;
    if (log.keeps_tracking()) {
      smtp::find_fields(header, {{"Message-ID", &id}});
      to = addresses_for_tracking(std::vector<Recipient>{{"b@sink.example", "", 0}});
    }
    log.message(MessageEvent::accepted, {SpoolId{0x9f86d081884c7d65}, static_cast<std::uint64_t>(i)},
                {{"from", "a@source.example"},
                 {"recipients", std::int64_t{1}},
                 {"size", std::int64_t{4096}},
                 {"client", "192.0.2.1"},
                 {"user", ""},
                 {"listener", "default", true},
                 {"helo", "client.example", true},
                 {"to", to, true},
                 {"message_id", id, true},
                 {"subject", "", true}});
  };
  auto delivered = [&](EventLog& log, int i) {
    log.message(MessageEvent::delivered, {SpoolId{0x9f86d081884c7d65}, static_cast<std::uint64_t>(i)},
                {{"recipient", "b@sink.example"},
                 {"host", "mx.sink.example"},
                 {"address", "192.0.2.9:25"},
                 {"reply", "250 2.0.0 queued as 123456789"},
                 {"route", "all", true},
                 {"sender", "a@source.example", true},
                 {"original_client", "192.0.2.1", true},
                 {"size", std::int64_t{4096}, true},
                 {"age_ms", std::int64_t{12}, true}});
  };
  measure("accepted: record alone", count, [&](int i) { accepted(tracked, i); });
  measure("delivered: record alone", count, [&](int i) { delivered(tracked, i); });
  measure("accepted: line of the event log alone", count, [&](int i) { accepted(untracked, i); });
  measure("accepted: both", count, [&](int i) { accepted(both, i); });
  measure("delivered: line of the event log alone", count, [&](int i) { delivered(untracked, i); });
  measure("delivered: both", count, [&](int i) { delivered(both, i); });
  for (const auto& state : logs.state())
    if (state.buffer.lines_dropped != 0)
      std::printf("%s: %llu dropped\n", state.name.c_str(),
                  static_cast<unsigned long long>(state.buffer.lines_dropped));
  return 0;
}

}  // namespace
}  // namespace umbra::hub

int main(int argc, char** argv) {
  return umbra::hub::run(argc > 1 ? argv[1] : "/tmp", argc > 2 ? std::atoi(argv[2]) : 20'000);
}
