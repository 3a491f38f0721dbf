#include "cluster/arbiter.h"

#include <algorithm>

namespace umbra::cluster {

void ArbiterView::saw(const std::vector<ArbiterRecord>& records, MonotonicTime asked_at,
                      MonotonicTime heard_at) {
  std::map<std::string, Seen> now;
  for (const auto& record : records) {
    auto before = seen_.find(record.hub);
    bool is_same = before != seen_.end() && before->second.record.renewal == record.renewal &&
                   before->second.record.spool == record.spool &&
                   before->second.record.epoch == record.epoch &&
                   before->second.record.is_over == record.is_over;
    now.insert_or_assign(record.hub, Seen{record, is_same ? before->second.since : heard_at});
  }
  seen_ = std::move(now);
  last_asked_ = std::max(last_asked_, asked_at);
}

const ArbiterRecord* ArbiterView::find(const std::string& hub) const {
  auto at = seen_.find(hub);
  return at == seen_.end() ? nullptr : &at->second.record;
}

std::vector<ArbiterRecord> ArbiterView::live(Duration lease) const {
  std::vector<ArbiterRecord> records;
  for (const auto& [hub, seen] : seen_)
    if (!seen.record.is_over && !is_stale(seen, lease)) records.push_back(seen.record);
  return records;
}

// Up to the last look, not up to now: while the engine is away a record is not renewed, and nobody is dead
// for that.
bool ArbiterView::is_stale(const Seen& seen, Duration lease) const {
  return last_asked_ >= seen.since + std::max(seen.record.lease, lease);
}

ArbiterView::End ArbiterView::decide_end(const std::string& hub, SpoolId spool, Epoch below,
                                         Duration lease) const {
  using What = End::What;
  if (!has_looked()) return {};
  // The run that is ended is the last below: a record of it, over.
  ArbiterRecord over{hub,    spool, Epoch{below.value == 0 ? 0 : below.value - 1}, true, false, lease,
                     "over", ""};
  auto at = seen_.find(hub);
  if (at == seen_.end()) return {What::swap, over};  // it has never had a lease
  const auto& record = at->second.record;
  over.version = record.version;
  if (record.spool == spool) {
    if (record.epoch >= below && !record.is_over)
      return {};  // a later run: it is heard soon, or ends as a later one
    if (record.is_over && record.epoch.value + 1 >= below.value) return {What::over, record};
    if (record.is_over || is_stale(at->second, lease)) return {What::swap, over};
    return {};
  }
  // Another spool under that name could register only when this one was over or had no lease; while it lives,
  // this one has none.
  if (!record.is_over && !is_stale(at->second, lease)) return {What::over, record};
  return {What::swap, over};
}

ArbiterView::Own ArbiterView::decide_own(const std::string& hub, SpoolId spool, Epoch epoch,
                                         Duration lease) const {
  using What = Own::What;
  ArbiterRecord mine{hub, spool, epoch, false, true, lease, "", ""};
  auto at = seen_.find(hub);
  if (at == seen_.end()) {
    // Nothing is known of earlier epochs: somebody may have ended one before the record went.
    mine.is_settled = epoch.value <= 1;
    return {What::renew, mine};
  }
  const auto& record = at->second.record;
  mine.version = record.version;
  if (record.spool != spool) {
    if (!record.is_over && !is_stale(at->second, lease)) return {What::foreign, record};
    mine.is_settled = epoch.value <= 1;
    return {What::renew, mine};
  }
  if (record.epoch > epoch) return {record.is_over ? What::over : What::foreign, record};
  if (record.epoch == epoch) {
    if (record.is_over) return {What::over, record};
    mine.is_settled = record.is_settled;
    return {What::renew, mine};
  }
  mine.is_settled = record.is_settled && !record.is_over;
  return {What::renew, mine};
}

}  // namespace umbra::cluster
