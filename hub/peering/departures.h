// Runs of other hubs that have left: their spool was empty and is gone. A hub that was cut off while another
// one left was not told, and would keep for ever what it owes to it: so whoever knows tells everybody else
// (XGONE), at the beginning of each session and when it learns of one. Owned by Peering; home thread.
// docs/xshadow.md section 14.
#pragma once

#include <vector>

#include "hub/peering/announcement.h"

namespace umbra::hub {

class Departures {
 public:
  Departures(Runtime runtime, storage::Spool& spool, Members& members, EventLog& log);

  /// Reads what is remembered.
  Task<void> start();
  Task<void> stop();
  /// Its sessions or its state have changed: it has left, or can be told.
  void member_changed(Member& member);
  /// Another hub tells what it knows: epochs below these have left. Durable when it returns.
  Task<Result<void>> heard(std::vector<smtp::KnownEpoch> told);

 private:
  bool add(const smtp::KnownEpoch& gone);
  Task<Result<void>> save();
  Task<void> save_and_tell();

  Runtime runtime_;
  storage::Spool& spool_;
  Members& members_;
  EventLog& log_;
  TaskScope tasks_;
  std::vector<smtp::KnownEpoch> gone_;  ///< one for each spool, the latest behind
  Announcement announcement_;           ///< of that list
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
