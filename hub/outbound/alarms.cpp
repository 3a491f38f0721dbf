#include "hub/outbound/alarms.h"

#include <algorithm>
#include <map>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr auto look_every = std::chrono::seconds(15);
constexpr std::size_t page = 100;
const smtp::Reply expired_reply{0, "4.4.7", "delivery time expired"};

std::string expired_text(const std::string& trouble) {
  return trouble.empty() ? expired_reply.text : expired_reply.text + "; last: " + trouble;
}

}  // namespace

Task<void> Alarms::run() {
  while (!parts_.is_stopped) {
    co_await pause_.wait_for(look_every);
    if (parts_.is_stopped || !scheduler_.is_loading_on()) continue;
    // A page at a time; what cannot be handled now is looked at again next time.
    auto rows = co_await query<std::vector<RowId>>(
        parts_.runtime.io, parts_.spool,
        [now = parts_.due_clock.now()](storage::Reader& reader) { return reader.alarms(now, page); });
    while (rows && !rows->empty() && !parts_.is_stopped) {
      std::size_t handled = 0;
      for (RowId row : *rows) {
        if (parts_.is_stopped) co_return;
        if (!scheduler_.claim(row)) continue;
        ++handled;
        co_await ring(row);
        scheduler_.give_up_claim(row);
      }
      if (handled == 0 || rows->size() < page) break;
      rows = co_await query<std::vector<RowId>>(
          parts_.runtime.io, parts_.spool,
          [now = parts_.due_clock.now()](storage::Reader& reader) { return reader.alarms(now, page); });
    }
  }
}

Task<Result<std::optional<Alarms::Original>>> Alarms::read(RowId row) {
  co_return co_await query<std::optional<Original>>(
      parts_.runtime.io, parts_.spool, [row](storage::Reader& reader) -> Result<std::optional<Original>> {
        auto message = reader.message(row);
        if (!message) return std::unexpected(message.error());
        if (!*message) return std::nullopt;
        auto held_for = reader.held_for(row, WallClock::now());
        if (!held_for) return std::unexpected(held_for.error());
        Original original{std::move(**message), "", *held_for};
        std::size_t wanted = wanted_of_body(original.message, true);
        for (std::uint32_t number = 0; original.front.size() < wanted; ++number) {
          auto chunk = reader.chunk(row, number);
          if (!chunk || chunk->empty()) break;
          original.front += *chunk;
        }
        return original;
      });
}

Task<void> Alarms::ring(RowId row) {
  auto original = co_await read(row);
  if (!original) scheduler_.look_again();  // what was claimed has to be found again
  if (!original || !*original || (*original)->message.state != storage::MessageState::queued) co_return;
  const auto queue = (*original)->message.queue;
  const auto due = due_by_clock(parts_.config, parts_.router, parts_.suspensions, (*original)->message,
                                (*original)->held_for, parts_.due_clock.now());
  Result<void> result;
  if (due.is_all)
    result = co_await end(std::move(**original), expired_reply, MessageEvent::expired);
  else
    result = due.has_expired ? co_await expire(std::move(**original), due)
                             : co_await warn(std::move(**original), due);
  if (!due.is_all)
    for (const auto& entry : queue) scheduler_.note_due(entry.destination, entry.due);
  if (!result && !parts_.is_stopped) {
    for (const auto& entry : queue) scheduler_.note_due(entry.destination, entry.due);
    parts_.log.line(LogLevel::warning, "an alarm could not be handled", {{"error", result.error().what}});
  }
}

Task<Result<void>> Alarms::bounce(RowId row, std::string why) {
  co_return co_await by_operator(row, "bounce", &Alarms::end_bounced, std::move(why));
}

Task<Result<void>> Alarms::remove(RowId row) {
  co_return co_await by_operator(row, "delete", &Alarms::end_removed, {});
}

