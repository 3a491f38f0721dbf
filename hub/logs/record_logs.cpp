#include "hub/logs/record_logs.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace umbra::hub {
namespace {

constexpr Duration say_again_after = 10min;    // that nothing can be written
constexpr Duration missing_again_after = 10s;  // that records are missing
constexpr Duration early_again_after = 1h;     // that size cuts age

const RecordLogConfig& config_of(const RecordLogsConfig& config, std::size_t number) {
  return number < 2 ? config.protocol : number == 2 ? config.connectivity : config.tracking;
}

bool is_due(std::optional<MonotonicTime> told_at, Duration after) {
  return !told_at || MonotonicClock::now() >= *told_at + after;
}

std::int64_t hours(Duration span) {
  return std::chrono::duration_cast<std::chrono::hours>(span).count();
}

}  // namespace

class RecordLogs::Kind final : public RecordLog {
 public:
  Kind(BackgroundWriter& writer, std::size_t number, const RecordLogsConfig& config)
      : kind(record_kinds[number]),
        limits(config_of(config, number)),
        files(config.folder, kind, config.format),
        writer_(writer),
        number_(number),
        records_(kind, config.format) {}

  [[nodiscard]] bool is_enabled() const override { return is_on.load(std::memory_order_relaxed); }
  void write(WallTime time, std::initializer_list<std::string_view> values) override {
    if (!is_enabled()) return;
    writer_.add(number_,
                [&](std::string& out) { records_.write(out, time, {values.begin(), values.size()}); });
  }

  const RecordKind& kind;
  std::atomic<bool> is_on{false};
  // Under the mutex of RecordLogs.
  RecordLogConfig limits;
  std::string trouble;
  // The thread's.
  RecordFiles files;
  std::optional<MonotonicTime> trouble_told_at;
  std::optional<MonotonicTime> missing_told_at;
  std::optional<MonotonicTime> early_told_at;
  std::optional<MonotonicTime> tidied_at;
  std::uint64_t told_dropped = 0;
  std::int64_t early_files = 0;  ///< removed since it was told

 private:
  BackgroundWriter& writer_;
  const std::size_t number_;
  RecordWriter records_;  // under the lock of the writer
};

RecordLogs::RecordLogs(const RecordLogsConfig& config, EventLog& log, Options options)
    : log_(log),
      options_(options),
      keeps_subjects_(config.subjects),
      writer_(*this, std::size(record_kinds),
              {options.buffer_octets_max, options.flush_after, options.retry_after}) {
  for (std::size_t number = 0; number < kinds_.size(); ++number)
    kinds_[number] = std::make_unique<Kind>(writer_, number, config);
  if (config.folder.empty()) return;
  configuration_changed(config);
  writer_.start();
}

RecordLogs::~RecordLogs() {
  stop();
}

RecordLog& RecordLogs::kind(std::size_t number) {
  return *kinds_[number];
}

void RecordLogs::configuration_changed(const RecordLogsConfig& config) {
  std::lock_guard lock(mutex_);
  keeps_subjects_.store(config.subjects, std::memory_order_relaxed);
  for (std::size_t number = 0; number < kinds_.size(); ++number) {
    auto& kind = *kinds_[number];
    kind.limits = config_of(config, number);
    kind.is_on.store(kind.limits.enabled && !config.folder.empty(), std::memory_order_relaxed);
  }
}

std::vector<RecordLogs::State> RecordLogs::state() const {
  std::vector<State> all;
  std::lock_guard lock(mutex_);
  for (std::size_t number = 0; number < kinds_.size(); ++number)
    all.push_back({std::string(kinds_[number]->kind.name), writer_.state(number), kinds_[number]->trouble});
  return all;
}

RecordLogConfig RecordLogs::limits_of(std::size_t number) const {
  std::lock_guard lock(mutex_);
  return kinds_[number]->limits;
}

Result<void> RecordLogs::write(std::size_t number, std::string_view& records) {
  auto& kind = *kinds_[number];
  auto written = kind.files.write(records, limits_of(number));
  if (!written) {
    tell_trouble(kind, written.error());
    return written;
  }
  if (std::exchange(kind.trouble_told_at, std::nullopt)) {
    {
      std::lock_guard lock(mutex_);
      kind.trouble.clear();
    }
    log_.line(LogLevel::warning, "record log is written again", {{"log", kind.kind.name}});
  }
  return {};
}

void RecordLogs::tell_trouble(Kind& kind, const Error& error) {
  const auto why = error.what + ": " + error.code.message();
  {
    std::lock_guard lock(mutex_);
    kind.trouble = why;
  }
  if (!is_due(kind.trouble_told_at, say_again_after)) return;
  kind.trouble_told_at = MonotonicClock::now();
  log_.line(LogLevel::warning, "record log cannot be written", {{"log", kind.kind.name}, {"reason", why}});
}

void RecordLogs::tell_missing(std::size_t number, Duration again_after) {
  auto& kind = *kinds_[number];
  const auto dropped = writer_.state(number).lines_dropped;
  if (dropped == kind.told_dropped || !is_due(kind.missing_told_at, again_after)) return;
  kind.missing_told_at = MonotonicClock::now();
  log_.line(
      LogLevel::warning, "records are missing from a record log",
      {{"log", kind.kind.name}, {"lines_dropped", static_cast<std::int64_t>(dropped - kind.told_dropped)}});
  kind.told_dropped = dropped;
}

void RecordLogs::stop() {
  writer_.stop();
  for (std::size_t number = 0; number < kinds_.size(); ++number) tell_missing(number, Duration{});
}

void RecordLogs::round_ended() {
  for (std::size_t number = 0; number < kinds_.size(); ++number) {
    auto& kind = *kinds_[number];
    tell_missing(number, missing_again_after);
    if (kind.files.is_untidy() || is_due(kind.tidied_at, options_.tidy_after)) {
      kind.tidied_at = MonotonicClock::now();
      tidy(kind);
    }
  }
}

void RecordLogs::tidy(Kind& kind) {
  RecordLogConfig limits;
  {
    std::lock_guard lock(mutex_);
    limits = kind.limits;
  }
  std::string early;
  for (const auto& one : kind.files.tidy(WallClock::now(), limits)) {
    if (!one.problem.empty()) {
      log_.line(LogLevel::warning, "a file of a record log cannot be removed",
                {{"log", kind.kind.name}, {"file", one.file}, {"reason", one.problem}});
      continue;
    }
    log_.line(LogLevel::debug, "file of a record log removed",
              {{"log", kind.kind.name},
               {"file", one.file},
               {"for", one.is_for_size ? "size" : "age"},
               {"age_hours", hours(one.age)}});
    if (!one.is_early) continue;
    ++kind.early_files;
    early = one.file;
  }
  if (early.empty() || !is_due(kind.early_told_at, early_again_after)) return;
  kind.early_told_at = MonotonicClock::now();
  log_.line(LogLevel::warning, "record log: folder_size removes files that are not yet `age` old",
            {{"log", kind.kind.name},
             {"files", std::exchange(kind.early_files, 0)},
             {"last", early},
             {"age_hours", hours(limits.age_max)}});
}

}  // namespace umbra::hub
