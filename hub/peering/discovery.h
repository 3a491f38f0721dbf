// Finds the other hubs of a cluster that has no list of members: asks DNS for a name that stands for all of
// them (SRV, or A and AAAA of a headless service) and tells Members who can be reached where. Decides nothing
// else: who is alive is the lease's business, and who a hub is, its proof's. Owned by Peering; home thread.
//
// * Only an answer with something in it counts. Without one (failure, time-out, an empty answer) what is
// known stays, for as long
//   as it takes; that is logged, and after 30 s as an error.
// * An SRV target is a host name whose first label is the hub's name. The session to it checks the name by
// the proof.
// * An address has no name: whoever listens there is asked for it, and proves it. This hub meets itself among
// them.
// * A name that has gone from DNS stays a member while it is heard, while something is held for it or owed to
// it, and ten
//   minutes (`forget_after`) longer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "hub/metrics.h"
#include "hub/peering/members.h"
#include "storage/spool.h"

namespace umbra::hub {

class Discovery {
 public:
  Discovery(Runtime runtime, const Config& config, storage::Spool& spool, Members& members, EventLog& log,
            Metrics& metrics);

  void start();
  Task<void> stop();

 private:
  /// Who was met at an address.
  struct Met {
    std::string hub;  ///< empty: nobody has proved himself there yet
    SpoolId spool;
    MonotonicTime next = MonotonicTime::min();  ///< when to ask again
    bool is_asked = false;                      ///< this moment
  };
  using Places = std::map<std::string, std::vector<Endpoint>>;  ///< by hub

  Task<void> loop();
  Task<Result<Places>> ask_services();
  Task<Result<Places>> ask_addresses();
  Task<void> meet(Endpoint address);
  Task<Opening> open(Endpoint address);
  void note_failure(const std::string& why);
  void note_success();
  void warn_once(const std::string& text, const std::string& hub);
  Task<void> forget_the_gone();
  Task<bool> is_owed_nothing(std::string hub, SpoolId spool);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  EventLog& log_;
  Metrics& metrics_;
  TaskScope tasks_;
  Timer wake_;
  std::map<Endpoint, Met> met_;
  std::set<Stream*> meeting_;                                 ///< open, to be closed by stop()
  Places places_;                                             ///< as last answered
  std::map<std::string, MonotonicTime, std::less<>> listed_;  ///< when a name was in an answer last
  std::set<std::string> warned_;
  MonotonicTime started_;
  MonotonicTime failing_since_ = MonotonicTime::max();
  bool is_error_said_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
