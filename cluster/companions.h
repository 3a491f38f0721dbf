// With which hubs of a large cluster does one keep close company? With those it gives its copies to first and
// hears each heartbeat; the others it knows, and hears from more rarely. So what a hub spends on its peers
// does not grow with the cluster, and two disks that are lost at once seldom hold both copies of anything
// (Cidon et al., "Copysets", USENIX ATC 2013; docs/decisions/0016).
#pragma once

#include <set>
#include <string>
#include <vector>

namespace umbra::cluster {

struct ZonedHub {
  std::string name;
  std::string zone;
};

/// Up to so many other hubs are all companions.
inline constexpr std::size_t all_are_companions_max = 16;

/// The companions of `own` among `others`: its neighbours, four on each side, on a ring in the order of a
/// digest of the names, and two on each side among the hubs of other zones than its own. Symmetric: whoever
/// knows the same hubs comes to the same pairs.
std::set<std::string, std::less<>> companions_of(const ZonedHub& own, const std::vector<ZonedHub>& others);

}  // namespace umbra::cluster
