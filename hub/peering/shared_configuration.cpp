// What this hub tells the others of its configuration: see configuration_watch.h.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "hub/config/units.h"
#include "hub/peering/configuration_watch.h"
#include "hub/peering/ownership.h"
#include "smtp/configuration_lines.h"

#include "hub/admin/version.h"  // behind the others, where parameters have this name

namespace umbra::hub {
namespace {

std::string digest(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> octets{};
  unsigned size = 0;
  UMBRA_ASSERT(EVP_Digest(text.data(), text.size(), octets.data(), &size, EVP_sha256(), nullptr) == 1);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex = "sha256:";
  for (unsigned i = 0; i < 8; ++i) {
    hex += digits[octets[i] >> 4U];
    hex += digits[octets[i] & 15U];
  }
  return hex;
}

/// As it is where it can be shown, else its digest.
std::string shown(const std::string& text) {
  return smtp::is_configuration_value(text) ? text : digest(text);
}

std::string joined(std::vector<std::string> parts) {
  std::ranges::sort(parts);
  std::string text;
  for (const auto& part : parts) text.append(text.empty() ? "" : ",").append(part);
  return text.empty() ? "none" : text;
}

std::string milliseconds(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + "ms";
}

std::string protection_of(const ListenerConfig& listener) {
  std::string text = listener.name;
  if (listener.shadow == ShadowPolicy::none) return text + ":none";
  text += listener.shadow == ShadowPolicy::require        ? ":require"
          : listener.on_failure == OnShadowFailure::delay ? ":prefer-delay"
                                                          : ":prefer-accept";
  text += ":" + std::to_string(listener.protection.copies);
  switch (listener.protection.zones) {
    case ZonePreference::prefer_other_zone:
      return text + ":prefer_other_zone";
    case ZonePreference::only_other_zone:
      return text + ":only_other_zone";
    case ZonePreference::any:
      return text + ":any";
  }
  return text;
}

/// Where mail goes and under which conditions: not how many connections, nor which files.
std::string text_of(const RouteConfig& route) {
  std::string text = joined(route.domains);
  std::vector<std::string> hosts;
  for (const auto& host : route.hosts)
    hosts.push_back(to_string(host.endpoint) + '/' + std::to_string(host.preference));
  text += '\n' + joined(std::move(hosts)) + '\n' + std::to_string(route.mx_port) + '\n';
  text += std::to_string(static_cast<int>(route.eight_bit)) + '\n' +
          std::to_string(static_cast<int>(route.tls.policy)) + '\n';
  text += joined(route.tls.names) + '\n' + std::to_string(static_cast<int>(route.tls.minimum_version));
  return text;
}

}  // namespace

cluster::Configuration shared_configuration(const Config& config) {
  const auto& c = config.cluster;
  cluster::Configuration values;
  values["version"] = shown(version);
  values["ownership"] = std::string(to_string(ownership_mode(c)));
  std::vector<std::string> names;
  std::vector<std::string> zones;
  for (const auto& member : c.members) {
    names.push_back(member.name);
    zones.push_back(member.name + '=' + member.zone);
  }
  values["members"] = shown(c.discovery.enabled() ? "dns:" + c.discovery.dns : joined(std::move(names)));
  if (!c.discovery.enabled())
    values["zones"] = shown(joined(std::move(zones)));
  else if (!c.zone.empty())
    values["zone"] = shown(c.zone);
  values["lease"] = milliseconds(c.lease);
  values["heartbeat"] = milliseconds(c.heartbeat);
  values["restart_grace"] = milliseconds(c.restart_grace);
  values["copy_timeout"] = milliseconds(c.copy_timeout);
  values["tls"] = c.tls.enabled() ? "yes" : "no";
  std::uint64_t largest = 0;
  std::vector<std::string> protections;
  for (const auto& listener : config.listeners) {
    largest = std::max(largest, listener.limits.message_octets_max);
    protections.push_back(protection_of(listener));
  }
  // A hub that takes no mail from clients has no limit of its own.
  values["message_size"] = config.listeners.empty() ? "none" : std::to_string(largest);
  values["protection"] = shown(joined(std::move(protections)));
  std::vector<std::string> routes;
  for (const auto& route : config.routes) routes.push_back(text_of(route));
  values["routes"] = digest(joined(std::move(routes)));
  return values;
}

std::string digest_of(const cluster::Configuration& configuration) {
  return digest(smtp::format_configuration(configuration));
}

}  // namespace umbra::hub
