// Makes the outcome of an attempt durable: one record per message and destination, many of them in one group
// commit. What follows from an outcome is done here after the commit: log, metrics, discard status,
// notifications (which are in the same commit: a DSN is a fork of the message it tells about).
//
// A full disk is waited out: the record is tried again until it is in. When the spool has failed for good,
// delivery stops.
#pragma once

#include <functional>
#include <optional>

#include "hub/outbound/job.h"
#include "hub/outbound/notifier.h"
#include "hub/outbound/parts.h"

namespace umbra::hub {

/// What the recorder tells. Implemented by the scheduler.
class RecorderOwner {
 public:
  virtual ~RecorderOwner() = default;
  /// The record is durable, or the spool has no such row any more: the job is over. `again`: when to try it
  /// again.
  virtual void recorded(const JobPtr& job, std::optional<WallTime> again) = 0;
  /// A notification is in the spool.
  virtual void made(ReadyMessage notification) = 0;
  /// No record can be made any more.
  virtual void spool_failed(const Error& error) = 0;
};

/// The next hop that decided; empty when none did.
struct Remote {
  std::string name;
  std::string address;
  std::string tls = {};  ///< version and cipher; empty: plain
};

class Recorder {
 public:
  Recorder(Parts& parts, RecorderOwner& owner) : parts_(parts), owner_(owner) {}

  /// `done` is called when the job is over, recorded or not.
  void record(JobPtr job, smtp::TransactionResult result, Remote remote,
              std::move_only_function<void()> done);

 private:
  struct Pending;
  using PendingPtr = std::shared_ptr<Pending>;
  void read_front(PendingPtr pending);
  void notify(Pending& pending, std::string_view front);
  void write(PendingPtr pending);
  void written(PendingPtr pending, Result<void> result);
  void tell(Pending& pending);

  Parts& parts_;
  RecorderOwner& owner_;
};

}  // namespace umbra::hub
