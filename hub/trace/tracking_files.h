// Searches the files of the tracking log (MSGTRKyyyymmdd-nnnn.log, docs/logs.md) for messages: newest first,
// in both formats, by the names of fields that each file gives. Bounded in octets, time and records; blocks,
// so it runs on a lane of its own. The files are written meanwhile: a last line without its end is one that
// is being written, and files may come, grow and go.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hub/trace/question.h"

namespace umbra::hub {

struct TrackingRecord {
  WallTime time{};
  MessageId id;
  std::vector<std::pair<std::string, std::string>>
      fields;  ///< that are not empty, by name, as in the file; the time is left out
  /// Empty: there is none of that name.
  [[nodiscard]] std::string_view field(std::string_view name) const;
};

struct TrackingLimits {
  std::uint64_t octets_max = 512ULL << 20;  ///< read
  Duration time_max = std::chrono::seconds(4);
  std::size_t records_max = 2'000;
  std::size_t line_octets_max = 64U << 10;  ///< a longer one is no record
};

struct TrackingSearch {
  std::vector<TrackingRecord> records;  ///< by time
  std::vector<std::string> remarks;     ///< what was not looked at, in words
  std::uint64_t octets = 0;             ///< read
  std::size_t files = 0;                ///< looked into
};

/// Records of the question's messages. When it names none, those that fit its other conditions, without their
/// fields, of the newest question.limit messages.
TrackingSearch search_tracking(const std::string& folder, const TraceQuestion& question,
                               const TrackingLimits& limits = {});

}  // namespace umbra::hub
