// A hub as a process: real clock, sockets, disk and threads around Hub; signals; the exit code.
#include <sys/resource.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "hub/hub.h"
#include "hub/logs/background_log.h"
#include "hub/logs/record_logs.h"
#include "hub/logs/tracking_log.h"
#include "hub/net/dns.h"
#include "hub/net/tcp.h"
#include "hub/net/tls_store.h"
#include "hub/pressure/system_probe.h"
#include "storage/thread_executor.h"

namespace umbra::hub {
namespace {

class HomeExecutor final : public storage::Executor {
 public:
  explicit HomeExecutor(asio::io_context& io) : io_(io) {}
  void post(std::move_only_function<void()> job) override { asio::post(io_, std::move(job)); }

 private:
  asio::io_context& io_;
};

enum class After : std::uint8_t { exit_well, exit_badly, again };

/// Ten thousand connections need as many file descriptors: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/// SIGHUP: the configuration file, certificates and keys are read anew. Again and again, until `signals` is cancelled.
Task<void> reload_on(asio::basic_signal_set<IoExecutor>& signals, Hub& hub, EventLog& log) {
  while (true) {
    ErrorCode error;
    co_await signals.async_wait(asio::redirect_error(use_task, error));
    if (error) co_return;
    log.line(LogLevel::info, "reloading: signal received", {});
    hub.reload();
  }
}

Task<void> supervise(asio::io_context& io, Hub& hub, EventLog& log, After& after) {
  using Signals = asio::basic_signal_set<IoExecutor>;
  Signals signals(io, SIGTERM, SIGINT);
  bool is_signalled = false;
  bool is_waiting = true;
  Event stop_now(io);
  signals.async_wait([&](ErrorCode error, int) {
    is_waiting = false;
    if (!error) is_signalled = true;
    stop_now.set();
  });
  Signals reload_signals(io, SIGHUP);
  TaskScope reloading(io);
  reloading.spawn("reload", reload_on(reload_signals, hub, log));
  Timer look(io);
  while (!is_signalled && !hub.ended()) co_await look.wait_for(100ms);
  if (is_signalled) {
    after = After::exit_well;
    log.line(LogLevel::info, "stopping: signal received", {});
  } else {
    after = hub.ended()->restart ? After::again : After::exit_badly;
    log.line(LogLevel::warning, "stopping", {{"reason", hub.ended()->reason}});
    if (!hub.ended()->restart) std::fprintf(stderr, "umbra: %s\n", hub.ended()->reason.c_str());
  }
  reload_signals.cancel();
  co_await reloading.join();
  co_await hub.stop();
  if (is_waiting) {
    signals.cancel();
    co_await stop_now.wait();
  }
}

After run_once(LiveConfig& live, TlsStore& tls, DrainCourse& drain, RecordLogs& record_logs, EventLog& log) {
  const Config& config = live.now();
  asio::io_context io(1);
  HomeExecutor home(io);
  storage::ThreadExecutor writer("umbra-writer");
  storage::ThreadExecutor reader("umbra-reader");
  storage::ThreadExecutor passwords("umbra-passwords");
  storage::ThreadExecutor traces("umbra-traces");
  SystemRandom random;
  auto network = make_tcp_network(io);
  auto resolver = make_cares_resolver(io, config.resolver);
  SystemProbe pressure(config.spool.directory);
  auto hub = Hub::make(config, {.runtime = {io, random, *network, *resolver, &tls},
                                .writer_lane = writer,
                                .reader_lane = reader,
                                .home = home,
                                .log = log,
                                .record_logs = &record_logs,
                                .spool_vfs = "",
                                .live = &live,
                                .password_lane = &passwords,
                                .trace_lane = &traces,
                                .pressure = &pressure,
                                .drain = &drain});
  if (!hub) {
    log.line(LogLevel::error, "could not start", {{"reason", hub.error().what}});
    std::fprintf(stderr, "umbra: %s\n", hub.error().what.c_str());
    return After::exit_badly;
  }
  After after = After::exit_badly;
  auto started = (*hub)->start();
  {
    TaskScope scope(io);
    if (started) {
      scope.spawn("supervise", supervise(io, **hub, log, after));
    } else {
      log.line(LogLevel::error, "could not start", {{"reason", started.error().what}});
      std::fprintf(stderr, "umbra: %s: %s\n", started.error().what.c_str(), started.error().code.message().c_str());
      scope.spawn("stop", (*hub)->stop());
    }
    io.run();
  }
  hub->reset();
  return after;
}

}  // namespace

int run_hub(const Config& config) {
  raise_descriptor_limit();
  auto log = open_log(config.log, config.hub_name);
  if (!log) {
    std::fprintf(stderr, "umbra: %s: %s\n", log.error().what.c_str(), log.error().code.message().c_str());
    return 1;
  }
  // For the whole life of the process: a hub that begins its next epoch goes on with the configuration and the certificates it has,
  // whatever has become of the files.
  LiveConfig live(config);
  TlsStore tls(config);
  if (auto loaded = tls.load(**log); !loaded) {
    (*log)->line(LogLevel::error, "could not start", {{"reason", loaded.error().what}});
    std::fprintf(stderr, "umbra: %s\n", loaded.error().what.c_str());
    (*log)->stop();
    return 1;
  }
  RecordLogs record_logs(config.logs, **log);
  TrackingLog events(**log, record_logs, config.hub_name);
  // What the operator was told of a drain holds for the whole process: another hub may end a run, and nobody would know that the next
  // one takes mail again.
  DrainCourse drain;
  After after = After::again;
  while (after == After::again) {
    std::signal(SIGHUP, SIG_IGN);  // between two runs: it must not end the process
    after = run_once(live, tls, drain, record_logs, events);
  }
  record_logs.stop();
  (*log)->stop();
  return after == After::exit_well ? 0 : 1;
}

}  // namespace umbra::hub
