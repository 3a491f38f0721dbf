// What a spool remembers of a leave, so that one that was interrupted goes on as it was ordered: "leave
// rate=100 to=a,b". Written before the first message is handed over. An earlier release wrote "leave" alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cluster/drain.h"

namespace umbra::cluster {

std::string format_leave(const DrainOrder& order);
/// Nothing: it is no leave. Words that are not known are passed over, wrong ones leave the usual value.
std::optional<DrainOrder> parse_leave(std::string_view note);

}  // namespace umbra::cluster
