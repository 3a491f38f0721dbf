// Configuration drift between hubs: tells the others what matters of this hub's configuration, compares what
// they tell, and says what differs: to the log when a difference appears or goes, to `umbra peers`, the
// metrics and placement by way of Member. Owned by Peering; home thread. docs/xshadow.md section 17.
#pragma once

#include "cluster/configuration.h"
#include "hub/logs/event_log.h"
#include "hub/peering/announcement.h"

namespace umbra::hub {

/// What this hub tells. Nothing secret: what could be is a digest of it.
cluster::Configuration shared_configuration(const Config& config);
/// Of all of it, in one word.
std::string digest_of(const cluster::Configuration& configuration);

class ConfigurationWatch {
 public:
  ConfigurationWatch(Runtime runtime, const Config& config, Members& members, EventLog& log);

  /// A member's sessions have changed: it is told, once per session.
  void member_changed() { announcement_.tell(); }
  /// This hub's is another one now: the others are told, and what they told is compared anew.
  void configuration_changed();
  /// What another hub tells of its own.
  void heard(Member& member, const cluster::Configuration& values);
  Task<void> stop() { return announcement_.stop(); }

  [[nodiscard]] const cluster::Configuration& own() const { return own_; }

 private:
  void not_offered(Member& member);
  void compare_with(Member& member, const cluster::Configuration& values);
  void set(Member& member, std::optional<std::vector<cluster::Difference>> differences);

  const Config& config_;
  Members& members_;
  EventLog& log_;
  cluster::Configuration own_;
  std::map<std::weak_ptr<Member>, cluster::Configuration, std::owner_less<>> told_;  ///< by others, last
  Announcement announcement_;
};

}  // namespace umbra::hub
