// What the process ends with, the same for every command (docs/operations.md). A drain has its own
// (drain_view.h): 3 and more say how it ended.
#pragma once

namespace umbra::hub {

enum ExitCode : int { done = 0, problem = 1, usage = 2, unreachable = 3, not_found = 4, refused = 5 };

}  // namespace umbra::hub
