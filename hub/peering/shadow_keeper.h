// What this hub does for other hubs: stores their copies, applies their discard status, answers what it knows
// of a message. Called by PeerServer's sessions with commands that are parsed and authenticated. Answers come
// through a ReplySlot when what they promise is durable. Home thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>

#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/members.h"
#include "hub/peering/recent_messages.h"
#include "smtp/reply.h"
#include "smtp/shadow_verbs.h"
#include "storage/spool.h"

namespace umbra::hub {

/// The place of one reply in a session's order.
class ReplySlot {
 public:
  virtual ~ReplySlot() = default;
  virtual void answer(const smtp::Reply& reply) = 0;
};
using ReplySlotPtr = std::shared_ptr<ReplySlot>;

/// Messages between the offer of a copy and the reply to the client: "pending" to whoever asks.
using PendingMessages = std::unordered_set<MessageId>;

class ShadowKeeper {
 public:
  ShadowKeeper(const Config& config, storage::Spool& spool, Members& members, PendingMessages& pending,
               EventLog& log, Metrics& metrics, asio::io_context& io);

  /// The other hub, as authenticated on the session.
  struct Peer {
    std::string hub;
    SpoolId spool;
    Epoch epoch;
  };

  /// A body that comes in pieces; belongs to one session.
  struct Stream {
    storage::Shadow shadow;
    std::uint32_t next_chunk = 0;
    std::uint64_t received = 0;
    std::shared_ptr<bool> has_failed;  ///< a piece was refused
    bool is_early = false;             ///< neither size nor envelope are known before the end
    /// Set for a message that is handed over: called with the last piece instead of storing a shadow.
    std::function<void(std::uint32_t number, std::string octets, ReplySlotPtr slot)> finish;
  };

  /// The whole copy in one command.
  void store(const Peer& peer, smtp::CopyOffer offer, ReplySlotPtr slot);
  /// Begins a copy in pieces; a reply when it can not be taken.
  std::optional<smtp::Reply> begin(const Peer& peer, const smtp::CopyOffer& offer, Stream& stream);
  void append(const Peer& peer, Stream& stream, std::string octets, bool last, ReplySlotPtr slot);
  /// Ends a copy that was begun early: now it is a copy.
  void end(const Peer& peer, Stream stream, const smtp::CopyOffer& offer, ReplySlotPtr slot);
  /// The session ended in the middle of a copy.
  void give_up(const Stream& stream);
  /// Nobody will end this copy: a piece of it was refused, or the message is done.
  [[nodiscard]] bool is_over(const Stream& stream) const;

  void forget(const Peer& peer, MessageId id, Generation generation, ReplySlotPtr slot);
  void discard(const Peer& peer, std::vector<smtp::DiscardItem> items, ReplySlotPtr slot);
  void poll(const Peer& peer, std::uint64_t limit, ReplySlotPtr slot);
  /// Messages during whose attempts another hub ended: remembered of those that are held here.
  void suspect(const Peer& peer, std::vector<std::pair<MessageId, std::uint32_t>> suspects,
               ReplySlotPtr slot);
  /// What the owner tells of copies held for it: noted durably, where they are.
  void note(const Peer& peer, std::vector<smtp::NoteItem> items, ReplySlotPtr slot);
  void seen(const Peer& peer, std::vector<std::uint64_t> keys, ReplySlotPtr slot);
  /// Who asks about a message that this hub owns may have a copy of it: it is noted as a holder before it is
  /// answered, and so will be told when the message is done.
  void ask(const Peer& peer, std::vector<MessageId> ids, ReplySlotPtr slot);
  /// What is known of one, without the line that counts; nobody is noted.
  void ask_one(MessageId id, ReplySlotPtr slot);
  /// A write that quiet() waits for.
  void write(storage::Spool::WriteJob job, std::size_t octets, std::function<void(Result<void>)> done);

  /// Another hub has told this run that the message is done.
  [[nodiscard]] bool was_discarded(MessageId id) const { return buried_.find(id).has_value(); }
  /// This run has delivered a message of that generation, durably. An earlier owner that says "done"
  /// afterwards had delivered it too: then a recipient has a second copy, which is counted.
  void delivered(MessageId id, Generation generation);

  /// This hub takes no copies now (it is being drained): 452.
  void set_refusing(bool is_refusing) { is_refusing_ = is_refusing; }
  /// Delivery, which is made after this.
  void set_outbound(Outbound* outbound) { outbound_ = outbound; }
  /// Called when a commit here may have written to the outbox.
  void on_outbox_grew(std::function<void()> callback) { outbox_grew_ = std::move(callback); }
  /// Called when a copy of a message was refused of which this hub knows another owner. It may be this hub,
  /// and wrong.
  void on_doubt(std::function<void(MessageId)> callback) { doubt_ = std::move(callback); }
  /// Waits until nothing that was begun here is under way in the spool.
  Task<void> quiet();

 private:
  struct Question;
  void ask(std::shared_ptr<Question> question, ReplySlotPtr slot);
  void answer(const Question& question, ReplySlot& slot);
  void note_asker(std::shared_ptr<Question> question, std::vector<RowId> rows, ReplySlotPtr slot);
  void end_operation();
  void end_delivery(MessageId id, RowId row);
  void commit_copy(const Peer& peer, Stream stream, std::uint32_t number, std::string octets,
                   ReplySlotPtr slot);
  std::optional<smtp::Reply> refuse(const Peer& peer, const smtp::CopyOffer& offer);
  void refuse_other_owner(MessageId id, ReplySlot& slot);
  Result<storage::Shadow> make_shadow(const Peer& peer, const smtp::CopyOffer& offer);
  void count_second_copy(const Peer& peer, const smtp::DiscardItem& item);
  /// What the tracking log says of a shadow; empty when nobody keeps it.
  struct Tracked {
    std::string sender;
    std::string recipients;
    std::string client;
    std::uint64_t size = 0;
  };
  [[nodiscard]] Tracked tracked_of(const storage::Shadow& shadow) const;
  void log_stored(MessageId id, const std::string& owner, const Tracked& tracked);

  const Config& config_;
  storage::Spool& spool_;
  Members& members_;
  PendingMessages& pending_;
  EventLog& log_;
  Metrics& metrics_;
  Outbound* outbound_ = nullptr;
  std::function<void()> outbox_grew_ = [] {};
  std::function<void(MessageId)> doubt_ = [](MessageId) {};
  std::size_t under_way_ = 0;
  bool is_refusing_ = false;
  Event quiet_;
  /// Lately forgotten or discarded here: a late copy of them is refused (it was sent before the discard).
  RecentMessages buried_{100'000};
  RecentMessages delivered_{100'000};  ///< that had another owner before
};

/// The reply to another hub when this hub's spool could not do what was asked.
smtp::Reply spool_failure_reply(const Error& error);

}  // namespace umbra::hub
