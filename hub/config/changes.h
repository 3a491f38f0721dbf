// What differs between two configurations, key by key, and what of the new one a running hub can take. The
// keys, and for each whether a reload changes it, come from the walk that reads the file (describe.cpp).
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/config/visitor.h"

namespace umbra::hub {

struct ConfigChange {
  std::string key;  ///< "listeners[default].limits.recipients"; of an element of a list: "routes[partner]"
  std::optional<std::string>
      from;  ///< as in the file; nothing: the element was not there. Never the content of a secret
  std::optional<std::string> to;  ///< nothing: it is not there any more
  TakesEffect takes_effect = TakesEffect::at_reload;
  bool operator==(const ConfigChange&) const = default;
};
/// "log.level: info -> debug", "routes[partner]: added".
std::string to_string(const ConfigChange& change);

/// By key. Elements of lists are the same where their name is, and without a name where their number is. Of
/// one that was added or removed the keys inside are not listed.
std::vector<ConfigChange> changes_between(const Config& before, const Config& after);

/// `wanted`, but for the keys that take effect at a restart: these are as in `in_force`.
Config with_restart_keys_of(const Config& in_force, const Config& wanted);

}  // namespace umbra::hub
