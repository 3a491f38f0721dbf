// Umbra-Hop: the header field in which a hub says what became of a message while it had it: when it came and
// went, which way to redundancy its acknowledgement waited for and how long, how often it was tried, who
// owned it. The Received field is written before the copy exists and cannot say that. It is put on top of
// what a next hop is sent (hub/outbound/hop.h), never into the spool, and read by `umbra headers`
// (smtp/hops.h).
//
//   Umbra-Hop: hub=hub-1; host=hub-1.example; id=9f86d081884c7d65-10000000002;
//           received=2026-11-27T23:10:00.123Z; sent=2026-11-27T23:10:00.140Z;
//           redundancy=copy; copies=hub-2; copied=3ms; acknowledged=4ms; attempt=1
//
// Parameters with a name each, separated by ";", in any order. What is not known is left out. Unknown ones
// are passed over. Anybody can write such a field: what is read is a claim.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/message_note.h"

namespace umbra::smtp {

inline constexpr std::string_view hop_field_name = "Umbra-Hop";
inline constexpr std::size_t hop_copies_max = 8;  ///< hubs named; the others are left out

/// What the acknowledgement of a message waited for.
enum class RedundancyWay : std::uint8_t {
  unknown,  ///< accepted by another run of this hub, or by another hub
  copy,     ///< copies on other hubs were durable before the 250
  delayed,  ///< no hub could take one: the 250 waited for the delivery, or for a time that was too long
  none      ///< nothing: the policy asks for no copy, or accepts without
};
std::string_view to_string(RedundancyWay way);

struct Hop {
  std::string hub;   ///< its name in the cluster
  std::string host;  ///< its name in SMTP
  std::optional<MessageId> id;
  std::optional<WallTime> received;  ///< end of data, at the first owner
  std::optional<WallTime> sent;
  RedundancyWay way = RedundancyWay::unknown;
  std::vector<std::string> copies = {};                            ///< hubs that held one before the 250
  std::optional<std::chrono::milliseconds> copied = std::nullopt;  ///< until these held it
  std::optional<std::chrono::milliseconds> acknowledged = std::nullopt;  ///< from the end of data to the 250
  std::optional<std::chrono::milliseconds> filtered =
      std::nullopt;           ///< it waited so long for its content filters, before it was received
  std::uint32_t attempt = 0;  ///< 1: the first; 0: not known
  std::vector<OwnerRecord> owners =
      {};  ///< where it had more than one, by generation; spool and attempts are not said
  bool operator==(const Hop&) const = default;
};

/// The whole field, folded (no line beyond 998 octets, whatever is in it), with its last CRLF. ASCII.
std::string hop_field(const Hop& hop);

/// `value`: what stands behind the colon, folds included. Nothing: it is not in that form. Hostile until
/// parsed.
std::optional<Hop> parse_hop_field(std::string_view value);

}  // namespace umbra::smtp
