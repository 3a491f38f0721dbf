#include "hub/inbound/policy.h"

#include <algorithm>

#include "hub/authentication/authenticator.h"
#include "hub/config/domain_pattern.h"
#include "smtp/address.h"

namespace umbra::hub {

namespace {

bool contains(const std::vector<AddressRange>& ranges, std::string_view address) {
  return std::ranges::any_of(ranges, [&](const AddressRange& range) { return range.contains(address); });
}

}  // namespace

InboundPolicy::InboundPolicy(const ListenerConfig& config, const Authenticator* authenticator,
                             std::string client, const std::string& speaker, MessageIntake& intake,
                             const BackPressure& pressure, Throttle::Client throttle, EventLog& log,
                             Metrics& metrics)
    : config_(config),
      authenticator_(authenticator),
      client_(std::move(client)),
      intake_(intake),
      pressure_(pressure),
      throttle_(std::move(throttle)),
      log_(log),
      metrics_(metrics),
      trusts_xclient_(!speaker.empty() || contains(config.xclient, client_)),
      may_relay_(contains(config.networks, client_)) {}

std::string InboundPolicy::auth_mechanisms() {
  return authenticator_ == nullptr ? std::string() : authenticator_->mechanisms();
}

void InboundPolicy::note_user(std::string user) {
  user_ = std::move(user);
  throttle_.log_on(client_, config_.name, user_);
}

void InboundPolicy::note_certificate(const CertificateNames& names) {
  may_relay_ = may_relay_ || std::ranges::any_of(names.dns, [&](const std::string& name) {
                 return std::ranges::any_of(config_.tls.client_names, [&](const std::string& known) {
                   return smtp::equals_ignoring_case(known, name);
                 });
               });
}

std::optional<smtp::Reply> InboundPolicy::refuse_sender(const smtp::MailFrom& mail) {
  if (auto reply = intake_.refuse(mail.announced_octets)) {
    count(*reply, RejectionStage::mail, reason_of(*reply), mail.sender, {});
    return reply;
  }
  if (auto reply = intake_.refuse_client(config_, client_)) {
    count(*reply, RejectionStage::mail, RejectionReason::content_filter, mail.sender, {});
    return reply;
  }
  if (auto reply = pressure_.refuse(is_trusted(mail))) {
    ++metrics_.pressure_refusals_total;
    count(*reply, RejectionStage::mail, RejectionReason::pressure, mail.sender, {},
          pressure_.state().cause());
    return reply;
  }
  return throttled(throttle_.message(), RejectionStage::mail, mail.sender, {});
}

std::optional<smtp::Reply> InboundPolicy::throttled(std::optional<smtp::Reply> reply, RejectionStage stage,
                                                    std::string_view sender, std::string_view recipient) {
  if (reply) {
    ++metrics_.throttled_total;
    count(*reply, stage, RejectionReason::throttled, sender, recipient);
  }
  return reply;
}

Duration InboundPolicy::delay_sender(const smtp::MailFrom& mail) {
  auto delay = pressure_.delay(is_trusted(mail));
  if (delay > Duration{}) ++metrics_.pressure_delays_total;
  return delay;
}

bool InboundPolicy::is_accepted(std::string_view recipient) const {
  auto domain = smtp::domain_of(recipient);
  return !domain.empty() && std::ranges::any_of(config_.accepted_domains, [&](const std::string& pattern) {
    return covers(pattern, domain);
  });
}

std::optional<smtp::Reply> InboundPolicy::refuse_recipient(const Envelope& envelope,
                                                           const Recipient& recipient) {
  if (may_relay() || is_accepted(recipient.address))
    return throttled(throttle_.recipient(), RejectionStage::rcpt, envelope.sender, recipient.address);
  smtp::Reply reply{550, "5.7.1", "relaying denied for " + client_};
  if (++refused_ > config_.limits.errors_max) reply = {421, "4.7.0", "too many refused recipients, closing"};
  count(reply, RejectionStage::rcpt, RejectionReason::relay_denied, envelope.sender, recipient.address);
  return reply;
}

void InboundPolicy::count(const smtp::Reply& reply, RejectionStage stage, RejectionReason reason,
                          std::string_view sender, std::string_view recipient, std::string_view pressure) {
  count_refusal(metrics_, reply, stage, reason);
  log_.line(LogLevel::info, "mail refused",
            {{"listener", config_.name},
             {"client", client_},
             {"user", user_},
             {"sender", sender},
             {"recipient", recipient},
             {"reply", smtp::to_line(reply)},
             {"pressure", pressure}});
}

void count_refusal(Metrics& metrics, const smtp::Reply& reply, RejectionStage stage, RejectionReason reason) {
  metrics.smtp_rejections.add(stage, reason);
  if (reply.is_permanent()) ++metrics.messages_rejected_total;
  if (reply.is_transient()) ++metrics.messages_deferred_total;
}

}  // namespace umbra::hub
