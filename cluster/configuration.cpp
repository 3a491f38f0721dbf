#include "cluster/configuration.h"

#include "base/ids.h"

namespace umbra::cluster {
namespace {

std::optional<std::uint64_t> number_of(const Configuration& configuration, std::string_view key,
                                       std::string_view unit) {
  auto at = configuration.find(key);
  if (at == configuration.end() || !at->second.ends_with(unit)) return std::nullopt;
  return parse_number(std::string_view(at->second).substr(0, at->second.size() - unit.size()));
}

/// Why the lease that one gives is none that the other could live with.
std::string lease_misfit(const Configuration& giver, const Configuration& taker) {
  auto lease = time_of(giver, "lease");
  auto heartbeat = time_of(taker, "heartbeat");
  if (!lease || !heartbeat || *heartbeat * heartbeats_per_lease <= *lease) return {};
  return "a lease of " + giver.find("lease")->second + " is shorter than " +
         std::to_string(heartbeats_per_lease) + " heartbeats of " + taker.find("heartbeat")->second;
}

}  // namespace

std::optional<Duration> time_of(const Configuration& configuration, std::string_view key) {
  auto milliseconds = number_of(configuration, key, "ms");
  if (!milliseconds || *milliseconds > 3'600'000) return std::nullopt;
  return std::chrono::milliseconds(*milliseconds);
}

std::optional<std::uint64_t> message_octets_max_of(const Configuration& configuration) {
  return number_of(configuration, "message_size", "");
}

std::vector<Difference> compare(const Configuration& here, const Configuration& there) {
  std::vector<Difference> found;
  auto misfit = lease_misfit(here, there);
  if (misfit.empty()) misfit = lease_misfit(there, here);
  auto is_majority = [](const Configuration& c) {
    return c.contains("ownership") && c.find("ownership")->second == "majority";
  };
  for (const auto& [key, ours] : here) {
    auto at = there.find(key);
    // Each hub tells its own zone: to be in different ones is what they are for.
    if (at == there.end() || at->second == ours || key == "zone") continue;
    Difference difference{key, ours, at->second};
    if (key == "ownership")
      difference.why = "hubs that disagree about who may take over must not rely on one another";
    else if (key == "members" && is_majority(here) && is_majority(there))
      difference.why = "two lists have two majorities";
    else if (key == "lease" || key == "heartbeat")
      difference.why = misfit;
    difference.is_refused = !difference.why.empty();
    found.push_back(std::move(difference));
  }
  return found;
}

}  // namespace umbra::cluster
