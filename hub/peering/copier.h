// Makes copies of this hub's messages on other hubs: before the 250 (called by the acceptor), and in the background for
// what is unprotected (DSNs, mail taken over, mail whose holder was lost).
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/peering/members.h"
#include "hub/peering/shadow_keeper.h"
#include "storage/spool.h"

namespace umbra::hub {

struct CopySource {
  MessageId id;
  Generation generation;
  RowId row;
  std::uint64_t size = 0;
  std::string envelope;                     ///< encoded
  std::vector<std::uint32_t> done;          ///< recipients already finished
  std::shared_ptr<const std::string> body;  ///< or null: read from the spool in chunks
};

class Copier {
 public:
  Copier(Runtime runtime, const Config& config, storage::Spool& spool, Members& members, PendingMessages& pending,
         EventLog& log, Metrics& metrics);

  void start();
  Task<void> stop();

  /// A hub that could take a copy now, as a holder to be; nothing when there is none.
  std::optional<storage::Holder> choose(const std::vector<storage::Holder>& holders);

  /// Offers the message until one hub holds it, or nobody is left, or the deadline. True: held. `holders` is brought up to
  /// date: hubs that refused are taken out, hubs that did not answer stay as `offered`. When its last entry is `holds` and
  /// `first` is set, that hub (chosen before) is offered first. The caller's vector must outlive the call.
  Task<bool> copy(CopySource source, std::vector<storage::Holder>& holders, bool first, MonotonicTime deadline);

  /// Tells every hub that was offered the message to forget it. True: all of them confirmed.
  Task<bool> forget(MessageId id, Generation generation, std::vector<storage::Holder> holders);

  /// It is known who owns the mail of earlier epochs: until then none of it is offered to anybody.
  void older_mail_is_settled() {
    is_older_mail_settled_ = true;
    protect_later();
  }

  /// There is something unprotected: look soon.
  void protect_later() { wake_.cancel(); has_work_ = true; }

 private:
  enum class Answer : std::uint8_t { held, refused, unknown };
  Task<Answer> offer(const CopySource& source, const std::vector<storage::Holder>& holders, Member& member,
                     MonotonicTime deadline);
  Task<Link::Outcome> stream_body(const CopySource& source, Member& member, MonotonicTime deadline);
  Task<void> protect_loop();
  Task<void> protect(RowId row);
  Task<void> protect_on(storage::StoredMessage message, storage::Holder chosen);
  Task<std::optional<storage::StoredMessage>> read(RowId row);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  PendingMessages& pending_;
  EventLog& log_;
  Metrics& metrics_;
  TaskScope tasks_;
  Timer wake_;
  cluster::Placement placement_;
  std::set<RowId> under_way_;
  bool has_work_ = true;
  bool is_older_mail_settled_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
