// What clients were told and what next hops got, and whether the two agree: the counts of a Jepsen
// total-queue check.
//
// Every attempt of a client to hand in a message has a token of its own, in the sender's address and in the
// body; what is counted is (token, recipient). A client that gets no answer tries again under a new token, so
// that its own second attempt never looks like a duplicate that the cluster made.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"

namespace umbra::simulation {

enum class Outcome : std::uint8_t {
  not_sent,      ///< the end of data was never sent: nothing of it may be delivered
  undecided,     ///< end of data was sent, no answer came
  acknowledged,  ///< 250
  refused        ///< a definite 4xx or 5xx
};

struct Attempt {
  std::string token;
  std::string hub;  ///< address
  std::string sender;
  std::string body;
  std::vector<std::string> recipients;
  std::set<std::string> accepted;  ///< of them, those whose RCPT was accepted
  Outcome outcome = Outcome::not_sent;
  std::string reply;
  std::string id;  ///< as in the 250
  Duration ended{};
};

struct Delivery {
  Duration at{};
  std::string sink;
  std::string hub;  ///< address of the hub that delivered
  std::optional<Duration>
      left_behind_at;  ///< when that hub wrote the end of data, where its side was closed before it came
  bool was_replied = false;  ///< false: the sink kept the message but its 250 never left (RFC 1047)
  Duration replied_at{};
};

/// What went wrong on purpose in a run, as far as it can excuse something.
struct Circumstances {
  struct Disturbance {
    std::string hub;   ///< address of a hub
    std::string sink;  ///< or name of a next hop
    Duration from{};
    Duration until{};
    bool cuts_off = false;  ///< it may look dead to others without being so (partition, slow network)
  };
  /// From a next hop's 250 to the moment its discard status is durable on the holders: reply, commit, 100 ms
  /// of batching, the way to the holder, commit there. A crash inside it may send a second copy.
  Duration discard_window = std::chrono::seconds{2};
  /// Not pairwise ownership: a hub that is disturbed already does not deliver what others may deliver. Then
  /// only what was under way when it was disturbed may come twice.
  bool is_exclusive = false;
  std::vector<Disturbance> disturbances;  ///< crashes, pauses, partitions of hubs; deaths of next hops
  /// Whose disk was lost, and when. Mail that no other hub had, and whose 250 said so (`prefer`), may be lost
  /// with it.
  std::vector<std::pair<std::string, Duration>> lost_disks;
  [[nodiscard]] bool were_any() const { return !disturbances.empty(); }
};

struct LedgerCounts {
  std::uint64_t attempted = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t delivered = 0;
  std::uint64_t bounced = 0;  ///< a DSN told the sender
  std::uint64_t lost = 0;
  std::uint64_t unexpected = 0;
  std::uint64_t duplicated = 0;  ///< copies beyond the first
  std::uint64_t explained = 0;   ///< of `duplicated`
  std::uint64_t recovered =
      0;  ///< delivered though the client heard nothing: a hub or the network died before it could
  std::uint64_t undecided = 0;
  std::uint64_t refused = 0;
};

class Ledger {
 public:
  Attempt& begin(std::string token);
  /// A next hop took responsibility (or will say so). `octets` is the message as it came.
  void delivered(const std::string& token, const std::string& recipient, std::string_view octets,
                 Delivery delivery);
  /// The 250 for what was delivered last to this recipient is written.
  void replied(const std::string& token, const std::string& recipient, Duration at);
  /// A delivery status notification reached the sender of `token`.
  void notified(const std::string& token, const std::string& recipient, const std::string& action,
                Duration at);
  /// A hub said that it may send this message twice.
  void possible_duplicate(const std::string& id) { possible_duplicates_.insert(id); }
  /// The operator was told that the message is held, and that every holder knows; or is about to release it.
  void held(const std::string& id) { held_.insert(id); }
  void released(const std::string& id) { held_.erase(id); }
  /// A hub says that it delivered it. Between the two nobody may; but of hubs that do not hear one another
  /// (pairwise) more than one may own it, which they say.
  void delivered_by(const std::string& hub, const std::string& id) {
    if (held_.contains(id) && !possible_duplicates_.contains(id))
      fault("held, and delivered by " + hub + ": " + id);
  }
  /// A hub gave up a recipient of a message with a null sender, or one that asked for silence.
  void fault(std::string what) { faults_.push_back(std::move(what)); }

  [[nodiscard]] const std::map<std::string, Attempt>& attempts() const { return attempts_; }
  [[nodiscard]] std::size_t undelivered() const;

  struct Verdict {
    LedgerCounts counts;
    std::vector<std::string> failures;
    std::vector<std::string> duplicates;  ///< one line each, with the explanation
  };
  [[nodiscard]] Verdict check(const Circumstances& circumstances) const;

 private:
  struct Fate {
    std::vector<Delivery> deliveries;
    std::vector<Duration> failure_notices;
  };
  [[nodiscard]] std::optional<std::string> explain(const Attempt& attempt,
                                                   const std::vector<Delivery>& deliveries,
                                                   const Circumstances& circumstances) const;

  std::map<std::string, Attempt> attempts_;
  std::map<std::pair<std::string, std::string>, Fate> fates_;
  std::set<std::string> possible_duplicates_;
  std::set<std::string> held_;
  std::map<std::string, std::set<std::string>> ids_;  ///< token -> ids seen in its trace header
  std::vector<std::string> faults_;
};

/// The first message id ("0123456789abcdef-10000000001") in a text, or empty.
std::string find_message_id(std::string_view text);
/// True for a recipient that every sink refuses with 5xx.
bool is_rejected_everywhere(std::string_view recipient);

}  // namespace umbra::simulation
