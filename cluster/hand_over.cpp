#include "cluster/hand_over.h"

namespace umbra::cluster {

HandOverDecision decide_hand_over(Generation own, const Receiver& receiver, std::span<const Answer> others) {
  using What = HandOverDecision::What;
  HandOverDecision best;
  best.generation = own;
  bool must_wait = false;
  auto look = [&](const Answer& a) {
    if (a.knows == Knows::done) {
      best = {What::finish, a.hub, a.spool, a.epoch, a.generation};
      return true;
    }
    // Who hands on an earlier generation than ours waits for what we are about to say: it comes to a later
    // one only by us.
    if (a.is_undecided(own)) must_wait = true;
    if (a.generation <= best.generation) return false;
    if (a.owns())
      best = {What::follow, a.hub, a.spool, a.epoch, a.generation};
    else if (a.knows == Knows::held)
      best = {What::follow, a.owner_hub, a.owner_spool, Epoch{0}, a.generation};
    return false;
  };
  if (receiver.answer && look(*receiver.answer)) return best;
  for (const auto& answer : others)
    if (look(answer)) return best;
  if (best.what == What::follow) return best;
  best = {};
  best.generation = own;
  if (must_wait) return best;
  if (receiver.is_gone) {
    // It may have owned the message when it went. As its holder this hub takes it over by the rules for every
    // holder.
    return {What::follow, receiver.hub, receiver.spool, receiver.epoch, Generation{own.value + 1}};
  }
  // Whatever else it said: it does not own it under the generation it was offered, and refuses that offer
  // from now on.
  if (receiver.answer) best.what = What::own;
  return best;
}

}  // namespace umbra::cluster
