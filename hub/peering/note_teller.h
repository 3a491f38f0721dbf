// Tells the holders of this hub's messages what they have to know besides discard status (XNOTE): held or
// released, the next alarm, attempts, history. What is owed is in the spool (storage/notes.h) and is told
// until it is confirmed, the latest state only; a hub that does not offer the keyword is not told, and stays
// owed. Owned by Peering; home thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "hub/metrics.h"
#include "hub/peering/copier.h"
#include "hub/peering/members.h"
#include "storage/spool.h"

namespace umbra::hub {

class NoteTeller {
 public:
  NoteTeller(Runtime runtime, storage::Spool& spool, Members& members, Copier& copier,
             PendingMessages& pending, Metrics& metrics);

  void start();
  Task<void> stop();
  /// A note has changed, or a hub became reachable.
  void look() {
    has_work_ = true;
    if (!is_gathering_) wake_.cancel();
  }
  /// Waits, for a bounded time, until every hub that may hold a copy of the message has confirmed its note.
  /// The names of those that have not, once nobody is left who could be told now. `what`: the keyword of what
  /// the note is about; a hub that does not offer it is named too.
  Task<std::vector<std::string>> told(RowId row, std::string_view what = smtp::note_capability);

 private:
  Task<void> loop();
  /// One task per spool: a hub that is slow keeps no other waiting.
  Task<void> tell_all(std::string hub, SpoolId spool);
  Task<void> tell(std::string hub, SpoolId spool);
  bool can_be_told(const storage::Holder& holder);
  /// With its spool: it needs not be told.
  bool is_gone(const storage::Holder& holder);

  Runtime runtime_;
  storage::Spool& spool_;
  Members& members_;
  Copier& copier_;
  PendingMessages& pending_;
  Metrics& metrics_;
  TaskScope tasks_;
  Timer wake_;
  std::set<SpoolId> telling_;
  std::size_t waiting_ = 0;  ///< calls of told() under way
  bool has_work_ = true;
  bool is_gathering_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
