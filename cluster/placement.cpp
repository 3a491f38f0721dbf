#include "cluster/placement.h"

#include <algorithm>
#include <tuple>

namespace umbra::cluster {
namespace {

/// 0: a zone that has neither the owner nor a copy; 1: another zone than the owner's; 2: the owner's.
int distance_rank(const std::string& zone, const ZoneWish& wish) {
  if (wish.preference == ZonePreference::any) return 0;
  if (zone == wish.own) return 2;
  return std::ranges::find(wish.taken, zone) == wish.taken.end() ? 0 : 1;
}

}  // namespace

std::optional<std::size_t> Placement::choose(std::span<const Candidate> candidates, std::span<const std::string> excluded,
                                             const ZoneWish& wish) {
  std::optional<std::size_t> best;
  int best_rank = 0;
  ++turn_;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    auto at = (turn_ + i) % candidates.size();
    const auto& candidate = candidates[at];
    if (!candidate.is_reachable || candidate.is_refusing) continue;
    if (std::ranges::find(excluded, candidate.hub) != excluded.end()) continue;
    auto rank = distance_rank(candidate.zone, wish);
    if (rank == 2 && wish.preference == ZonePreference::only_other_zone) continue;
    if (best) {
      const auto& other = candidates[*best];
      bool is_worse = std::tuple(candidate.is_too_small, !candidate.is_next_hop, rank, !candidate.is_companion, candidate.under_way) >=
                      std::tuple(other.is_too_small, !other.is_next_hop, best_rank, !other.is_companion, other.under_way);
      if (is_worse) continue;
    }
    best = at;
    best_rank = rank;
  }
  return best;
}

}  // namespace umbra::cluster
