// Ownership by an arbiter: an engine that the user runs already (etcd, the Kubernetes API) keeps one record
// per hub, with its spool, its epoch and a lease; the end of an epoch is a compare-and-swap on that record.
// Here are the port to such an engine and the decisions; hub/peering/arbiter_* implements the one and carries
// out the others.
//
// No wall clock is compared: whoever looks at a record times on its own clock how long it stays as it is, and
// the hub that renews it counts from when it asked, so it stops believing first. What makes it exclusive is
// the swap, not the time: an epoch that is over cannot be renewed, and one that was renewed since somebody
// looked cannot be ended by what he saw.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace umbra::cluster {

struct ArbiterRecord {
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  bool is_over = false;  ///< this epoch and every earlier one of this spool are
  bool is_settled =
      true;  ///< false: an earlier epoch was ended, and the hub has not learnt yet what was taken over
  Duration lease{};     ///< how long it lives without a renewal
  std::string renewal;  ///< another text with every renewal
  std::string version;  ///< of the record in the engine, for the swap; empty: it is not there
  bool operator==(const ArbiterRecord&) const = default;
};

/// The engine. Called on the home thread, which it answers on, each call once and within `arbiter_patience`.
/// At most one write and one list are under way at a time.
class Arbiter {
 public:
  enum class Written : std::uint8_t {
    yes,
    conflict,    ///< the record has another version: look again
    unavailable  ///< no answer, or none that can be believed: it may have been written
  };
  virtual ~Arbiter() = default;
  /// The records of all hubs of the cluster; nothing: no answer. As of some moment after the call.
  virtual void list(std::function<void(std::optional<std::vector<ArbiterRecord>>)> done) = 0;
  /// Writes the record if its version in the engine still is `record.version`.
  virtual void write(ArbiterRecord record, std::function<void(Written)> done) = 0;
  /// What is wrong, in words, for log and status; empty: nothing.
  [[nodiscard]] virtual std::string trouble() const = 0;
  /// Answers what is under way soon, and everything later at once with nothing.
  virtual void stop() = 0;
};
inline constexpr Duration arbiter_patience = std::chrono::seconds{4};

/// What this hub has seen of the records, on its own clock.
class ArbiterView {
 public:
  /// `asked_at`: when the list was asked for; `heard_at`: when it came.
  void saw(const std::vector<ArbiterRecord>& records, MonotonicTime asked_at, MonotonicTime heard_at);
  [[nodiscard]] const ArbiterRecord* find(const std::string& hub) const;
  [[nodiscard]] bool has_looked() const { return last_asked_ != MonotonicTime::min(); }

  /// Records of runs that live: renewed within their lease, and not over.
  [[nodiscard]] std::vector<ArbiterRecord> live(Duration lease) const;

  /// A holder wants every epoch of `spool` below `below` to be over.
  struct End {
    enum class What : std::uint8_t {
      over,  ///< it is
      wait,  ///< its lease may be good, or a later run lives
      swap   ///< write `record`: when that succeeds, it is over
    };
    What what = What::wait;
    ArbiterRecord record;
  };
  [[nodiscard]] End decide_end(const std::string& hub, SpoolId spool, Epoch below, Duration lease) const;

  /// This hub's own record.
  struct Own {
    enum class What : std::uint8_t {
      renew,    ///< write `record`: when that succeeds, the lease is good from when it was asked for
      over,     ///< this epoch was ended: begin the next one
      foreign,  ///< another spool under this name lives, or a later epoch of this one does
    };
    What what = What::renew;
    ArbiterRecord record;
  };
  [[nodiscard]] Own decide_own(const std::string& hub, SpoolId spool, Epoch epoch, Duration lease) const;

 private:
  struct Seen {
    ArbiterRecord record;
    MonotonicTime since;  ///< it is as it is since then, or longer
  };
  /// Nobody believes in its lease any more.
  [[nodiscard]] bool is_stale(const Seen& seen, Duration lease) const;
  std::map<std::string, Seen> seen_;
  MonotonicTime last_asked_ = MonotonicTime::min();
};

}  // namespace umbra::cluster
