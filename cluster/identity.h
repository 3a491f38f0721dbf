// Who is this hub that says its name? Decides from what is remembered of it whether it is the same run, a
// restart, a new spool, a run whose epoch is over, or a spool that was rolled back (a restored backup). Never
// from addresses.
#pragma once

#include <optional>
#include <string>

#include "base/ids.h"

namespace umbra::cluster {

/// What is known of another hub; durable.
struct Identity {
  SpoolId spool;
  Epoch epoch;  ///< the lowest epoch that is accepted from it: ending an epoch is remembering the next one
  Sequence sequence;  ///< highest heard
  bool operator==(const Identity&) const = default;
};

enum class Standing : std::uint8_t {
  first_seen,   ///< nothing is remembered of this hub
  same,         ///< the run we know
  restarted,    ///< same spool, later epoch: it is back with its mail
  replaced,     ///< another spool: the old one is gone for good
  epoch_over,   ///< this run's epoch has been ended (its mail was taken over): it must begin the next one
  name_taken,   ///< another spool, while the one that is known is alive: two hubs have one name
  rolled_back,  ///< its history went backwards: a restored backup, not to be trusted with any mail
};

/// Judges a hub that opens a session. Does not change anything. Never says name_taken: who has heard the
/// other one lately knows. `live`: the epoch of its run that this run of ours has heard from last, 0 when it
/// has not heard of it yet. (Identity::epoch is not that: it is one more once that run has been ended.)
/// `before`: what was remembered already when the hello that says `heard` was made. A backup may begin the
/// very epoch that is heard, and only by this it is told from a run whose sessions race.
Standing judge(const std::optional<Identity>& remembered, Epoch live, const Identity& heard,
               const std::optional<Identity>& before = std::nullopt);

/// What to remember after `heard` was judged first_seen, same, restarted or replaced.
Identity remember(const std::optional<Identity>& remembered, const Identity& heard);

}  // namespace umbra::cluster
