#include "hub/peering/hand_receiver.h"

#include <algorithm>

#include "hub/spool_tasks.h"
#include "storage/spool_error.h"

namespace umbra::hub {
namespace {

using storage::Holder;

constexpr std::size_t asked_back_max = 100'000;
constexpr Duration look_pause = 20ms;

}  // namespace

HandReceiver::HandReceiver(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
                           ShadowKeeper& keeper, Copier& copier, PendingMessages& pending, EventLog& log,
                           Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      keeper_(keeper),
      copier_(copier),
      pending_(pending),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io) {}

Task<void> HandReceiver::stop() {
  is_stopping_ = true;
  co_await tasks_.join();
}

std::optional<smtp::Reply> HandReceiver::refuse(const Offered& offered, std::uint64_t octets) {
  const auto& peer = offered.peer;
  auto* member = members_.find(peer.hub);
  if (member == nullptr || !member->identity || member->identity->spool != peer.spool ||
      peer.epoch < member->identity->epoch)
    return smtp::Reply{554, "5.7.0", "Epoch " + std::to_string(peer.epoch.value) + " is over"};
  // It may have lain unread, or on its way, for so long that the giver is gone and another hub owns the
  // message.
  if (!members_.is_in_touch_with(*member))
    return smtp::Reply{451, "4.4.1", "This hub has not heard from yours for three heartbeats: offer again"};
  if (is_refusing_ || is_stopping_) return smtp::Reply{452, "4.3.2", "This hub is being drained itself"};
  if (auto at = asked_back_.find(offered.id); at != asked_back_.end() && at->second.giver == peer.spool) {
    const auto& back = at->second;
    if (peer.epoch < back.epoch || (peer.epoch == back.epoch && offered.number <= back.number))
      return smtp::Reply{550, "5.5.0", "This offer was asked back"};
  }
  if (pending_.contains(offered.id))
    return smtp::Reply{451, "4.3.0", "The message is being accepted this moment"};
  if (spool_.free_octets() < config_.spool.reserve_octets + octets)
    return smtp::Reply{452, "4.3.1", "Insufficient system storage"};
  return std::nullopt;
}

Result<storage::NewMessage> HandReceiver::make_message(const Offered& offered, HandOverRecord record,
                                                       std::uint64_t size) {
  storage::NewMessage message;
  message.row = spool_.next_row();
  message.id = offered.id;
  message.generation = offered.generation;
  message.size = size;
  message.progress = std::move(record.progress);
  message.queue = std::move(record.queue);
  message.alarm_at = record.alarm_at;
  message.last_error = std::move(record.last_error);
  message.next_hop = record.next_hop;
  message.history = std::move(record.history);
  if (message.history.empty() && message.generation.value > 1) {  // a giver of an older release
    bool is_second = message.generation == Generation{2};
    message.history.push_back({Generation{message.generation.value - 1},
                               is_second ? OwnerRecord::How::accepted : OwnerRecord::How::unknown,
                               offered.peer.hub, offered.peer.spool,
                               is_second ? record.envelope.accepted_at : WallTime{}, 0});
  }
  add_owner(message.history, {message.generation, OwnerRecord::How::handed_over, config_.hub_name,
                              spool_.id(), WallClock::now(), 0});
  for (auto& holder : record.holders) {
    auto* member = members_.find(holder.hub);
    bool is_replaced = member != nullptr && member->identity && member->identity->spool != holder.spool;
    if (member == nullptr || is_replaced || holder.hub == offered.peer.hub) continue;
    if (holder.state != Holder::State::former_owner) holder.state = Holder::State::offered;
    message.holders.push_back(std::move(holder));
  }
  // The giver keeps it until it has heard the answer, and after that if it stays.
  message.holders.push_back({offered.peer.hub, offered.peer.spool, Holder::State::holds});
  if (message.queue.empty())
    message.queue =
        outbound_->entries_for(record.envelope, message.progress, outbound_->mail_time(), record.next_hop);
  message.is_protected = storage::copies_held(message.holders) >= record.envelope.protection.copies;
  message.envelope = std::move(record.envelope);
  return message;
}

void HandReceiver::take(const Peer& peer, smtp::HandOffer offer, ReplySlotPtr slot) {
  Offered offered{peer, offer.copy.id, offer.copy.generation, offer.number, offer.keep, offer.is_held_there};
  auto octets = offer.copy.envelope.size() + offer.copy.body.size();
  if (auto reply = refuse(offered, octets)) return slot->answer(*reply);
  if (!offer.is_held_there && offer.copy.body.size() != offer.copy.body_octets)
    return slot->answer({501, "5.5.4", "XHAND: the body has another size"});
  auto record = decode_hand_over(offer.copy.envelope);
  if (!record) return slot->answer({501, "5.5.4", record.error().what});
  bool is_held = record->is_held;
  auto message = make_message(offered, std::move(*record), offer.copy.body_octets);
  store(std::move(offered), std::move(*message), is_held, 0, std::move(offer.copy.body), std::move(slot));
}

std::optional<smtp::Reply> HandReceiver::begin(const Peer& peer, const smtp::HandOffer& offer,
                                               ShadowKeeper::Stream& stream) {
  Offered offered{peer, offer.copy.id, offer.copy.generation, offer.number, offer.keep};
  if (auto reply = refuse(offered, offer.copy.body_octets)) return reply;
  auto record = decode_hand_over(offer.copy.envelope);
  if (!record) return smtp::Reply{501, "5.5.4", record.error().what};
  bool is_held = record->is_held;
  auto message = make_message(offered, std::move(*record), offer.copy.body_octets);
  stream = ShadowKeeper::Stream{};
  stream.shadow.row = message->row;
  stream.shadow.id = offered.id;
  stream.shadow.generation = offered.generation;
  stream.shadow.size = message->size;
  stream.has_failed = std::make_shared<bool>(false);
  stream.finish = [this, offered, is_held, message = std::move(*message)](
                      std::uint32_t number, std::string octets, ReplySlotPtr slot) {
    if (auto reply = refuse(offered, 0)) {
      ShadowKeeper::Stream given_up;
      given_up.shadow.row = message.row;
      keeper_.give_up(given_up);
      return slot->answer(*reply);
    }
    store(offered, message, is_held, number, std::move(octets), std::move(slot));
  };
  return std::nullopt;
}

void HandReceiver::store(Offered offered, storage::NewMessage message, bool is_held, std::uint32_t number,
                         std::string octets, ReplySlotPtr slot) {
  // Until it is committed, and who asked before has his answer, nobody is told "unknown".
  pending_.insert(offered.id);
  auto result = std::make_shared<storage::Writer::HandedOver>();
  auto is_not_held = std::make_shared<bool>(false);
  auto size = octets.size() + 512;
  auto row = message.row;
  bool is_finished =
      message.queue.empty() && !is_held;  // the giver was about to find out that nothing is left to do
  keeper_.write(
      [result, is_not_held, is_held_here = offered.is_held_here, is_held, is_finished, number,
       message = std::move(message), octets = std::move(octets)](storage::Writer& w) -> Result<void> {
        auto accepted = w.accept_hand_over(message, is_held);
        if (!accepted) return std::unexpected(accepted.error());
        *result = *accepted;
        if (!accepted->is_new) return number == 0 ? Result<void>{} : w.drop_body(message.row);
        if (accepted->wants_body && is_held_here) {
          *is_not_held = true;  // nothing of it is kept: the whole operation is taken back
          return failure(std::errc::no_such_file_or_directory, "no copy of it with that size is here");
        }
        if (accepted->wants_body)
          if (auto put = w.put_chunk(accepted->row, number, octets); !put) return put;
        return is_finished
                   ? w.finish_message(accepted->row, std::nullopt, SpoolId{}, storage::Left::elsewhere)
                   : Result<void>{};
      },
      size,
      [this, offered, result, is_not_held, row, number, slot](Result<void> committed) {
        if (!committed) {
          pending_.erase(offered.id);
          if (number != 0) {
            ShadowKeeper::Stream given_up;
            given_up.shadow.row = row;
            keeper_.give_up(given_up);
          }
          if (*is_not_held)
            return slot->answer({504, "5.5.0", "No copy of the message is held here: send the body"});
          if (committed.error().code == std::errc::file_exists)
            return slot->answer({550, "5.5.0", "This hub knows a later owner of the message"});
          if (committed.error().code == std::errc::device_or_resource_busy) {
            doubt_(offered.id);
            return slot->answer({451, "4.3.0", "This hub has yet to find out who owns the message"});
          }
          if (storage::may_have_been_kept(committed.error())) return;  // the giver asks the next run
          return slot->answer(spool_failure_reply(committed.error()));
        }
        if (is_stopping_) {
          pending_.erase(offered.id);
          return;  // no answer: the giver asks
        }
        tasks_.spawn("accept a hand-over", stored(offered, *result, slot));
      });
}

Task<void> HandReceiver::stored(Offered offered, storage::Writer::HandedOver result, ReplySlotPtr slot) {
  // Answers that were read before the commit have gone out once a later read has come back.
  (void)co_await query<int>(runtime_.io, spool_, [](storage::Reader&) { return Result<int>(0); });
  pending_.erase(offered.id);
  if (result.is_new) {
    ++metrics_.messages_received_total;
    log_.message(
        MessageEvent::handed_over, offered.id,
        {{"from", offered.peer.hub}, {"generation", static_cast<std::int64_t>(offered.generation.value)}});
    members_.holders_change(result.row);
    note_changed_();
    if (!std::exchange(is_look_planned_, true)) tasks_.spawn("look for mail handed over", look_soon());
  }
  if (offered.keep || is_stopping_) {
    slot->answer({250, "2.6.0", to_string(offered.id) + " owned"});
    co_return;
  }
  bool is_elsewhere = co_await copier_.copy_elsewhere(result.row, offered.peer.spool);
  if (is_elsewhere) {
    auto released = co_await commit(runtime_.io, spool_,
                                    [row = result.row, giver = offered.peer.spool](storage::Writer& w) {
                                      return w.change_holders(row, [giver](std::vector<Holder>& holders) {
                                        for (auto& holder : holders)
                                          if (holder.spool == giver)
                                            holder.state = Holder::State::former_owner;
                                      });
                                    });
    // Gone meanwhile: it was delivered, which is as good.
    is_elsewhere = released || released.error().code == std::errc::no_such_file_or_directory;
  }
  slot->answer({250, "2.6.0", to_string(offered.id) + (is_elsewhere ? " owned and protected" : " owned")});
}

// Many come at once: one look into the queue for all of them.
Task<void> HandReceiver::look_soon() {
  Timer pause(runtime_.io);
  co_await pause.wait_for(look_pause);
  is_look_planned_ = false;
  if (!is_stopping_) outbound_->look_again();
}

void HandReceiver::back(const Peer& peer, MessageId id, Generation generation, std::uint64_t number,
                        ReplySlotPtr slot) {
  AskedBack back{peer.spool, peer.epoch, number};
  auto [at, is_new] = asked_back_.try_emplace(id, back);
  // A question of an earlier session may come late: what was asked back since stays so.
  auto& known = at->second;
  bool is_older = known.giver == back.giver &&
                  (back.epoch < known.epoch || (back.epoch == known.epoch && back.number < known.number));
  if (!is_older) known = back;
  if (is_new) asked_back_order_.push_back(id);
  if (asked_back_order_.size() > asked_back_max) {
    asked_back_.erase(asked_back_order_.front());
    asked_back_order_.pop_front();
  }
  (void)generation;
  keeper_.ask_one(id, std::move(slot));
}

}  // namespace umbra::hub
