// What an operation that can fail returns: a value, or which operation failed and why.
// What happens to mail (a 4xx, a 5xx) is a value, not an error; a broken invariant aborts (UMBRA_ASSERT).
#pragma once

#include <expected>
#include <string>
#include <system_error>
#include <utility>

namespace umbra {

/// A failed operation: its code, and in words which operation on what ("open spool /var/lib/umbra: ...").
struct Error {
  std::error_code code;
  std::string what;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> failure(std::error_code code, std::string what) {
  return std::unexpected<Error>(Error{code, std::move(what)});
}
inline std::unexpected<Error> failure(std::errc code, std::string what) {
  return failure(std::make_error_code(code), std::move(what));
}

[[noreturn]] void invariant_broken(const char* expression, const char* file, int line);

}  // namespace umbra

/// An invariant: checked in release too; the process ends with a message rather than go on wrongly.
#define UMBRA_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::umbra::invariant_broken(#expression, __FILE__, __LINE__))
