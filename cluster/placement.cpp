#include "cluster/placement.h"

#include <algorithm>

namespace umbra::cluster {

std::optional<std::size_t> Placement::choose(std::span<const Candidate> candidates, std::span<const std::string> excluded) {
  std::optional<std::size_t> best;
  ++turn_;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    auto at = (turn_ + i) % candidates.size();
    const auto& candidate = candidates[at];
    if (!candidate.is_reachable || candidate.is_refusing) continue;
    if (std::ranges::find(excluded, candidate.hub) != excluded.end()) continue;
    if (!best || candidate.under_way < candidates[*best].under_way) best = at;
  }
  return best;
}

}  // namespace umbra::cluster
