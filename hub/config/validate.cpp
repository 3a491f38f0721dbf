// What a configuration must be, beyond its form. This file is long because there is a check for each section,
// and nothing else is in here.
#include "hub/config/validate.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cstdlib>
#include <set>

#include "hub/config/bounce_profile.h"
#include "hub/config/domain_pattern.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

constexpr std::size_t secret_octets_min = 16;

/// DNS names compare without case.
std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

/// Two sockets cannot both have it. Port 0 is "any free one".
bool collide(const Endpoint& a, const Endpoint& b) {
  if (a.port == 0 || a.port != b.port) return false;
  auto is_any = [](const Endpoint& e) { return e.host == "0.0.0.0" || e.host == "::"; };
  bool same_family = (a.host.find(':') == std::string::npos) == (b.host.find(':') == std::string::npos);
  return a.host == b.host || (same_family && (is_any(a) || is_any(b)));
}

/// One way to write an address, so that listeners that share one are seen to.
std::string canonical(const std::string& host) {
  boost::system::error_code error;
  auto address = asio::ip::make_address(host, error);
  return error ? host : address.to_string();
}

bool share_an_address(const Endpoint& a, const Endpoint& b) {
  return a.port != 0 && a == b;
}

void check_listen_addresses(Config& config, ReadReport& report) {
  struct Seen {
    std::string path;
    Endpoint address;
    bool is_listener = false;
  };
  std::vector<Seen> seen;
  auto add = [&](const std::string& path, const Endpoint& address, bool is_listener) {
    if (address.host.empty()) return;
    if (!is_address_literal(address.host)) {
      report.problem_at(path,
                        fmt::format("{}: \"{}\" is a name; a hub listens on an address", path, address.host));
      return;
    }
    for (const auto& other : seen) {
      if (is_listener && other.is_listener && share_an_address(address, other.address)) continue;
      if (collide(address, other.address))
        report.problem_at(path,
                          fmt::format("{}: {} is taken by {} already", path, to_string(address), other.path));
    }
    seen.push_back({path, address, is_listener});
  };
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    auto& address = config.listeners[i].address;
    address.host = canonical(address.host);
    add(fmt::format("listeners[{}].address", i), address, true);
  }
  add("cluster.address", config.cluster.address, false);
  if (config.admin.address) add("admin.address", *config.admin.address, false);
}

/// Ranges lie within one another or apart, and of two the smaller one wins; of two that are equal, or that
/// overlap in part, neither does.
void check_clients(const Config& config, std::size_t i, ReadReport& report) {
  const auto& listener = config.listeners[i];
  auto path = fmt::format("listeners[{}]", i);
  for (std::size_t j = 0; j < i; ++j) {
    const auto& other = config.listeners[j];
    if (!share_an_address(listener.address, other.address)) continue;
    auto both = fmt::format("listeners[{}] (\"{}\") at {}", j, other.name, to_string(listener.address));
    if (listener.clients.empty() && other.clients.empty())
      report.problem_at(path, fmt::format("{}: this one and {} both serve every client; say in `clients` "
                                          "which networks each of them is for",
                                          path, both));
    for (const auto& range : listener.clients)
      for (const auto& taken : other.clients) {
        if (range.is_same_as(taken))
          report.problem_at(path + ".clients", fmt::format("{}.clients: {} is a network of {} already; one "
                                                           "of them may name a smaller network within it",
                                                           path, range.text, both));
        else if (range.meets(taken) && !range.covers(taken) && !taken.covers(range))
          report.problem_at(
              path + ".clients",
              fmt::format("{}.clients: {} overlaps {} of {}; one must lie in the other, or apart from it",
                          path, range.text, taken.text, both));
      }
  }
}

