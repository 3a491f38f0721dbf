// How long to wait after the n-th failure: the ladder of DeliveryConfig::retry. For messages
// (QueueEntry::attempts) and for destinations that cannot be connected.
#pragma once

#include <cstdint>
#include <vector>

#include "hub/config/config.h"

namespace umbra::hub {

/// `failures`: how many so far, from 1. A ladder that ends repeats its last step.
inline Duration retry_wait(const std::vector<RetryStep>& ladder, std::uint32_t failures) {
  std::uint64_t reached = 0;
  for (const auto& step : ladder) {
    reached += step.times;
    if (step.times == 0 || failures <= reached) return step.wait;
  }
  return ladder.empty() ? Duration(std::chrono::minutes(10)) : ladder.back().wait;
}

}  // namespace umbra::hub
