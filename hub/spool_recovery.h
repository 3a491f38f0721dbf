// What a hub does with a spool that cannot be opened: a damaged one is set aside where the configuration says
// so, and what only it had is named in the log; every other one is for an operator, with words that say what
// to do.
#pragma once

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "storage/spool_error.h"

namespace umbra::hub {

/// spool.on_corruption, for this configuration.
bool sets_aside(const Config& config);

/// After Spool::open failed with `error`: success means that it is to be tried once more, and finds an empty
/// directory.
Result<void> recover_spool(const Config& config, const std::string& vfs, const Error& error, EventLog& log);

}  // namespace umbra::hub
