#include "hub/inbound/listener.h"

#include <algorithm>

#include "hub/authentication/authenticators.h"
#include "hub/inbound/source.h"
#include "hub/inbound/turn_away.h"

namespace umbra::hub {
namespace {

/// So many connections a source may have whatever is left.
constexpr std::size_t connections_per_source_free = 20;
/// So many commands without a message that is taken, beside a full set of recipients, are nothing strange.
constexpr std::uint32_t commands_without_mail_free = 500;

smtp::ReceiveSessionLimits session_limits(const ListenerConfig& config) {
  const auto& limits = config.limits;
  const auto& tls = config.tls;
  smtp::ReceiveSessionLimits out;
  out.tarpit = config.tarpit;
  out.body.message_octets_max = limits.message_octets_max;
  out.body.line_octets_max = limits.line_octets_max;
  out.body.header_octets_max = limits.header_octets_max;
  out.body.hops_max = limits.hops_max;
  out.body.own_hops_max = limits.local_hops_max;
  out.body.mending = {.line_ends = config.bare_line_ends == OldHabit::normalize,
                      .long_lines = config.long_lines == OldHabit::normalize};
  out.extensions = config.extensions;
  out.banner = config.banner;
  out.recipients_max = limits.recipients_max;
  out.commands_without_mail_max = commands_without_mail_free + limits.recipients_max;
  out.command_octets_max = limits.command_octets_max;
  out.errors_max = limits.errors_max;
  const auto& authentication = config.authentication;
  using Authentication = ListenerAuthenticationConfig::Mode;
  if (authentication.mode == Authentication::offered) out.auth.use = smtp::AuthLimits::Use::offered;
  if (authentication.mode == Authentication::required) out.auth.use = smtp::AuthLimits::Use::required;
  out.auth.allow_without_tls = authentication.allow_without_tls;
  out.auth.failures_max = authentication.failures_max;
  out.auth.tarpit = authentication.tarpit;
  if (tls.mode == ListenerTlsConfig::Mode::starttls) out.starttls = smtp::StartTlsOffer::offered;
  if (tls.mode == ListenerTlsConfig::Mode::required) out.starttls = smtp::StartTlsOffer::required;
  return out;
}

}  // namespace

Listener::Listener(Runtime runtime, const ListenerConfig& config, const std::string& host_name,
                   MessageIntake& intake, const BackPressure& pressure, Throttle& throttle, EventLog& log,
                   Metrics& metrics)
    : scope_(runtime.io), shared_{runtime, intake, pressure, throttle, log, metrics, scope_, nullptr} {
  configure(config, host_name);
}

void Listener::configure(const ListenerConfig& config, const std::string& host_name) {
  auto settings = std::make_shared<ListenerSettings>();
  settings->config = config;
  settings->host_name = config.host_name.empty() ? host_name : config.host_name;
  settings->limits = session_limits(config);
  if (config.tls.mode != ListenerTlsConfig::Mode::none) {
    UMBRA_ASSERT(shared_.runtime.tls != nullptr);
    settings->tls = shared_.runtime.tls->listener(config.name);
    UMBRA_ASSERT(settings->tls != nullptr);
  }
  if (config.authentication.mode != ListenerAuthenticationConfig::Mode::off) {
    UMBRA_ASSERT(shared_.runtime.authenticators != nullptr);
    settings->authenticator = shared_.runtime.authenticators->of(config.authentication);
  }
  shared_.settings = std::move(settings);
}

Listener::~Listener() = default;

void Listener::close(const std::string& what) {
  if (is_closing_) return;
  is_closing_ = true;
  for (auto& session : sessions_) session.close_gently(what);
}

void Listener::set_draining(bool is_draining) {
  if (std::exchange(is_draining_, is_draining) == is_draining || !is_draining) return;
  for (auto& session : sessions_) session.close_gently("this hub");
}

void Listener::set_suspended(bool is_suspended) {
  if (std::exchange(is_suspended_, is_suspended) == is_suspended || !is_suspended) return;
  for (auto& session : sessions_) session.close_gently("this listener");
}

Task<void> Listener::stop() {
  close();
  co_await scope_.join();
}

void Listener::take(std::unique_ptr<Stream> stream, Introduction whose) {
  if (is_closing_) return stream->close();
  const auto& address = stream->remote().host;
  auto client = shared_.throttle.client(address, config().name);
  auto source = source_of(address);
  auto refusal = refuse(client, source);
  if (!refusal)
    return scope_.spawn("session",
                        serve(std::move(stream), std::move(client), std::move(source), std::move(whose)));
  auto facts = facts_of(*stream);
  if (*turning_away_ >= turning_away_max ||
      (config().tls.mode == ListenerTlsConfig::Mode::implicit && !whose.is_secured)) {
    record_turned_away(shared_.runtime.records, facts,
                       "closed without a word, in place of " + smtp::to_line(*refusal));
    return stream->close();
  }
  scope_.spawn("turn away", turn_away(shared_.runtime.io, std::move(stream), std::move(*refusal),
                                      turning_away_, shared_.runtime.records, std::move(facts)));
}

SessionFacts Listener::facts_of(const Stream& stream) const {
  Endpoint local = stream.local();
  if (local.host.empty()) local = config().address;
  return {SessionDirection::in, config().name,   {},
          std::move(local),     stream.remote(), config().protocol_log == ProtocolLogging::verbose};
}

std::optional<smtp::Reply> Listener::refuse(Throttle::Client& client, const std::string& source) {
  auto refused = [this](RejectionReason reason, std::string why) {
    shared_.metrics.smtp_rejections.add(RejectionStage::connect, reason);
    return smtp::Reply{421, "4.3.2", shared_.settings->host_name + std::move(why)};
  };
  if (is_draining_) return refused(RejectionReason::closing, " is being drained, try another server");
  if (is_suspended_) return refused(RejectionReason::suspended, " takes no mail for now, try again later");
  if (sessions_.size() >= config().limits.connections_max)
    return refused(RejectionReason::connections, " has too many connections, try again later");
  if (has_enough(source)) {
    ++shared_.metrics.connections_per_source_refused_total;
    shared_.metrics.smtp_rejections.add(RejectionStage::connect, RejectionReason::connections);
    return smtp::Reply{421, "4.7.0", "too many connections from your address, try again later"};
  }
  auto reply = client.connect();
  if (reply) {
    ++shared_.metrics.throttled_total;
    shared_.metrics.smtp_rejections.add(RejectionStage::connect, RejectionReason::throttled);
  }
  return reply;
}

bool Listener::has_enough(const std::string& source) const {
  const auto& limits = config().limits;
  auto found = open_by_source_.find(source);
  if (found == open_by_source_.end()) return false;
  if (limits.connections_per_source_max != 0 && found->second >= limits.connections_per_source_max)
    return true;
  if (limits.connections_per_source_percent >= 100) return false;
  std::size_t left = limits.connections_max - std::min<std::size_t>(limits.connections_max, sessions_.size());
  return found->second >=
         std::max(connections_per_source_free, left * limits.connections_per_source_percent / 100);
}

Task<void> Listener::serve(std::unique_ptr<Stream> stream, Throttle::Client client, std::string source,
                           Introduction whose) {
  ++shared_.metrics.connections;
  ++open_by_source_[source];
  const auto session =
      sessions_.emplace(sessions_.end(), shared_, std::move(stream), std::move(client), std::move(whose));
  if (is_closing_ || is_draining_ || is_suspended_) session->close_gently("this hub");
  co_await session->run();
  auto next = session->next_client();
  sessions_.erase(session);
  if (auto found = open_by_source_.find(source); --found->second == 0) open_by_source_.erase(found);
  --shared_.metrics.connections;
  if (next) bring_(std::move(next->stream), std::move(next->whose));
}

}  // namespace umbra::hub