void check_listener_tls(const ListenerTlsConfig& tls, const std::string& path, ReadReport& report) {
  using Mode = ListenerTlsConfig::Mode;
  using Clients = ListenerTlsConfig::ClientCertificates;
  if (tls.mode == Mode::none && !tls.files.certificate.empty())
    report.problem_at(path + ".certificate", path + ".mode is missing: starttls, required or implicit");
  if (tls.mode != Mode::none && tls.files.certificate.empty())
    report.problem_at(path + ".mode", path + ".certificate is missing");
  if (tls.client_certificates != Clients::none && tls.client_ca.empty())
    report.problem_at(path + ".client_certificates", path + ".client_ca is missing: whom to trust");
  if (tls.client_certificates == Clients::none && !tls.client_names.empty())
    report.problem_at(path + ".client_names",
                      path + ".client_names: no certificate is asked for; say client_certificates: request");
}

void check_listener_authentication(const ListenerConfig& listener, const std::string& path,
                                   ReadReport& report) {
  const auto& authentication = listener.authentication;
  const bool has_users = !authentication.password_file.empty();
  if (authentication.mode == ListenerAuthenticationConfig::Mode::off) {
    if (report.given(path + ".password_file") || report.given(path + ".dovecot"))
      report.problem_at(path, path + ".mode is missing: offered or required");
    return;
  }
  if (has_users != authentication.dovecot.empty())
    report.problem_at(path, path + (has_users ? ": give password_file or dovecot, not both"
                                              : ".password_file is missing: who the users are (or dovecot)"));
  if (listener.tls.mode == ListenerTlsConfig::Mode::none && !authentication.allow_without_tls)
    report.problem_at(path, path +
                                ": nobody could log on: this listener has no TLS; say tls.mode (or "
                                "allow_without_tls: true, where nobody can listen in)");
}

void check_route_tls(const RouteTlsConfig& tls, const std::string& path, ReadReport& report) {
  if (tls.policy != RouteTlsConfig::Policy::verify && (!tls.ca.empty() || !tls.names.empty()))
    report.problem_at(path, path + ": ca and names are looked at with policy: verify only");
  if (tls.files.certificate.empty() && !tls.files.key.empty())
    report.problem_at(path + ".key", path + ".key: the certificate is missing");
}

void check_cluster_tls(const ClusterConfig& cluster, ReadReport& report) {
  const auto& tls = cluster.tls;
  if (tls.files.certificate.empty() && (!tls.ca.empty() || !tls.files.key.empty()))
    report.problem_at("cluster.tls", "cluster.tls.certificate is missing");
  if (!tls.files.certificate.empty() && tls.ca.empty())
    report.problem_at("cluster.tls", "cluster.tls.ca is missing: the authority of all hubs of the cluster");
}

/// Copies that no hub could ever hold.
void check_copies(const Config& config, const ListenerConfig& listener, const std::string& path,
                  ReadReport& report) {
  if (config.cluster.discovery.enabled()) {
    if (listener.protection.zones == ZonePreference::only_other_zone && config.cluster.zone.empty())
      report.problem_at(
          path + ".zones",
          fmt::format("{}.zones: this hub has no zone; give cluster.zone or set UMBRA_HUB_ZONE", path));
    return;
  }
  auto own_zone = config.cluster.own_zone(config.hub_name);
  bool is_other_only = listener.protection.zones == ZonePreference::only_other_zone;
  auto able = std::ranges::count_if(config.cluster.members, [&](const MemberConfig& m) {
    return m.name != config.hub_name && (!is_other_only || m.zone != own_zone);
  });
  if (std::cmp_greater_equal(able, listener.protection.copies)) return;
  report.problem_at(report.given(path + ".copies") ? path + ".copies" : path,
                    fmt::format("{}.copies: {} asked for, but only {} other hub{} can hold one{}", path,
                                listener.protection.copies, able, able == 1 ? "" : "s",
                                is_other_only ? " in another zone (zones: only_other_zone)" : ""));
}

