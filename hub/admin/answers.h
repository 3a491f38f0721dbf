// What all parts of the admin API answer with.
#pragma once

#include <string>

#include "hub/admin/api.h"
#include "hub/admin/report.h"

namespace umbra::hub {

inline ApiResponse json_answer(const Json& value, unsigned status = 200) {
  return {status, "application/json", to_text(value)};
}
inline ApiResponse error_answer(unsigned status, const std::string& what) {
  return json_answer({{"error", what}}, status);
}
/// The spool did not answer, or not well.
inline ApiResponse unavailable(const Error& error) {
  return error_answer(503, error.what + (error.code ? ": " + error.code.message() : std::string{}));
}

}  // namespace umbra::hub
