// What the operator has suspended on this hub: listeners (their clients keep the mail) and the delivery to
// destinations, to domains, and of senders (it waits here, and does not age). Kept in the spool, so it lasts
// over a restart; each with a reason and, if wanted, an end. Home thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hub/logs/event_log.h"
#include "hub/net/task.h"
#include "hub/suspension/suspension.h"
#include "storage/spool.h"

namespace umbra::hub {

/// Mail that waits here is looked at again so often.
inline constexpr std::chrono::minutes suspended_look{5};

class Suspensions {
 public:
  Suspensions(asio::io_context& io, storage::Spool& spool, EventLog& log);

  /// Called when something was suspended or resumed.
  void on_change(std::function<void()> callback) { changed_ = std::move(callback); }
  /// Reads what was suspended before. Until it has, nothing is delivered.
  void start();
  Task<void> stop();

  /// Durable when it returns. Suspended already: with the new end and reason.
  Task<Result<void>> suspend(Suspension suspension);
  /// False: it was not suspended. What "*" suspends is resumed by "*" only.
  Task<Result<bool>> resume(Suspension::What what, std::string name);

  [[nodiscard]] bool is_suspended(Suspension::What what, const std::string& name) const;
  [[nodiscard]] const std::vector<Suspension>& list() const { return list_.now; }
  /// Deliveries that were suspended once; `until` is when they ended.
  [[nodiscard]] const std::vector<Suspension>& past() const { return list_.past; }
  /// That mail waits here.
  [[nodiscard]] bool holds_back(const MailPath& path) const;
  /// For how long, between the two times, it did.
  [[nodiscard]] Duration held_back_for(const MailPath& path, WallTime from, WallTime to) const;

 private:
  Task<void> run();
  /// Takes those out whose end has come, as of `now`.
  static bool end_those_over(SuspensionList& list, WallTime now);
  /// What `alter` makes of the list, in force once it is durable; one at a time. `alter` returns false where
  /// nothing is to be changed, and so does this.
  Task<Result<bool>> change(std::function<bool(SuspensionList&)> alter);
  void say_what_changed(const SuspensionList& before) const;

  asio::io_context& io_;
  storage::Spool& spool_;
  EventLog& log_;
  TaskScope tasks_;
  Timer wake_;
  std::function<void()> changed_ = [] {};
  SuspensionList list_;
  bool is_read_ = false;
  bool is_changing_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
