#include "cluster/companions.h"

#include <algorithm>

#include "base/checksum.h"

namespace umbra::cluster {
namespace {

constexpr std::size_t neighbours = 4;          // on each side of the ring
constexpr std::size_t distant_neighbours = 2;  // on each side, of other zones

}  // namespace

std::set<std::string, std::less<>> companions_of(const ZonedHub& own, const std::vector<ZonedHub>& others) {
  std::set<std::string, std::less<>> found;
  if (others.size() <= all_are_companions_max) {
    for (const auto& other : others) found.insert(other.name);
    return found;
  }
  std::vector<std::pair<std::pair<std::uint64_t, std::string>, const ZonedHub*>> ring;
  for (const auto& other : others) ring.push_back({{checksum(other.name), other.name}, &other});
  ring.push_back({{checksum(own.name), own.name}, &own});
  std::ranges::sort(ring);
  auto size = ring.size();
  auto is_neighbour = [&](std::size_t of, std::size_t at) {
    auto distance = (at + size - of) % size;
    return std::min(distance, size - distance) <= neighbours;
  };
  // The next two of other zones on each side of `of`: is `at` one of them?
  auto is_distant_neighbour = [&](std::size_t of, std::size_t at) {
    const auto& zone = ring[of].second->zone;
    if (ring[at].second->zone == zone) return false;
    for (bool is_forward : {true, false}) {
      std::size_t passed = 0;
      for (std::size_t step = 1; step < size && passed < distant_neighbours; ++step) {
        auto here = (is_forward ? of + step : of + size - step) % size;
        if (ring[here].second->zone == zone) continue;
        if (here == at) return true;
        ++passed;
      }
    }
    return false;
  };
  auto self = static_cast<std::size_t>(
      std::ranges::find(ring, &own, [](const auto& entry) { return entry.second; }) - ring.begin());
  for (std::size_t at = 0; at < size; ++at)
    if (at != self &&
        (is_neighbour(self, at) || is_distant_neighbour(self, at) || is_distant_neighbour(at, self)))
      found.insert(ring[at].second->name);
  return found;
}

}  // namespace umbra::cluster
