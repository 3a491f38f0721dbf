// Makes due what waited because its sender, or the domain of a recipient, was suspended. Such mail stands in
// the spool, put off by suspended_look each time that it was looked at (Scheduler::postpone); when the
// suspension has ended it need not wait for the next look.
//
// It goes through the queue in pages, each of which is a short read and a commit of its own, however much
// mail there is. A page that is not written, because the hub ends between two, is written by the next run:
// the spool remembers what was suspended, and what has ended within the last suspended_look is gone through
// again at the start. Where that cannot be (the spool fails), mail waits for its next look as it would have.
// Owned by Outbound; home thread.
#pragma once

#include <vector>

#include "hub/outbound/parts.h"
#include "hub/outbound/scheduler.h"

namespace umbra::hub {

class Resumption {
 public:
  Resumption(Parts& parts, Scheduler& scheduler) : parts_(parts), scheduler_(scheduler) {}

  /// What is suspended has changed.
  void look();

 private:
  Task<void> run();
  /// Ended a short while ago, and not gone through yet.
  std::vector<Suspension> newly_ended();
  Task<Result<std::uint64_t>> bring_forward(std::vector<Suspension> ended);
  Task<Result<std::uint64_t>> bring_forward_at(std::string destination, const std::vector<Suspension>& ended,
                                               WallTime from, WallTime until);

  Parts& parts_;
  Scheduler& scheduler_;
  std::vector<Suspension> gone_through_;
  bool is_wanted_ = false;
  bool is_running_ = false;
};

}  // namespace umbra::hub
