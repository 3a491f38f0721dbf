// Delivery: the queue of due mail, routing, next hop connections, retry, delivery status notifications. The
// face of hub/outbound; the composition root owns one. All on the home thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/pressure_level.h"
#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/net/runtime.h"
#include "smtp/reply.h"
#include "storage/spool.h"

namespace umbra::hub {

struct Acknowledgement;
class Suspensions;

/// A message in memory, on its way to delivery.
struct ReadyMessage {
  storage::StoredMessage message;
  std::shared_ptr<const std::string> body;  ///< the whole body, or null: it is read from the spool in chunks
  std::shared_ptr<const Acknowledgement> acknowledgement = nullptr;  ///< of one that this run has accepted
};

/// How a hand-over to the next hub went.
struct HandedOn {
  enum class Kind : std::uint8_t {
    taken,    ///< the other hub owns the message; nothing is left to deliver here
    refused,  ///< it did not take it, `reply` says why (code 0: in words): ours, as before
    unclear,  ///< no answer came, or it is known not to be ours any more: nothing to deliver now; peering
              ///< finds out
    not_now   ///< not begun: the hub is out of reach, or this hub may not give it away now
  };
  Kind kind = Kind::not_now;
  smtp::Reply reply{};
};

/// What delivery asks of redundancy. Implemented by hub/peering.
class DeliveryGuard {
 public:
  enum class Verdict : std::uint8_t {
    go,                     ///< this hub owns the message
    go_possible_duplicate,  ///< ownership could not be confirmed (pairwise: a holder is silent): deliver,
                            ///< count, log
    stop,  ///< another hub owns it now: do not deliver; outbound forgets it (the guard has dealt with the
           ///< spool)
    later  ///< this hub may own it, and may not deliver now (why_not_now): it stays, and is tried again
  };
  virtual ~DeliveryGuard() = default;
  /// Called right before the step that cannot be undone (the final dot, or BDAT LAST). Fast path: an
  /// immediate `go`.
  virtual bool may_deliver_now(const storage::StoredMessage& message) = 0;
  /// When may_deliver_now() said false: asks the holders again (bounded by ask_again) and decides.
  virtual Task<Verdict> may_deliver(const storage::StoredMessage& message) = 0;
  /// The same without a wait: `later` where a holder would have to be asked again first.
  virtual Task<Verdict> may_deliver_at_once(const storage::StoredMessage& message) {
    return may_deliver(message);
  }
  /// Why the last verdict was `later`, in words, for `last_error`.
  virtual std::string why_not_now() { return {}; }
  /// A message found in the spool whose acceptance is still going on (its copy is being made): it must not be
  /// loaded; deliver() brings it when it is answered. Asked for every message that is loaded from the spool.
  virtual bool is_in_acceptance(MessageId id) = 0;
  /// Discard status became due (a commit wrote to the outbox): push it within 100 ms.
  virtual void outbox_grew() = 0;
  /// What holders have to know of a message besides what is done has changed, durably: held, an alarm, an
  /// attempt.
  virtual void note_changed() {}
  /// Every recipient of the message has ended, and that is durable.
  virtual void message_finished(RowId) {}
  /// A next hop took it, for one recipient or more, and that is durable. Called while the message may still
  /// be there.
  virtual void delivered(MessageId, Generation) {}
  /// Another hub of the cluster could be handed a message now.
  virtual bool is_in_reach(const std::string& /*hub*/) { return false; }
  /// As that hub has told.
  virtual PressureLevel pressure_of(const std::string& /*hub*/) { return PressureLevel::normal; }
  /// Hands a message to its next hop, a hub; this one stays as the holder. `done` is called once, on the home
  /// thread, never before this returns; not at all when the hub is destroyed meanwhile.
  virtual void hand_on(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
                       std::move_only_function<void(HandedOn)> done);
  /// A new message without copies (a DSN) is in the spool, unprotected: make its copies in the background.
  virtual void protect_later(RowId row) = 0;
};

class Outbound {
 public:
  /// All references must outlive it; `config` is read whenever something is needed of it.
  static std::unique_ptr<Outbound> make(Runtime runtime, const Config& config, storage::Spool& spool,
                                        DeliveryGuard& guard, EventLog& log, Metrics& metrics,
                                        storage::AttemptMarks* marks = nullptr);
  virtual ~Outbound() = default;

