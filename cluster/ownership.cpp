#include "cluster/ownership.h"

#include <algorithm>

namespace umbra::cluster {

ReturnDecision decide_return(Generation own, SpoolId self, std::span<const Answer> answers) {
  using What = ReturnDecision::What;
  ReturnDecision best;
  best.generation = own;
  bool has_earlier_owner = false;
  for (const auto& a : answers) {
    // "Done" is a fact, whoever says it and from whatever generation.
    if (a.knows == Knows::done) return {What::finish, a.hub, a.spool, a.epoch, a.generation};
    has_earlier_owner = has_earlier_owner || (a.owns() && a.generation < own);
    // Two owners of one generation: a hub took it over that could reach neither this one nor who handed it
    // over. It has gone on delivering meanwhile; who returns gives way.
    bool is_equal = a.generation == own && best.what == What::own && a.owns();
    if (a.generation <= best.generation && !is_equal) continue;
    if (a.owns())
      best = {What::cede, a.hub, a.spool, a.epoch, a.generation};
    else if (a.knows == Knows::held)
      best = {What::cede, a.owner_hub, a.owner_spool, Epoch{0}, a.generation};
  }
  bool takes_this_for_another = best.what == What::cede && best.spool == self;
  if (takes_this_for_another || (best.what == What::own && has_earlier_owner)) best.what = What::wait;
  return best;
}

namespace {

/// Who is named as the owner in `answer` holds it for another one itself.
bool gave_way_too(const Answer& answer, Generation held, std::span<const Answer> answers) {
  return std::ranges::any_of(answers, [&](const Answer& a) {
    return a.spool == answer.owner_spool && a.knows == Knows::held && a.generation == held;
  });
}

}  // namespace

TakeoverDecision decide_takeover(Generation held, SpoolId owner, std::string_view self,
                                 std::span<const Answer> answers) {
  TakeoverDecision best;
  best.generation = held;
  bool must_wait = false;
  for (const auto& a : answers) {
    if (a.knows == Knows::done) return {TakeoverDecision::What::drop, a.hub, a.spool, a.epoch, a.generation};
    if (a.is_undecided(held) || a.knows == Knows::waiting) must_wait = true;
    // An owner of an earlier generation that this copy's owner is not: it delivers, and tells this hub, which
    // it has noted, what it has done.
    if (a.owns() && a.generation < held && a.spool != owner) must_wait = true;
    bool is_later = a.generation > best.generation;
    // Two had it under one generation (decide_return), and this copy is of the one that is gone or gave way:
    // the other one owns it.
    bool is_second = a.generation == held && best.generation == held && a.spool != owner;
    if ((is_later || is_second) && a.owns())
      best = {TakeoverDecision::What::follow, a.hub, a.spool, a.epoch, a.generation};
    // Not its word: that the named one owns it may be concluded. Who holds the later copy finds out, or takes
    // over by it.
    else if (a.generation > held && a.knows == Knows::held)
      must_wait = true;
    // It gave way to one that does not say so itself this moment. Should that one be gone, who gave way takes
    // over from it.
    else if (a.knows == Knows::held && a.generation == held && a.spool == owner && a.owner_hub != self &&
             !gave_way_too(a, held, answers))
      must_wait = true;
    // The owner that says itself that it holds it: both gave way to one another.
    else if (a.knows == Knows::held && a.generation == held && (a.owner_spool == owner || a.spool == owner) &&
             a.hub < self)
      must_wait = true;
  }
  if (best.what == TakeoverDecision::What::take && must_wait) best.what = TakeoverDecision::What::wait;
  return best;
}

AuditDecision decide_audit(Generation held, Epoch offered_epoch, const Answer& answer) {
  switch (answer.knows) {
    case Knows::done:
      return AuditDecision::drop;
    case Knows::pending:
    case Knows::waiting:
      return AuditDecision::keep;
    case Knows::live:
      return answer.generation < held ? AuditDecision::follow : AuditDecision::keep;
    case Knows::held:
      return AuditDecision::follow;
    case Knows::unknown:
      return answer.epoch == offered_epoch ? AuditDecision::drop : AuditDecision::take;
  }
  return AuditDecision::keep;
}

}  // namespace umbra::cluster
