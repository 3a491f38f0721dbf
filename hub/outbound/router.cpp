#include "hub/outbound/router.h"

#include <algorithm>

#include "hub/outbound/next_hop.h"
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

std::vector<bool> pending_recipients(std::size_t count,
                                     const std::vector<storage::RecipientOutcome>& progress) {
  std::vector<bool> pending(count, true);
  for (const auto& outcome : progress)
    if (outcome.state != storage::RecipientOutcome::State::pending && outcome.index < count)
      pending[outcome.index] = false;
  return pending;
}

Router::Router(std::vector<RouteConfig> routes, std::string own_name)
    : configured_(std::make_shared<const std::vector<RouteConfig>>(std::move(routes))),
      own_name_(std::move(own_name)) {
  for (const auto& route : *configured_) {
    if (std::ranges::find(route.hubs, own_name_) != route.hubs.end()) continue;  // it is for the others
    by_name_.emplace(route.name, &route);
    has_hubs_ = has_hubs_ || !route.hubs.empty();
    has_bounce_profiles_ = has_bounce_profiles_ || !route.bounce_profile.empty();
    for (const auto& pattern : route.domains) {
      std::string domain = lower(pattern);
      if (domain == "*") {
        all_.push_back(&route);
      } else if (domain.starts_with("*.")) {
        suffixes_[domain.substr(1)].push_back(&route);
      } else {
        exact_[std::move(domain)].push_back(&route);
      }
    }
  }
}

// The most specific route that fits.
template <class Fits>
const RouteConfig* Router::first(const std::string& domain, Fits fits) const {
  auto first_of = [&](const Routes& routes) {
    auto found = std::ranges::find_if(routes, [&](const RouteConfig* route) { return fits(*route); });
    return found == routes.end() ? nullptr : *found;
  };
  if (auto found = exact_.find(domain); found != exact_.end())
    if (const auto* route = first_of(found->second)) return route;
  std::string_view rest = domain;
  for (auto dot = rest.find('.', 1); dot != std::string_view::npos; dot = rest.find('.', 1)) {
    rest.remove_prefix(dot);
    if (auto found = suffixes_.find(rest); found != suffixes_.end())
      if (const auto* route = first_of(found->second)) return route;
  }
  return first_of(all_);
}

const RouteConfig* Router::route_for(const std::string& domain, const std::vector<std::string>& trail) const {
  const auto* route = first(domain, [&](const RouteConfig& r) {
    return r.hubs.empty() || !std::ranges::all_of(r.hubs, [&](const auto& hub) {
             return std::ranges::find(trail, hub) != trail.end();
           });
  });
  return route != nullptr ? route : first(domain, [](const RouteConfig&) { return true; });
}

bool Router::is_next_hop(const std::string& destination) const {
  if (destination.empty()) return false;
  const auto there = target(destination);
  return there && (is_named_by_operator(destination) || !there->route->hosts.empty());
}

std::string Router::destination_of(std::string_view address, const std::vector<std::string>& trail,
                                   const std::string& next_hop) const {
  if (is_next_hop(next_hop)) return next_hop;
  std::string domain = lower(smtp::domain_of(address));
  if (domain.ends_with('.')) domain.pop_back();
  if (domain.empty()) return std::string(unroutable);
  const RouteConfig* route = route_for(domain, trail);
  if (route == nullptr) return std::string(unroutable);
  if (!route->hosts.empty() || !route->hubs.empty()) return std::string(route_prefix) + route->name;
  return domain;
}

std::optional<Target> Router::target(std::string_view destination) const {
  if (destination == unroutable) return std::nullopt;
  if (destination.starts_with(route_prefix)) {
    auto found = by_name_.find(destination.substr(route_prefix.size()));
    if (found == by_name_.end() || (found->second->hosts.empty() && found->second->hubs.empty()))
      return std::nullopt;
    return Target{{configured_, found->second}, ""};
  }
  if (is_named_by_operator(destination)) return target_named_by_operator(destination);
  std::string domain(destination);
  // Behind a route to hubs, perhaps.
  const RouteConfig* route = first(domain, [](const RouteConfig& r) { return r.hubs.empty(); });
  if (route == nullptr || !route->hosts.empty()) return std::nullopt;
  return Target{{configured_, route}, std::move(domain)};
}

