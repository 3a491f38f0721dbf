// The stories of messages (hub/trace/stories.h) as text for people.
#pragma once

#include <string>

#include "hub/admin/report.h"

namespace umbra::hub {

/// Whatever is in the answer: control characters are made harmless, what is not as expected is left out.
std::string story_view(const Json& answer);

}  // namespace umbra::hub
