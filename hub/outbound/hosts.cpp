#include "hub/outbound/hosts.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <map>

#include "hub/outbound/next_hop.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

// Mail exchangers looked at, and addresses of each: a bound against hostile zones.
constexpr std::size_t exchangers_max = 20;
constexpr std::size_t addresses_max = 8;

// By `key`, ascending; equal ones keep their order. (libstdc++ 12 warns about its own std::stable_sort.)
template <class T, class Key>
void sort_by(std::vector<T>& values, Key key) {
  std::multimap<decltype(key(values.front())), T> sorted;
  for (auto& value : values) sorted.emplace(key(value), std::move(value));
  values.clear();
  for (auto& [ignored, value] : sorted) values.push_back(std::move(value));
}

bool is_literal(const std::string& host) {
  ErrorCode error;
  asio::ip::make_address(host, error);
  return !error;
}

bool is_us(const MailExchanger& exchanger, const OwnNames& own) {
  return std::ranges::any_of(
      own.names, [&](const auto& name) { return smtp::equals_ignoring_case(name, exchanger.host); });
}

std::string without_final_dot(std::string host) {
  if (host.ends_with('.')) host.pop_back();
  return host;
}

// Appends the addresses of one host. `why` is set when its name gave an error, not when it has no addresses.
Task<void> add_host(Resolver& resolver, std::string name, std::uint16_t port, int preference, HostPlan& plan,
                    std::string& why) {
  auto addresses = co_await resolver.addresses(name);
  if (!addresses) {
    why = addresses.error().what;
    co_return;
  }
  if (addresses->size() > addresses_max) addresses->resize(addresses_max);
  for (auto& address : *addresses) plan.hosts.push_back({name, {std::move(address), port}, preference});
}

Task<HostPlan> smart_hosts(Resolver& resolver, Target target) {
  HostPlan plan;
  std::string why = "4.4.4 no smart host of route " + target.route->name + " has an address";
  std::vector<RouteHost> hosts = target.route->hosts;
  sort_by(hosts, [](const RouteHost& host) { return host.preference; });
  for (const auto& host : hosts)
    co_await add_host(resolver, host.endpoint.host, host.endpoint.port, host.preference, plan, why);
  if (plan.hosts.empty()) plan.defer = why;
  co_return plan;
}

HostPlan literal_host(const Target& target) {
  HostPlan plan;
  std::string address = target.domain.substr(1, target.domain.size() - 2);
  if (address.starts_with("ipv6:")) address.erase(0, 5);
  if (is_literal(address))
    plan.hosts.push_back({target.domain, {address, target.route->mx_port}, 0});
  else
    plan.bounce = smtp::Reply{550, "5.1.2", "the address literal " + target.domain + " is not understood"};
  return plan;
}

Task<HostPlan> exchangers_of(Resolver& resolver, Target target, OwnNames own);

}  // namespace

OwnNames own_names(const Config& config) {
  OwnNames own;
  own.names = {config.host_name, config.hub_name};
  for (const auto& listener : config.listeners) {
    ErrorCode error;
    auto address = asio::ip::make_address(listener.address.host, error);
    if (!error && !address.is_unspecified()) own.addresses.push_back(listener.address);
  }
  return own;
}

Task<HostPlan> find_hosts(Resolver& resolver, Target target, OwnNames own) {
  if (target.domain.empty()) co_return co_await smart_hosts(resolver, target);
  if (target.domain.starts_with('[') && target.domain.ends_with(']')) co_return literal_host(target);
  auto plan = co_await exchangers_of(resolver, target, std::move(own));
  // A domain that an operator has mistyped is no reason to give his mail up.
  if (plan.bounce && is_named_by_operator(target.route->name)) {
    plan.defer = "4.4.4 " + plan.bounce->text;
    plan.bounce.reset();
  }
  co_return plan;
}

namespace {

Task<HostPlan> exchangers_of(Resolver& resolver, Target target, OwnNames own) {
  HostPlan plan;
  auto exchangers = co_await resolver.mail_exchangers(target.domain);
  if (!exchangers) {
    plan.defer = "4.4.3 " + exchangers.error().what;
    co_return plan;
  }
  if (exchangers->size() == 1 && without_final_dot(exchangers->front().host).empty()) {
    plan.bounce =
        smtp::Reply{556, "5.1.10", "the domain " + target.domain + " does not accept mail (null MX)"};
    co_return plan;
  }
  const bool is_implicit = exchangers->empty();
  if (is_implicit) exchangers->push_back({0, target.domain});
  for (auto& exchanger : *exchangers) exchanger.host = without_final_dot(std::move(exchanger.host));
  sort_by(*exchangers, [](const MailExchanger& exchanger) { return exchanger.preference; });
  // Where we are one of them, only better ones may have the mail.
  auto ours = std::ranges::find_if(*exchangers, [&](const auto& e) { return is_us(e, own); });
  bool is_looping = ours != exchangers->end();
  if (is_looping) {
    auto preference = ours->preference;
    std::erase_if(*exchangers, [&](const auto& e) { return e.preference >= preference; });
  }
  if (exchangers->size() > exchangers_max) exchangers->resize(exchangers_max);
  std::string why;
  for (const auto& exchanger : *exchangers) {
    if (exchanger.host.empty()) continue;
    co_await add_host(resolver, exchanger.host, target.route->mx_port, exchanger.preference, plan, why);
  }
  // The same by address: a listener of ours behind another name.
  auto our_address = std::ranges::find_if(plan.hosts, [&](const auto& h) {
    return std::ranges::find(own.addresses, h.endpoint) != own.addresses.end();
  });
  if (our_address != plan.hosts.end()) {
    is_looping = true;
    int preference = our_address->preference;
    std::erase_if(plan.hosts, [&](const auto& h) { return h.preference >= preference; });
  }
  if (!plan.hosts.empty()) co_return plan;
  if (!why.empty()) {
    plan.defer = "4.4.3 " + why;
  } else if (is_looping) {
    plan.bounce = smtp::Reply{550, "5.4.6", "mail for " + target.domain + " loops back to this host"};
  } else if (is_implicit) {
    plan.bounce =
        smtp::Reply{550, "5.1.2", "the domain " + target.domain + " does not exist or has no mail host"};
  } else {
    plan.bounce = smtp::Reply{550, "5.4.4", "no mail host of " + target.domain + " has an address"};
  }
  co_return plan;
}

}  // namespace

void shuffle_equal(std::vector<HostAddress>& hosts, Random& random) {
  // A random rank per (preference, name), in order of first appearance.
  std::map<std::pair<int, std::string>, std::uint64_t> rank;
  for (const auto& host : hosts) {
    std::pair<int, std::string> key{host.preference, host.name};
    if (!rank.contains(key)) rank.emplace(std::move(key), random.next());
  }
  if (rank.size() < 2) return;
  sort_by(hosts, [&](const HostAddress& host) {
    return std::pair{host.preference, rank.at({host.preference, host.name})};
  });
}

}  // namespace umbra::hub