std::vector<std::string> Router::hubs_of(std::string_view destination) const {
  auto found = target(destination);
  return found ? found->route->hubs : std::vector<std::string>();
}

std::vector<std::string> Router::next_hubs(const Envelope& envelope) const {
  std::vector<std::string> all;
  if (!has_hubs_) return all;
  std::vector<std::string> seen;
  for (const auto& recipient : envelope.recipients) {
    auto destination = destination_of(recipient.address, envelope.trail);
    if (std::ranges::find(seen, destination) != seen.end()) continue;
    auto hubs = hubs_of(destination);
    std::erase_if(hubs, [&](const auto& hub) {
      return std::ranges::find(envelope.trail, hub) != envelope.trail.end();
    });
    if (hubs.empty()) continue;
    seen.push_back(std::move(destination));
    if (all.empty()) {
      all = std::move(hubs);
      continue;
    }
    auto both = all;
    std::erase_if(both, [&](const auto& hub) { return std::ranges::find(hubs, hub) == hubs.end(); });
    if (!both.empty()) all = std::move(both);
  }
  return all;
}

std::vector<storage::QueueEntry> Router::entries_for(const Envelope& envelope,
                                                     const std::vector<storage::RecipientOutcome>& progress,
                                                     WallTime due, const std::string& next_hop) const {
  std::vector<std::string> names;
  if (is_next_hop(next_hop)) {
    const auto pending = pending_recipients(envelope.recipients.size(), progress);
    if (std::ranges::find(pending, true) != pending.end()) names.push_back(next_hop);
  } else if (envelope.recipients.size() == 1 && progress.empty()) {
    names.push_back(destination_of(envelope.recipients.front().address, envelope.trail));
  } else {
    auto pending = pending_recipients(envelope.recipients.size(), progress);
    for (std::size_t i = 0; i < pending.size(); ++i)
      if (pending[i]) names.push_back(destination_of(envelope.recipients[i].address, envelope.trail));
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
  if (is_next_hop(message.next_hop)) {
    if (destination != message.next_hop) return result;
    auto pending = pending_recipients(recipients.size(), message.progress);
    for (std::uint32_t i = 0; i < pending.size(); ++i)
      if (pending[i]) result.push_back(i);
    return result;
  }
  if (recipients.size() == 1 && message.progress.empty()) {
    if (destination_of(recipients.front().address, message.envelope.trail) == destination)
      result.push_back(0);
    return result;
  }
  auto pending = pending_recipients(recipients.size(), message.progress);
  for (std::uint32_t i = 0; i < pending.size(); ++i)
    if (pending[i] && destination_of(recipients[i].address, message.envelope.trail) == destination)
      result.push_back(i);
  return result;
}

std::string Router::why_not_reroute(const storage::StoredMessage& message,
                                    const std::string& next_hop) const {
  if (next_hop.empty()) return {};
  if (!is_next_hop(next_hop)) return "there is no route with hosts of that name: " + next_hop;
  if (!is_named_by_operator(next_hop)) return {};
  const auto& recipients = message.envelope.recipients;
  const auto pending = pending_recipients(recipients.size(), message.progress);
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (!pending[i]) continue;
    const auto from = target(destination_of(recipients[i].address, message.envelope.trail));
    if (from && from->route->tls.policy > RouteTlsConfig::Policy::opportunistic)
      return "route " + from->route->name +
             " asks for encryption, and a host named here would get it without where it offers none: say "
             "route:NAME of a route that has what is needed";
  }
  return {};
}

}  // namespace umbra::hub
