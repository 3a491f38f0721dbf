#include "hub/outbound/recorder.h"

#include <algorithm>
#include <chrono>

#include "hub/outbound/destination.h"
#include "hub/outbound/retry.h"

namespace umbra::hub {
namespace {

using Outcome = storage::RecipientOutcome;
using State = smtp::RecipientResult::State;

constexpr std::size_t detail_octets_max = 512;

std::string describe(const smtp::RecipientResult& result, const Remote& remote) {
  std::string text = result.reply.code != 0 ? smtp::to_line(result.reply) : result.reply.text;
  if (!remote.name.empty()) text += " (" + remote.name + ")";
  if (text.size() > detail_octets_max) text.resize(detail_octets_max);
  return text;
}

bool took_some_and_had_enough(const smtp::TransactionResult& result) {
  bool has_delivered = false;
  for (const auto& r : result.recipients) {
    has_delivered |= r.state == State::delivered;
    if (r.state == State::deferred && (r.stage != smtp::SendStage::rcpt || r.reply.code != 452)) return false;
  }
  return has_delivered;
}

// What the profile allows has been tried.
void give_up(smtp::TransactionResult& result) {
  if (took_some_and_had_enough(result)) return;
  for (auto& r : result.recipients)
    if (r.state == State::deferred) r.state = State::failed;
}

// The status of RFC 3463: the reply's own, or what its code and place say (RFC 3463 section 3, RFC 5248).
std::string status_of(const smtp::RecipientResult& result) {
  if (!result.reply.enhanced.empty()) return result.reply.enhanced;
  if (result.state == State::delivered) return result.stage == smtp::SendStage::content ? "2.0.0" : "2.1.5";
  const bool is_final = result.state == State::failed && (result.reply.code == 0 || result.reply.code >= 500);
  const char* kind = is_final ? "5" : "4";
  const char* rest = result.stage == smtp::SendStage::rcpt         ? ".1.0"
                     : result.stage == smtp::SendStage::connection ? ".4.2"
                                                                   : ".0.0";
  return std::string(kind) + rest;
}

}  // namespace

struct Recorder::Pending {
  JobPtr job;
  smtp::TransactionResult result;
  Remote remote;
  std::move_only_function<void()> done;
  storage::AttemptRecord record;
  std::optional<WallTime> again;
  std::vector<smtp::DsnRecipient> to_notify;
  std::optional<Notification> notification;
  std::string front;
  std::optional<Timer> retry;
  bool is_finished = false;
};

void Recorder::record(JobPtr job, smtp::TransactionResult result, Remote remote,
                      std::move_only_function<void()> done) {
  auto pending = std::make_shared<Pending>();
  Pending& p = *pending;
  p.job = std::move(job);
  p.result = std::move(result);
  p.remote = std::move(remote);
  p.done = std::move(done);
  p.job->state = Job::State::recording;
  const auto& profile = bounce_profile_of(parts_.config, p.job->destination->target);
  if (profile.retries_max != 0 && p.job->attempts >= profile.retries_max) give_up(p.result);
  const Envelope& envelope = p.job->envelope();

  p.record.row = p.job->row();
  const auto& queue = p.job->message->queue;
  bool is_last =
      std::ranges::all_of(p.result.recipients, [](const auto& r) { return r.state == State::delivered; }) &&
      queue.size() <= 1;
  for (const auto& r : p.result.recipients) {
    Outcome outcome;
    outcome.index = r.index;
    // A message that ends with this record keeps no details, unless the safety net keeps it.
    const bool is_kept = parts_.config.safety_net.enabled() && r.state == State::delivered;
    if (!is_last || is_kept) outcome.detail = describe(r, p.remote);
    if (is_kept) outcome.next_hop = *p.job->destination_name + " " + p.remote.name + " " + p.remote.address;
    const Recipient& recipient = envelope.recipients[r.index];
    bool is_told = false;
    auto action = smtp::DsnRecipient::Action::failed;
    if (r.state == State::delivered) {
      outcome.state = Outcome::State::delivered;
      is_told = wants_success(recipient) && !p.result.passed_dsn;
      action = smtp::DsnRecipient::Action::relayed;
    } else if (r.state == State::failed) {
      outcome.state = Outcome::State::failed;
      is_told = wants_failure(recipient);
    } else {
      p.record.last_error = outcome.detail;
      if (!p.again) {
        auto wait = retry_wait(profile.retry, p.job->attempts + 1);
        p.again = parts_.due_clock.now() + std::chrono::duration_cast<WallClock::duration>(wait);
      }
    }
    if (is_told && !envelope.sender.empty()) {
      std::string text = r.reply.code != 0 ? smtp::to_line(r.reply) : r.reply.text;
      p.to_notify.push_back({recipient, action, status_of(r), p.remote.name, std::move(text),
                             !p.remote.name.empty() && r.reply.code != 0});
    }
    p.record.outcomes.push_back(std::move(outcome));
  }
  p.record.destination = *p.job->destination_name;
  if (p.again) {
    // The next hop took as many as it wants at once (RFC 5321 section 4.5.3.1.10): the others follow at once.
    bool is_full_only = took_some_and_had_enough(p.result);
    if (is_full_only) p.again = parts_.due_clock.now();
    p.record.again.push_back({p.record.destination, *p.again, p.job->attempts + (is_full_only ? 0 : 1)});
  }

  if (p.to_notify.empty()) return write(std::move(pending));
  if (p.job->body != nullptr && !p.job->is_converted) {
    notify(p, *p.job->body);
    return write(std::move(pending));
  }
  read_front(std::move(pending));
}

// The octets of the original that the notification returns, from the spool.
void Recorder::read_front(PendingPtr pending) {
  bool has_failure = std::ranges::any_of(
      pending->to_notify, [](const auto& r) { return r.action == smtp::DsnRecipient::Action::failed; });
  std::size_t wanted = wanted_of_body(*pending->job->message, has_failure);
  ++parts_.spool_calls;
  parts_.spool.read(
      [pending, wanted](storage::Reader& reader) {
        for (std::uint32_t number = 0; pending->front.size() < wanted; ++number) {
          auto chunk = reader.chunk(pending->record.row, number);
          if (!chunk || chunk->empty()) break;
          pending->front += *chunk;
        }
      },
      [this, pending] {
        --parts_.spool_calls;
        notify(*pending, pending->front);
        pending->front.clear();
        write(pending);
      });
}

void Recorder::notify(Pending& p, std::string_view front) {
  bool has_failure = std::ranges::any_of(
      p.to_notify, [](const auto& r) { return r.action == smtp::DsnRecipient::Action::failed; });
  front = front.substr(0, wanted_of_body(*p.job->message, has_failure));
  p.notification = make_notification(parts_, *p.job->message, std::move(p.to_notify), front);
  if (p.notification) p.record.fork = p.notification->message.row;
}

void Recorder::write(PendingPtr pending) {
  std::size_t octets = 256 + (pending->notification ? pending->notification->text.size() : 0);
  ++parts_.spool_calls;
  Pending* p = pending.get();
  parts_.spool.write(
      [p](storage::Writer& writer) -> Result<void> {
        if (p->notification) {
          auto inserted = insert(writer, *p->notification);
          if (!inserted) return inserted;
        }
        auto effect = writer.record_attempt(p->record);
        if (!effect) return std::unexpected(effect.error());
        p->is_finished = effect->message_finished;
        return {};
      },
      octets,
      [this, pending = std::move(pending)](Result<void> result) mutable {
        --parts_.spool_calls;
        written(std::move(pending), std::move(result));
      });
}

void Recorder::written(PendingPtr pending, Result<void> result) {
  Pending& p = *pending;
  if (!result) {
    // The next hop has it, and nothing here says so: the next run, or whoever takes over, sends it again.
    bool is_lost = parts_.spool.unhealthy() ||
                   (result.error().code == std::errc::no_space_on_device && parts_.is_stopped);
    if (is_lost &&
        std::ranges::any_of(p.result.recipients, [](const auto& r) { return r.state == State::delivered; })) {
      ++parts_.metrics.possible_duplicates_total;
      parts_.log.message(MessageEvent::possible_duplicate, p.job->message->id,
                         {{"reason", "the delivery could not be recorded"}, {"host", p.remote.name}});
    }
    if (parts_.spool.unhealthy()) {
      owner_.spool_failed(result.error());
      owner_.recorded(p.job, std::nullopt);
      return p.done();
    }
    if (result.error().code == std::errc::no_space_on_device && !parts_.is_stopped) {
      ++parts_.spool_calls;
      p.retry.emplace(parts_.runtime.io);
      return p.retry->call_at(MonotonicClock::now() + std::chrono::seconds(1), [this, pending](bool) {
        --parts_.spool_calls;
        write(pending);
      });
    }
    // The row is gone or not ours any more: finished elsewhere, ceded, forgotten. What was found out is not
    // needed.
    parts_.log.line(LogLevel::debug, "outcome not recorded",
                    {{"id", to_string(p.job->message->id)}, {"error", result.error().what}});
    owner_.recorded(p.job, std::nullopt);
    return p.done();
  }
  tell(p);
  if (std::ranges::any_of(p.result.recipients, [](const auto& r) { return r.state == State::delivered; }))
    parts_.guard.delivered(p.job->message->id, p.job->message->generation);
  // Not only when this job's message names holders: it may have been protected since it was read.
  if (parts_.config.cluster.enabled()) parts_.guard.outbox_grew();
  if (p.is_finished) parts_.guard.message_finished(p.job->row());
  if (p.again && !p.is_finished) parts_.guard.note_changed();
  owner_.recorded(p.job, p.again);
  if (p.notification) {
    log_notification(parts_, *p.notification);
    RowId row = p.notification->message.row;
    bool is_unprotected = !p.notification->message.is_protected;
    owner_.made(ready_message(std::move(*p.notification)));
    if (is_unprotected) parts_.guard.protect_later(row);
  }
  p.done();
}

// What happened, now that it is durable.
void Recorder::tell(Pending& p) {
  const auto& message = *p.job->message;
  const auto& target = p.job->destination->target;
  const LogField route{"route", target ? std::string_view(target->route->name) : std::string_view(), true};
  const LogField sender{"sender", message.envelope.sender, true};
  const LogField client{"original_client", message.envelope.client_address, true};
  const LogField size{"size", static_cast<std::int64_t>(message.size), true};
  const auto since_acceptance = WallClock::now() - message.envelope.accepted_at;
  const LogField age{"age_ms",
                     std::chrono::duration_cast<std::chrono::milliseconds>(since_acceptance).count(), true};
  if (std::ranges::any_of(p.result.recipients, [](const auto& r) { return r.state == State::delivered; }))
    parts_.metrics.delivery_total_seconds.observe(since_acceptance);
  for (const auto& r : p.result.recipients) {
    const std::string& address = message.envelope.recipients[r.index].address;
    std::string reply = r.reply.code != 0 ? smtp::to_line(r.reply) : r.reply.text;
    auto attempt = static_cast<std::int64_t>(p.job->attempts) + 1;
    if (r.state == State::delivered) {
      ++parts_.metrics.recipients_delivered_total;
      if (p.remote.tls.empty())
        parts_.log.message(MessageEvent::delivered, message.id,
                           {{"recipient", address},
                            {"host", p.remote.name},
                            {"address", p.remote.address},
                            {"reply", reply},
                            route,
                            sender,
                            client,
                            size,
                            age});
      else
        parts_.log.message(MessageEvent::delivered, message.id,
                           {{"recipient", address},
                            {"host", p.remote.name},
                            {"address", p.remote.address},
                            {"tls", p.remote.tls},
                            {"reply", reply},
                            route,
                            sender,
                            client,
                            size,
                            age});
    } else if (r.state == State::failed) {
      ++parts_.metrics.recipients_bounced_total;
      bool is_told = wants_failure(message.envelope.recipients[r.index]);
      std::string_view told = message.envelope.sender.empty() ? "dropped: null sender"
                              : is_told                       ? "sender notified"
                                                              : "sender asked for no report";
      parts_.log.message(MessageEvent::bounced, message.id,
                         {{"recipient", address},
                          {"host", p.remote.name},
                          {"reply", reply},
                          {"report", told},
                          route,
                          sender,
                          client,
                          size,
                          age});
    } else {
      ++parts_.metrics.recipients_deferred_total;
      parts_.log.message(MessageEvent::deferred, message.id,
                         {{"recipient", address},
                          {"host", p.remote.name},
                          {"reply", reply},
                          {"attempt", attempt},
                          route,
                          sender,
                          client,
                          size,
                          age});
    }
  }
}

}  // namespace umbra::hub
