// Is a write-ahead log cut short by decay? SQLite reads one up to its first frame that does not check and
// takes that for its end, which after a loss of power it is. But every commit of ours was synced before the
// next one was written: behind a frame that does not check there can be the end of one transaction, and never
// of two that continue one another. If there are two, committed mail lies behind a decayed frame, and would
// vanish without a word. (Decay in the last two transactions cannot be told from a loss of power.) (Format:
// sqlite.org/fileformat2.html, section 4.)
#pragma once

#include <string>

#include "base/result.h"

namespace umbra::storage {

/// Fails with SpoolFault::damaged when it is. No log, or an empty one, is fine. Reads all of it: call before
/// it is opened. False: its header does not check, SQLite will take it for empty.
Result<bool> check_wal(const std::string& vfs, const std::string& path);

}  // namespace umbra::storage
