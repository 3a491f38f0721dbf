// What this hub's spool knows of messages now: what it owns, holds for others, has kept in its safety net, or
// has finished and still owes the word of. For traces; home thread, reads in short pieces.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hub/admin/report.h"
#include "hub/net/runtime.h"
#include "hub/trace/question.h"

namespace umbra::hub {

struct SpoolPlace {
  Runtime runtime;
  storage::Spool& spool;
  std::string hub;  ///< its name
  bool has_safety_net = false;
};

/// By message: objects with "role": owner, shadow, kept, done.
Task<Result<std::map<MessageId, Json>>> facts_in_spool(SpoolPlace place, std::vector<MessageId> ids,
                                                       std::vector<std::string>& remarks);

/// When they were accepted, and which: the newest messages that fit the question, which names none. Those
/// with a `message_id` are not found here: envelopes do not have it.
Task<Result<std::vector<std::pair<WallTime, MessageId>>>> find_in_spool(SpoolPlace place,
                                                                        TraceQuestion question,
                                                                        std::vector<std::string>& remarks);

}  // namespace umbra::hub
