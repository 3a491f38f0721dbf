// Sends discard status: what the outbox owes to other hubs, in batches, within 100 ms of its commit; repeats
// until it is confirmed. Done must be durable before it is told: only what is committed is ever read here.
#pragma once

#include <map>

#include "hub/metrics.h"
#include "hub/peering/members.h"
#include "storage/spool.h"

namespace umbra::hub {

class DiscardPusher {
 public:
  /// `patience`: for so long what a spool that is gone was owed is still told to whoever asks.
  DiscardPusher(Runtime runtime, storage::Spool& spool, Members& members, Metrics& metrics,
                Duration patience);

  void start();
  Task<void> stop();
  /// A commit wrote to the outbox, or a hub became reachable.
  void look() {
    has_work_ = true;
    if (!is_gathering_) wake_.cancel();
  }

 private:
  Task<void> loop();
  /// One task per spool: a hub that is slow, or one that is owed ever more, keeps no other waiting.
  Task<void> push_all(std::string hub, SpoolId spool);
  Task<void> push(std::string hub, SpoolId spool);
  /// Nobody will ask any more what became of the mail of a spool that is gone: see the definition.
  bool may_forget(const std::string& hub, SpoolId spool);

  Runtime runtime_;
  storage::Spool& spool_;
  Members& members_;
  Metrics& metrics_;
  const Duration patience_;
  TaskScope tasks_;
  Timer wake_;
  std::map<SpoolId, bool> pushing_;  ///< true: look again when the push has ended
  struct Gone {
    MonotonicTime since;      ///< it was seen to be gone
    MonotonicTime all_there;  ///< since then every other hub has been in reach
  };
  std::map<SpoolId, Gone> gone_;
  bool has_work_ = true;
  bool is_gathering_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
