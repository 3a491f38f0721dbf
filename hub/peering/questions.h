// Asks the other hubs a question of an operator, each over its session for control, all at once
// (docs/xshadow.md section 19), or gives one of them an order. Who does not answer is named, never left out.
// Owned by Peering; home thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hub/peering/hub_answer.h"
#include "hub/peering/members.h"

namespace umbra::hub {

class Questions {
 public:
  Questions(Runtime runtime, Members& members) : runtime_(runtime), members_(members), tasks_(runtime.io) {}

  /// One answer per member that is known now, by name. Comes back within `timeout`. `target`:
  /// smtp::is_query_target().
  Task<std::vector<HubAnswer>> ask_all(std::string target, Duration timeout) {
    return address_all({}, std::move(target), timeout);
  }
  /// Of one hub. A hub that nobody knows: status 404.
  Task<HubAnswer> ask_hub(std::string hub, std::string target, Duration timeout) {
    return address(std::move(hub), {}, std::move(target), timeout);
  }
  /// An order of an operator to one hub, who is `by` (smtp::is_order_by()). Without an answer it may have
  /// been carried out or not.
  Task<HubAnswer> order(std::string hub, std::string by, std::string target, Duration timeout) {
    return address(std::move(hub), std::move(by), std::move(target), timeout);
  }
  /// The same to every member, as ask_all().
  Task<std::vector<HubAnswer>> order_all(std::string by, std::string target, Duration timeout) {
    return address_all(std::move(by), std::move(target), timeout);
  }
  Task<void> stop();

 private:
  struct Round;
  Task<std::vector<HubAnswer>> address_all(std::string by, std::string target, Duration timeout);
  Task<HubAnswer> address(std::string hub, std::string by, std::string target, Duration timeout);
  Task<void> ask_one(std::shared_ptr<Round> round, std::size_t at, std::shared_ptr<Member> member);
  Task<std::string> ask(Link& link, HubAnswer& answer, std::string command, MonotonicTime deadline);

  Runtime runtime_;
  Members& members_;
  TaskScope tasks_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
