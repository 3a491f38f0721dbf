#include "cluster/identity.h"

#include <algorithm>

namespace umbra::cluster {

Standing judge(const std::optional<Identity>& remembered, Epoch live, const Identity& heard,
               const std::optional<Identity>& before) {
  if (!remembered) return Standing::first_seen;
  if (remembered->spool != heard.spool) return Standing::replaced;
  // It had told us of more commits before it made this hello.
  if (before && before->spool == heard.spool && heard.sequence < before->sequence)
    return Standing::rolled_back;
  // The sessions of one run race, so an older sequence from the run we hear says nothing, not even once that
  // run has been ended; from any other it says that commits which we were told of have never happened.
  if (heard.epoch != live && heard.sequence < remembered->sequence) return Standing::rolled_back;
  if (heard.epoch < remembered->epoch) return Standing::epoch_over;
  return heard.epoch == remembered->epoch ? Standing::same : Standing::restarted;
}

Identity remember(const std::optional<Identity>& remembered, const Identity& heard) {
  Identity result = heard;
  if (remembered && remembered->spool == heard.spool) {
    result.epoch = std::max(remembered->epoch, heard.epoch);
    result.sequence = std::max(remembered->sequence, heard.sequence);
  }
  return result;
}

}  // namespace umbra::cluster
