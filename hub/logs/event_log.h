// The trace of every message: one structured line (JSON) per event with the message id. And the hub's own log
// lines.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/ids.h"

namespace umbra::hub {

/// What can happen to a message (design brief section 3). Names as logged: snake_case of these.
enum class MessageEvent : std::uint8_t {
  accepted,
  rejected,
  protected_,
  unprotected,
  attempted,
  delivered,
  deferred,
  bounced,
  discarded,
  taken_over,
  ceded,
  handed_over,
  recovered,
  possible_duplicate,
  shadow_stored,
  shadow_dropped,
  delayed,
  expired,
  held,
  released,
  rerouted,  ///< by the operator: to another next hop than its routes say, or back
  forgotten,
  deleted,                      ///< by the operator: neither delivered nor bounced
  resent,                       ///< made from what the safety net keeps
  acknowledgement_delayed,      ///< the 250 waited for delivery or a copy
  acknowledgement_not_delayed,  ///< it was sent without waiting, though its message is unprotected
  filtered,                     ///< a content filter refused, discarded or changed it
  filter_bypassed,              ///< it was taken without a content filter that is down
  copy_failed,                  ///< a hub that was offered a copy did not confirm it
  notified,                     ///< it is a delivery status notification, made here
};
std::string_view to_string(MessageEvent event);

struct LogField {
  std::string_view name;
  std::variant<std::string_view, std::int64_t> value;
  bool is_for_tracking =
      false;  ///< for the record of the tracking log (hub/logs/tracking_log.h), not for the line of the trace
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };
std::string_view to_string(LogLevel level);
LogLevel log_level_of(std::string_view name);

class EventLog {
 public:
  virtual ~EventLog() = default;
  virtual void message(MessageEvent event, MessageId id, std::initializer_list<LogField> fields) = 0;
  virtual void line(LogLevel level, std::string_view text, std::initializer_list<LogField> fields) = 0;
  /// Lines below it are left out from now on.
  virtual void set_level(LogLevel) {}
  /// Somebody keeps the fields that are for tracking; else they need not be made.
  [[nodiscard]] virtual bool keeps_tracking() const { return false; }
  /// The same of subjects.
  [[nodiscard]] virtual bool keeps_subjects() const { return false; }
  /// Lines that were never written, because the log could not keep up or be written, and octets of them.
  [[nodiscard]] virtual std::uint64_t lines_dropped() const { return 0; }
  [[nodiscard]] virtual std::uint64_t octets_lost() const { return 0; }
};

}  // namespace umbra::hub
