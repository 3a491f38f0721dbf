// Things in the order of their times; those of one moment stay as they were. (std::stable_sort of libstdc++
// 12 uses what C++20 has removed.)
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace umbra::hub {

template <class Thing, class TimeOf>
void sort_by_time(std::vector<Thing>& things, TimeOf time_of) {
  std::vector<std::pair<WallTime, std::size_t>> order;
  order.reserve(things.size());
  for (std::size_t i = 0; i < things.size(); ++i) order.emplace_back(time_of(things[i]), i);
  std::ranges::sort(order);
  std::vector<Thing> sorted;
  sorted.reserve(things.size());
  for (const auto& [time, place] : order) sorted.push_back(std::move(things[place]));
  things = std::move(sorted);
}

}  // namespace umbra::hub
