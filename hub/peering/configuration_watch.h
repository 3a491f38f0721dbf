// Configuration drift between hubs: tells the others what matters of this hub's configuration, compares what they tell, and says
// what differs: to the log when a difference appears or goes, to `umbra peers`, the metrics and placement by way of Member.
// Owned by Peering; home thread. docs/xshadow.md section 17.
#pragma once

#include "cluster/configuration.h"
#include "hub/logs/event_log.h"
#include "hub/peering/members.h"

namespace umbra::hub {

/// What this hub tells. Nothing secret: what could be is a digest of it.
cluster::Configuration shared_configuration(const Config& config);

class ConfigurationWatch {
 public:
  ConfigurationWatch(Runtime runtime, const Config& config, Members& members, EventLog& log);

  /// Its sessions have changed: it is told, once per session.
  void member_changed(Member& member);
  /// What another hub tells of its own.
  void heard(Member& member, const cluster::Configuration& values);
  Task<void> stop();

  [[nodiscard]] const cluster::Configuration& own() const { return own_; }

 private:
  Task<void> tell(std::shared_ptr<Member> member);
  void set(Member& member, std::optional<std::vector<cluster::Difference>> differences);

  const Config& config_;
  Members& members_;
  EventLog& log_;
  const cluster::Configuration own_;
  TaskScope tasks_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
