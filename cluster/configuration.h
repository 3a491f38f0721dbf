// Configuration drift: what differs between two hubs of one cluster, and which of it is unsafe. Both sides
// compare the same two sets of values, so both come to the same answer. Everything here is a warning but for
// what `is_refused` says (docs/decisions/0017).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace umbra::cluster {

/// By key: "lease" is "10000ms". docs/xshadow.md section 17 names the keys.
using Configuration = std::map<std::string, std::string, std::less<>>;

struct Difference {
  std::string key;
  std::string here;
  std::string there;
  bool is_refused = false;  ///< neither hub promises the other anything while it lasts
  std::string why = {};     ///< refused: the reason
  bool operator==(const Difference&) const = default;
};

/// In the order of the keys. A key that only one of them has says nothing: the hubs are of different
/// releases.
std::vector<Difference> compare(const Configuration& here, const Configuration& there);

/// The value of a key that is a time, an hour at most.
std::optional<Duration> time_of(const Configuration& configuration, std::string_view key);
/// The largest message that the hub takes from clients; nothing when it does not say.
std::optional<std::uint64_t> message_octets_max_of(const Configuration& configuration);

/// A lease must bridge so many heartbeats of the hub it is given to.
inline constexpr int heartbeats_per_lease = 3;

}  // namespace umbra::cluster
