#include "hub/inbound/entrance.h"

#include <algorithm>
#include <array>

#include "hub/inbound/turn_away.h"
#include "smtp/proxy_header.h"

namespace umbra::hub {
namespace {

constexpr Duration accept_pause = 50ms;
constexpr Duration failure_log_interval = 10s;
constexpr Duration introduction_timeout = 5s;
/// More proxies than this that have not said whose connection it is are closed.
constexpr std::size_t introductions_max = 1000;

}  // namespace

Entrance::Entrance(Runtime runtime, Endpoint address, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      address_(std::move(address)),
      log_(log),
      metrics_(metrics),
      scope_(runtime.io),
      pause_(runtime.io) {}

void Entrance::lead_to(std::vector<std::shared_ptr<Listener>> listeners, std::string host_name) {
  listeners_ = std::move(listeners);
  for (auto& listener : listeners_) {
    listener->lead_back_by([weak = weak_from_this()](std::unique_ptr<Stream> stream, Introduction whose) {
      auto entrance = weak.lock();
      if (entrance == nullptr || entrance->is_closing_) return stream->close();
      entrance->bring(std::move(stream), std::move(whose));
    });
  }
  host_name_ = std::move(host_name);
}

Result<Endpoint> Entrance::start() {
  auto acceptor = runtime_.network.listen(address_);
  if (!acceptor) return std::unexpected(acceptor.error());
  start(std::move(*acceptor));
  return acceptor_->local();
}

void Entrance::start(std::unique_ptr<Acceptor> acceptor) {
  acceptor_ = std::move(acceptor);
  scope_.spawn("entrance", accept_clients());
}

void Entrance::close() {
  if (is_closing_) return;
  is_closing_ = true;
  if (acceptor_) acceptor_->close();
  pause_.cancel();
}

Task<void> Entrance::stop() {
  close();
  co_await scope_.join();
}

Task<void> Entrance::accept_clients() {
  while (!is_closing_) {
    auto stream = co_await acceptor_->accept();
    if (!stream) {
      if (is_closing_) co_return;
      // EMFILE and its like pass; the client stays in the kernel's queue.
      log_failure(stream.error());
      co_await pause_.wait_for(accept_pause);
      continue;
    }
    ++metrics_.connections_total;
    if (is_closing_) {
      (*stream)->close();
      continue;
    }
    if (!is_proxy((*stream)->remote().host))
      bring(std::move(*stream));
    else if (introducing_ < introductions_max)
      scope_.spawn("introduce", introduce(std::move(*stream)));
    else
      (*stream)->close();
  }
}

bool Entrance::is_proxy(std::string_view address) const {
  return std::ranges::any_of(listeners_, [&](const auto& listener) {
    return std::ranges::any_of(listener->config().proxy_protocol,
                               [&](const AddressRange& range) { return range.contains(address); });
  });
}

Task<void> Entrance::introduce(std::unique_ptr<Stream> stream) {
  using State = smtp::ProxyHeaderReader::State;
  ++introducing_;
  smtp::ProxyHeaderReader reader;
  std::array<char, 256> octets{};
  std::string_view unread;
  auto state = State::more;
  {
    Watchdog watchdog(runtime_.io, *stream);
    watchdog.expires_after(introduction_timeout);
    while (state == State::more) {
      const auto got = co_await stream->read_some(asio::buffer(octets));
      if (got.error) break;
      unread = {octets.data(), got.octets};
      state = reader.feed(unread);
    }
  }
  --introducing_;
  if (is_closing_) co_return stream->close();
  const Endpoint proxy = stream->remote();
  if (state != State::done) {
    ++metrics_.proxy_headers_refused_total;
    metrics_.smtp_rejections.add(RejectionStage::connect, RejectionReason::proxy);
    log_.line(LogLevel::info, "proxy did not say whose connection it is",
              {{"address", to_string(address_)},
               {"proxy", proxy.host},
               {"reason", state == State::bad ? reader.fault() : "it closed, or was silent"}});
    record_turned_away(runtime_.records, facts_of(*stream), "the proxy did not say whose connection it is");
    co_return stream->close();
  }
  const auto& header = reader.header();
  const Endpoint client = header.is_local ? proxy : Endpoint{header.client, header.client_port};
  bring(introduced(std::move(stream), std::string(unread), client));
}

void Entrance::bring(std::unique_ptr<Stream> stream, Introduction whose) {
  const auto client = stream->remote().host;
  if (auto listener = listener_of(client)) return listener->take(std::move(stream), std::move(whose));
  ++metrics_.connections_not_served_total;
  metrics_.smtp_rejections.add(RejectionStage::connect, RejectionReason::no_service);
  log_.line(LogLevel::info, "client of no listener refused",
            {{"address", to_string(address_)}, {"client", client}});
  auto facts = facts_of(*stream);
  if (*turning_away_ >= turning_away_max) {
    record_turned_away(runtime_.records, facts, "closed without a word: no listener serves this client");
    return stream->close();
  }
  scope_.spawn("turn away", turn_away(runtime_.io, std::move(stream),
                                      {554, "5.7.1", host_name_ + " has no service for " + client},
                                      turning_away_, runtime_.records, std::move(facts)));
}

SessionFacts Entrance::facts_of(const Stream& stream) const {
  Endpoint local = stream.local();
  if (local.host.empty()) local = address_;
  const bool is_logged = std::ranges::any_of(listeners_, [](const auto& listener) {
    return listener->config().protocol_log == ProtocolLogging::verbose;
  });
  return {SessionDirection::in, to_string(address_), {}, std::move(local), stream.remote(), is_logged};
}

std::shared_ptr<Listener> Entrance::listener_of(std::string_view client) const {
  std::shared_ptr<Listener> best;
  std::optional<AddressRange::Octets> best_extent;  // none: it is for whoever no other one names
  for (const auto& listener : listeners_) {
    const auto& clients = listener->config().clients;
    if (clients.empty() && best == nullptr) best = listener;
    for (const auto& range : clients) {
      if (!range.contains(client) || (best_extent && *best_extent <= range.extent())) continue;
      best = listener;
      best_extent = range.extent();
    }
  }
  return best;
}

void Entrance::log_failure(const Error& error) {
  const auto now = MonotonicClock::now();
  if (failure_logged_ && now < *failure_logged_ + failure_log_interval) return;
  failure_logged_ = now;
  log_.line(LogLevel::warning, "accept failed, trying again",
            {{"address", to_string(address_)}, {"error", error.what + ": " + error.code.message()}});
}

}  // namespace umbra::hub