Task<Result<void>> Alarms::by_operator(RowId row, const char* verb, Change change, std::string why) {
  const std::string what = std::string(verb) + ": ";
  if (!scheduler_.claim(row))
    co_return failure(std::errc::device_or_resource_busy, what + "the message is being sent");
  auto original = co_await read(row);
  Result<void> result;
  if (!original) {
    result = std::unexpected(original.error());
  } else if (!*original) {
    result = failure(std::errc::no_such_file_or_directory, what + "no such message");
  } else if (storage::is_handing_over((*original)->message.state)) {
    result =
        failure(std::errc::device_or_resource_busy, what + "the message is being handed over to another hub");
  } else {
    const auto queue = (*original)->message.queue;
    result = co_await (this->*change)(std::move(**original), std::move(why));
    if (!result)
      for (const auto& entry : queue) scheduler_.note_due(entry.destination, entry.due);
  }
  scheduler_.give_up_claim(row);
  co_return result;
}

Task<Result<void>> Alarms::end_bounced(Original original, std::string why) {
  co_return co_await end(std::move(original), {0, "5.7.0", std::move(why)}, MessageEvent::bounced);
}

// As a bounce ends, without the notification: the holders hear that it is done, and drop their copies.
Task<Result<void>> Alarms::end_removed(Original original, std::string) {
  const auto& message = original.message;
  auto result =
      co_await commit(parts_.runtime.io, parts_.spool, [row = message.row](storage::Writer& writer) {
        return writer.finish_message(row, std::nullopt, SpoolId{}, storage::Left::deleted);
      });
  if (!result) co_return result;
  if (parts_.config.cluster.enabled()) parts_.guard.outbox_grew();
  ++parts_.metrics.messages_deleted_total;
  auto pending = pending_recipients(message.envelope.recipients.size(), message.progress);
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (!pending[i]) continue;
    ++parts_.metrics.recipients_deleted_total;
    parts_.log.message(MessageEvent::deleted, message.id,
                       {{"recipient", message.envelope.recipients[i].address},
                        {"reason", "by the operator"},
                        {"sender", message.envelope.sender, true},
                        {"original_client", message.envelope.client_address, true},
                        {"size", static_cast<std::int64_t>(message.size), true}});
  }
  co_return result;
}

std::string Alarms::trouble_of(const storage::StoredMessage& message) const {
  std::string trouble = message.last_error;
  for (const auto& entry : message.queue)
    if (trouble.empty()) trouble = scheduler_.trouble_of(entry.destination);
  return trouble;
}

std::vector<smtp::DsnRecipient> Alarms::fail(const storage::StoredMessage& message,
                                             const std::vector<bool>& which, const smtp::Reply& reply,
                                             const std::string& diagnostic) {
  std::vector<smtp::DsnRecipient> told;
  for (std::size_t i = 0; i < which.size(); ++i)
    if (which[i] && wants_failure(message.envelope.recipients[i]))
      told.push_back({message.envelope.recipients[i], smtp::DsnRecipient::Action::failed, reply.enhanced, "",
                      diagnostic, false});
  return told;
}

void Alarms::tell(const storage::StoredMessage& message, const std::vector<bool>& which,
                  const smtp::Reply& reply, const std::string& diagnostic, MessageEvent event) {
  if (parts_.config.cluster.enabled()) parts_.guard.outbox_grew();
  std::string_view report = message.envelope.sender.empty() ? "dropped: null sender" : "";
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (!which[i]) continue;
    ++parts_.metrics.recipients_bounced_total;
    const std::string& address = message.envelope.recipients[i].address;
    if (event == MessageEvent::expired)
      parts_.log.message(MessageEvent::expired, message.id, {{"recipient", address}, {"reason", diagnostic}});
    parts_.log.message(MessageEvent::bounced, message.id,
                       {{"recipient", address},
                        {"reply", reply.enhanced + " " + diagnostic},
                        {"report", report},
                        {"sender", message.envelope.sender, true},
                        {"original_client", message.envelope.client_address, true},
                        {"size", static_cast<std::int64_t>(message.size), true}});
  }
}

// Every recipient that is pending fails for this reason.
Task<Result<void>> Alarms::end(Original original, smtp::Reply reply, MessageEvent event) {
  const auto& message = original.message;
  auto pending = pending_recipients(message.envelope.recipients.size(), message.progress);
  std::string diagnostic = reply.text;
  if (event == MessageEvent::expired) diagnostic = expired_text(trouble_of(message));
  auto notification =
      make_notification(parts_, message, fail(message, pending, reply, diagnostic), original.front);
  RowId row = message.row;
  const bool has_delivered = std::ranges::any_of(
      message.progress, [](const auto& r) { return r.state == storage::RecipientOutcome::State::delivered; });
  const auto how = has_delivered                    ? storage::Left::delivered
                   : event == MessageEvent::expired ? storage::Left::expired
                                                    : storage::Left::bounced;
  auto result = co_await commit_with(std::move(notification),
                                     [row, how](storage::Writer& writer, std::optional<RowId> fork) {
                                       return writer.finish_message(row, fork, SpoolId{}, how);
                                     });
  if (result) tell(message, pending, reply, diagnostic, event);
  co_return result;
}

