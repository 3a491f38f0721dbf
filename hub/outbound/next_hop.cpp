#include "hub/outbound/next_hop.h"

#include <memory>

#include "base/message_note.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

constexpr std::string_view host_prefix = "host:";
constexpr std::string_view mx_prefix = "mx:";
constexpr std::string_view route_prefix = "route:";
constexpr std::uint16_t smtp_port = 25;

constexpr const char* expected_next_hop =
    "expected HOST, HOST:PORT, [IPv6]:PORT, mx:DOMAIN, route:NAME of a route with hosts, or config for what "
    "the routes say";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return result;
}

/// Port 0 cannot be connected to.
std::expected<Endpoint, std::string> parse_host(std::string_view text) {
  auto endpoint = parse_endpoint(text, smtp_port);
  if (!endpoint) return std::unexpected(endpoint.error());
  if (endpoint->port == 0) return std::unexpected("port 0 cannot be connected to");
  endpoint->host = lower(endpoint->host);
  return *endpoint;
}

}  // namespace

std::expected<std::string, std::string> parse_next_hop(std::string_view text) {
  auto bad = [text](const std::string& why) {
    return std::unexpected("\"" + std::string(text) + "\" is no next hop: " + why);
  };
  if (text == "config") return std::string();
  if (text.empty() || text.size() > next_hop_octets_max) return bad(expected_next_hop);
  if (text.starts_with(route_prefix))
    return text.size() > route_prefix.size() ? std::expected<std::string, std::string>(text)
                                             : bad(expected_next_hop);
  const bool is_mx = text.starts_with(mx_prefix);
  if (is_mx) text.remove_prefix(mx_prefix.size());
  auto host = parse_host(text);
  if (!host) return bad(host.error());
  if (is_mx && (!is_domain_name(host->host) || is_address_literal(host->host)))
    return bad("mx: takes a domain, whose mail exchangers are asked for");
  return std::string(is_mx ? mx_prefix : host_prefix) + to_string(*host);
}

bool is_named_by_operator(std::string_view destination) {
  return destination.starts_with(host_prefix) || destination.starts_with(mx_prefix);
}

std::optional<Target> target_named_by_operator(std::string_view destination) {
  const bool is_mx = destination.starts_with(mx_prefix);
  if (!is_mx && !destination.starts_with(host_prefix)) return std::nullopt;
  auto host = parse_host(destination.substr(is_mx ? mx_prefix.size() : host_prefix.size()));
  if (!host) return std::nullopt;
  auto route = std::make_shared<RouteConfig>();
  route->name = destination;
  if (!is_mx) {
    route->hosts.push_back({*host});
    return Target{std::move(route), ""};
  }
  if (!is_domain_name(host->host) || is_address_literal(host->host)) return std::nullopt;
  route->mx_port = host->port;
  return Target{std::move(route), host->host};
}

}  // namespace umbra::hub
