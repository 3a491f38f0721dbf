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

/// The first that differs decides. The next hop suits every zone: the body has to go there.
auto reasons_against(const Candidate& candidate, int rank) {
  return std::tuple(candidate.is_too_small, candidate.pressure == PressureLevel::high,
                    candidate.is_next_hop ? 0 : rank, candidate.pressure == PressureLevel::medium,
                    !candidate.is_next_hop, rank, !candidate.is_companion, candidate.under_way);
}

}  // namespace

std::optional<std::size_t> Placement::choose(std::span<const Candidate> candidates,
                                             std::span<const std::string> excluded, const ZoneWish& wish) {
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
    if (best && reasons_against(candidate, rank) >= reasons_against(candidates[*best], best_rank)) continue;
    best = at;
    best_rank = rank;
  }
  return best;
}

}  // namespace umbra::cluster
