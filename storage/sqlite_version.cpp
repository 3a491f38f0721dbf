#include "storage/sqlite_version.h"

#include <sqlite3.h>

namespace umbra::storage {

std::string sqlite_version() {
  return sqlite3_libversion();
}

}  // namespace umbra::storage