void check_listeners(Config& config, ReadReport& report) {
  if (report.given("listeners") && config.listeners.empty()) {
    report.problem_at("listeners", "listeners: expected at least one");
  }
  bool has_peers =
      config.cluster.discovery.enabled() ||
      std::ranges::any_of(config.cluster.members, [&](const auto& m) { return m.name != config.hub_name; });
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    auto& listener = config.listeners[i];
    auto path = fmt::format("listeners[{}]", i);
    if (!listener.name.empty() && !names.insert(listener.name).second) {
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is the name of another listener", path, listener.name));
    }
    check_clients(config, i, report);
    check_listener_tls(listener.tls, path + ".tls", report);
    check_listener_authentication(listener, path + ".authentication", report);
    if (has_peers && listener.shadow != ShadowPolicy::none) check_copies(config, listener, path, report);
    if (has_peers || listener.shadow == ShadowPolicy::none) continue;
    if (report.given(path + ".shadow")) {
      report.problem_at(
          path + ".shadow",
          fmt::format("{}.shadow: there is no other hub to hold a copy; name it in cluster.members, or "
                      "say \"shadow: none\"",
                      path));
    } else {
      report.problem_at(
          path,
          fmt::format(
              "{}: no other hub is configured, so mail would have one copy only; say \"shadow: none\" if "
              "that is what you want, or name the hubs in cluster.members",
              path));
    }
  }
}

void check_route_authentication(const RouteConfig& route, const std::string& path, ReadReport& report) {
  const auto& authentication = route.authentication;
  auto at = path + ".authentication";
  if (authentication.user.empty() && authentication.password_file.empty()) return;
  if (authentication.user.empty()) return report.problem_at(at, at + ".user is missing");
  if (authentication.password_file.empty()) return report.problem_at(at, at + ".password_file is missing");
  if (route.hosts.empty())
    report.problem_at(at, at + ": without hosts the password would be shown to whatever host the recipient's "
                               "domain names; say hosts");
  const bool is_encrypted = route.tls.policy == RouteTlsConfig::Policy::encrypt ||
                            route.tls.policy == RouteTlsConfig::Policy::verify;
  if (!is_encrypted && !authentication.allow_without_tls)
    report.problem_at(at, fmt::format("{0}: with this {1}.tls.policy mail could go without TLS, and the "
                                      "password never does; say policy: verify (or encrypt), or "
                                      "allow_without_tls: true where nobody can listen in",
                                      at, path));
}

void check_source_addresses(const RouteConfig& route, const std::string& path, ReadReport& report) {
  const auto is_ipv4 = [](const std::string& address) {
    return AddressRange::parse(address).value_or(AddressRange{}).is_ipv4();
  };
  const auto ipv4 = std::ranges::count_if(route.source_addresses, is_ipv4);
  if (ipv4 > 1 || static_cast<std::ptrdiff_t>(route.source_addresses.size()) - ipv4 > 1)
    report.problem_at(
        path + ".source_addresses",
        fmt::format("{}.source_addresses: expected at most one IPv4 and one IPv6 address", path));
}

void check_hubs(const Config& config, const RouteConfig& route, const std::string& path, ReadReport& report) {
  auto at = path + ".hubs";
  auto problem = [&](const std::string& why) { report.problem_at(at, fmt::format("{}: {}", at, why)); };
  if (route.hubs.empty()) return problem("expected at least one");
  for (const char* other :
       {"hosts", "mx_port", "eight_bit", "connections", "messages_per_connection", "recipient_rate_limit",
        "tls", "authentication", "source_addresses", "protocol_log"})
    if (report.given(fmt::format("{}.{}", path, other)))
      problem(fmt::format("hubs are handed the mail over; leave out \"{}\"", other));
  if (!config.cluster.enabled()) return problem("this hub has no cluster; name the hubs in cluster.members");
  std::set<std::string> named;
  for (const auto& hub : route.hubs) {
    if (!named.insert(hub).second) problem(fmt::format("\"{}\" is in the list already", hub));
    bool is_known =
        config.cluster.discovery.enabled() || hub == config.hub_name ||
        std::ranges::find(config.cluster.members, hub, &MemberConfig::name) != config.cluster.members.end();
    if (!is_known) problem(fmt::format("\"{}\" is not in cluster.members", hub));
  }
  if (!named.contains(config.hub_name)) return;
  if (named.size() == 1) return problem("this hub cannot hand mail over to itself; name others");
  // It passes this route over, and must know where the mail that it is handed goes.
  for (const auto& domain : route.domains) {
    bool has_other = std::ranges::any_of(config.routes, [&](const RouteConfig& other) {
      bool is_own = std::ranges::find(other.hubs, config.hub_name) != other.hubs.end();
      return !is_own &&
             std::ranges::any_of(other.domains, [&](const auto& pattern) { return covers(pattern, domain); });
    });
    if (!has_other)
      problem(
          fmt::format("this hub is one of them, so it needs another route for \"{}\", by which it delivers "
                      "what it is handed",
                      domain));
  }
}

