// Hand-over in the spool: what the giver and the receiver of a message make durable, and when. Part of
// SpoolWriter; the order of the steps between the two hubs is docs/xshadow.md's.
#include <algorithm>

#include <fmt/format.h>

#include "storage/writer.h"

namespace umbra::storage {
namespace {

bool is_receiver(const Holder& holder) {
  return holder.state == Holder::State::receiver;
}

std::unexpected<Error> not_there(RowId row, const char* operation) {
  return failure(std::errc::no_such_file_or_directory,
                 fmt::format("{}: there is no message {:x}", operation, row.value));
}

/// What ended under an earlier owner has ended.
void add_progress(std::vector<RecipientOutcome>& progress, const RecipientOutcome& known) {
  if (known.state == RecipientOutcome::State::pending) return;
  auto at = std::ranges::find(progress, known.index, &RecipientOutcome::index);
  if (at == progress.end())
    progress.push_back(known);
  else if (at->state == RecipientOutcome::State::pending)
    *at = known;
}

}  // namespace

Result<void> SpoolWriter::begin_hand_over(RowId row, const Holder& receiver) {
  auto before = messages_.find_row(row);
  if (!database_.ok()) return database_.outcome();
  if (!before) return not_there(row, "hand over");
  auto busy = [&](const char* why) {
    return failure(std::errc::device_or_resource_busy,
                   fmt::format("hand over {}: {}", to_string(before->id), why));
  };
  if (is_handing_over(before->state)) return busy("it is being handed over already");
  // A DSN that was made of it and has no copy yet holds back its discard status: that cannot be told to the
  // receiver.
  for (auto fork : before->forks) {
    auto notification = messages_.find_row(RowId{static_cast<std::int64_t>(fork)});
    if (notification && std::ranges::none_of(notification->holders,
                                             [](const Holder& h) { return h.state == Holder::State::holds; }))
      return busy("a notification made of it is not protected yet");
  }
  MessageRow after = *before;
  after.state =
      before->state == MessageState::held ? MessageState::handing_over_held : MessageState::handing_over;
  std::erase_if(after.holders, is_receiver);
  after.holders.push_back({receiver.hub, receiver.spool, Holder::State::receiver});
  messages_.update(*before, after, counts);
  return database_.outcome();
}

void SpoolWriter::owe_superseded(const MessageRow& message, SpoolId except) {
  for (const auto& holder : message.holders)
    if (holder.spool != except && !is_receiver(holder))
      discards_.owe_superseded(holder, message.id, message.generation, counts);
}

void SpoolWriter::leave_to_later_owner(const MessageRow& message, SpoolId except, Left how) {
  owe_superseded(message, except);
  messages_.remove(message, how, counts);
  bodies_.remove(message.row, message.size);
}

Result<void> SpoolWriter::end_hand_over(RowId row, Generation generation, const Holder& owner,
                                        Epoch owner_epoch, HandOverEnd how) {
  auto message = messages_.find_row(row);
  if (!database_.ok()) return database_.outcome();
  if (!message || !is_handing_over(message->state)) return not_there(row, "end a hand-over");
  if (generation <= message->generation) {
    return failure(std::errc::invalid_argument,
                   fmt::format("end the hand-over of {}: generation {} is not above {}",
                               to_string(message->id), generation.value, message->generation.value));
  }
  if (how == HandOverEnd::moved) {
    leave_to_later_owner(*message, owner.spool, Left::handed_over);
  } else if (how == HandOverEnd::kept) {
    owe_superseded(*message, owner.spool);
    keep_as_shadow(*message, generation, owner, owner_epoch, Owed::nobody, Left::handed_over);
  } else {
    keep_as_shadow(*message, generation, owner, owner_epoch, Owed::all, Left::handed_over);
  }
  return database_.outcome();
}

Result<bool> SpoolWriter::release_shadow(MessageId id, Generation up_to) {
  auto shadow = shadows_.find_row(id);
  bool is_meant = shadow && shadow->generation <= up_to;
  if (is_meant) {
    for (const auto& holder : shadow->offered)
      if (holder.state == Holder::State::owed && shadow->generation.value > 1)
        discards_.owe_superseded(holder, id, Generation{shadow->generation.value - 1}, counts);
    shadows_.remove(shadow->row, counts);
    bodies_.remove(shadow->row, shadow->size);
  }
  if (!database_.ok()) return std::unexpected(*database_.error());
  return is_meant;
}

Result<void> SpoolWriter::take_back(RowId row, Generation generation, bool receiver_may_have_it) {
  auto before = messages_.find_row(row);
  if (!database_.ok()) return database_.outcome();
  if (!before || !is_handing_over(before->state)) return not_there(row, "take back");
  MessageRow after = *before;
  after.generation = generation;
  after.state = before->state == MessageState::handing_over_held ? MessageState::held : MessageState::queued;
  if (receiver_may_have_it) {
    for (auto& holder : after.holders)
      if (is_receiver(holder)) holder.state = Holder::State::former_owner;
  } else {
    std::erase_if(after.holders, is_receiver);
  }
  messages_.update(*before, after, counts);
  return database_.outcome();
}

Result<Writer::HandedOver> SpoolWriter::accept_hand_over(const NewMessage& message, bool is_held) {
  auto later = [&](const char* why) {
    return failure(std::errc::file_exists, fmt::format("accept {} generation {}: {}", to_string(message.id),
                                                       message.generation.value, why));
  };
  HandedOver result{.row = message.row, .is_new = true, .wants_body = true};
  NewMessage taken = message;
  auto own = messages_.find(message.id);
  auto shadow = shadows_.find_row(message.id);
  if (own) {
    auto before = messages_.load(*own);
    auto row = messages_.find_row(*own);
    if (!database_.ok()) return std::unexpected(*database_.error());
    if (!before || !row) return later("damaged");
    if (row->generation == message.generation)
      return HandedOver{.row = *own, .is_new = false, .wants_body = false};
    if (row->generation > message.generation) return later("this hub owns it under a later one");
    // Owned here under an earlier generation: known to have gone elsewhere only when this hub was giving it
    // away itself.
    if (!is_handing_over(row->state))
      return failure(std::errc::device_or_resource_busy,
                     fmt::format("accept {}: this hub has yet to ask who owns it", to_string(message.id)));
    for (const auto& outcome : before->progress) add_progress(taken.progress, outcome);
    owe_superseded(*row, SpoolId{});
    messages_.remove(*row, Left::handed_over, counts);
    if (row->size == message.size) {
      result.wants_body = false;
      taken.row = result.row = *own;
    } else {
      bodies_.remove(*own, row->size);
    }
  } else if (shadow) {
    if (shadow->generation >= message.generation) return later("a shadow of a later owner is held");
    for (auto index : shadow->done)
      add_progress(taken.progress, {index, RecipientOutcome::State::delivered, "told by another hub"});
    for (const auto& holder : shadow->offered)  // told by this hub or by nobody
      if (holder.state == Holder::State::owed &&
          std::ranges::find(taken.holders, holder.spool, &Holder::spool) == taken.holders.end())
        taken.holders.push_back({holder.hub, holder.spool, Holder::State::offered});
    shadows_.remove(shadow->row, counts);
    if (shadow->size == message.size) {
      result.wants_body = false;
      taken.row = result.row = shadow->row;
    } else {
      bodies_.remove(shadow->row, shadow->size);
    }
  } else if (discards_.done(message.id)) {
    return later("it is done");
  }
  if (!database_.ok()) return std::unexpected(*database_.error());
  if (result.wants_body)
    bodies_.claim(taken.row);
  else if (message.row != taken.row)
    bodies_.remove_unclaimed(message.row);
  messages_.insert(taken, Entered::received, counts);
  if (is_held) hold(taken.row);
  if (!database_.ok()) return std::unexpected(*database_.error());
  return result;
}

}  // namespace umbra::storage
