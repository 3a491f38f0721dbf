// The giver's side of a hand-over: gives one message to another hub, and finds out how a hand-over ended
// whose answer never came. Used by drain and leave, and on routes whose next hop is a hub. The receiver's
// side is HandReceiver.
//
// Order: the spool says "being handed over" (undeliverable, kept as the copy) before the offer leaves; a
// positive answer ends it, a refusal makes the message ours again, no answer leaves it to the resolver, which
// asks the receiver until it knows.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "cluster/hand_over.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/guardian.h"
#include "hub/peering/members.h"
#include "hub/peering/shadow_keeper.h"
#include "storage/spool.h"

namespace umbra::hub {

class Hander {
 public:
  Hander(Runtime runtime, storage::Spool& spool, Members& members, Guardian& guardian,
         PendingMessages& pending, EventLog& log, Metrics& metrics);

  void set_outbound(Outbound* outbound) { outbound_ = outbound; }
  /// Asked whether a message on a route may go now; outlives this.
  void set_guard(DeliveryGuard* guard) { guard_ = guard; }
  /// Told whenever discard status may be owed.
  void on_outbox(std::function<void()> callback) { on_outbox_ = std::move(callback); }
  void start();
  Task<void> stop();

  enum class Outcome : std::uint8_t {
    moved,    ///< the other hub owns it and has a copy elsewhere: nothing is left here
    kept,     ///< the other hub owns it; this hub holds the copy
    refused,  ///< it did not take it: ours, as before
    unclear,  ///< no answer came: the resolver finds out
    not_now   ///< not begun: it is being sent, accepted, or not known to be ours (a holder is
              ///< silent, or it was taken over); or the hub cannot be reached
  };
  /// `keep`: this hub stays as the holder (no second body is sent anywhere). Else the receiver makes a copy
  /// elsewhere before it answers; where it cannot, this hub stays as the holder all the same.
  Task<Outcome> hand(RowId row, std::string hub, bool keep);
  /// The hub could be handed a message now.
  bool is_in_reach(const std::string& hub);
  /// To the next hop of its route: this hub stays as the holder. Delivery has taken the message out of its
  /// queues and does nothing with it before `done`, which is called once, but for a hub that is destroyed
  /// meanwhile.
  void hand_on(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
               std::move_only_function<void(HandedOn)> done);
  /// Messages whose hand-over goes on.
  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }

 private:
  struct Given {
    Outcome outcome = Outcome::not_now;
    smtp::Reply reply;  ///< of one that was refused; code 0: in words
  };
  /// How it goes, besides what the spool knows.
  struct Way {
    bool keep = false;
    bool by_route = false;
    bool is_body_sent = false;
    bool is_counted = false;   ///< as a possible duplicate
    bool is_withheld = false;  ///< it was not certain any more, at the last moment, that it is ours to give
  };
  [[nodiscard]] bool may_not_go(RowId row) const;
  Task<bool> may_be_drained(const storage::StoredMessage& message);
  Task<std::optional<storage::StoredMessage>> begin(storage::StoredMessage message, Member& member);
  Task<Given> give(storage::StoredMessage message, Member& member, Way way);
  Task<Link::Outcome> offer(const storage::StoredMessage& message, Member& member, Way& way);
  Task<Link::Outcome> send(smtp::HandOffer offer, const storage::StoredMessage& message, Member& member,
                           Way& way);
  Task<bool> may_go_now(const storage::StoredMessage& message, const Member& member, Way& way);
  Task<void> hand_on_now(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
                         std::move_only_function<void(HandedOn)> done);
  Task<HandedOn> try_to_hand_on(const storage::StoredMessage& message, const std::string& hub);
  Task<void> resolve_loop();
  Task<void> resolve(RowId row);
  using HandOverEnd = storage::Writer::HandOverEnd;
  Task<void> carry_out(storage::StoredMessage message, cluster::HandOverDecision decision, HandOverEnd how);
  Task<Result<void>> end(const storage::StoredMessage& message, storage::Holder owner, Epoch epoch,
                         Generation generation, HandOverEnd how, const Way* way = nullptr);
  Task<bool> take_back(const storage::StoredMessage& message);
  Task<std::optional<storage::StoredMessage>> read(RowId row);

  Runtime runtime_;
  storage::Spool& spool_;
  Members& members_;
  Guardian& guardian_;
  PendingMessages& pending_;
  EventLog& log_;
  Metrics& metrics_;
  Outbound* outbound_ = nullptr;
  DeliveryGuard* guard_ = nullptr;
  std::function<void()> on_outbox_;
  TaskScope tasks_;
  Timer wake_;
  std::set<RowId> under_way_;
  std::uint64_t next_offer_ = 1;
  std::size_t waiting_ = 0;  ///< for silent holders, before they are begun
  bool has_unclear_ = true;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