void check_routes(Config& config, ReadReport& report) {
  if (report.given("routes") && config.routes.empty()) {
    report.problem_at(
        "routes", "routes: expected at least one; a route with domains [\"*\"] and no hosts delivers by MX");
  }
  std::set<std::string> names;
  std::map<std::string, std::string> routed;
  std::map<std::string, bool> is_to_hubs;
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    auto& route = config.routes[i];
    auto path = fmt::format("routes[{}]", i);
    if (!route.name.empty() && !names.insert(route.name).second) {
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is the name of another route", path, route.name));
    }
    check_route_tls(route.tls, path + ".tls", report);
    check_route_authentication(route, path, report);
    check_source_addresses(route, path, report);
    if (report.given(path + ".domains") && route.domains.empty()) {
      report.problem_at(path + ".domains", fmt::format("{}.domains: expected at least one", path));
    }
    for (auto& domain : route.domains) {
      domain = lower(domain);
      // Behind a route to hubs there may be another one: for the hubs that are named in it.
      auto [other, is_new] = routed.emplace(domain, path);
      if (!is_new && !is_to_hubs[other->second]) {
        report.problem_at(path + ".domains",
                          fmt::format("{}.domains: \"{}\" is in {} already", path, domain, other->second));
      }
      other->second = path;
    }
    is_to_hubs[path] = !route.hubs.empty();
    if (report.given(path + ".hubs") || !route.hubs.empty()) check_hubs(config, route, path, report);
    for (std::size_t j = 0; j < route.hosts.size(); ++j) {
      if (route.hosts[j].endpoint.port != 0 || route.hosts[j].endpoint.host.empty()) continue;
      report.problem_at(fmt::format("{}.hosts[{}]", path, j),
                        fmt::format("{}.hosts: port 0 cannot be connected to", path));
    }
  }
}

void check_bounces(const BounceProfileConfig& profile, const std::string& where, ReadReport& report) {
  const auto& retry = profile.retry;
  if (retry.empty()) report.problem_at(where + ".retry", where + ".retry: expected at least one step");
  for (std::size_t i = 0; i < retry.size(); ++i) {
    auto path = fmt::format("{}.retry[{}]", where, i);
    bool is_last = i + 1 == retry.size();
    if (is_last && retry[i].times != 0) {
      report.problem_at(
          path, fmt::format("{}: the last step lasts until {}.expiry; leave out \"times\"", path, where));
    } else if (!is_last && retry[i].times == 0) {
      report.problem_at(
          path, fmt::format("{}: \"times\" is missing, so the steps behind it would never be used", path));
    }
  }
  if (profile.delay_warning >= profile.expiry) {
    report.problem_at(where + ".delay_warning",
                      fmt::format("{}.delay_warning: must be shorter than {}.expiry, or 0", where, where));
  }
}

void check_bounce_profiles(const Config& config, ReadReport& report) {
  check_bounces(config.delivery, "delivery", report);
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.bounce_profiles.size(); ++i) {
    const auto& profile = config.bounce_profiles[i];
    auto path = fmt::format("bounce_profiles[{}]", i);
    if (!profile.name.empty() && !names.insert(profile.name).second)
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is the name of another profile", path, profile.name));
    check_bounces(profile, path, report);
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto& name = config.routes[i].bounce_profile;
    if (!name.empty() && find_bounce_profile(config, name) == nullptr)
      report.problem_at(
          fmt::format("routes[{}].bounce_profile", i),
          fmt::format("routes[{}].bounce_profile: \"{}\" is none of bounce_profiles, exchange, esa", i,
                      name));
  }
}

