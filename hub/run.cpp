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
#include "hub/service_notify.h"
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

using Signals = asio::basic_signal_set<IoExecutor>;

/// What a hub needs for stopping, beyond a drain.
constexpr Duration stop_time = 60s;

enum class After : std::uint8_t { exit_well, exit_badly, again };

/// Ten thousand connections need as many file descriptors: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

std::string says(const Config& config) {
  return "Hub " + config.hub_name + " listens";
}

/// SIGHUP: the configuration file, certificates and keys are read anew. Again and again, until `signals` is
/// cancelled.
Task<void> reload_on(Signals& signals, Hub& hub, std::string status, EventLog& log) {
  while (true) {
    ErrorCode error;
    co_await signals.async_wait(asio::redirect_error(use_task, error));
    if (error) co_return;
    log.line(LogLevel::info, "reloading: signal received", {});
    notify_reloading();
    hub.reload();
    notify_ready(status);
  }
}

/// SIGTERM and SIGINT: counted, until `signals` is cancelled.
Task<void> count_on(Signals& signals, unsigned& count) {
  while (true) {
    ErrorCode error;
    co_await signals.async_wait(asio::redirect_error(use_task, error));
    if (error) co_return;
    ++count;
  }
}

/// Before a hub stops that was told to drain first: what `umbra drain` does, or what is left of one that was
/// ordered before the signal came, for `within` at most. A second signal ends it, and so does the end of the
/// epoch.
Task<void> drain_before_stop(asio::io_context& io, Hub& hub, Duration within, const unsigned& signals,
                             ServiceWatchdog& watchdog, EventLog& log) {
  auto is_over = [](cluster::DrainState state) {
    using enum cluster::DrainState;
    return state == paused || state == drained || state == incomplete || state == left;
  };
  auto until = MonotonicClock::now() + within;
  auto report = co_await hub.drain().report();
  bool is_ordered = report && report->state != cluster::DrainState::active &&
                    report->order.verb != cluster::DrainVerb::pause;
  if (!is_ordered) {
    cluster::DrainOrder order;
    order.deadline = within;
    // Load balancers get a moment to look; no more of a short time than a tenth.
    order.unready_wait = std::min(order.unready_wait, within / 10);
    auto refused = co_await hub.drain().begin(order);
    if (!refused || !refused->empty()) {
      log.line(LogLevel::warning, "stopping without a drain",
               {{"reason", refused ? *refused : refused.error().what}});
      co_return;
    }
  }
  Timer pause(io);
  while (signals < 2 && !hub.ended() && MonotonicClock::now() < until + 1s) {
    report = co_await hub.drain().report();
    if (!report || is_over(report->state)) break;
    watchdog.tick(MonotonicClock::now());
    co_await pause.wait_for(100ms);
  }
  if (!report) co_return;
  bool is_complete = is_over(report->state) && report->state != cluster::DrainState::incomplete;
  log.line(is_complete ? LogLevel::info : LogLevel::warning, "drained before stopping",
           {{"state", to_string(report->state)},
            {"reason", signals < 2 ? report->why : "a second signal"},
            {"handed_over", std::to_string(report->handed_over)},
            {"left", std::to_string(report->current.queue)}});
}

Task<void> supervise(asio::io_context& io, Hub& hub, const RunOptions& options, std::string status,
                     EventLog& log, After& after) {
  Signals stop_signals(io, SIGTERM, SIGINT);
  Signals reload_signals(io, SIGHUP);
  unsigned signals = 0;
  TaskScope waiting(io);
  TaskScope reloading(io);
  waiting.spawn("stop", count_on(stop_signals, signals));
  reloading.spawn("reload", reload_on(reload_signals, hub, status, log));
  // It listens. Whether it takes mail may depend on other hubs, which may wait for this one to be started: no
  // matter for a service manager.
  notify_ready(status);
  ServiceWatchdog watchdog;
  Timer look(io);
  while (signals == 0 && !hub.ended()) {
    co_await look.wait_for(100ms);
    watchdog.tick(MonotonicClock::now());
  }
  if (signals != 0) {
    after = After::exit_well;
    log.line(LogLevel::info, "stopping: signal received", {});
    if (options.drain_on_stop > Duration{0}) {
      notify_stopping("Draining", options.drain_on_stop + stop_time);
      co_await drain_before_stop(io, hub, options.drain_on_stop, signals, watchdog, log);
    }
    notify_stopping("Stopping", stop_time);
  } else {
    after = hub.ended()->restart ? After::again : After::exit_badly;
    log.line(LogLevel::warning, "stopping", {{"reason", hub.ended()->reason}});
    if (!hub.ended()->restart) std::fprintf(stderr, "umbra: %s\n", hub.ended()->reason.c_str());
  }
  reload_signals.cancel();
  co_await reloading.join();
  co_await hub.stop();
  // Until here a further signal must not end the process.
  stop_signals.cancel();
  co_await waiting.join();
}

After run_once(const RunOptions& options, LiveConfig& live, TlsStore& tls, DrainCourse& drain,
               RecordLogs& record_logs, EventLog& log) {
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
      scope.spawn("supervise", supervise(io, **hub, options, says(config), log, after));
    } else {
      log.line(LogLevel::error, "could not start", {{"reason", started.error().what}});
      std::fprintf(stderr, "umbra: %s: %s\n", started.error().what.c_str(),
                   started.error().code.message().c_str());
      scope.spawn("stop", (*hub)->stop());
    }
    io.run();
  }
  hub->reset();
  return after;
}

}  // namespace

int run_hub(const Config& config, const RunOptions& options) {
  raise_descriptor_limit();
  auto log = open_log(config.log, config.hub_name);
  if (!log) {
    std::fprintf(stderr, "umbra: %s: %s\n", log.error().what.c_str(), log.error().code.message().c_str());
    return 1;
  }
  // For the whole life of the process: a hub that begins its next epoch goes on with the configuration and
  // the certificates it has, whatever has become of the files.
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
  // What the operator was told of a drain holds for the whole process: another hub may end a run, and nobody
  // would know that the next one takes mail again.
  DrainCourse drain;
  After after = After::again;
  while (after == After::again) {
    std::signal(SIGHUP, SIG_IGN);  // between two runs: it must not end the process
    after = run_once(options, live, tls, drain, record_logs, events);
  }
  record_logs.stop();
  (*log)->stop();
  return after == After::exit_well ? 0 : 1;
}

}  // namespace umbra::hub
