// What a spool can be besides failing: the codes that somebody decides upon. Everything else that goes wrong
// in storage has a std::errc. Both compare equal to the std::errc that they refine (io_error, not_supported).
#pragma once

#include <system_error>

#include "base/result.h"

namespace umbra::storage {

enum class SpoolFault : int {
  damaged = 1,  ///< what was read makes no sense: nothing of this file may be believed any more
  not_the_last  ///< whole, but not what was here last: a restored backup, another spool's database, or
                ///< another hub's spool
};

std::error_code make_error_code(SpoolFault fault);

/// A write that failed so may be found after the next start all the same: its octets were written, and only
/// their sync failed.
inline bool may_have_been_kept(const Error& error) {
  return error.code == std::errc::io_error;
}

inline bool is_damage(const Error& error) {
  return error.code == make_error_code(SpoolFault::damaged);
}

}  // namespace umbra::storage

template <>
struct std::is_error_code_enum<umbra::storage::SpoolFault> : std::true_type {};
