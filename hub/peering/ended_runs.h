// Runs of other hubs that are over, told to every hub before it is asked what it knows of their mail (XOVER).
// "Unknown" is worth something only when nothing of those runs can come after it: a hand-over may lie unread
// in a session, or on its way. Only where nobody but a majority or an arbiter ends a run. Owned by Guardian;
// home thread. docs/xshadow.md section 6.4.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hub/peering/ownership.h"

namespace umbra::hub {

class EndedRuns {
 public:
  EndedRuns(Members& members, const Ownership& ownership) : members_(members), ownership_(ownership) {}

  using Spools = std::set<std::pair<std::string, SpoolId>>;
  /// As of now: of each hub, all runs before the one that it lives in, or before the next one when its last
  /// was ended; and every run of those `spools` whose hub has another one now.
  [[nodiscard]] std::vector<smtp::KnownEpoch> known(const Spools& spools) const;
  struct Told {
    std::set<std::string> hubs;   ///< accept nothing of these runs any more. One of an earlier release is
                                  ///< among them: it cannot be told
    std::set<std::string> alive;  ///< are heard by one of those, in a later run or with another spool
  };
  Task<Told> tell(const std::vector<smtp::KnownEpoch>& over);

 private:
  Members& members_;
  const Ownership& ownership_;
};

}  // namespace umbra::hub
