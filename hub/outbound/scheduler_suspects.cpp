// Messages that were being delivered when the process ended without a word: marked while they are attempted,
// tried one at a time after such an end, and held when it was too often (hub/outbound/trial.h decides). Part
// of Scheduler.
#include <fmt/format.h>

#include "hub/outbound/scheduler.h"
#include "storage/attempt_marks.h"

namespace umbra::hub {
namespace {

constexpr std::size_t suspects_max = 100'000;

}  // namespace

// Before the first page of mail is read: the reader's lane keeps the order.
void Scheduler::load_suspects() {
  if (parts_.config.delivery.crashes_max == 0) return;
  auto suspects = std::make_shared<Result<std::vector<storage::Suspect>>>();
  ++parts_.spool_calls;
  parts_.spool.read([suspects](storage::Reader& reader) { *suspects = reader.suspects(suspects_max); },
                    [this, suspects] {
                      --parts_.spool_calls;
                      if (!*suspects || (*suspects)->empty()) return;
                      for (const auto& [id, crashes] : **suspects) trial_.suspect(id, crashes);
                      parts_.log.line(
                          LogLevel::warning,
                          "the hub ended while it was delivering these: they are tried one at a time",
                          {{"messages", static_cast<std::int64_t>((*suspects)->size())}});
                    });
}

void Scheduler::mark(const JobPtr& job) {
  if (parts_.marks == nullptr || job->is_marked) return;
  job->is_marked = true;
  parts_.marks->begin(job->message->id);
}

void Scheduler::unmark(const JobPtr& job) {
  if (std::exchange(job->is_marked, false)) parts_.marks->end(job->message->id);
}

// The last of a message's jobs is over.
void Scheduler::end_trial(const JobPtr& job) {
  if (trial_.is_idle() || jobs_.contains(job->row().value)) return;
  auto id = job->message->id;
  if (trial_.ended(id, job->has_outcome) && !parts_.is_stopped) {
    ++parts_.spool_calls;
    // Not written: it is tried alone once more after the next start.
    parts_.spool.write([id](storage::Writer& writer) { return writer.forget_suspect(id); }, 64,
                       [this](const Result<void>&) { --parts_.spool_calls; });
  }
  if (trial_.waiting().empty()) return;
  ++parts_.spool_calls;
  asio::post(parts_.runtime.io, [this] {
    --parts_.spool_calls;
    next_suspect();
  });
}

// One that can be attempted now: a destination that is blocked comes back to its own by itself.
void Scheduler::next_suspect() {
  if (parts_.is_stopped) return;
  while (auto name = trial_.next()) {
    Destination& d = destination(*name);
    note_due(d, parts_.due_clock.now());
    pump(d);
    if (!d.is_blocked(MonotonicClock::now())) return;
  }
}

void Scheduler::hold_suspect(const storage::StoredMessage& message) {
  auto row = message.row;
  auto crashes = trial_.ends_of(message.id);
  storage::AttemptRecord record;
  record.row = row;
  record.last_error =
      fmt::format("held: the hub ended {} times while it was delivering this message", crashes);
  claimed_.insert(row.value);
  ++parts_.spool_calls;
  parts_.spool.write(
      [record](storage::Writer& writer) -> Result<void> {
        auto noted = writer.record_attempt(record);
        if (!noted) return std::unexpected(noted.error());
        if (noted->message_finished) return {};
        return writer.set_state(record.row, storage::MessageState::held, {});
      },
      256,
      [this, row, id = message.id, crashes](const Result<void>& result) {
        --parts_.spool_calls;
        claimed_.erase(row.value);
        if (!result) return look_again();
        ++parts_.metrics.messages_poisoned_total;
        parts_.log.message(MessageEvent::held, id,
                           {{"reason", "the hub ended while it was delivering this message"},
                            {"times", static_cast<std::int64_t>(crashes)}});
      });
}

}  // namespace umbra::hub
