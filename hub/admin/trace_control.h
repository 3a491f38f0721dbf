// What the admin API asks about the way of a message. Implemented by hub/trace/tracer.h.
#pragma once

#include "hub/admin/report.h"
#include "hub/net/task.h"
#include "hub/trace/question.h"

namespace umbra::hub {

class TraceControl {
 public:
  virtual ~TraceControl() = default;
  /// {"hubs", "messages", "remarks"} as hub/trace/stories.h tells them. Fails when the spool cannot be read,
  /// or with resource_unavailable_try_again when too many ask at once.
  virtual Task<Result<Json>> trace(TraceQuestion question) = 0;
};

}  // namespace umbra::hub
