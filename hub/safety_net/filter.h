// Which kept mail is meant: by the time when it ended, its sender, its recipients, and where it was
// delivered. One text form (that of a query in a URL) serves the admin API and the request that is remembered
// in the spool. Pure.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "hub/outbound/router.h"
#include "storage/spool.h"

namespace umbra::hub {

struct KeptFilter {
  WallTime from{};
  WallTime until = WallTime::max();
  std::string sender;     ///< an address, `@domain`, or `<>` for the null sender; empty: any
  std::string recipient;  ///< an address or `@domain`; empty: any
  std::string
      next_hop;  ///< a host, its address (with or without port), a route's name, or a domain; empty: any
  bool include_shadows = false;     ///< also of owners that are silent: they may be gone
  bool accept_unprotected = false;  ///< do not wait for a hub that can take a copy
};

/// "from=SECONDS&until=SECONDS&sender=...&recipient=...&next_hop=...&shadows=1&unprotected=1",
/// percent-encoded; times in microseconds since 1970. Keys of `others` are passed over. The error says what
/// was expected.
std::expected<KeptFilter, std::string> parse_kept_filter(std::string_view query,
                                                         const std::vector<std::string_view>& others = {});
/// The same words for the same filter.
std::string to_query(const KeptFilter& filter);

/// The recipients that are meant, ascending; none: the message is not. Of what another hub delivered the next
/// hop is not known: then it is where this hub would send it now.
std::vector<std::uint32_t> matching_recipients(const storage::KeptMessage& message, const KeptFilter& filter,
                                               const Router& router);

}  // namespace umbra::hub
