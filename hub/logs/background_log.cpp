#include "hub/logs/background_log.h"

namespace umbra::hub {

Result<std::unique_ptr<BackgroundLog>> open_log(const LogConfig& config, std::string_view hub) {
  auto file = RotatingFile::open(config.file, config.file_octets_max, config.files_max);
  if (!file) return std::unexpected(file.error());
  BackgroundLog::Options options;
  options.level = log_level_of(config.level);
  return std::make_unique<BackgroundLog>(std::move(*file), hub, options);
}

BackgroundLog::BackgroundLog(RotatingFile file, std::string_view hub, Options options)
    : level_(options.level),
      lines_(hub),
      file_(std::move(file)),
      own_lines_(hub),
      writer_(*this, 1, {options.buffer_octets_max, options.flush_after, options.retry_after}) {
  writer_.start();
}

void BackgroundLog::message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) {
  writer_.add(0, [&](std::string& out) { lines_.message(out, WallClock::now(), event, id, fields); });
}

void BackgroundLog::line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) {
  if (level < level_.load(std::memory_order_relaxed)) return;
  const auto room = level == LogLevel::debug ? writer_.octets_max() / 2 : writer_.octets_max();
  writer_.add(0, room, [&](std::string& out) { lines_.line(out, WallClock::now(), level, text, fields); });
}

Result<void> BackgroundLog::write(std::size_t, std::string_view& lines) {
  if (is_note_torn_ && !write_note()) return failure(std::errc::resource_unavailable_try_again, "write log");
  const auto before = lines;
  auto written = file_.write(lines);
  if (const auto taken = before.size() - lines.size(); taken != 0) is_line_torn_ = before[taken - 1] != '\n';
  return written;
}

bool BackgroundLog::write_note() {
  std::string_view rest = note_;
  (void)file_.write(rest);
  is_note_torn_ = !rest.empty() && (is_note_torn_ || rest.size() != note_.size());
  note_.erase(0, note_.size() - rest.size());
  return note_.empty();
}

void BackgroundLog::round_ended() {
  // First the note of an earlier round: more may have been lost since it was made, and this may be the last
  // round.
  if (!note_.empty() && !is_line_torn_) (void)write_note();
  if (!note_.empty()) return;
  const auto dropped = writer_.state(0).lines_dropped;
  if (dropped == told_dropped_) return;
  own_lines_.line(note_, WallClock::now(), LogLevel::warning, "the log could not keep up",
                  {{"lines_dropped", static_cast<std::int64_t>(dropped - told_dropped_)}});
  told_dropped_ = dropped;
  if (!is_line_torn_) (void)write_note();
}

}  // namespace umbra::hub
