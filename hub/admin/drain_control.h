// What the admin API asks of pause, drain and leave. Implemented by hub/drain.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/drain.h"
#include "hub/net/task.h"

namespace umbra::hub {

/// What an operator has ordered, and what has come of it.
struct DrainCourse {
  cluster::Drain drain;
  WallTime began_at{};
  cluster::DrainView initial;  ///< when handing over began
  std::uint64_t handed_over = 0;
  std::uint64_t rehomed = 0;
  std::uint64_t refused = 0;
  std::map<std::string, std::uint64_t> handed_to;
};

struct DrainReport {
  cluster::DrainState state = cluster::DrainState::active;
  cluster::DrainOrder order;
  std::string why;   ///< incomplete: the reason
  Duration since{};  ///< of the order
  Duration in_state{};
  WallTime began_at{};
  cluster::DrainView initial;  ///< when handing over began
  cluster::DrainView current;
  std::uint64_t remaining = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t handed_over = 0;
  std::uint64_t rehomed = 0;
  std::uint64_t refused = 0;
  std::map<std::string, std::uint64_t> handed_to;
  double rate = 0;  ///< of what remains, per second
  std::optional<Duration> eta;
  int exit_code = 0;
};

/// What an order would do, before anything is done.
struct DrainPreview {
  std::string refused;  ///< why it would be refused, and nothing else is said; else empty
  std::uint64_t queue = 0;
  std::uint64_t due = 0;
  std::uint64_t shadows = 0;
  std::uint64_t outbox = 0;
  std::uint64_t unprotected = 0;
  std::vector<std::string> targets;
  /// Messages that stay here, with this verb and these targets, and of which no hub that is heard has a copy.
  std::uint64_t lose_last_copy = 0;
  std::vector<std::string> lose_last_copy_ids;  ///< the first of them
  std::uint64_t safety_net = 0;  ///< delivered messages that are kept here; a leave takes them along
  std::uint64_t safety_net_octets = 0;
};

/// For metrics.
struct DrainGauges {
  std::uint64_t state_number = 0;  ///< cluster::DrainState
  std::uint64_t remaining_queue = 0;
  std::uint64_t remaining_shadows = 0;
  std::uint64_t remaining_outbox = 0;
  std::uint64_t remaining_sessions = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t initial = 0;
  double started_at = 0;
};

class DrainControl {
 public:
  virtual ~DrainControl() = default;
  /// The reason when it is refused, else empty. Durable (a leave) when it returns.
  virtual Task<Result<std::string>> begin(cluster::DrainOrder order) = 0;
  virtual Task<Result<void>> undrain() = 0;
  virtual Task<Result<DrainReport>> report() = 0;
  virtual Task<Result<DrainPreview>> preview(cluster::DrainOrder order) = 0;
};

}  // namespace umbra::hub
