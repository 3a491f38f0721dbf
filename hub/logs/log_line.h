// One line of the log as JSON text, appended to a buffer. On the path of every message, so without a JSON
// library: about a microsecond a line. What comes from the network (addresses, replies) is escaped; octets
// that are not UTF-8 become U+FFFD.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/message_note.h"
#include "hub/logs/event_log.h"

namespace umbra::hub {

/// Writes the lines of one hub. Keeps the text of the present second.
class LogLineWriter {
 public:
  explicit LogLineWriter(std::string_view hub);

  void message(std::string& out, WallTime now, MessageEvent event, MessageId id,
               std::initializer_list<LogField> fields);
  void line(std::string& out, WallTime now, LogLevel level, std::string_view text,
            std::initializer_list<LogField> fields);

 private:
  void begin(std::string& out, WallTime now);

  const std::uint64_t hub_hash_;
  std::string hub_;  ///< ready for use: ","hub":"<name>"
  std::int64_t second_ = -1;
  std::string second_text_;
};

/// Octets of the UTF-8 sequence at the front of `text` (RFC 3629), 0 if it is none. `text` is not empty, and
/// does not begin with ASCII.
std::size_t utf8_length(std::string_view text);
/// A JSON string with its quotation marks; at most `octets_max` octets of `text` are taken.
void append_json_string(std::string& out, std::string_view text, std::size_t octets_max = 4096);
/// RFC 3339 in UTC with microseconds: "2026-11-22T17:23:10.000123Z".
std::string to_text(WallTime time);
/// "accepted", "taken_over", ...
std::string_view to_string(OwnerRecord::How how);
/// "1 accepted by a 2026-11-22T...; 2 taken_over by b 2026-11-22T... after 3 attempts; ...": generation, how,
/// hub, since when, and how often it had been tried when that owner was the last.
std::string to_text(const std::vector<OwnerRecord>& history);

}  // namespace umbra::hub
