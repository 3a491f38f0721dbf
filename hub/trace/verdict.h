// Where a message is, in one sentence and as facts for scripts, from what the spools of the hubs have of it
// and what their tracking logs say. What a spool has counts for more than what a log says: the log may have
// lost lines, the spool has not. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hub/admin/report.h"

namespace umbra::hub {

/// null where there is none: what another hub has told may be anything.
const Json& member(const Json& object, const char* name);

/// "name=value;name=value" in the field custom-data of a record: the value of that name; empty: there is
/// none.
std::string custom_of(const Json& record, std::string_view name);
/// To whom a record says that a message was sent; empty: it does not.
std::string next_hop_of(const Json& record);

/// {"state": queued | held | handing_over | copies_only | delivered | bounced | deleted | partly_delivered |
/// refused | ended | unknown, "at": hub or null, "copies": [hubs], "text": a sentence}. `facts` and `records`
/// as hub/trace/stories.h has them, by time; `silent`: hubs that did not answer.
Json verdict_of(const Json& facts, const Json& records, const std::vector<std::string>& silent);

}  // namespace umbra::hub
