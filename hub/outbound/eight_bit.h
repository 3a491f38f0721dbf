// 8-bit mail to a next hop without 8BITMIME (RFC 6152 section 3): bounced, or converted to 7 bits, as the
// route says.
#pragma once

#include "hub/outbound/job.h"
#include "hub/outbound/parts.h"

namespace umbra::hub {

/// Nothing: `job->body` is now a 7-bit form of the message. Otherwise why not: 5.6.3, or 4.3.0 when the spool
/// could not be read. A message of more than a megabyte is not converted.
Task<std::optional<smtp::Reply>> make_seven_bit(Parts& parts, JobPtr job);

}  // namespace umbra::hub
