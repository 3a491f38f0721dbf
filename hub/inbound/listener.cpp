#include "hub/inbound/listener.h"

namespace umbra::hub {
namespace {

constexpr Duration accept_pause = 50ms;
constexpr Duration failure_log_interval = 10s;
constexpr Duration turn_away_timeout = 5s;
/// More clients than this at once are closed without a word.
constexpr std::size_t turning_away_max = 100;

smtp::ReceiveSessionLimits session_limits(const ListenerConfig& config) {
  const auto& limits = config.limits;
  const auto& tls = config.tls;
  smtp::ReceiveSessionLimits out;
  out.tarpit = config.tarpit;
  out.body.message_octets_max = limits.message_octets_max;
  out.body.line_octets_max = limits.line_octets_max;
  out.body.header_octets_max = limits.header_octets_max;
  out.body.hops_max = limits.hops_max;
  out.recipients_max = limits.recipients_max;
  out.command_octets_max = limits.command_octets_max;
  out.errors_max = limits.errors_max;
  if (tls.mode == ListenerTlsConfig::Mode::starttls) out.starttls = smtp::StartTlsOffer::offered;
  if (tls.mode == ListenerTlsConfig::Mode::required) out.starttls = smtp::StartTlsOffer::required;
  return out;
}

}  // namespace

Listener::Listener(Runtime runtime, const ListenerConfig& config, const std::string& host_name,
                   MessageIntake& intake, const BackPressure& pressure, Throttle& throttle, EventLog& log, Metrics& metrics)
    : scope_(runtime.io), shared_{runtime, intake, pressure, throttle, log, metrics, scope_, nullptr}, pause_(runtime.io) {
  configure(config, host_name);
}

void Listener::configure(const ListenerConfig& config, const std::string& host_name) {
  auto settings = std::make_shared<ListenerSettings>();
  settings->config = config;
  settings->host_name = host_name;
  settings->limits = session_limits(config);
  if (config.tls.mode != ListenerTlsConfig::Mode::none) {
    UMBRA_ASSERT(shared_.runtime.tls != nullptr);
    settings->tls = shared_.runtime.tls->listener(config.name);
    UMBRA_ASSERT(settings->tls != nullptr);
  }
  shared_.settings = std::move(settings);
}

Listener::~Listener() = default;

Result<Endpoint> Listener::start() {
  auto acceptor = shared_.runtime.network.listen(config().address);
  if (!acceptor) return std::unexpected(acceptor.error());
  start(std::move(*acceptor));
  return acceptor_->local();
}

void Listener::start(std::unique_ptr<Acceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  scope_.spawn("listener", accept_clients());
}

void Listener::close(const std::string& what) {
  if (is_closing_) return;
  is_closing_ = true;
  if (acceptor_) acceptor_->close();
  pause_.cancel();
  for (auto& session : sessions_) session.close_gently(what);
}

void Listener::set_draining(bool is_draining) {
  if (std::exchange(is_draining_, is_draining) == is_draining || !is_draining) return;
  for (auto& session : sessions_) session.close_gently("this hub");
}

Task<void> Listener::stop() {
  close();
  co_await scope_.join();
}

Task<void> Listener::accept_clients() {
  while (!is_closing_) {
    auto stream = co_await acceptor_->accept();
    if (!stream) {
      if (is_closing_) co_return;
      // EMFILE and its like pass; the client stays in the kernel's queue.
      log_failure(stream.error());
      co_await pause_.wait_for(accept_pause);
      continue;
    }
    ++shared_.metrics.connections_total;
    if (is_closing_) {
      (*stream)->close();
      continue;
    }
    auto client = shared_.throttle.client((*stream)->remote().host, config().name);
    auto refusal = refuse(client);
    if (!refusal)
      scope_.spawn("session", serve(std::move(*stream), std::move(client)));
    else if (turning_away_ < turning_away_max && config().tls.mode != ListenerTlsConfig::Mode::implicit)
      scope_.spawn("turn away", turn_away(std::move(*stream), std::move(*refusal)));
    else
      (*stream)->close();
  }
}

std::optional<smtp::Reply> Listener::refuse(Throttle::Client& client) {
  if (is_draining_) return smtp::Reply{421, "4.3.2", shared_.settings->host_name + " is being drained, try another server"};
  if (sessions_.size() >= config().limits.connections_max)
    return smtp::Reply{421, "4.3.2", shared_.settings->host_name + " has too many connections, try again later"};
  auto reply = client.connect();
  if (reply) ++shared_.metrics.throttled_total;
  return reply;
}

Task<void> Listener::serve(std::unique_ptr<Stream> stream, Throttle::Client client) {
  ++shared_.metrics.connections;
  const auto session = sessions_.emplace(sessions_.end(), shared_, std::move(stream), std::move(client));
  if (is_closing_ || is_draining_) session->close_gently("this hub");
  co_await session->run();
  sessions_.erase(session);
  --shared_.metrics.connections;
}

Task<void> Listener::turn_away(std::unique_ptr<Stream> stream, smtp::Reply reply) {
  ++turning_away_;
  {
    Watchdog watchdog(shared_.runtime.io, *stream);
    watchdog.expires_after(turn_away_timeout);
    const std::string octets = smtp::to_wire(reply);
    co_await stream->write(octets);
  }
  stream->close();
  --turning_away_;
}

void Listener::log_failure(const Error& error) {
  const auto now = MonotonicClock::now();
  if (failure_logged_ && now < *failure_logged_ + failure_log_interval) return;
  failure_logged_ = now;
  shared_.log.line(LogLevel::warning, "accept failed, trying again",
                   {{"listener", config().name}, {"error", error.what + ": " + error.code.message()}});
}

}  // namespace umbra::hub
