// What is suspended, as plain data, and how it is written in the spool.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

struct Suspension {
  enum class What : std::uint8_t { listener, delivery };
  What what = What::delivery;
  std::string name = {};  ///< a listener's; a destination as `umbra queue show` names it; "*": all of them
  WallTime since = {};
  WallTime until = WallTime::max();  ///< max(): until it is resumed
  std::string reason = {};
  bool operator==(const Suspension&) const = default;
};
std::string_view to_string(Suspension::What what);

struct SuspensionList {
  std::vector<Suspension> now = {};
  /// Deliveries that were suspended once: what waited then is as much younger. `until` is when they ended.
  std::vector<Suspension> past = {};
};
/// One JSON text.
std::string to_text(const SuspensionList& list);
/// Errors: not such a text.
Result<SuspensionList> parse_suspensions(const std::string& text);

}  // namespace umbra::hub