  /// Begins to work. Until set_loading(true), only what deliver() gives is delivered: older mail in the spool
  /// waits until a returning hub knows what it still owns.
  virtual void start() = 0;
  virtual void set_loading(bool is_on) = 0;
  /// What is suspended, from now on; it outlives this.
  virtual void set_suspensions(const Suspensions&) {}
  /// Something was suspended or resumed.
  virtual void suspensions_changed() {}
  /// Live keys have other values now.
  virtual void configuration_changed() {}
  /// Begins nothing new, lets transactions under way end for up to 5 s (one that is cut after its final dot
  /// is delivered twice), then cuts what is left and waits for its tasks.
  virtual Task<void> stop() = 0;

  /// Now, for what is written into messages: when they were accepted, are due, expire (DueClock).
  virtual WallTime mail_time() { return WallClock::now(); }
  /// The queue entries of a new message: one per destination of its recipients, due at `due`. A recipient
  /// that no route takes gets the destination "unroutable", whose attempt bounces it with 5.4.4.
  /// `next_hop`: as in storage::StoredMessage; empty for a new message.
  virtual std::vector<storage::QueueEntry> entries_for(const Envelope& envelope,
                                                       const std::vector<storage::RecipientOutcome>& progress,
                                                       WallTime due, const std::string& next_hop = {}) = 0;
  /// Why a message may not be sent to that next hop (a destination) in place of its routes; empty: it may.
  virtual std::string why_not_reroute(const storage::StoredMessage& /*message*/,
                                      const std::string& /*next_hop*/) {
    return {};
  }
  /// When a message that is accepted at `accepted_at` expires as a whole, by the bounce profiles of its
  /// destinations.
  virtual WallTime expiry_of(const Envelope& envelope, WallTime accepted_at) = 0;
  /// When the message must be looked at even if nothing is tried: the first warning of a delay, or end of a
  /// recipient.
  virtual WallTime first_alarm(const Envelope& envelope) = 0;

  /// A message that was just committed (accepted, taken over); ignored when it is under way already. Over the
  /// memory bound (ready_octets_max) the body is let go and read again later.
  virtual void deliver(ReadyMessage message) = 0;
  /// The spool has new due entries that nobody handed over (take-over, retry by the operator): look again.
  virtual void look_again() = 0;
  /// The hubs one of which this message is to be handed to; empty: its next hops are no hubs. Who is to hold
  /// its copy had better be one.
  virtual std::vector<std::string> next_hubs(const Envelope&) { return {}; }
  /// All of these entries are of routes to hubs.
  virtual bool leads_to_hubs(const std::vector<storage::QueueEntry>&) { return false; }
  /// A hub has come into reach: what waits for one is tried.
  virtual void hub_came() {}
  /// The message is not ours to deliver any more (finished elsewhere, ceded, held). An attempt under way may
  /// end, but records nothing that the spool would refuse.
  virtual void forget(RowId row) = 0;
  /// For those who change a message themselves (a hand-over): takes it out of the queues in memory. False
  /// when it is being sent, or its outcome is being recorded: not now. Until give_up_claim() it is not
  /// loaded.
  virtual bool claim(RowId row) = 0;
  virtual void give_up_claim(RowId row) = 0;
  /// True while a final reply is awaited: asked by a hub that wants to know what is done ("wait").
  virtual bool awaits_final_reply(RowId row) = 0;
  /// This message was being delivered so often when a hub ended: it is tried alone, or held
  /// (delivery.crashes).
  virtual void suspect(MessageId id, std::uint32_t crashes) = 0;
  /// Operator: it is no suspect any more (and is not in the spool either).
  virtual void pardon(MessageId id) = 0;
  /// Nothing of it can be tried now: it is held, none of it is due, or its destinations cannot be reached.
  virtual bool is_stuck(const storage::StoredMessage&) { return false; }
  /// Delivery may have an older state of the message in memory. RowId{0}: of any message.
  virtual bool has_in_memory(RowId) { return true; }
  /// Operator: ends the message with a DSN to its sender (unless null), reason in `why`.
  virtual Task<Result<void>> bounce(RowId row, std::string why) = 0;
  /// Operator: ends the message without a word to its sender; its holders are told that it is done.
  virtual Task<Result<void>> remove(RowId row) = 0;
};

}  // namespace umbra::hub
