// What becomes of messages by the clock alone: delay warnings and expiry; and the operator's bounce. Both end
// in the same way, a notification and the end of the message in one commit. A message that is being sent is
// left alone until its outcome is recorded.
#pragma once

#include "hub/outbound/message_clock.h"
#include "hub/outbound/notifier.h"
#include "hub/outbound/scheduler.h"

namespace umbra::hub {

class Alarms {
 public:
  Alarms(Parts& parts, Scheduler& scheduler)
      : parts_(parts), scheduler_(scheduler), pause_(parts.runtime.io) {}

  /// Until stop(): looks every 15 s for alarms that are due (while loading is on).
  Task<void> run();
  void stop() { pause_.cancel(); }

  /// Ends a message with a failure notification. Errors: no such message; it is being sent just now (try
  /// again); the spool's.
  Task<Result<void>> bounce(RowId row, std::string why);
  /// Ends a message without one. The same errors.
  Task<Result<void>> remove(RowId row);

 private:
  struct Original {
    storage::StoredMessage message;
    std::string front;
    Duration held_for{};
  };
  Task<void> ring(RowId row);
  Task<Result<std::optional<Original>>> read(RowId row);
  /// What the operator does to a message that is not being sent: `change` gets it as it is in the spool.
  using Change = Task<Result<void>> (Alarms::*)(Original, std::string);
  Task<Result<void>> by_operator(RowId row, const char* verb, Change change, std::string why);
  Task<Result<void>> end_bounced(Original original, std::string why);
  Task<Result<void>> end_removed(Original original, std::string why);
  Task<Result<void>> end(Original original, smtp::Reply reply, MessageEvent event);
  Task<Result<void>> expire(Original original, const DueByClock& due);
  Task<Result<void>> warn(Original original, const DueByClock& due);
  std::vector<smtp::DsnRecipient> fail(const storage::StoredMessage& message, const std::vector<bool>& which,
                                       const smtp::Reply& reply, const std::string& diagnostic);
  void tell(const storage::StoredMessage& message, const std::vector<bool>& which, const smtp::Reply& reply,
            const std::string& diagnostic, MessageEvent event);
  std::string trouble_of(const storage::StoredMessage& message) const;
  Task<Result<void>> commit_with(
      std::optional<Notification> notification,
      std::move_only_function<Result<void>(storage::Writer&, std::optional<RowId>)> change);

  Parts& parts_;
  Scheduler& scheduler_;
  Timer pause_;
};

}  // namespace umbra::hub
