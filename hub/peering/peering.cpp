#include "hub/peering/peering.h"

#include "hub/spool_tasks.h"

namespace umbra::hub {

Peering::Peering(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log,
                 Metrics& metrics, cluster::Arbiter* arbiter)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      waits_(runtime.io),
      members_(runtime, config, spool, log),
      ownership_(make_ownership(runtime, config, spool, members_, log, arbiter)),
      copier_(runtime, config, spool, members_, pending_, waits_, log, metrics),
      discards_(runtime, spool, members_, metrics, config.cluster.lease),
      notes_(runtime, spool, members_, copier_, pending_, metrics),
      guardian_(runtime, config, spool, members_, *ownership_, copier_, pending_, log, metrics),
      keeper_(config, spool, members_, pending_, log, metrics, runtime.io),
      receiver_(runtime, config, spool, members_, keeper_, copier_, pending_, log, metrics),
      hander_(runtime, spool, members_, guardian_, pending_, log, metrics),
      rehomer_(runtime, spool, members_, copier_, pending_),
      configurations_(runtime, config, members_, log),
      departures_(runtime, spool, members_, log),
      pressure_(runtime, members_),
      server_(runtime, config, members_, *ownership_, keeper_, receiver_, rehomer_, configurations_,
              departures_, log, metrics),
      discovery_(runtime, config, spool, members_, log, metrics),
      questions_(runtime, members_),
      tasks_(runtime.io) {
  keeper_.on_outbox_grew([this] { discards_.look(); });
  server_.on_asked(
      [this](const std::string& hub, const std::vector<MessageId>& ids) { guardian_.asked_by(hub, ids); });
  keeper_.on_doubt([this](MessageId id) { guardian_.doubt(id); });
  receiver_.on_doubt([this](MessageId id) { guardian_.doubt(id); });
  guardian_.on_outbox_grew([this] { discards_.look(); });
  guardian_.on_note([this] { notes_.look(); });
  receiver_.on_note([this] { notes_.look(); });
  copier_.on_note([this] { notes_.look(); });
  hander_.on_outbox([this] { discards_.look(); });
  hander_.set_guard(this);
  members_.on_change([this](Member& member) {
    configurations_.member_changed();
    departures_.member_changed(member);
    pressure_.member_changed();
    guardian_.member_changed(member);
    discards_.look();
    notes_.look();
    copier_.protect_later();
    if (member.data->is_open()) outbound_->hub_came();
  });
}

void Peering::set_outbound(Outbound& outbound) {
  outbound_ = &outbound;
  keeper_.set_outbound(&outbound);
  guardian_.set_outbound(&outbound);
  copier_.set_outbound(&outbound);
  receiver_.set_outbound(&outbound);
  hander_.set_outbound(&outbound);
}

Result<void> Peering::start() {
  UMBRA_ASSERT(outbound_ != nullptr);
  if (config_.cluster.enabled())
    if (auto listening = server_.listen(); !listening) return listening;
  is_started_ = true;
  tasks_.spawn("peering", run());
  return {};
}

Task<void> Peering::run() {
  auto started = co_await members_.start();
  if (!started) {
    members_.end({false, "the spool cannot be read: " + started.error().what});
    co_return;
  }
  co_await departures_.start();
  if (is_stopping_) co_return;
  ownership_->start();
  guardian_.start();
  if (config_.cluster.enabled()) {
    if (config_.cluster.discovery.enabled()) discovery_.start();
    server_.start();
    copier_.start();
    hander_.start();
    discards_.start();
    notes_.start();
  }
}

Task<void> Peering::stop() {
  is_stopping_ = true;
  waits_.close();
  if (!is_started_) co_return;
  co_await tasks_.join();
  co_await server_.stop();
  co_await discovery_.stop();
  // Links first: what waits for an answer of another hub ends with them.
  co_await members_.stop();
  co_await questions_.stop();
  co_await configurations_.stop();
  co_await departures_.stop();
  co_await pressure_.stop();
  co_await ownership_->stop();
  co_await guardian_.stop();
  co_await copier_.stop();
  co_await hander_.stop();
  co_await receiver_.stop();
  co_await rehomer_.stop();
  co_await discards_.stop();
  co_await notes_.stop();
  co_await keeper_.quiet();
}

bool Peering::may_deliver_now(const storage::StoredMessage& message) {
  return !members_.ended() && !guardian_.is_unsettled(message.row) && ownership_->may_deliver_now(message);
}

Task<DeliveryGuard::Verdict> Peering::decide_delivery(const storage::StoredMessage& message, bool waits) {
  auto holders = message.holders;
  auto row = message.row;
  auto stored = co_await query<std::optional<storage::StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  if (stored && !*stored) co_return Verdict::stop;  // finished or ceded meanwhile
  if (stored) holders = (*stored)->holders;
  auto verdict = co_await ownership_->may_deliver(std::move(holders), waits);
  if (is_stopping_ || members_.ended()) co_return Verdict::stop;
  if (verdict == Verdict::go && guardian_.is_unsettled(row))
    verdict = guardian_.is_given_up(row) ? Verdict::go_possible_duplicate : Verdict::later;
  co_return verdict;
}

PressureLevel Peering::pressure_of(const std::string& hub) {
  const auto* member = members_.find(hub);
  return member == nullptr ? PressureLevel::normal : member->pressure;
}

void Peering::hand_on(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
                      std::move_only_function<void(HandedOn)> done) {
  // For a client that waits: what another hub owns and this one holds is on two.
  auto row = message->row;
  hander_.hand_on(std::move(message), std::move(hub),
                  [this, row, done = std::move(done)](HandedOn answer) mutable {
                    if (answer.kind == HandedOn::Kind::taken) waits_.tell(row, SafetyWaits::End::protected_);
                    done(std::move(answer));
                  });
}

std::string Peering::why_not_now() {
  auto why = ownership_->why_mail_waits();
  return why.empty() ? "a hub that may have taken the message over has not answered yet" : why;
}

}  // namespace umbra::hub