void check_discovery(const Config& config, ReadReport& report) {
  const auto& cluster = config.cluster;
  const auto& discovery = cluster.discovery;
  if (!discovery.enabled()) {
    if (!cluster.zone.empty())
      report.problem_at(
          "cluster.zone",
          "cluster.zone: it is for cluster.discovery; with a list of members zones stand there");
    if (report.given("cluster.discovery"))
      report.problem_at("cluster.discovery",
                        "cluster.discovery.dns is missing: the name that stands for all hubs");
    return;
  }
  if (!cluster.members.empty())
    report.problem_at("cluster.discovery", "cluster.discovery: give this or cluster.members, not both");
  bool is_by_address = discovery.type == DiscoveryConfig::Type::address;
  if (is_by_address && discovery.port == 0)
    report.problem_at("cluster.discovery",
                      "cluster.discovery.port is missing: where the hubs listen for one another");
  if (!is_by_address && discovery.port != 0)
    report.problem_at("cluster.discovery.port",
                      "cluster.discovery.port: SRV records name the port; it is for \"type: address\"");
  if (!is_by_address && config.hub_name.find('.') != std::string::npos)
    report.problem_at(
        "hub.name",
        fmt::format("hub.name: \"{}\" can be no first label of an SRV target; leave out the dot or use "
                    "\"type: address\"",
                    config.hub_name));
}

// What every pod has.
void use_service_account(ArbiterConfig& arbiter) {
  constexpr std::string_view folder = "/var/run/secrets/kubernetes.io/serviceaccount/";
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (arbiter.endpoints.empty() && host != nullptr && port != nullptr) {
    auto number = parse_number(port);
    if (number && *number > 0 && *number <= 65535)
      arbiter.endpoints.push_back({host, static_cast<std::uint16_t>(*number)});
  }
  if (arbiter.ca_file.empty()) arbiter.ca_file = fmt::format("{}ca.crt", folder);
  if (arbiter.token_file.empty() && arbiter.certificate_file.empty())
    arbiter.token_file = fmt::format("{}token", folder);
  if (arbiter.name_space.empty()) arbiter.namespace_file = fmt::format("{}namespace", folder);
}

void check_arbiter(ClusterConfig& cluster, ReadReport& report) {
  auto& arbiter = cluster.arbiter;
  bool is_kubernetes = cluster.ownership == OwnershipMode::kubernetes;
  if (!is_kubernetes && cluster.ownership != OwnershipMode::etcd) {
    if (report.given("cluster.arbiter"))
      report.problem_at("cluster.arbiter",
                        "cluster.arbiter: only \"ownership: etcd\" and \"ownership: kubernetes\" ask it");
    return;
  }
  if (is_kubernetes) use_service_account(arbiter);
  if (arbiter.prefix.empty()) arbiter.prefix = "umbra-";
  if (arbiter.endpoints.empty())
    report.problem_at(
        report.given("cluster.arbiter") ? "cluster.arbiter" : "cluster.ownership",
        is_kubernetes
            ? "cluster.arbiter.endpoints is missing, and this is no pod (KUBERNETES_SERVICE_HOST is not set)"
            : "cluster.arbiter.endpoints is missing: the client addresses of etcd");
  for (const auto& endpoint : arbiter.endpoints)
    if (endpoint.port == 0)
      report.problem_at("cluster.arbiter.endpoints",
                        "cluster.arbiter.endpoints: port 0 cannot be connected to");
  if (arbiter.certificate_file.empty() != arbiter.key_file.empty())
    report.problem_at("cluster.arbiter", "cluster.arbiter: certificate_file and key_file go together");
}

