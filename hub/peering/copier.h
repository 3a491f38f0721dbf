// Makes copies of this hub's messages on other hubs: before the 250 (called by the acceptor), and in the
// background for what is unprotected (DSNs, mail taken over, mail whose holder was lost), at a bounded rate,
// first what cannot be delivered now.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/peering/early_copy.h"
#include "hub/peering/members.h"
#include "hub/peering/rate.h"
#include "hub/peering/safety_waits.h"
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
  MessageNote note;                         ///< number 0: there is nothing to be noted
  std::shared_ptr<const std::string> body;  ///< or null: read from the spool in chunks
  std::vector<std::string> next_hubs = {};  ///< one of which the message goes to next: they come first
};

class Copier {
 public:
  Copier(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
         PendingMessages& pending, SafetyWaits& waits, EventLog& log, Metrics& metrics);

  void set_outbound(Outbound* outbound) { outbound_ = outbound; }

  void start();
  Task<void> stop();

  /// Hubs that could take a copy now, as holders to be: as many as `protection` asks for, or as there are.
  /// `next_hubs`: as in CopySource.
  std::vector<storage::Holder> choose_all(const Protection& protection, std::uint64_t octets,
                                          const std::vector<std::string>& next_hubs = {});

  /// Offers the message to the holders to be, all at once, and to other hubs in their place, until it has the
  /// copies that `protection` asks for, or nobody is left, or the deadline. True: it has them. `holders` is
  /// brought up to date: hubs that refused are taken out, hubs that did not answer stay as `offered`. The
  /// caller's vector must outlive the call.
  Task<bool> copy(CopySource source, std::vector<storage::Holder>& holders, Protection protection,
                  MonotonicTime deadline);

  /// The same for the copies that `holders` lacks: it names hubs that hold the message already.
  Task<bool> copy_rest(CopySource source, std::vector<storage::Holder>& holders, Protection protection,
                       MonotonicTime deadline);

  /// Begins copies of a body that is coming in, of that size at most, on hubs that can take them so.
  std::vector<EarlyCopyPtr> begin_early(MessageId id, const Protection& protection, std::uint64_t octets_max,
                                        const std::vector<std::string>& next_hubs);
  /// The next piece; waits while the one before it has not gone out.
  Task<void> send_early(EarlyCopyPtr early, std::shared_ptr<const std::string> piece);
  /// Ends them, side by side; `rest` is what was not sent yet. `holders` is those of `earlies`, as `holds`;
  /// it is brought up to date as by copy(), and must outlive the call.
  Task<void> end_early(std::vector<EarlyCopyPtr> earlies, CopySource source,
                       std::shared_ptr<const std::string> rest, std::vector<storage::Holder>& holders,
                       MonotonicTime deadline);
  /// Nothing will come of it.
  void give_up_early(const EarlyCopyPtr& early);

  /// There is a hub, none of `holders`, that could take a copy now.
  bool can_copy_beside(const std::vector<storage::Holder>& holders, const Protection& protection) {
    return choose(holders, protection, 0, true).has_value();
  }

  /// Makes one more copy of a message of ours on a hub other than `but`, unless there is one. True: there is.
  Task<bool> copy_elsewhere(RowId row, SpoolId but);

  /// Tells every hub that was offered the message to forget it. True: all of them confirmed.
  Task<bool> forget(MessageId id, Generation generation, std::vector<storage::Holder> holders);

  /// A copy of it is being made in the background.
  [[nodiscard]] bool is_under_way(RowId row) const { return under_way_.contains(row); }

  /// It is known who owns the mail of earlier epochs: until then none of it is offered to anybody.
  void older_mail_is_settled() {
    is_older_mail_settled_ = true;
    protect_later();
  }

  /// Called when a holder has to be told more of a message than its copy said.
  void on_note(std::function<void()> callback) { note_changed_ = std::move(callback); }

  /// There is something unprotected: look soon.
  void protect_later() {
    wake_.cancel();
    has_work_ = true;
  }

 private:
  enum class Answer : std::uint8_t { held, refused, unknown };
  struct Round;
  std::optional<storage::Holder> choose(const std::vector<storage::Holder>& holders,
                                        const Protection& protection, std::uint64_t octets,
                                        bool in_background, const std::vector<std::string>& next_hubs = {});
  Task<void> place(std::shared_ptr<Round> round, std::optional<storage::Holder> first);
  Task<bool> run_round(std::shared_ptr<Round> round, std::vector<std::optional<storage::Holder>> firsts);
  Task<void> run_early(EarlyCopyPtr early);
  Task<void> end_one_early(EarlyCopyPtr early, std::shared_ptr<Round> round,
                           std::shared_ptr<const std::string> rest);
  Task<void> end_one_early_and_tell(EarlyCopyPtr early, std::shared_ptr<Round> round,
                                    std::shared_ptr<const std::string> rest);
  Task<void> forget_early(EarlyCopyPtr early);
  Task<Link::Outcome> send(smtp::CopyOffer offer, Member& member, MonotonicTime deadline);
  Answer judge(MessageId id, const Link::Outcome& outcome, Member& member, MonotonicTime started,
               bool may_be_held);
  Task<void> place_and_tell(std::shared_ptr<Round> round, std::optional<storage::Holder> first);
  Task<bool> protect_all(bool stuck);
  Task<bool> keep_to_rate(std::uint64_t octets);
  Task<Answer> offer(const CopySource& source, const std::vector<storage::Holder>& holders, Member& member,
                     MonotonicTime deadline);
  Task<Link::Outcome> stream_body(const CopySource& source, Member& member, MonotonicTime deadline);
  Task<void> protect_loop();
  Task<void> protect(RowId row);
  Task<void> make_copy(storage::StoredMessage message, storage::Holder chosen);
  Task<void> protect_on(storage::StoredMessage message, storage::Holder chosen);
  Task<std::optional<storage::StoredMessage>> read(RowId row);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  PendingMessages& pending_;
  SafetyWaits& waits_;
  EventLog& log_;
  Metrics& metrics_;
  Outbound* outbound_ = nullptr;
  std::function<void()> note_changed_ = [] {};
  TaskScope tasks_;
  Timer wake_;
  Timer rate_timer_;
  Rate messages_rate_;
  Rate octets_rate_;
  cluster::Placement placement_;
  std::set<RowId> under_way_;
  std::map<std::string, std::size_t> early_under_way_;  ///< by hub
  bool has_work_ = true;
  bool is_older_mail_settled_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
