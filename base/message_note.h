// What a holder knows of a message beyond its envelope and the recipients that are done: whether the operator
// held it or sent it another way, the next alarm, what was attempted, and who owned it. Told between hubs
// (XNOTE), kept with message and shadow in the spool.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace umbra {

/// One owner of a message, and how it became that.
struct OwnerRecord {
  enum class How : std::uint8_t { unknown = 0, accepted = 1, taken_over = 2, recovered = 3, handed_over = 4 };
  Generation generation;
  How how = How::unknown;
  std::string hub;
  SpoolId spool;
  WallTime since{};            ///< 0: not known
  std::uint32_t attempts = 0;  ///< of its own and of the owners before, when it was the owner last
  bool operator==(const OwnerRecord&) const = default;
};

/// What a holder knows of a message beyond its envelope and the recipients that are done: what the owner has
/// told of it (XNOTE). Whoever takes the message over goes on from there.
struct MessageNote {
  std::uint32_t number =
      0;                 ///< higher with every change at that owner; 0: nothing was told by the present owner
  bool is_held = false;  ///< by the operator
  WallTime
      alarm_at{};  ///< the owner's next alarm: the expiry once the sender was told of the delay; 0: not known
  std::vector<std::pair<std::string, std::uint32_t>> attempts;  ///< by destination, where there were any
  std::string last_error;
  std::vector<OwnerRecord> history;  ///< by generation; the present owner is the last
  std::string next_hop = {};         ///< the destination that the operator said; empty: as the routes say
  [[nodiscard]] bool is_empty() const { return *this == MessageNote{}; }
  bool operator==(const MessageNote&) const = default;
};
inline constexpr std::size_t owner_records_max = 16;  ///< the first, and the latest
inline constexpr std::size_t noted_destinations_max = 32;
inline constexpr std::size_t next_hop_octets_max =
    280;  ///< of a destination that an operator said: a name of 253 octets, kind and port
/// At most owner_records_max are kept.
void add_owner(std::vector<OwnerRecord>& history, OwnerRecord owner);

}  // namespace umbra
