// Watches over ownership: takes over the mail of hubs that are gone, finds out the fate of copies nobody
// speaks of, and on this hub's own return asks who owns its mail. The decisions are cluster/ownership's; this
// asks the questions and carries the decisions out.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cluster/ownership.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/copier.h"
#include "hub/peering/ended_runs.h"
#include "hub/peering/members.h"
#include "hub/peering/ownership.h"
#include "hub/peering/shadow_keeper.h"
#include "storage/spool.h"

namespace umbra::hub {

cluster::Knows to_knows(smtp::AskKind kind);

class Guardian {
 public:
  Guardian(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
           Ownership& ownership, Copier& copier, PendingMessages& pending, EventLog& log, Metrics& metrics);

  void set_outbound(Outbound* outbound) { outbound_ = outbound; }
  /// Called when a commit here may have written to the outbox.
  void on_outbox_grew(std::function<void()> callback) { outbox_grew_ = std::move(callback); }
  /// Called when holders of a message have to be told more than they know.
  void on_note(std::function<void()> callback) { note_changed_ = std::move(callback); }
  /// Asks who owns the mail that is older than this epoch; then lets delivery load it; then watches.
  void start();
  Task<void> stop();
  [[nodiscard]] bool is_returning() const { return is_returning_; }
  /// Older mail that is delivered though a hub that may have taken it over has not answered: a possible
  /// duplicate.
  [[nodiscard]] bool is_unsettled(RowId row) const {
    return std::ranges::binary_search(unsettled_, row, {}, &Unsettled::row);
  }
  /// Unsettled, and its silent holders are waited for no longer. Who has answered that it will know more in a
  /// moment is not silent.
  [[nodiscard]] bool is_given_up(RowId row) const {
    auto at = std::ranges::lower_bound(unsettled_, row, {}, &Unsettled::row);
    return at != unsettled_.end() && at->row == row && at->is_given_up;
  }
  /// Messages whose copies are on hubs that are silent, but not for so long that they are copied again.
  [[nodiscard]] std::uint64_t short_messages() const { return short_messages_; }
  /// For how long mail of a hub that is gone has waited for another hub, which may own it and does not
  /// answer. 0: it does not.
  [[nodiscard]] Duration takeover_wait() const;
  /// The copies held for this owner are asked about now.
  void audit_soon(SpoolId owner) { audits_.erase(owner); }
  /// This hub owns it, and another one offered a copy of what may be a later generation: who owns it is asked
  /// at once.
  void doubt(MessageId id);
  /// `hub` asks about these. Where this hub is about to take one of them over and `hub` would go first, what
  /// it has heard is old: the asker may have become a holder since, and take it over by the answer.
  void asked_by(const std::string& hub, const std::vector<MessageId>& ids);
  /// A member's sessions opened, or it has another spool or epoch: what it says of its copies is asked anew.
  void member_changed(Member& member);

  using Answers = std::map<MessageId, std::vector<cluster::Answer>>;
  /// Asks every member that is connected (or only `only`). A hub that does not answer has no entry.
  Task<Answers> ask(std::vector<MessageId> ids, std::string only);
  /// True when that spool is gone: replaced, or silent for longer than a lease, not to be reached by one more
  /// word, and fenced durably, so that what it held or owned may be taken over.
  Task<bool> end_run_of(std::string hub, SpoolId spool);

