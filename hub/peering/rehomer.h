// The owner's side of a hub that leaves: makes copies of messages elsewhere, so that the one that leaves may
// drop those that it holds (XREHOME, docs/xshadow.md section 14). Called by PeerServer's sessions.
#pragma once

#include <deque>
#include <set>

#include "hub/peering/copier.h"
#include "hub/peering/shadow_keeper.h"

namespace umbra::hub {

class Rehomer {
 public:
  Rehomer(Runtime runtime, storage::Spool& spool, Members& members, Copier& copier, PendingMessages& pending);

  /// May `peer` drop its copies of these? What has no other copy yet gets one in the background; it asks
  /// again.
  void ask(const ShadowKeeper::Peer& peer, std::vector<MessageId> ids, ReplySlotPtr slot);
  Task<void> stop();

 private:
  Task<void> answer(ShadowKeeper::Peer peer, std::vector<MessageId> ids, ReplySlotPtr slot);
  void copy_later(RowId row, SpoolId but);
  Task<void> copy();

  Runtime runtime_;
  storage::Spool& spool_;
  Members& members_;
  Copier& copier_;
  PendingMessages& pending_;
  TaskScope tasks_;
  std::set<RowId> wanted_;  ///< queued or being copied
  std::deque<std::pair<RowId, SpoolId>> queue_;
  std::size_t copying_ = 0;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
