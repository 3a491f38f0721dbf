// What hubs tell of messages, put together: one story per message, its records by time, what each spool has
// of it now, and a verdict. Pure; what came from other hubs is hostile until it has passed here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "hub/admin/report.h"
#include "hub/trace/tracking_files.h"

namespace umbra::hub {

/// One hub's part of the answer.
struct HubStory {
  std::string hub;
  std::string why_not = {};                             ///< it did not answer; empty: it did
  std::map<MessageId, Json> spool = {};                 ///< arrays of facts (spool_facts.h)
  std::map<MessageId, std::vector<Json>> records = {};  ///< of its tracking log
  std::vector<std::string> remarks = {};                ///< what it could not look at
};

/// A record as the answers have it.
Json record_report(const std::string& hub, const TrackingRecord& record);

/// The answer of another hub, as told_by() made it there. What it says of itself is said in the name of
/// `hub`. Not understood: why_not.
HubStory parse_story(const std::string& hub, const std::string& body, std::size_t messages_max);

/// The latest time that a hub says of a message: of its records, or when it was accepted.
WallTime latest_word(const HubStory& story, MessageId id);

/// {"hubs": [...], "messages": [...], "remarks": [...]}. `ids`: in this order; each has a story, if only that
/// nobody knows it.
Json tell_stories(const std::vector<MessageId>& ids, const std::vector<HubStory>& hubs);

}  // namespace umbra::hub
