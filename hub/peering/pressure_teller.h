// Tells the other hubs how short of something this one is (XLEVEL), so that they take others for their copies
// and their mail while there are any. Who was told nothing in a session takes it for normal. Owned by
// Peering; home thread. docs/xshadow.md section 18.
#pragma once

#include "base/pressure_level.h"
#include "hub/peering/announcement.h"

namespace umbra::hub {

class PressureTeller {
 public:
  PressureTeller(Runtime runtime, Members& members);

  /// As of now; nothing is told when it was so before.
  void set(PressureLevel level);
  /// A member's sessions have changed.
  void member_changed() { announcement_.tell(); }
  Task<void> stop() { return announcement_.stop(); }

 private:
  PressureLevel level_ = PressureLevel::normal;
  bool has_been_short_ = false;  ///< in this run; before that there is nothing to tell
  Announcement announcement_;
};

}  // namespace umbra::hub
