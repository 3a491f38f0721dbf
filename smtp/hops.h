// The way of a delivered message, from its header: every Received field, and the Umbra-Hop fields above those
// of hubs. Pure and bounded, for hostile input; called by `umbra headers`.
//
// Anybody who had a message can have written any field below his own. Reading from the top, one hop after the
// other is believed as far as the one above it is: a hub is believed about what it did, and what is below its
// Received field came in with the message. It is believed on only where the host that wrote it is one of
// `own`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/hop_field.h"
#include "smtp/received_field.h"

namespace umbra::smtp {

inline constexpr std::size_t header_octets_read_max = 1U << 20;
inline constexpr std::size_t hops_max = 500;

/// A Received field and the Umbra-Hop field right above it; or an Umbra-Hop field that stands alone.
struct HopRead {
  std::optional<Received> received;
  std::optional<Hop> hop;
  bool has_hop_field = false;  ///< without `hop`: it is not in the form of one
  std::size_t line = 0;        ///< of the first of the two, from 1
  std::string doubt;           ///< why it is not to be believed; empty: it is as good as the hop above it
};

struct HopsRead {
  std::vector<HopRead> hops;  ///< from the top: the last hop first
  bool is_cut = false;        ///< the header goes on beyond what was read
};

/// `message`: its octets, or the first of them; line ends CRLF or LF; a "From " line on top is passed over.
/// `own`: host names, in any case.
HopsRead read_hops(std::string_view message, const std::vector<std::string>& own);

}  // namespace umbra::smtp
