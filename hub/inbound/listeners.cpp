#include "hub/inbound/listeners.h"

#include <algorithm>
#include <set>

namespace umbra::hub {
namespace {

struct Place {
  Endpoint address;
  std::vector<std::size_t> listeners;  ///< by their places in the configuration
};

/// Where to listen. Port 0 is any free one: a place of its own for each listener.
std::vector<Place> places_of(const std::vector<ListenerConfig>& listeners) {
  std::vector<Place> places;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const auto& address = listeners[i].address;
    auto found = std::ranges::find_if(
        places, [&](const Place& place) { return address.port != 0 && place.address == address; });
    if (found == places.end()) found = places.insert(found, {address, {}});
    found->listeners.push_back(i);
  }
  return places;
}

bool serve_the_same(const ListenerConfig& a, const ListenerConfig& b) {
  return std::ranges::equal(a.clients, b.clients,
                            [](const AddressRange& x, const AddressRange& y) { return x.is_same_as(y); });
}

/// The one of `before` at the address of `wanted` that goes on as it, taken out; null: none does.
template <class Fits>
std::shared_ptr<Listener> take_over(std::vector<std::shared_ptr<Listener>>& before,
                                    const ListenerConfig& wanted, Fits fits) {
  auto found = std::ranges::find_if(before, [&](const auto& listener) {
    return listener != nullptr && listener->config().address == wanted.address &&
           fits(listener->config(), wanted);
  });
  return found == before.end() ? nullptr : std::exchange(*found, nullptr);
}

bool have_one_name(const ListenerConfig& a, const ListenerConfig& b) {
  return a.name == b.name;
}

}  // namespace

Listeners::Listeners(Runtime runtime, const Config& config, MessageIntake& intake,
                     const BackPressure& pressure, Throttle& throttle, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      intake_(intake),
      pressure_(pressure),
      throttle_(throttle),
      log_(log),
      metrics_(metrics),
      scope_(runtime.io) {
  for (const auto& listener : config_.listeners) listeners_.push_back(make(listener));
}

std::shared_ptr<Listener> Listeners::make(const ListenerConfig& config) const {
  return std::make_shared<Listener>(runtime_, config, config_.host_name, intake_, pressure_, throttle_, log_,
                                    metrics_);
}

Result<void> Listeners::start() {
  auto opened = open(config_);
  if (!opened) return std::unexpected(opened.error());
  lead(std::move(*opened));
  return {};
}

void Listeners::close() {
  for (auto& entrance : entrances_) entrance->close();
  for (auto& listener : listeners_) listener->close();
}

Task<void> Listeners::stop() {
  close();
  for (auto& entrance : entrances_) co_await entrance->stop();
  for (auto& listener : listeners_) co_await listener->stop();
  co_await scope_.join();
}

void Listeners::set_draining(bool is_draining) {
  is_draining_ = is_draining;
  for (auto& listener : listeners_) listener->set_draining(is_draining);
}

void Listeners::suspensions_changed(const Suspensions& suspensions) {
  suspensions_ = &suspensions;
  for (auto& listener : listeners_) listener->set_suspended(is_suspended(listener->config()));
}

bool Listeners::are_all_suspended() const {
  return !listeners_.empty() && std::ranges::all_of(listeners_, [this](const auto& listener) {
    return is_suspended(listener->config());
  });
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
  for (const auto& entrance : entrances_) present.insert(entrance->address());
  for (const auto& place : places_of(next.listeners)) {
    if (auto found = present.find(place.address); found != present.end()) {
      present.erase(found);
      continue;
    }
    auto acceptor = runtime_.network.listen(place.address);
    if (!acceptor) {
      for (auto& [address, other] : opened) other->close();
      return std::unexpected(acceptor.error());
    }
    opened.emplace(place.address, std::move(*acceptor));
  }
  return opened;
}

void Listeners::configuration_changed(Opened opened) {
  auto before = std::exchange(listeners_, {});
  listeners_.resize(config_.listeners.size());
  for (std::size_t i = 0; i < listeners_.size(); ++i)
    listeners_[i] = take_over(before, config_.listeners[i], have_one_name);
  for (std::size_t i = 0; i < listeners_.size(); ++i)
    if (listeners_[i] == nullptr) listeners_[i] = take_over(before, config_.listeners[i], serve_the_same);
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    const auto& wanted = config_.listeners[i];
    if (listeners_[i] != nullptr) {
      listeners_[i]->configure(wanted, config_.host_name);
      continue;
    }
    listeners_[i] = make(wanted);
    listeners_[i]->set_draining(is_draining_);
    log_.line(LogLevel::info, "listening",
              {{"listener", wanted.name}, {"address", to_string(wanted.address)}});
  }
  lead(std::move(opened));
  for (auto& listener : before) {
    if (listener == nullptr) continue;
    log_.line(LogLevel::info, "not listening any more",
              {{"listener", listener->config().name}, {"address", to_string(listener->config().address)}});
    listener->close("this listener");
    ending_.push_back(std::move(listener));
    scope_.spawn("end a listener", end(ending_.back()));
  }
}

void Listeners::lead(Opened opened) {
  auto before = std::exchange(entrances_, {});
  for (const auto& place : places_of(config_.listeners)) {
    auto found = std::ranges::find_if(before, [&](const auto& entrance) {
      return entrance != nullptr && entrance->address() == place.address;
    });
    std::shared_ptr<Entrance> entrance;
    if (found != before.end()) entrance = std::exchange(*found, nullptr);
    const bool is_new = entrance == nullptr;
    if (is_new) entrance = std::make_shared<Entrance>(runtime_, place.address, log_, metrics_);
    std::vector<std::shared_ptr<Listener>> listeners;
    for (auto i : place.listeners) listeners.push_back(listeners_[i]);
    entrance->lead_to(std::move(listeners), config_.host_name);
    if (is_new) {
      auto acceptor = opened.extract(place.address);
      UMBRA_ASSERT(!acceptor.empty());
      entrance->start(std::move(acceptor.mapped()));
    }
    entrances_.push_back(std::move(entrance));
  }
  for (auto& entrance : before) {
    if (entrance == nullptr) continue;
    entrance->close();
    scope_.spawn("end an entrance", end_entrance(std::move(entrance)));
  }
}

Task<void> Listeners::end(std::shared_ptr<Listener> listener) {
  co_await listener->stop();
  std::erase(ending_, listener);
}

Task<void> Listeners::end_entrance(std::shared_ptr<Entrance> entrance) {
  co_await entrance->stop();
}

}  // namespace umbra::hub