void check_cluster(Config& config, ReadReport& report) {
  auto& cluster = config.cluster;
  check_discovery(config, report);
  check_arbiter(cluster, report);
  if (!cluster.enabled()) {
    if (report.given("cluster.address")) {
      report.problem_at(
          "cluster.address",
          "cluster.members is missing: every hub of the cluster, this one included (or cluster.discovery)");
    }
    return;
  }
  if (!report.given("cluster.address"))
    report.problem_at("cluster", "cluster.address is missing: where this hub listens for the others");
  check_cluster_tls(cluster, report);
  if (cluster.secret.empty() && cluster.tls.enabled()) {
    // Certificates say who is who.
  } else if (cluster.secret.empty()) {
    report.problem_at("cluster",
                      "the cluster has no secret: give cluster.secret_file or set UMBRA_CLUSTER_SECRET, or "
                      "use cluster.tls");
  } else if (cluster.secret.size() < secret_octets_min) {
    report.problem_at("cluster.secret_file",
                      fmt::format("the cluster's secret has {} octets, expected at least {}",
                                  cluster.secret.size(), secret_octets_min));
  }
  std::set<std::string> names;
  std::map<Endpoint, std::string> addresses;
  for (std::size_t i = 0; i < cluster.members.size(); ++i) {
    const auto& member = cluster.members[i];
    auto path = fmt::format("cluster.members[{}]", i);
    if (!member.name.empty() && !names.insert(member.name).second) {
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is in the list already", path, member.name));
    }
    if (member.address.host.empty()) continue;
    if (member.address.port == 0)
      report.problem_at(path + ".address", fmt::format("{}.address: port 0 cannot be connected to", path));
    auto [other, is_new] = addresses.emplace(member.address, member.name);
    if (!is_new) {
      report.problem_at(path + ".address", fmt::format("{}.address: {} is the address of \"{}\" already",
                                                       path, to_string(member.address), other->second));
    }
  }
  if (!cluster.members.empty() && !config.hub_name.empty() && !names.contains(config.hub_name)) {
    report.problem_at("cluster.members",
                      fmt::format("cluster.members: this hub, \"{}\", is not in the list", config.hub_name));
  }
  if (cluster.ownership == OwnershipMode::majority && cluster.members.size() < 3)
    report.problem_at(
        "cluster.ownership",
        fmt::format(
            "cluster.ownership: \"majority\" needs three hubs or more in cluster.members, here are {}; two "
            "hubs have no majority when one is away: say \"pairwise\"",
            cluster.members.size()));
  if (cluster.heartbeat * 3 > cluster.lease) {
    report.problem_at(report.given("cluster.heartbeat") ? "cluster.heartbeat" : "cluster.lease",
                      fmt::format("cluster.heartbeat ({}) must be at most a third of cluster.lease ({})",
                                  format_duration(cluster.heartbeat), format_duration(cluster.lease)));
  }
}

void check_safety_net(const Config& config, ReadReport& report) {
  const auto& net = config.safety_net;
  if (net.keep > Duration{} && net.octets_max == 0)
    report.problem_at("safety_net.keep", "safety_net.size is missing: how much may be kept");
  if (net.octets_max > 0 && net.keep == Duration{} && !report.given("safety_net.keep"))
    report.problem_at("safety_net.size", "safety_net.keep is missing: for how long");
}

void check_throttling(const Config& config, ReadReport& report) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.throttling_policies.size(); ++i) {
    const auto& policy = config.throttling_policies[i];
    auto path = fmt::format("throttling_policies[{}]", i);
    if (!policy.name.empty() && !names.insert(policy.name).second)
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is the name of another policy", path, policy.name));
    for (const auto& listener : policy.listeners)
      if (std::ranges::none_of(config.listeners, [&](const ListenerConfig& l) { return l.name == listener; }))
        report.problem_at(path + ".listeners",
                          fmt::format("{}.listeners: there is no listener \"{}\"", path, listener));
  }
}

void check_content_filters(const Config& config, ReadReport& report) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.content_filters.size(); ++i) {
    const auto& filter = config.content_filters[i];
    auto path = fmt::format("content_filters[{}]", i);
    if (!filter.name.empty() && !names.insert(filter.name).second)
      report.problem_at(path + ".name",
                        fmt::format("{}.name: \"{}\" is the name of another filter", path, filter.name));
    for (const auto& listener : filter.listeners)
      if (std::ranges::none_of(config.listeners, [&](const ListenerConfig& l) { return l.name == listener; }))
        report.problem_at(path + ".listeners",
                          fmt::format("{}.listeners: there is no listener \"{}\"", path, listener));
  }
}

