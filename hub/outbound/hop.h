// The Umbra-Hop field of one attempt (smtp/hop_field.h): what this hub knows of a message that it sends to a
// next hop.
#pragma once

#include <string>

#include "hub/outbound/job.h"

namespace umbra::hub {

/// The whole field; empty when it is switched off (delivery.trace_field).
std::string hop_field_of(const Config& config, const Job& job, WallTime now);

}  // namespace umbra::hub
