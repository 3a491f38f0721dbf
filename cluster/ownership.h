// Who owns a message? The three questions of pairwise ownership, each decided from what the hubs asked have
// answered: a returning owner's, a taker's, and a holder's about a copy whose fate it does not know. Pure:
// answers in, decision out. docs/xshadow.md gives the rules and their reasons.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace umbra::cluster {

enum class Knows : std::uint8_t { unknown, pending, live, waiting, held, done };

/// What one hub answered about one message. A hub that gave no answer has no entry.
struct Answer {
  std::string hub;  ///< who answered
  SpoolId spool;    ///< its spool and epoch when it answered
  Epoch epoch;
  Knows knows = Knows::unknown;
  Generation generation;  ///< all but unknown; pending: the one that is handed over, or 0
  std::string owner_hub;  ///< held: for whom
  SpoolId owner_spool;

  [[nodiscard]] bool owns() const { return knows == Knows::live || knows == Knows::waiting; }
  /// It does not know yet what becomes of generation `of`. Who gives an earlier one away says nothing of this
  /// one.
  [[nodiscard]] bool is_undecided(Generation of) const {
    return knows == Knows::pending && (generation == Generation{0} || generation >= of);
  }
};

/// A returning hub, whose spool is `self`, has a message of generation `own`.
struct ReturnDecision {
  enum class What : std::uint8_t {
    own,     ///< nobody has it under a later generation: still ours
    cede,    ///< `hub` owns it under `generation`: keep it as that hub's shadow
    finish,  ///< it is done: `hub` said so
    wait  ///< somebody owns an earlier generation, or takes this hub for the owner of a later one: it finds
          ///< out soon, and knows more then
  };
  What what = What::own;
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  Generation generation;
};
ReturnDecision decide_return(Generation own, SpoolId self, std::span<const Answer> answers);

/// A holder wants to take over a shadow of generation `held`, whose owner (`owner`) is gone. Among several
/// that hold it, the first by name goes first: that order is the same on all of them, whatever each was told
/// when its copy was offered, so no two ever wait for one another.
struct TakeoverDecision {
  enum class What : std::uint8_t {
    take,    ///< become the owner
    follow,  ///< `hub` says that it owns it under `generation`, a later one or another owner's of the same:
             ///< be its holder
    drop,    ///< it is done
    wait,    ///< somebody knows in a moment (waiting for a final reply, accepting), holds a later copy, comes
             ///< first, or owns an earlier generation
  };
  What what = What::take;
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  Generation generation;
};
TakeoverDecision decide_takeover(Generation held, SpoolId owner, std::string_view self,
                                 std::span<const Answer> answers);

/// A holder asked the living owner about a shadow it offered in `offered_epoch` under `held`.
enum class AuditDecision : std::uint8_t {
  keep,
  drop,   ///< done, or never accepted: the same run that offered it does not know it
  take,   ///< a later run of the owner's spool does not know it: it may have been acknowledged, so it is ours
          ///< now (recovered)
  follow  ///< the former owner is not the owner any more: ask everybody (decide_takeover)
};
AuditDecision decide_audit(Generation held, Epoch offered_epoch, const Answer& answer);

}  // namespace umbra::cluster
