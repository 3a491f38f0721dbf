// What every part of delivery works with: passed in once, lives as long as the Outbound object.
#pragma once

#include "hub/outbound/due_clock.h"
#include "hub/outbound/outbound.h"
#include "hub/outbound/router.h"
#include "hub/suspension/suspensions.h"

namespace umbra::hub {

struct Parts {
  Parts(Runtime r, const Config& c, storage::Spool& s, DeliveryGuard& g, EventLog& l, Metrics& m,
        storage::AttemptMarks* a)
      : runtime(r),
        config(c),
        spool(s),
        guard(g),
        log(l),
        metrics(m),
        router(config.routes, config.hub_name),
        marks(a) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  Runtime runtime;
  const Config& config;
  storage::Spool& spool;
  DeliveryGuard& guard;
  EventLog& log;
  Metrics& metrics;
  Router router;  ///< of the routes in force
  DueClock due_clock;
  const Suspensions* suspensions = nullptr;  ///< null: nothing is ever suspended
  storage::AttemptMarks* marks;              ///< null: attempts are not marked
  /// Completions of the spool that are still to come: the owner waits for them before it goes.
  std::size_t spool_calls = 0;
  /// The spool has failed for good, or everything is being stopped: nothing more is begun.
  bool is_stopped = false;
};

/// RFC 3461 section 5.2.6: is a failure to be reported to the sender?
inline bool wants_failure(const Recipient& recipient) {
  return recipient.notify == notify_unset || (recipient.notify & notify_failure) != 0;
}
inline bool wants_delay(const Recipient& recipient) {
  return recipient.notify == notify_unset || (recipient.notify & notify_delay) != 0;
}
inline bool wants_success(const Recipient& recipient) {
  return (recipient.notify & notify_success) != 0;
}

}  // namespace umbra::hub
