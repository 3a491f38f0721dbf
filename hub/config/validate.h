// What one key alone cannot show to be wrong: names given twice, a cluster without its own hub, a policy that
// nobody can keep.
#pragma once

#include "hub/config/yaml_reader.h"

namespace umbra::hub {

/// Adds problems to `report`. Reads no file; the cluster's secret is in `config` already.
void validate(Config& config, ReadReport& report);

/// Only what listeners and routes, which a reload changes, need of the cluster, which it does not.
void validate_with_cluster(Config& config, ReadReport& report);

}  // namespace umbra::hub
