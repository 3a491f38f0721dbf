// Asks the other hubs a question of an operator, each over its session for control, all at once (docs/xshadow.md section 19). Who does not
// answer is named, never left out. Owned by Peering; home thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hub/peering/members.h"

namespace umbra::hub {

struct HubAnswer {
  std::string hub;
  unsigned status = 0;  ///< as of HTTP; 0: it did not answer
  std::string body;
  std::string why;      ///< it did not
};

class Questions {
 public:
  Questions(Runtime runtime, Members& members) : runtime_(runtime), members_(members), tasks_(runtime.io) {}

  /// One answer per member that is known now, by name. Comes back within `timeout`. `target`: smtp::is_query_target().
  Task<std::vector<HubAnswer>> ask_all(std::string target, Duration timeout);
  Task<void> stop();

 private:
  struct Round;
  Task<void> ask_one(std::shared_ptr<Round> round, std::size_t at, std::shared_ptr<Member> member);
  Task<std::string> ask(Link& link, HubAnswer& answer, std::string target, MonotonicTime deadline);

  Runtime runtime_;
  Members& members_;
  TaskScope tasks_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
