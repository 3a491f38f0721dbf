// Configuration drift between hubs: tells the others what matters of this hub's configuration, compares what they tell, and says
// what differs: to the log when a difference appears or goes, to `umbra peers`, the metrics and placement by way of Member.
// Owned by Peering; home thread. docs/xshadow.md section 17.
#pragma once

#include "cluster/configuration.h"
#include "hub/logs/event_log.h"
#include "hub/peering/announcement.h"

namespace umbra::hub {

/// What this hub tells. Nothing secret: what could be is a digest of it.
cluster::Configuration shared_configuration(const Config& config);

class ConfigurationWatch {
 public:
  ConfigurationWatch(Runtime runtime, const Config& config, Members& members, EventLog& log);

  /// A member's sessions have changed: it is told, once per session.
  void member_changed() { announcement_.tell(); }
  /// What another hub tells of its own.
  void heard(Member& member, const cluster::Configuration& values);
  Task<void> stop() { return announcement_.stop(); }

  [[nodiscard]] const cluster::Configuration& own() const { return own_; }

 private:
  void set(Member& member, std::optional<std::vector<cluster::Difference>> differences);

  const Config& config_;
  EventLog& log_;
  const cluster::Configuration own_;
  Announcement announcement_;
};

}  // namespace umbra::hub
