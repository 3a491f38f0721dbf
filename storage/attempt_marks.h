// Which messages are in the hands of delivery at this instant, kept in memory that outlives the process but
// need not outlive the machine: a mapped file costs a store per attempt, and no sync. What the next start of
// the hub finds there was under way when the process ended without a word, so each of these is a suspect
// (storage/suspects.h). After a loss of power the file may say anything old or nothing, which is right: that
// was not the fault of a message.
//
// One thread. A region may be cut at any instant: a slot counts only with both of its words.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace umbra::storage {

/// What the run before was delivering when it ended.
struct Interrupted {
  SpoolId spool;
  Epoch epoch;
  std::vector<MessageId> attempts;
};

class AttemptMarks {
 public:
  static constexpr std::size_t slots = 4094;  // more attempts than that at once go unmarked
  struct Slot {
    std::uint64_t spool;  ///< 0: free; written last, cleared first
    std::uint64_t number;
  };
  /// All zeros to begin with. 64 KiB.
  struct Region {
    std::uint64_t magic;
    std::uint64_t spool;
    std::uint64_t epoch;
    std::uint64_t unused;
    Slot slot[slots];
  };

  /// Maps <directory>/spool.attempts, made when it is not there.
  static Result<std::unique_ptr<Region, void (*)(Region*)>> map(const std::string& directory);
  /// Nothing: no run has written there.
  static std::optional<Interrupted> read(const Region& region);

  /// Begins a run: whatever was marked is forgotten. `region` outlives this.
  AttemptMarks(Region& region, SpoolId spool, Epoch epoch);

  /// An attempt begins; several of one message (to several destinations) count once.
  void begin(MessageId id);
  void end(MessageId id);

 private:
  struct Mark {
    std::uint16_t slot = 0;
    std::uint16_t attempts = 0;
  };
  Region& region_;
  std::map<MessageId, Mark> marks_;
  std::vector<std::uint16_t> free_;
};

}  // namespace umbra::storage
