// Redundancy in one hub: the other members, the copies made and held, discard status, take-over and return.
// The face of hub/peering: wires its parts and answers delivery's questions (DeliveryGuard). Without a
// cluster everything here is idle.
#pragma once

#include "hub/peering/configuration_watch.h"
#include "hub/peering/copier.h"
#include "hub/peering/departures.h"
#include "hub/peering/discard_pusher.h"
#include "hub/peering/discovery.h"
#include "hub/peering/guardian.h"
#include "hub/peering/hand_receiver.h"
#include "hub/peering/hander.h"
#include "hub/peering/members.h"
#include "hub/peering/note_teller.h"
#include "hub/peering/ownership.h"
#include "hub/peering/peer_server.h"
#include "hub/peering/pressure_teller.h"
#include "hub/peering/questions.h"
#include "hub/peering/rehomer.h"
#include "hub/peering/shadow_keeper.h"

namespace umbra::hub {

class Peering final : public DeliveryGuard {
 public:
  Peering(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log, Metrics& metrics,
          cluster::Arbiter* arbiter = nullptr);

  /// Delivery is made after this and before start().
  void set_outbound(Outbound& outbound);
  Result<void> start();
  Task<void> stop();

  Members& members() { return members_; }
  Copier& copier() { return copier_; }
  /// Live keys have other values now.
  void configuration_changed() { configurations_.configuration_changed(); }
  /// How short of something this hub is now.
  void set_pressure(PressureLevel level) { pressure_.set(level); }
  /// This hub is being drained: no copies and no mail of other hubs any more.
  void set_closed(bool is_closed) {
    keeper_.set_refusing(is_closed);
    receiver_.set_refusing(is_closed);
  }
  void audit_soon(SpoolId owner) { guardian_.audit_soon(owner); }
  NoteTeller& notes() { return notes_; }
  Hander& hander() { return hander_; }
  HandReceiver& receiver() { return receiver_; }
  PendingMessages& pending() { return pending_; }
  Ownership& ownership() { return *ownership_; }
  SafetyWaits& waits() { return waits_; }
  Questions& questions() { return questions_; }
  /// Before start().
  void on_query(QueryAnswerer answerer) { server_.on_query(std::move(answerer)); }
  /// Besides those that the spool counts as unprotected: see Guardian.
  [[nodiscard]] std::uint64_t short_messages() const { return guardian_.short_messages(); }
  [[nodiscard]] Duration takeover_wait() const { return guardian_.takeover_wait(); }
  [[nodiscard]] bool was_discarded(MessageId id) const { return keeper_.was_discarded(id); }
  [[nodiscard]] bool is_returning() const { return guardian_.is_returning(); }

  // DeliveryGuard
  bool may_deliver_now(const storage::StoredMessage& message) override;
  Task<Verdict> may_deliver(const storage::StoredMessage& message) override {
    return decide_delivery(message, true);
  }
  Task<Verdict> may_deliver_at_once(const storage::StoredMessage& message) override {
    return decide_delivery(message, false);
  }
  std::string why_not_now() override;
  bool is_in_acceptance(MessageId id) override { return pending_.contains(id); }
  void outbox_grew() override { discards_.look(); }
  void delivered(MessageId id, Generation generation) override { keeper_.delivered(id, generation); }
  void note_changed() override { notes_.look(); }
  void protect_later(RowId) override { copier_.protect_later(); }
  bool is_in_reach(const std::string& hub) override { return hander_.is_in_reach(hub); }
  PressureLevel pressure_of(const std::string& hub) override;
  void hand_on(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
               std::move_only_function<void(HandedOn)> done) override;
  void message_finished(RowId row) override { waits_.tell(row, SafetyWaits::End::delivered); }

 private:
  Task<void> run();
  Task<Verdict> decide_delivery(const storage::StoredMessage& message, bool waits);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  PendingMessages pending_;
  SafetyWaits waits_;
  Members members_;
  std::unique_ptr<Ownership> ownership_;
  Copier copier_;
  DiscardPusher discards_;
  NoteTeller notes_;
  Guardian guardian_;
  ShadowKeeper keeper_;
  HandReceiver receiver_;
  Hander hander_;
  Rehomer rehomer_;
  ConfigurationWatch configurations_;
  Departures departures_;
  PressureTeller pressure_;
  PeerServer server_;
  Discovery discovery_;
  Questions questions_;
  TaskScope tasks_;
  Outbound* outbound_ = nullptr;
  bool is_started_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
