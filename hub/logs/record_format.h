// One record as text: values separated by commas (RFC 4180), or an object of JSON. Always one line, whatever
// the network has put into the values: control characters become U+FFFD in CSV and escapes in JSON, octets
// that are not UTF-8 become U+FFFD, a long value is cut.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "hub/config/config.h"

namespace umbra::hub {

inline constexpr std::size_t record_value_octets_max = 4096;  ///< then "..." follows

/// What kinds of record logs there are, and what their records are made of.
struct RecordKind {
  std::string_view name;    ///< in metrics and messages
  std::string_view prefix;  ///< of its files
  std::string_view type;    ///< as the files say it
  std::string_view fields;  ///< separated by commas; the first is date-time
};
inline constexpr RecordKind record_kinds[] = {
    {"protocol receive", "RECV", "SMTP Receive Protocol Log",
     "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"},
    {"protocol send", "SEND", "SMTP Send Protocol Log",
     "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"},
    {"connectivity", "CONNECTLOG", "Transport Connectivity Log",
     "date-time,session,source,destination,direction,description"},
    {"tracking", "MSGTRK", "Message Tracking Log",
     "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-"
     "id,internal-message-id,message-id,"
     "network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-"
     "address,reference,message-subject,"
     "sender-address,return-path,message-info,directionality,original-client-ip,custom-data,log-id,schema-"
     "version,trace-id,span-id"},
};

/// Writes the records of one kind. Keeps the text of the present second.
class RecordWriter {
 public:
  RecordWriter(const RecordKind& kind, RecordLogsConfig::Format format);
  /// One line. `values` as RecordLog::write() has them; fewer leave the last fields empty.
  void write(std::string& out, WallTime time, std::span<const std::string_view> values);
  /// What a file begins with; empty in JSON.
  [[nodiscard]] std::string first_lines(WallTime now) const;

 private:
  void write_time(std::string& out, WallTime time);

  const RecordKind& kind_;
  const bool is_json_;
  std::vector<std::string> names_;  ///< ready for use: `"name":`
  std::int64_t second_ = INT64_MIN;
  std::string second_text_;
};

/// The day of a record that RecordWriter has written, "20261127".
std::string day_of_record(std::string_view record, RecordLogsConfig::Format format);
/// A value of RFC 4180, in quotation marks where it has to be.
void append_csv_value(std::string& out, std::string_view value,
                      std::size_t octets_max = record_value_octets_max);

}  // namespace umbra::hub
