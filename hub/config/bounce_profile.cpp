#include "hub/config/bounce_profile.h"

#include <algorithm>

namespace umbra::hub {
namespace {

const BounceProfileConfig& exchange() {
  static const BounceProfileConfig profile;
  return profile;
}

const BounceProfileConfig& esa() {
  static const BounceProfileConfig profile = [] {
    BounceProfileConfig made;
    made.retry = {{1, 1min}, {1, 2min}, {1, 4min}, {1, 8min}, {1, 16min}, {1, 32min}, {0, 60min}};
    made.retries_max = 100;
    made.expiry = 72h;
    made.delay_warning = Duration{0};
    return made;
  }();
  return profile;
}

}  // namespace

const BounceProfileConfig* find_bounce_profile(const Config& config, std::string_view name) {
  auto written = std::ranges::find(config.bounce_profiles, name, &BounceProfileConfig::name);
  if (written != config.bounce_profiles.end()) return &*written;
  if (name == "exchange") return &exchange();
  if (name == "esa") return &esa();
  return nullptr;
}

const BounceProfileConfig& bounce_profile_of(const Config& config, const RouteConfig* route) {
  if (route == nullptr || route->bounce_profile.empty()) return config.delivery;
  const auto* named = find_bounce_profile(config, route->bounce_profile);
  return named != nullptr ? *named : config.delivery;
}

}  // namespace umbra::hub