 private:
  Task<void> run();
  Task<void> return_home();
  Task<void> tell_suspects();
  /// A row of an earlier epoch whose fate is still to be asked for.
  struct Unsettled {
    RowId row;
    bool is_given_up = false;   ///< every holder that has not answered is waited for no longer
    bool is_soon_known = true;  ///< a hub has answered that it will know more in a moment, or this one was
                                ///< not able to ask: asked again soon
  };
  /// Those whose ownership is not known yet.
  Task<std::vector<Unsettled>> settle_returned(std::vector<RowId> rows);
  Task<void> settle_rest();
  /// A look at everything, over and over. What takes long goes on in tasks of its own: what is done about one
  /// hub delays nothing that is to be done about another one.
  Task<void> watch();
  using Owner = std::pair<std::string, SpoolId>;
  void look_at(std::vector<Owner> owners);
  [[nodiscard]] bool is_audit_due(const std::string& hub, SpoolId spool);
  Task<void> take_over_task(Owner owner);
  Task<void> audit_task(Owner owner);
  Task<void> look_at_returns();
  Task<void> look_at_silent_holders();
  Task<void> watch_holders();
  Task<void> take_over_from(std::string hub, SpoolId spool);
  Task<bool> last_contact(Member& member);
  /// Gone, and no run of it that this hub has heard of delivers any more.
  [[nodiscard]] bool may_take_from(const std::string& hub, SpoolId spool);
  /// What every hub was told, and answered, before a take-over is decided.
  struct Heard {
    Answers answers;
    std::vector<smtp::KnownEpoch> over;  ///< runs that are
    EndedRuns::Told told;
  };
  Task<Heard> tell_and_ask(const std::vector<storage::Shadow>& shadows);
  /// Hubs that have not answered and may own this message, or have taken it over.
  struct Others {
    bool are_waited_for = false;
    std::vector<storage::Holder> out;  ///< those that are not: they ask when they are back
    bool is_given_up = false;          ///< one of these is a holder of the copy
  };
  [[nodiscard]] Others others_of(const storage::Shadow& shadow, const Heard& heard);
  /// With discovery a hub may have been forgotten since, or was never met: known again, it answers or can be
  /// out.
  void bring_to_mind(const std::string& hub, SpoolId spool, Epoch lowest);
  void note_wait_for(const Member& member);
  [[nodiscard]] bool may_have_been_given(const storage::Shadow& shadow, const Member& member) const;
  Task<void> look_into(MessageId id);
  Task<void> end_epochs_of_silent_holders();
  Task<bool> end_epoch(Member& member, SpoolId spool);
  void look_at_ownership();
  [[nodiscard]] bool is_gone(const std::string& hub, SpoolId spool);
  /// Asks everybody about these shadows of one owner and takes, drops or leaves each.
  Task<void> decide(std::vector<storage::Shadow> page, MessageEvent event);
  Task<void> decide_on(std::vector<storage::Shadow> page, MessageEvent event);
  Task<void> take(std::vector<storage::Shadow> shadows, MessageEvent event);
  struct Dropped {
    MessageId id;
    Generation up_to;
    std::string owner;  ///< its hub
    bool is_done;       ///< else it was never accepted
  };
  using Copies = std::vector<Dropped>;
  struct Elsewhere {
    MessageId id;
    Generation up_to;
    storage::Owner owner;
  };
  Task<void> follow(std::vector<Elsewhere> copies);
  Task<void> drop(Copies copies);
  Task<void> audit(std::string hub, SpoolId spool);
  Task<void> count_short();
  /// This, former_owner_is_back and change_messages_of: false where the spool did not take all of it; it is
  /// done again at the next look.
  Task<bool> holder_lost(SpoolId spool, bool is_replaced, bool has_left);
  Task<bool> holder_is_back(std::string hub, SpoolId spool);
  Task<bool> former_owner_is_back(SpoolId spool);
  using ChangeHolders = std::function<void(std::vector<storage::Holder>&)>;
  Task<bool> change_messages_of(SpoolId spool, ChangeHolders change, std::string why_unprotected);
  /// The next page of those that name this spool as a holder.
  Task<Result<std::vector<storage::StoredMessage>>> messages_held_by(SpoolId spool, RowId after);
  /// In one commit.
  Task<Result<void>> change_holders_of(std::vector<RowId> rows, ChangeHolders change);

  Task<bool> wait(Duration span);

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  Ownership& ownership_;
  Copier& copier_;
  PendingMessages& pending_;
  EventLog& log_;
  Metrics& metrics_;
  Outbound* outbound_ = nullptr;
  std::function<void()> outbox_grew_ = [] {};
  std::function<void()> note_changed_ = [] {};
  EndedRuns ended_runs_;
  TaskScope tasks_;
  Timer wake_;
  bool is_returning_ = true;
  bool is_stopping_ = false;
  std::set<SpoolId> busy_;  ///< spools whose mail is being taken over, whose copies are asked about, or whose
                            ///< return is noted
  std::size_t takeovers_running_ = 0;
  std::size_t audits_running_ = 0;
  SpoolId last_taken_from_;  ///< of several that are gone the next one in order goes first
  bool is_looking_at_returns_ = false;
  bool is_ending_epochs_ = false;
  std::set<SpoolId> ending_;  ///< spools whose epochs are being ended
  /// Per owner spool. New when the owner begins another run or session.
  struct Audit {
    RowId up_to{0};  ///< the owner has said that it owns what is up to here
    MonotonicTime next = MonotonicTime::min();
    MonotonicTime from_start = MonotonicTime::max();  ///< then everything is asked about again
  };
  std::map<SpoolId, Audit> audits_;
  std::vector<Unsettled> unsettled_;  ///< ascending
  std::unordered_map<MessageId, bool>
      deciding_;  ///< what a take-over asks about; true: it is asked about by one that goes first
  std::vector<RowId> doubted_;            ///< unsettled from the next look on
  std::set<std::string> silent_holders_;  ///< they keep mail or shadows waiting: their epochs are to be ended
  struct Wait {
    MonotonicTime since;
    MonotonicTime last;  ///< not long ago, or it is over
  };
  std::map<std::string, Wait> waits_;  ///< of take-overs, for the answer of a hub
  MonotonicTime said_waiting_at_ = MonotonicTime::min();
  /// Of each spool whose epoch this hub has seen ended: the lowest epoch since, and the first row that came
  /// here afterwards.
  std::map<SpoolId, std::pair<Epoch, RowId>> out_from_;
  std::string why_mail_waits_;
  bool delivers_nothing_ = false;
  MonotonicTime next_settle_ = MonotonicTime::min();
  MonotonicTime next_settle_soon_ = MonotonicTime::min();  ///< of what is soon known
  /// Spools of silent holders whose messages were marked unprotected already.
  std::set<SpoolId> lost_holders_;
  std::vector<SpoolId> short_of_;
  std::uint64_t short_messages_ = 0;
  MonotonicTime next_count_ = MonotonicTime::min();
  /// Owners whose mail is being taken over, for one log line and one count each.
  std::set<SpoolId> taken_from_;
};

}  // namespace umbra::hub
