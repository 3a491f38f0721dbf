// Which SQLite the spool is kept with: for `umbra version`.
#pragma once

namespace umbra::storage {

/// "3.40.1"
const char* sqlite_version();

}  // namespace umbra::storage