/// Each level ends where it began or below, and high lies above medium: else a hub would go to and fro.
void check_pressure(const PressureConfig& pressure, ReadReport& report) {
  for (const auto& [name, member] : pressure_marks_keys) {
    const auto& marks = pressure.*member;
    auto path = fmt::format("pressure.{}", name);
    bool is_ordered = marks.leave_medium <= marks.medium && marks.medium <= marks.leave_high &&
                      marks.leave_high <= marks.high;
    bool is_off = marks == PressureMarksConfig{} || (marks.high == 0 && !report.given(path + ".medium"));
    if (is_ordered || is_off) continue;
    report.problem_at(
        report.given(path) ? path : "pressure",
        fmt::format(
            "{}: leave_medium {}, medium {}, leave_high {}, high {}: each must be at least the one before",
            path, marks.leave_medium, marks.medium, marks.leave_high, marks.high));
  }
}

/// Tokens are secrets: never in the clear over a network, unless somebody has said so.
void check_admin(const AdminConfig& admin, ReadReport& report) {
  const auto& tls = admin.tls;
  const bool has_names = !tls.client_names_read.empty() || !tls.client_names_write.empty();
  if (!tls.enabled() && (!tls.files.key.empty() || !tls.client_ca.empty() || has_names))
    report.problem_at("admin.tls", "admin.tls.certificate is missing");
  if (tls.enabled() && has_names && tls.client_ca.empty())
    report.problem_at("admin.tls", "admin.tls.client_ca is missing: whom to trust");
  if (!tls.client_ca.empty() && !has_names)
    report.problem_at(
        "admin.tls",
        "admin.tls: nobody could come in by certificate; say client_names_read or client_names_write");
  for (const auto& name : tls.client_names_read)
    if (std::ranges::find(tls.client_names_write, name) != tls.client_names_write.end())
      report.problem_at(
          "admin.tls.client_names_read",
          fmt::format("admin.tls.client_names_read: {} is one of client_names_write already", name));
  if (!admin.address) {
    if (!admin.tokens_file.empty())
      report.problem_at("admin.tokens_file",
                        "admin.tokens_file: there is no admin.address where tokens could be shown");
    if (tls.enabled()) report.problem_at("admin.tls", "admin.tls: there is no admin.address");
    return;
  }
  if (!admin.tokens_file.empty() && !tls.enabled() && !admin.allow_without_tls &&
      !is_loopback(admin.address->host))
    report.problem_at("admin.tokens_file",
                      fmt::format("admin.tokens_file: tokens would cross the network in the clear at {}; "
                                  "give admin.tls.certificate, listen on a loopback address, or "
                                  "say allow_without_tls: true where nobody can listen in",
                                  to_string(*admin.address)));
}

void check_rest(const Config& config, ReadReport& report) {
  check_admin(config.admin, report);
  if (config.admin.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    report.problem_at("admin.socket",
                      fmt::format("admin.socket: the path has {} octets, a Unix socket allows {}",
                                  config.admin.socket.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  for (const auto& server : config.resolver.servers) {
    if (!is_address_literal(server.host)) {
      report.problem_at(
          "resolver.servers",
          fmt::format("resolver.servers: \"{}\" is a name; a name server is given by address", server.host));
    }
  }
}

}  // namespace

void validate_with_cluster(Config& config, ReadReport& report) {
  check_listeners(config, report);
  check_routes(config, report);
}

void validate(Config& config, ReadReport& report) {
  if (config.host_name.empty()) config.host_name = config.hub_name;
  if (config.logs.folder.empty()) config.logs.folder = config.spool.directory + "/logs";
  check_listen_addresses(config, report);
  check_listeners(config, report);
  check_routes(config, report);
  check_bounce_profiles(config, report);
  check_cluster(config, report);
  check_safety_net(config, report);
  check_throttling(config, report);
  check_content_filters(config, report);
  check_pressure(config.pressure, report);
  check_rest(config, report);
}

}  // namespace umbra::hub
