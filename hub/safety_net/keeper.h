// Keeps the safety net within its limits: what is too old goes, what is beyond the cap after the
// configuration has changed goes, and when the disk is short the net gives way before new mail is refused.
// (What ends is put there by the spool itself, storage/kept.h, which never passes the cap.) Owned by the
// composition root; home thread.
#pragma once

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/net/runtime.h"
#include "hub/net/task.h"
#include "storage/spool.h"

namespace umbra::hub {

class SafetyNetKeeper {
 public:
  SafetyNetKeeper(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log)
      : runtime_(runtime), config_(config), spool_(spool), log_(log), tasks_(runtime.io), wake_(runtime.io) {}

  void start();
  /// Tells the spool the limits of now, and keeps to them.
  void configuration_changed();
  Task<void> stop();
  /// The disk is short, and there is something that makes room for new mail.
  [[nodiscard]] bool may_borrow() const { return gives_way_ && !is_empty_; }

 private:
  Task<void> run();
  Task<void> keep_to_limits();
  Task<void> change_limits();
  Task<void> look_at_disk();
  /// False: the spool does not write.
  Task<bool> trim();

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  EventLog& log_;
  TaskScope tasks_;
  Timer wake_;
  bool gives_way_ = false;
  bool is_empty_ = false;
  bool is_running_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
