#include "hub/peering/ended_runs.h"

#include "smtp/shadow_capabilities.h"

namespace umbra::hub {
namespace {

constexpr Duration tell_timeout = 2s;

}  // namespace

std::vector<smtp::KnownEpoch> EndedRuns::known(const std::string& hub, SpoolId spool) const {
  std::vector<smtp::KnownEpoch> over;
  for (const auto& member : members_.all()) {
    if (!member->identity) continue;
    const auto& now = *member->identity;
    if (member->name() == hub && now.spool != spool) over.push_back({hub, spool, every_run});
    // What only this hub has ended is not over: others may hear it still.
    bool lives = !member->is_fenced && member->live_epoch == now.epoch;
    if (lives || ownership_.is_out(*member, now.spool)) over.push_back({member->name(), now.spool, now.epoch});
  }
  return over;
}

Task<EndedRuns::Told> EndedRuns::tell(const std::vector<smtp::KnownEpoch>& over) {
  Told told;
  for (const auto& member : members_.all()) {
    if (!member->control->is_open() || !member->identity) continue;
    auto spool = member->identity->spool;
    if (member->control->offers(smtp::over_capability)) {
      auto outcome = co_await member->control->call(smtp::format_over(over), tell_timeout);
      if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) continue;
      for (const auto& run : smtp::parse_epochs(outcome.reply.text)) told.alive.insert(run.hub);
    }
    if (member->identity->spool == spool) told.hubs.insert(member->name());
  }
  co_return told;
}

}  // namespace umbra::hub
