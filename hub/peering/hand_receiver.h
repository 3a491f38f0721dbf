// The receiver's side of a hand-over: makes a message of another hub its own, durably, once per id and
// generation however often it is offered, and makes a copy elsewhere before it says yes where the giver does
// not stay as the holder. Called by PeerServer's sessions like ShadowKeeper; the giver's side is Hander.
#pragma once

#include <deque>
#include <unordered_map>

#include "hub/peering/copier.h"
#include "hub/peering/hand_over_record.h"
#include "hub/peering/shadow_keeper.h"

namespace umbra::hub {

class HandReceiver {
 public:
  HandReceiver(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
               ShadowKeeper& keeper, Copier& copier, PendingMessages& pending, EventLog& log,
               Metrics& metrics);

  /// Called when holders of a message have to be told more than they know.
  void on_note(std::function<void()> callback) { note_changed_ = std::move(callback); }
  void set_outbound(Outbound* outbound) { outbound_ = outbound; }
  /// Called when another hub gives away what this one thinks it owns.
  void on_doubt(std::function<void(MessageId)> callback) { doubt_ = std::move(callback); }
  /// This hub takes nothing now (it is being drained itself): 452 to every offer.
  void set_refusing(bool is_refusing) { is_refusing_ = is_refusing; }
  Task<void> stop();

  using Peer = ShadowKeeper::Peer;
  /// The whole message in one command.
  void take(const Peer& peer, smtp::HandOffer offer, ReplySlotPtr slot);
  /// Begins a message in pieces (ShadowKeeper::append takes them); a reply when it can not be taken.
  std::optional<smtp::Reply> begin(const Peer& peer, const smtp::HandOffer& offer,
                                   ShadowKeeper::Stream& stream);
  /// The giver asks what became of its offer, and this hub refuses from now on what of it is still on its
  /// way.
  void back(const Peer& peer, MessageId id, Generation generation, std::uint64_t number, ReplySlotPtr slot);

 private:
  struct Offered {
    Peer peer;
    MessageId id;
    Generation generation;
    std::uint64_t number = 0;
    bool keep = false;
    bool is_held_here = false;  ///< no body came with it
  };
  std::optional<smtp::Reply> refuse(const Offered& offered, std::uint64_t octets);
  Result<storage::NewMessage> make_message(const Offered& offered, HandOverRecord record, std::uint64_t size);
  void store(Offered offered, storage::NewMessage message, bool is_held, std::uint32_t number,
             std::string octets, ReplySlotPtr slot);
  Task<void> stored(Offered offered, storage::Writer::HandedOver result, ReplySlotPtr slot);
  Task<void> look_soon();

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  ShadowKeeper& keeper_;
  Copier& copier_;
  PendingMessages& pending_;
  EventLog& log_;
  Metrics& metrics_;
  Outbound* outbound_ = nullptr;
  TaskScope tasks_;
  std::function<void()> note_changed_ = [] {};
  std::function<void(MessageId)> doubt_ = [](MessageId) {};
  bool is_refusing_ = false;
  bool is_look_planned_ = false;
  bool is_stopping_ = false;
  /// Offers that were asked back: what comes of them late is refused.
  struct AskedBack {
    SpoolId giver;
    Epoch epoch;
    std::uint64_t number = 0;
  };
  std::unordered_map<MessageId, AskedBack> asked_back_;
  std::deque<MessageId> asked_back_order_;
};

}  // namespace umbra::hub
