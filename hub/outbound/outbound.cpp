// Wires the parts of delivery together: scheduler, connections, recorder, alarms.
#include "hub/outbound/outbound.h"

#include <algorithm>

#include "hub/outbound/alarms.h"
#include "hub/outbound/message_clock.h"
#include "hub/outbound/resumption.h"
#include "hub/outbound/scheduler.h"

namespace umbra::hub {

void DeliveryGuard::hand_on(std::shared_ptr<const storage::StoredMessage>, std::string,
                            std::move_only_function<void(HandedOn)>) {
  UMBRA_ASSERT(false);  // is_in_reach() says that there is no such hub
}

namespace {

class OutboundHub final : public Outbound {
 public:
  OutboundHub(Runtime runtime, const Config& config, storage::Spool& spool, DeliveryGuard& guard,
              EventLog& log, Metrics& metrics, storage::AttemptMarks* marks)
      : parts_(runtime, config, spool, guard, log, metrics, marks) {}

  void start() override { scheduler_.scope().spawn("alarms", alarms_.run()); }
  void set_loading(bool is_on) override { scheduler_.set_loading(is_on); }

  void configuration_changed() override {
    bool are_routes_new = parts_.router.all_routes() != parts_.config.routes;
    if (are_routes_new) parts_.router = Router(parts_.config.routes, parts_.config.hub_name);
    scheduler_.configuration_changed(are_routes_new);
  }

  void set_suspensions(const Suspensions& suspensions) override {
    parts_.suspensions = &suspensions;
    suspensions_changed();
  }
  void suspensions_changed() override {
    scheduler_.suspensions_changed();
    resumption_.look();
  }

  Task<void> stop() override {
    scheduler_.stop(std::chrono::seconds(5));
    alarms_.stop();
    co_await scheduler_.join();
  }

  std::vector<storage::QueueEntry> entries_for(const Envelope& envelope,
                                               const std::vector<storage::RecipientOutcome>& progress,
                                               WallTime due, const std::string& next_hop) override {
    return parts_.router.entries_for(envelope, progress, due, next_hop);
  }
  std::string why_not_reroute(const storage::StoredMessage& message, const std::string& next_hop) override {
    return parts_.router.why_not_reroute(message, next_hop);
  }
  WallTime mail_time() override { return parts_.due_clock.now(); }
  WallTime expiry_of(const Envelope& envelope, WallTime accepted_at) override {
    return umbra::hub::expiry_of(parts_.config, parts_.router, envelope, accepted_at);
  }
  WallTime first_alarm(const Envelope& envelope) override {
    return first_alarm_of(parts_.config, parts_.router, envelope);
  }

  void deliver(ReadyMessage message) override { scheduler_.deliver(std::move(message)); }
  void look_again() override { scheduler_.look_again(); }
  std::vector<std::string> next_hubs(const Envelope& envelope) override {
    return parts_.router.next_hubs(envelope);
  }
  bool leads_to_hubs(const std::vector<storage::QueueEntry>& queue) override {
    return std::ranges::all_of(
        queue, [this](const auto& entry) { return parts_.router.leads_to_hubs(entry.destination); });
  }
  void hub_came() override { scheduler_.hub_came(); }
  void forget(RowId row) override { scheduler_.forget(row); }
  bool claim(RowId row) override { return scheduler_.claim(row); }
  void give_up_claim(RowId row) override { scheduler_.give_up_claim(row); }
  bool awaits_final_reply(RowId row) override { return scheduler_.awaits_final_reply(row); }
  void suspect(MessageId id, std::uint32_t crashes) override { scheduler_.suspect(id, crashes); }
  void pardon(MessageId id) override { scheduler_.pardon(id); }
  bool is_stuck(const storage::StoredMessage& message) override { return scheduler_.is_stuck(message); }
  bool has_in_memory(RowId row) override { return scheduler_.has_in_memory(row); }
  Task<Result<void>> bounce(RowId row, std::string why) override {
    co_return co_await alarms_.bounce(row, std::move(why));
  }
  Task<Result<void>> remove(RowId row) override { co_return co_await alarms_.remove(row); }

 private:
  Parts parts_;
  Scheduler scheduler_{parts_};
  Alarms alarms_{parts_, scheduler_};
  Resumption resumption_{parts_, scheduler_};
};

}  // namespace

std::unique_ptr<Outbound> Outbound::make(Runtime runtime, const Config& config, storage::Spool& spool,
                                         DeliveryGuard& guard, EventLog& log, Metrics& metrics,
                                         storage::AttemptMarks* marks) {
  return std::make_unique<OutboundHub>(runtime, config, spool, guard, log, metrics, marks);
}

}  // namespace umbra::hub
