#include "hub/logs/event_log.h"

namespace umbra::hub {

std::string_view to_string(MessageEvent event) {
  switch (event) {
    case MessageEvent::accepted:
      return "accepted";
    case MessageEvent::rejected:
      return "rejected";
    case MessageEvent::protected_:
      return "protected";
    case MessageEvent::unprotected:
      return "unprotected";
    case MessageEvent::attempted:
      return "attempted";
    case MessageEvent::delivered:
      return "delivered";
    case MessageEvent::deferred:
      return "deferred";
    case MessageEvent::bounced:
      return "bounced";
    case MessageEvent::discarded:
      return "discarded";
    case MessageEvent::taken_over:
      return "taken_over";
    case MessageEvent::ceded:
      return "ceded";
    case MessageEvent::handed_over:
      return "handed_over";
    case MessageEvent::recovered:
      return "recovered";
    case MessageEvent::possible_duplicate:
      return "possible_duplicate";
    case MessageEvent::shadow_stored:
      return "shadow_stored";
    case MessageEvent::shadow_dropped:
      return "shadow_dropped";
    case MessageEvent::delayed:
      return "delayed";
    case MessageEvent::expired:
      return "expired";
    case MessageEvent::held:
      return "held";
    case MessageEvent::rerouted:
      return "rerouted";
    case MessageEvent::released:
      return "released";
    case MessageEvent::forgotten:
      return "forgotten";
    case MessageEvent::deleted:
      return "deleted";
    case MessageEvent::resent:
      return "resent";
    case MessageEvent::acknowledgement_delayed:
      return "acknowledgement_delayed";
    case MessageEvent::acknowledgement_not_delayed:
      return "acknowledgement_not_delayed";
    case MessageEvent::filtered:
      return "filtered";
    case MessageEvent::filter_bypassed:
      return "filter_bypassed";
    case MessageEvent::copy_failed:
      return "copy_failed";
    case MessageEvent::notified:
      return "notified";
  }
  return "unknown";
}

LogLevel log_level_of(std::string_view name) {
  for (auto level : {LogLevel::debug, LogLevel::info, LogLevel::warning}) {
    if (to_string(level) == name) return level;
  }
  return LogLevel::error;
}

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "unknown";
}

}  // namespace umbra::hub
