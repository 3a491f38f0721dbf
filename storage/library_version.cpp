#include "storage/library_version.h"

#include <sqlite3.h>

namespace umbra::storage {

const char* sqlite_version() { return sqlite3_libversion(); }

}  // namespace umbra::storage
