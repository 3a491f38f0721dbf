#include "hub/inbound/listeners.h"

#include <algorithm>
#include <set>

namespace umbra::hub {

Listeners::Listeners(Runtime runtime, const Config& config, MessageIntake& intake, const BackPressure& pressure, Throttle& throttle, EventLog& log,
                     Metrics& metrics)
    : runtime_(runtime), config_(config), intake_(intake), pressure_(pressure), throttle_(throttle), log_(log), metrics_(metrics), scope_(runtime.io) {
  for (const auto& listener : config_.listeners) listeners_.push_back(make(listener));
}

std::unique_ptr<Listener> Listeners::make(const ListenerConfig& config) const {
  return std::make_unique<Listener>(runtime_, config, config_.host_name, intake_, pressure_, throttle_, log_, metrics_);
}

Result<void> Listeners::start() {
  for (auto& listener : listeners_)
    if (auto listening = listener->start(); !listening) return std::unexpected(listening.error());
  return {};
}

void Listeners::close() {
  for (auto& listener : listeners_) listener->close();
}

Task<void> Listeners::stop() {
  for (auto& listener : listeners_) co_await listener->stop();
  co_await scope_.join();
}

void Listeners::set_draining(bool is_draining) {
  is_draining_ = is_draining;
  for (auto& listener : listeners_) listener->set_draining(is_draining);
}

std::size_t Listeners::sessions() const {
  std::size_t count = 0;
  for (const auto& listener : listeners_) count += listener->sessions();
  for (const auto& listener : ending_) count += listener->sessions();
  return count;
}

Result<Listeners::Opened> Listeners::open(const Config& next) const {
  Opened opened;
  std::multiset<Endpoint> present;
  for (const auto& listener : listeners_) present.insert(listener->config().address);
  for (const auto& wanted : next.listeners) {
    if (auto found = present.find(wanted.address); found != present.end()) {
      present.erase(found);
      continue;
    }
    auto acceptor = runtime_.network.listen(wanted.address);
    if (!acceptor) {
      for (auto& [address, other] : opened) other->close();
      return std::unexpected(acceptor.error());
    }
    opened.emplace(wanted.address, std::move(*acceptor));
  }
  return opened;
}

void Listeners::configuration_changed(Opened opened) {
  auto before = std::exchange(listeners_, {});
  for (const auto& wanted : config_.listeners) {
    auto found = std::ranges::find_if(before, [&](const auto& listener) { return listener != nullptr && listener->config().address == wanted.address; });
    if (found != before.end()) {
      (*found)->configure(wanted, config_.host_name);
      listeners_.push_back(std::move(*found));
      continue;
    }
    auto acceptor = opened.extract(wanted.address);
    UMBRA_ASSERT(!acceptor.empty());
    auto listener = make(wanted);
    listener->start(std::move(acceptor.mapped()));
    listener->set_draining(is_draining_);
    log_.line(LogLevel::info, "listening", {{"listener", wanted.name}, {"address", to_string(wanted.address)}});
    listeners_.push_back(std::move(listener));
  }
  for (auto& listener : before) {
    if (listener == nullptr) continue;
    log_.line(LogLevel::info, "not listening any more", {{"listener", listener->config().name}, {"address", to_string(listener->config().address)}});
    listener->close("this listener");
    ending_.push_back(std::move(listener));
    scope_.spawn("end a listener", end(ending_.back()));
  }
}

Task<void> Listeners::end(std::shared_ptr<Listener> listener) {
  co_await listener->stop();
  std::erase(ending_, listener);
}

}  // namespace umbra::hub
