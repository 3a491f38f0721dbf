// Majority ownership over a static list of hubs, as pure decisions: when a hub's lease is alive, when a hub
// may vote that another one's epoch is over, when one that has a new spool may take part again.
// docs/xshadow.md section 6 gives the rules, docs/decisions/0009 their reasons.
//
// Exclusive without a log: a lease needs promises of a majority (the owner included), the end of an epoch
// needs votes of a majority (the owner not among them), two majorities share a hub, and no hub does both: it
// votes only after its own promise has run out, and whoever has voted grants that epoch nothing any more,
// durably.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "cluster/identity.h"

namespace umbra::cluster {

/// More than half of `members`.
constexpr std::size_t majority_of(std::size_t members) {
  return members / 2 + 1;
}

/// What two hubs must have in common before promises and votes between them count: the mode, and the names of
/// the list in any order. 16 hexadecimal digits.
std::string agreement_of(std::string_view mode, std::vector<std::string> names);

/// What a hub that is asked for its vote knows.
struct Voter {
  bool is_admitted = false;            ///< its spool takes part (see may_be_admitted)
  bool agrees = false;                 ///< asker and voter have the same list and mode
  std::optional<Identity> remembered;  ///< of the hub in question; epoch: the lowest that is accepted
  Epoch live;                          ///< of the run that this run of the voter has heard of; 0: none
  bool is_fenced = false;              ///< the voter has ended the last run that it heard of
  bool is_silent = false;  ///< every promise that the voter, or an earlier run of it, gave has run out
};

struct Vote {
  bool is_yes = false;
  Epoch over_below;      ///< yes: from now on the voter refuses every epoch below this, durably
  std::string_view why;  ///< no
};

/// `spool` is what the asker holds copies of, `over_below` the epochs that it wants ended.
Vote decide_vote(const Voter& voter, SpoolId spool, Epoch over_below);

/// A spool that has never taken part may stand for one that was lost, with its votes. It neither votes nor
/// promises before every other hub of the list has told it which epochs are over: then it knows every vote
/// that was ever counted, since whoever counts votes has given its own before. `answered`: other hubs that
/// have; `others`: on the list.
constexpr bool may_be_admitted(std::size_t answered, std::size_t others) {
  return answered >= others;
}

}  // namespace umbra::cluster
