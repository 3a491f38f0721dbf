#include "hub/outbound/router.h"

#include <algorithm>

#include "smtp/address.h"

namespace umbra::hub {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return result;
}

constexpr std::string_view route_prefix = "route:";

}  // namespace

std::vector<bool> pending_recipients(std::size_t count, const std::vector<storage::RecipientOutcome>& progress) {
  std::vector<bool> pending(count, true);
  for (const auto& outcome : progress)
    if (outcome.state != storage::RecipientOutcome::State::pending && outcome.index < count) pending[outcome.index] = false;
  return pending;
}

Router::Router(const std::vector<RouteConfig>& routes) {
  for (const auto& route : routes) {
    by_name_.emplace(route.name, &route);
    for (const auto& pattern : route.domains) {
      std::string domain = lower(pattern);
      if (domain == "*") {
        if (all_ == nullptr) all_ = &route;
      } else if (domain.starts_with("*.")) {
        suffixes_.emplace(domain.substr(1), &route);
      } else {
        exact_.emplace(std::move(domain), &route);
      }
    }
  }
}

const RouteConfig* Router::route_for(const std::string& domain) const {
  if (auto found = exact_.find(domain); found != exact_.end()) return found->second;
  std::string_view rest = domain;
  for (auto dot = rest.find('.', 1); dot != std::string_view::npos; dot = rest.find('.', 1)) {
    rest.remove_prefix(dot);
    if (auto found = suffixes_.find(rest); found != suffixes_.end()) return found->second;
  }
  return all_;
}

std::string Router::destination_of(std::string_view address) const {
  std::string domain = lower(smtp::domain_of(address));
  if (domain.ends_with('.')) domain.pop_back();
  if (domain.empty()) return std::string(unroutable);
  const RouteConfig* route = route_for(domain);
  if (route == nullptr) return std::string(unroutable);
  if (!route->hosts.empty()) return std::string(route_prefix) + route->name;
  return domain;
}

std::optional<Target> Router::target(std::string_view destination) const {
  if (destination == unroutable) return std::nullopt;
  if (destination.starts_with(route_prefix)) {
    auto found = by_name_.find(destination.substr(route_prefix.size()));
    if (found == by_name_.end() || found->second->hosts.empty()) return std::nullopt;
    return Target{found->second, ""};
  }
  std::string domain(destination);
  const RouteConfig* route = route_for(domain);
  if (route == nullptr || !route->hosts.empty()) return std::nullopt;
  return Target{route, std::move(domain)};
}

std::vector<storage::QueueEntry> Router::entries_for(const Envelope& envelope,
                                                     const std::vector<storage::RecipientOutcome>& progress,
                                                     WallTime due) const {
  std::vector<std::string> names;
  if (envelope.recipients.size() == 1 && progress.empty()) {
    names.push_back(destination_of(envelope.recipients.front().address));
  } else {
    auto pending = pending_recipients(envelope.recipients.size(), progress);
    for (std::size_t i = 0; i < pending.size(); ++i)
      if (pending[i]) names.push_back(destination_of(envelope.recipients[i].address));
    std::ranges::sort(names);
    auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
  }
  std::vector<storage::QueueEntry> entries;
  entries.reserve(names.size());
  for (auto& name : names) entries.push_back({std::move(name), due, 0});
  return entries;
}

std::vector<std::uint32_t> Router::recipients_for(const storage::StoredMessage& message,
                                                  std::string_view destination) const {
  std::vector<std::uint32_t> result;
  const auto& recipients = message.envelope.recipients;
  if (recipients.size() == 1 && message.progress.empty()) {
    if (destination_of(recipients.front().address) == destination) result.push_back(0);
    return result;
  }
  auto pending = pending_recipients(recipients.size(), message.progress);
  for (std::uint32_t i = 0; i < pending.size(); ++i)
    if (pending[i] && destination_of(recipients[i].address) == destination) result.push_back(i);
  return result;
}

}  // namespace umbra::hub
