#include "storage/writer.h"

#include <algorithm>

#include <fmt/format.h>

namespace umbra::storage {
namespace {

std::unexpected<Error> not_there(RowId row, const char* operation) {
  return failure(std::errc::no_such_file_or_directory,
                 fmt::format("{}: there is no message {:x}", operation, row.value));
}

void add_fork(std::vector<std::uint64_t>& forks, std::optional<RowId> fork) {
  if (!fork) return;
  auto value = static_cast<std::uint64_t>(fork->value);
  auto place = std::ranges::lower_bound(forks, value);
  if (place == forks.end() || *place != value) forks.insert(place, value);
}

/// Whether the outcomes end every recipient by themselves, so that nothing recorded before matters.
bool ends_all(const std::vector<RecipientOutcome>& outcomes, std::uint32_t recipients) {
  if (outcomes.size() < recipients) return false;
  std::vector<bool> ended(recipients);
  std::uint32_t count = 0;
  for (const auto& outcome : outcomes) {
    if (outcome.index >= recipients || outcome.state == RecipientOutcome::State::pending ||
        ended[outcome.index])
      continue;
    ended[outcome.index] = true;
    ++count;
  }
  return count == recipients;
}

std::vector<std::uint32_t> merged(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  std::vector<std::uint32_t> all(a);
  all.insert(all.end(), b.begin(), b.end());
  std::ranges::sort(all);
  auto duplicates = std::ranges::unique(all);
  all.erase(duplicates.begin(), duplicates.end());
  return all;
}

/// The hubs that a shadow was offered to as its owner says, and those that this hub owes the "done".
std::vector<Holder> with_owed(std::vector<Holder> offered, const std::vector<Holder>& before) {
  for (const auto& holder : before) {
    if (holder.state != Holder::State::owed) continue;
    auto same = std::ranges::find_if(offered, [&](const Holder& h) { return h.spool == holder.spool; });
    if (same == offered.end())
      offered.push_back(holder);
    else
      same->state = Holder::State::owed;
  }
  return offered;
}

std::vector<RecipientOutcome> as_delivered(const std::vector<std::uint32_t>& recipients) {
  std::vector<RecipientOutcome> outcomes;
  outcomes.reserve(recipients.size());
  for (auto index : recipients)
    outcomes.push_back({index, RecipientOutcome::State::delivered, "told by another hub"});
  return outcomes;
}

}  // namespace

// ---------------------------------------------------------------------------------------------- bodies

Result<void> SpoolWriter::put_chunk(RowId body, std::uint32_t number, std::string_view octets) {
  bodies_.put(body, number, octets);
  return database_.outcome();
}

Result<void> SpoolWriter::drop_body(RowId body) {
  bodies_.remove_unclaimed(body);
  return database_.outcome();
}

// ---------------------------------------------------------------------------------------------- messages

Result<void> SpoolWriter::insert_message(const NewMessage& message) {
  bodies_.claim(message.row);
  messages_.insert(message, message.entered, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::forget_message(RowId row) {
  if (auto message = messages_.find_row(row)) {
    messages_.remove(*message, Left::withdrawn, counts);
    bodies_.remove(row, message->size);
  }
  return database_.outcome();
}

void SpoolWriter::owe_all(const MessageRow& message, const std::vector<std::uint32_t>& recipients,
                          const std::vector<std::uint64_t>& forks, SpoolId except) {
  for (const auto& holder : message.holders) {
    if (holder.spool == except) continue;
    discards_.owe(holder, message.id, message.generation, recipients, forks, counts);
  }
}

void SpoolWriter::end_message(const MessageRow& message, std::vector<std::uint64_t> forks, SpoolId except,
                              Left how, const std::vector<RecipientOutcome>& last) {
  std::optional<KeptMessage> kept;
  if (kept_.is_on()) kept = to_keep(message, except, last);
  // Who is owed that a later owner has it is told the end at once: not what a notification holds back.
  if (message.generation > Generation{1} && forks.empty()) discards_.superseded_is_done(message.id);
  owe_all(message, {}, forks, except);
  messages_.remove(message, how, counts);
  keep_or_remove(kept, message.row, message.size);
}

Result<AttemptEffect> SpoolWriter::record_attempt(const AttemptRecord& record) {
  auto found = messages_.find_row(record.row);
  if (!database_.ok()) return std::unexpected(*database_.error());
  // Ended meanwhile, by another hub's word: what was recorded then holds, and there is nothing left to try.
  if (!found) return AttemptEffect{.message_finished = true};

  const MessageRow& before = *found;
  MessageRow after = before;
  add_fork(after.forks, record.fork);
  std::vector<std::uint32_t> ended;
  const bool all_at_once = ends_all(record.outcomes, before.recipients);
  bool finished = all_at_once;
  if (!finished) {
    ended = messages_.record(record.row, record.outcomes, before.recipients);
    after.done += static_cast<std::uint32_t>(ended.size());
    finished = after.done >= before.recipients;
  }
  if (finished) {
    bool has_delivered = std::ranges::any_of(
        record.outcomes, [](const auto& o) { return o.state == RecipientOutcome::State::delivered; });
    has_delivered = has_delivered || (!all_at_once && messages_.has_delivered(record.row));
    const auto how = has_delivered ? Left::delivered : record.is_expiry ? Left::expired : Left::bounced;
    end_message(before, after.forks, SpoolId{}, how,
                all_at_once ? record.outcomes : std::vector<RecipientOutcome>{});
    if (!database_.ok()) return std::unexpected(*database_.error());
    return AttemptEffect{.message_finished = true};
  }

  std::erase_if(after.queue,
                [&](const QueueEntry& entry) { return entry.destination == record.destination; });
  after.queue.insert(after.queue.end(), record.again.begin(), record.again.end());
  if (!record.last_error.empty()) after.last_error = record.last_error;
  if (record.alarm_at) after.alarm_at = *record.alarm_at;
  messages_.update(before, after, counts);
  if (!ended.empty()) {
    std::vector<std::uint64_t> forks;
    add_fork(forks, record.fork);
    owe_all(before, ended, forks, SpoolId{});
  }
  if (!database_.ok()) return std::unexpected(*database_.error());
  return AttemptEffect{.message_finished = false};
}

Result<void> SpoolWriter::finish_message(RowId row, std::optional<RowId> fork, SpoolId except, Left how) {
  if (auto message = messages_.find_row(row)) {
    auto forks = message->forks;
    add_fork(forks, fork);
    end_message(*message, std::move(forks), except, how);
  }
  return database_.outcome();
}

template <class Change>
Result<void> SpoolWriter::change_message(RowId row, const char* operation, Change change) {
  auto before = messages_.find_row(row);
  if (!database_.ok()) return database_.outcome();
  if (!before) return not_there(row, operation);
  MessageRow after = *before;
  change(after);
  messages_.update(*before, after, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::set_holders(RowId row, const std::vector<Holder>& holders, bool is_protected) {
  return change_message(row, "set holders", [&](MessageRow& message) {
    auto receiver = take_receiver(message.holders);
    message.holders = holders;
    if (receiver) message.holders.push_back(std::move(*receiver));
    message.is_protected = is_protected;
  });
}

Result<void> SpoolWriter::change_holders(RowId row, const std::function<void(std::vector<Holder>&)>& change) {
  return change_message(row, "change holders", [&](MessageRow& message) {
    auto receiver = take_receiver(message.holders);
    change(message.holders);
    if (receiver) message.holders.push_back(std::move(*receiver));
    message.is_protected = copies_held(message.holders) >= message.copies;
  });
}

Result<void> SpoolWriter::set_generation(RowId row, Generation generation) {
  return change_message(row, "set generation", [&](MessageRow& message) { message.generation = generation; });
}

Result<void> SpoolWriter::set_state(RowId row, MessageState state, const std::vector<QueueEntry>& queue) {
  // What is being handed over may have an owner elsewhere: it is nobody's to hold or to release here.
  if (auto before = messages_.find_row(row); before && is_handing_over(before->state))
    return failure(std::errc::device_or_resource_busy,
                   fmt::format("set state of {}: it is being handed over", to_string(before->id)));
  return change_message(row, "set state", [&](MessageRow& message) {
    message.state = state;
    if (state == MessageState::queued) message.queue = queue;
  });
}

Result<void> SpoolWriter::bring_forward(RowId row, const QueueEntry& as_it_was, WallTime due) {
  auto before = messages_.find_row(row);
  if (!before || before->state != MessageState::queued) return database_.outcome();
  MessageRow after = *before;
  auto entry = std::ranges::find(after.queue, as_it_was);
  if (entry == after.queue.end()) return database_.outcome();
  entry->due = due;
  messages_.update(*before, after, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::set_queue(RowId row, const std::vector<QueueEntry>& queue) {
  return change_message(row, "set queue", [&](MessageRow& message) { message.queue = queue; });
}

Result<void> SpoolWriter::set_next_hop(RowId row, const std::string& next_hop,
                                       const std::vector<QueueEntry>& queue) {
  // What is being handed over may have an owner elsewhere, which goes its own way.
  if (auto before = messages_.find_row(row); before && is_handing_over(before->state))
    return failure(std::errc::device_or_resource_busy,
                   fmt::format("set next hop of {}: it is being handed over", to_string(before->id)));
  return change_message(row, "set next hop", [&](MessageRow& message) {
    message.next_hop = next_hop;
    message.queue = queue;
  });
}

// ---------------------------------------------------------------------------------------------- shadows

Result<bool> SpoolWriter::insert_shadow(const Shadow& shadow) {
  auto name = [&] {
    return fmt::format("shadow {} generation {}", to_string(shadow.id), shadow.generation.value);
  };
  bool is_ours = messages_.find(shadow.id).has_value();
  auto present = shadows_.find_row(shadow.id);
  if (!database_.ok()) return std::unexpected(*database_.error());
  if (is_ours) return failure(std::errc::file_exists, name() + ": this hub owns the message");
  Shadow stored = shadow;
  if (present) {
    if (present->generation > shadow.generation)
      return failure(std::errc::file_exists, name() + ": a newer one is held");
    if (present->generation == shadow.generation) {
      if (present->owner_spool != shadow.owner_spool) {
        return failure(std::errc::file_exists, name() + ": held for another owner of the same generation");
      }
      if (present->row != shadow.row) bodies_.remove_unclaimed(shadow.row);
      stored.offered = with_owed(std::move(stored.offered), present->offered);
      shadows_.offered_again(present->row, stored);
      if (auto done = merged(present->done, shadow.done); done != present->done)
        shadows_.set_done(present->row, done);
      if (shadow.note.number > present->note.number) {
        auto note = present->note;
        note.number = shadow.note.number;
        note.is_held = shadow.note.is_held;
        note.alarm_at = shadow.note.alarm_at;
        note.next_hop = shadow.note.next_hop;
        shadows_.set_note(present->row, note);
      }
      if (!database_.ok()) return std::unexpected(*database_.error());
      return false;
    }
    // What is done stays done under a new owner, and what it has not told yet is as it was.
    stored.done = merged(present->done, shadow.done);
    stored.note = present->note;
    stored.note.number = shadow.note.number;
    if (shadow.note.number != 0) {
      stored.note.is_held = shadow.note.is_held;
      stored.note.alarm_at = shadow.note.alarm_at;
      stored.note.next_hop = shadow.note.next_hop;
    }
    stored.offered = with_owed(std::move(stored.offered), present->offered);
    shadows_.remove(present->row, counts);
    if (present->row != shadow.row) bodies_.remove(present->row, present->size);
  }
  bodies_.claim(shadow.row);
  shadows_.insert(stored, counts);
  if (!database_.ok()) return std::unexpected(*database_.error());
  return true;
}

Result<Discarded> SpoolWriter::apply_discard(const OutboxItem& item, SpoolId from) {
  Discarded outcome;
  if (item.superseded) {
    auto dropped = release_shadow(item.id, item.generation);
    if (!dropped) return std::unexpected(dropped.error());
    outcome.copy_dropped = *dropped;
    // Owned here under an earlier one: another hub took it over, gave it on to one that has its copies, and
    // this one had not heard so.
    auto row = messages_.find(item.id);
    if (auto before = row ? messages_.find_row(*row) : std::nullopt;
        before && before->generation < item.generation) {
      leave_to_later_owner(*before, from, Left::ceded);
      outcome.ended = *row;
    }
    if (!database_.ok()) return std::unexpected(*database_.error());
    return outcome;
  }
  if (item.all && item.generation > Generation{1}) discards_.superseded_is_done(item.id);
  if (auto shadow = shadows_.find_row(item.id)) {
    if (item.all) {
      end_shadow(*shadow, from);
      outcome.copy_dropped = true;
    } else {
      auto done = merged(shadow->done, item.recipients);
      if (done != shadow->done) pass_on(*shadow, item.recipients, from);
      shadows_.set_done(shadow->row, done);
    }
  }
  if (auto row = messages_.find(item.id)) {
    if (auto before = messages_.find_row(*row)) {
      bool all = item.all;
      if (!all) {
        auto newly = messages_.record(*row, as_delivered(item.recipients), before->recipients);
        MessageRow after = *before;
        after.done += static_cast<std::uint32_t>(newly.size());
        all = after.done >= after.recipients;
        if (!all && !newly.empty()) {
          messages_.update(*before, after, counts);
          owe_all(*before, newly, {}, from);
        }
      }
      if (all) {
        end_message(*before, before->forks, from, Left::elsewhere);
        outcome.ended = *row;
      }
    }
  }
  if (!database_.ok()) return std::unexpected(*database_.error());
  return outcome;
}

// What this hub was told of a message that it owned once: the holders that it had then may be told by nobody
// else.
void SpoolWriter::pass_on(const Shadow& shadow, const std::vector<std::uint32_t>& recipients, SpoolId from) {
  for (const auto& holder : shadow.offered) {
    if (holder.state != Holder::State::owed || holder.spool == from) continue;
    discards_.owe(holder, shadow.id, shadow.generation, recipients, {}, counts);
  }
}

void SpoolWriter::remove_shadow(const Shadow& shadow, SpoolId from) {
  pass_on(shadow, {}, from);
  shadows_.remove(shadow.row, counts);
  bodies_.remove(shadow.row, shadow.size);
}

Result<void> SpoolWriter::forget_shadow(MessageId id, Generation generation) {
  auto shadow = shadows_.find_row(id);
  bool is_later = messages_.find(id).has_value() || (shadow && shadow->generation > generation) ||
                  (!shadow && discards_.done(id).has_value());
  if (!database_.ok()) return database_.outcome();
  if (is_later)
    return failure(std::errc::file_exists, fmt::format("forget {}: it was taken over", to_string(id)));
  auto released = release_shadow(id, generation);
  return released ? Result<void>{} : std::unexpected(released.error());
}

Result<void> SpoolWriter::follow_owner(MessageId id, Generation up_to, const Owner& owner) {
  auto shadow = shadows_.load(id);
  if (!shadow || shadow->generation > up_to) return database_.outcome();
  shadows_.remove(shadow->row, counts);
  shadow->generation = owner.generation;
  shadow->owner_hub = owner.hub;
  shadow->owner_spool = owner.spool;
  shadow->owner_epoch = owner.epoch;
  shadow->note.number = 0;
  shadows_.insert(*shadow, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::take_over(const NewMessage& message, MessageNote* applied) {
  auto shadow = shadows_.find_row(message.id);
  if (!database_.ok()) return database_.outcome();
  if (!shadow || shadow->row != message.row) {
    return failure(std::errc::no_such_file_or_directory,
                   fmt::format("take over {}: there is no such shadow", to_string(message.id)));
  }
  NewMessage taken = message;
  // Discards may have come since the caller looked.
  for (auto& outcome : as_delivered(shadow->done)) {
    bool known = std::ranges::any_of(taken.progress, [&](const RecipientOutcome& other) {
      return other.index == outcome.index && other.state != RecipientOutcome::State::pending;
    });
    if (!known) taken.progress.push_back(std::move(outcome));
  }
  const auto& note = shadow->note;
  if (!message.history.empty()) {
    taken.history = known_history(*shadow, message.envelope.accepted_at);
    // Accepted here, and given away since.
    if (message.id.spool == own_ && (taken.history.empty() || taken.history.front().generation.value > 1))
      taken.history.insert(taken.history.begin(),
                           {Generation{1}, OwnerRecord::How::accepted, message.history.back().hub, own_,
                            message.envelope.accepted_at, 0});
    for (const auto& owner : message.history) add_owner(taken.history, owner);
  }
  if (note.alarm_at != WallTime{}) taken.alarm_at = std::min(note.alarm_at, message.envelope.expires_at);
  for (auto& entry : taken.queue)
    for (const auto& [destination, attempts] : note.attempts)
      if (entry.destination == destination) entry.attempts = std::max(entry.attempts, attempts);
  taken.last_error = note.last_error;
  taken.next_hop = note.next_hop;
  shadows_.remove(shadow->row, counts);
  messages_.insert(taken, Entered::taken_over, counts);
  // A giver knows what it gave; whoever got a copy of an owner that is gone does not know of this one.
  if (!taken.history.empty())
    for (const auto& holder : taken.holders) messages_.notes().owe(taken.row, holder);
  if (note.is_held) hold(taken.row);
  if (applied != nullptr) {
    *applied = note;
    applied->history = taken.history;
  }
  return database_.outcome();
}

void SpoolWriter::hold(RowId row) {
  auto before = messages_.find_row(row);
  if (!before) return;
  MessageRow after = *before;
  after.state = MessageState::held;
  messages_.update(*before, after, counts);
}

// The owners up to the shadow's. Of the first one the envelope tells, if nobody else does. Empty: nothing is
// known of any.
std::vector<OwnerRecord> SpoolWriter::known_history(const Shadow& shadow, WallTime accepted_at) {
  auto history = shadow.note.history;
  if ((history.empty() || history.back().generation < shadow.generation) && !shadow.owner_hub.empty()) {
    bool is_first = shadow.generation == Generation{1};
    add_owner(history, {shadow.generation, is_first ? OwnerRecord::How::accepted : OwnerRecord::How::unknown,
                        shadow.owner_hub, shadow.owner_spool, is_first ? accepted_at : WallTime{}, 0});
  }
  for (const auto& [destination, attempts] : shadow.note.attempts)
    if (!history.empty()) history.back().attempts = std::max(history.back().attempts, attempts);
  return history;
}

Result<NoteAnswer> SpoolWriter::note_shadow(MessageId id, Generation generation, SpoolId owner,
                                            const MessageNote& note) {
  auto answer = NoteAnswer::none;
  if (auto shadow = shadows_.find_row(id)) {
    if (shadow->generation == generation && shadow->owner_spool == owner) {
      answer = NoteAnswer::noted;
      if (note.number >= shadow->note.number) shadows_.set_note(shadow->row, note);
    } else if (shadow->generation < generation) {
      answer = NoteAnswer::wait;
    }
  } else if (auto row = messages_.find(id)) {
    auto message = messages_.find_row(*row);
    if (message && message->generation < generation) answer = NoteAnswer::wait;
  }
  if (!database_.ok()) return std::unexpected(*database_.error());
  return answer;
}

Result<void> SpoolWriter::note_told(RowId row, SpoolId holder, std::uint32_t number) {
  auto message = messages_.find_row(row);
  if (message && message->noted <= number) messages_.notes().remove(row, holder);
  return database_.outcome();
}

Result<void> SpoolWriter::owe_note(RowId row, SpoolId holder) {
  auto message = messages_.find_row(row);
  if (message && message->noted != 0)
    for (const auto& named : message->holders)
      if (named.spool == holder) messages_.notes().owe(row, named);
  return database_.outcome();
}

Result<void> SpoolWriter::cede(RowId row, Generation generation, const std::string& owner_hub,
                               SpoolId owner_spool, Epoch owner_epoch) {
  auto found = messages_.find_row(row);
  if (!database_.ok()) return database_.outcome();
  if (!found) return not_there(row, "cede");
  if (generation < found->generation) {
    return failure(std::errc::invalid_argument,
                   fmt::format("cede {}: generation {} is below {}", to_string(found->id), generation.value,
                               found->generation.value));
  }
  keep_as_shadow(*found, generation, {owner_hub, owner_spool}, owner_epoch, Owed::all_but_owner, Left::ceded);
  return database_.outcome();
}

void SpoolWriter::keep_as_shadow(const MessageRow& found, Generation generation, const Holder& owner,
                                 Epoch owner_epoch, Owed owed, Left how) {
  auto message = messages_.load(found.row);
  if (!message) return;  // a failure stuck
  Shadow shadow{.row = found.row,
                .id = found.id,
                .generation = generation,
                .owner_hub = owner.hub,
                .owner_spool = owner.spool,
                .owner_epoch = owner_epoch,
                .envelope = std::move(message->envelope),
                .size = found.size,
                .offered = found.holders,
                .done = {},
                .note = note_of(*message)};
  shadow.note.number = 0;  // the new owner tells on
  std::erase_if(shadow.offered, [](const Holder& h) { return h.state == Holder::State::receiver; });
  // A new owner that was handed the message knows its holders; one that took it over may not. One that nobody
  // has heard may not have it, and may have a copy of ours, read or not.
  for (auto& holder : shadow.offered)
    if (owed == Owed::all || (owed == Owed::all_but_owner && holder.spool != owner.spool))
      holder.state = Holder::State::owed;
  for (const auto& outcome : message->progress) {
    if (outcome.state != RecipientOutcome::State::pending) shadow.done.push_back(outcome.index);
  }
  messages_.remove(found, how, counts);
  shadows_.insert(shadow, counts);
}

// ---------------------------------------------------------------------------------------------- outbox and
// peers

Result<void> SpoolWriter::outbox_confirmed(std::span<const std::uint64_t> keys) {
  for (auto key : keys) discards_.confirmed(key, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::outbox_confirmed_by(SpoolId spool, std::span<const std::uint64_t> keys) {
  discards_.confirmed_by(spool, keys, counts);
  return database_.outcome();
}

Result<void> SpoolWriter::outbox_forget_spool(SpoolId spool) {
  discards_.forget_spool(spool, counts);
  messages_.notes().forget_spool(spool);
  return database_.outcome();
}

Result<void> SpoolWriter::set_note(const std::string& name, const std::string& value) {
  discards_.set_note(name, value);
  return database_.outcome();
}

Result<void> SpoolWriter::remember_peer(const PeerMemory& peer) {
  discards_.remember(peer);
  return database_.outcome();
}

Result<void> SpoolWriter::forget_peer(const std::string& hub) {
  discards_.forget(hub);
  return database_.outcome();
}

Result<bool> SpoolWriter::suspect(MessageId id, std::uint32_t crashes, SpoolId owner) {
  auto shadow = shadows_.find_row(id);
  bool is_held = shadow && shadow->owner_spool == owner;
  if (is_held) suspects_.at_least(id, crashes);
  if (!database_.ok()) return std::unexpected(*database_.error());
  return is_held;
}

Result<void> SpoolWriter::forget_suspect(MessageId id) {
  suspects_.forget(id);
  return database_.outcome();
}

}  // namespace umbra::storage
