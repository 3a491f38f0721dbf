// The tables of a spool and how an older file is brought up to them. Called once by Spool::open, on the
// writer connection.
//
// The version is in user_version; steps go forward only, each in one transaction. A file of a newer version,
// or one that is not a spool, is refused and left as it is.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "storage/database.h"

namespace umbra::storage {

inline constexpr std::int64_t schema_version = 11;

/// Brings the file to schema_version. A new file gets its spool id from `random`, and epoch 0.
Result<void> migrate(Database& database, Random& random);

}  // namespace umbra::storage
