// Copies nobody speaks of: their living owner is asked what became of them. Part of Guardian.
#include "hub/peering/guardian.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using storage::Shadow;

constexpr std::size_t page = 200;

}  // namespace

Task<void> Guardian::audit(std::string hub, SpoolId spool) {
  auto after = audits_[spool].up_to;
  bool may_advance = true;
  bool is_answering = true;
  while (!is_stopping_) {
    auto shadows = co_await query<std::vector<Shadow>>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    std::vector<MessageId> ids;
    for (const auto& shadow : *shadows) ids.push_back(shadow.id);
    auto answers = co_await ask(ids, hub);
    Copies dropped;
    std::vector<Shadow> unclear;
    for (auto& shadow : *shadows) {
      auto row = shadow.row;
      const auto& heard = answers[shadow.id];
      if (heard.empty() || heard.front().spool != spool) {
        is_answering = false;
        break;
      }
      switch (cluster::decide_audit(shadow.generation, shadow.owner_epoch, heard.front())) {
        case cluster::AuditDecision::keep:
          // Everything else is looked at again next time, if it is still there.
          if (heard.front().knows != cluster::Knows::live) may_advance = false;
          break;
        case cluster::AuditDecision::drop:
          may_advance = false;
          dropped.push_back(
              {shadow.id, shadow.generation, shadow.owner_hub, heard.front().knows == cluster::Knows::done});
          break;
        case cluster::AuditDecision::take:
        case cluster::AuditDecision::follow:
          may_advance = false;
          unclear.push_back(std::move(shadow));
          break;
      }
      if (auto at = audits_.find(spool); may_advance && at != audits_.end()) at->second.up_to = row;
    }
    if (!dropped.empty()) co_await drop(std::move(dropped));
    if (!unclear.empty()) co_await decide(std::move(unclear), MessageEvent::recovered);
    if (!is_answering || !audits_.contains(spool))
      break;  // or its owner began another run meanwhile: from the start
  }
}

}  // namespace umbra::hub