// Some recipients have a shorter profile than the others.
Task<Result<void>> Alarms::expire(Original original, const DueByClock& due) {
  const auto& message = original.message;
  const std::string diagnostic = expired_text(trouble_of(message));
  std::map<std::string, storage::AttemptRecord> records;
  for (std::uint32_t i = 0; i < due.expired.size(); ++i) {
    if (!due.expired[i]) continue;
    auto destination = parts_.router.destination_of(message.envelope.recipients[i].address,
                                                    message.envelope.trail, message.next_hop);
    auto& record = records[destination];
    record.row = message.row;
    record.destination = destination;
    record.alarm_at = due.next;
    record.is_expiry = true;
    record.outcomes.push_back({i, storage::RecipientOutcome::State::failed, diagnostic, {}});
  }
  auto notification = make_notification(
      parts_, message, fail(message, due.expired, expired_reply, diagnostic), original.front);
  auto result =
      co_await commit_with(std::move(notification),
                           [&records](storage::Writer& writer, std::optional<RowId> fork) -> Result<void> {
                             for (auto& [destination, record] : records) {
                               record.fork = fork;
                               auto effect = writer.record_attempt(record);
                               if (!effect) return std::unexpected(effect.error());
                             }
                             return {};
                           });
  if (result) {
    parts_.guard.note_changed();
    tell(message, due.expired, expired_reply, diagnostic, MessageEvent::expired);
  }
  co_return result;
}

// Tells of the delay where it is time, and looks again when the next thing is due.
Task<Result<void>> Alarms::warn(Original original, const DueByClock& due) {
  const auto& message = original.message;
  std::string trouble = trouble_of(message);
  if (trouble.empty()) trouble = "not delivered yet";
  std::vector<smtp::DsnRecipient> told;
  for (std::size_t i = 0; i < due.delayed.size(); ++i)
    if (due.delayed[i])
      told.push_back(
          {message.envelope.recipients[i], smtp::DsnRecipient::Action::delayed, "4.4.7", "", trouble, false});
  storage::AttemptRecord record;
  record.row = message.row;
  if (!message.queue.empty()) {
    record.destination = message.queue.front().destination;
    record.again.push_back(message.queue.front());
  }
  record.alarm_at = due.next;
  auto notification = make_notification(parts_, message, std::move(told), original.front);
  auto result = co_await commit_with(std::move(notification),
                                     [record](storage::Writer& writer, std::optional<RowId>) -> Result<void> {
                                       auto effect = writer.record_attempt(record);
                                       if (!effect) return std::unexpected(effect.error());
                                       return {};
                                     });
  if (result) {
    parts_.guard.note_changed();
    if (due.has_delayed) parts_.log.message(MessageEvent::delayed, message.id, {{"reason", trouble}});
  }
  co_return result;
}

// A change and the notification that tells about it, in one commit.
Task<Result<void>> Alarms::commit_with(
    std::optional<Notification> notification,
    std::move_only_function<Result<void>(storage::Writer&, std::optional<RowId>)> change) {
  std::size_t octets = 256 + (notification ? notification->text.size() : 0);
  const Notification* n = notification ? &*notification : nullptr;
  auto result = co_await commit(
      parts_.runtime.io, parts_.spool,
      [n, change = std::move(change)](storage::Writer& writer) mutable -> Result<void> {
        if (n == nullptr) return change(writer, std::nullopt);
        auto inserted = insert(writer, *n);
        if (!inserted) return inserted;
        return change(writer, n->message.row);
      },
      octets);
  if (result && notification) {
    log_notification(parts_, *notification);
    RowId row = notification->message.row;
    bool is_unprotected = !notification->message.is_protected;
    scheduler_.made(ready_message(std::move(*notification)));
    if (is_unprotected) parts_.guard.protect_later(row);
  }
  co_return result;
}

}  // namespace umbra::hub
