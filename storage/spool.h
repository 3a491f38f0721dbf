// One hub's memory: the face of storage. Messages in delivery (primaries), shadows held for other hubs,
// bodies, the queue of due attempts, and the outbox of discard status owed to other hubs. This file
// is long because it says of each operation what it promises.
//
// All writes go through write(): closures are gathered and committed together (group commit: one fsync for
// many), on the writer lane; reads go through read() on the reader lane, and see what is committed. A lane is
// a thread in production and a task on virtual time in simulation. Both may be called from the home thread
// only; completions come back there, in order of submission per lane. A successful completion of write()
// means: durable (WAL, synchronous=FULL).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/envelope.h"
#include "base/histogram.h"
#include "base/ids.h"
#include "base/message_note.h"
#include "base/random.h"
#include "base/result.h"
#include "storage/attempt_marks.h"
#include "storage/ledger.h"

namespace umbra::storage {

/// Runs jobs one at a time, in order.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void post(std::move_only_function<void()> job) = 0;
};

/// Another hub that was offered a copy of a message, in the order of the offers, failed offers included.
struct Holder {
  enum class State : std::uint8_t {
    offered = 0,  ///< no answer: it may hold the copy
    holds = 1,    ///< said that its copy is durable
    former_owner =
        2,        ///< owned the message before, and has not been heard of since: it is owed the "done" too
    owed = 3,     ///< of a shadow: got its copy from this hub while this hub was the owner, and the owner of
                  ///< today may not know of it: this hub passes the "done" on to it
    receiver = 4  ///< is being handed the message: it owns it under the next generation, if it said yes. Not
                  ///< among the holders of a message: see StoredMessage::receiver
  };
  std::string hub;
  SpoolId spool;
  State state = State::offered;
  bool operator==(const Holder&) const = default;
};

/// The entry of that hub with that spool, in whatever state; the end when there is none.
template <typename Holders>
auto find_holder(Holders& holders, std::string_view hub, SpoolId spool) {
  return std::ranges::find_if(holders, [&](const Holder& h) { return h.hub == hub && h.spool == spool; });
}

/// On how many hubs a copy is known to be durable.
std::uint32_t copies_held(std::span<const Holder> holders);

/// When to try a message next, for the recipients that route to one destination.
struct QueueEntry {
  std::string destination;  ///< name of the queue (a domain, or a route's name)
  WallTime due{};
  std::uint32_t attempts = 0;
  bool operator==(const QueueEntry&) const = default;
};

enum class MessageState : std::uint8_t {
  queued = 0,
  held = 1,  ///< by the operator: not delivered until released
  handing_over =
      2,  ///< being handed to another hub, which may own it by now: undeliverable, kept as the copy
  handing_over_held = 3,  ///< the same of one that the operator held
};
inline bool is_handing_over(MessageState state) {
  return state >= MessageState::handing_over;
}

struct RecipientOutcome {
  enum class State : std::uint8_t { pending = 0, delivered = 1, failed = 2, expanded_elsewhere = 3 };
  std::uint32_t index = 0;  ///< into Envelope::recipients
  State state = State::pending;
  std::string detail;  ///< last reply or reason, at most 512 octets kept
  std::string next_hop =
      {};  ///< delivered, and there is a safety net: destination, host and address, with spaces between them
  bool operator==(const RecipientOutcome&) const = default;
};

struct NewMessage {
  RowId row;  ///< also the key of its body; chunks may have been put before
  MessageId id;
  Generation generation;
  Envelope envelope;
  std::uint64_t size = 0;  ///< octets of the body
  std::vector<Holder> holders;
  bool is_protected = true;  ///< false: acknowledged with fewer copies than its policy asks for
  WallTime alarm_at{};       ///< next delay warning or expiry, whichever comes first
  std::vector<QueueEntry> queue;
  std::vector<RecipientOutcome> progress;  ///< of a message that was taken over
  std::vector<OwnerRecord>
      history{};  ///< of one that had another owner before; take_over() puts what is known of that in front
  std::string last_error{};
  Entered entered =
      Entered::accepted;   ///< for the ledger; take_over() and accept_hand_over() know it themselves
  std::string next_hop{};  ///< as in StoredMessage; take_over() puts what was noted in its place
};

struct StoredMessage {
  RowId row;
  MessageId id;
  Generation generation;
  MessageState state = MessageState::queued;
  Envelope envelope;
  std::uint64_t size = 0;
  std::vector<Holder> holders;
  std::optional<Holder>
      receiver;  ///< of one that is being handed over: it has nothing yet that it could lose or take over
  bool is_protected = true;
  WallTime alarm_at{};
  std::vector<QueueEntry> queue;           ///< what is still to be tried
  std::vector<RecipientOutcome> progress;  ///< only recipients that are not plain pending
  std::string last_error;
  std::uint32_t noted = 0;  ///< number of its note; 0: there is nothing that its holders need be told
  std::vector<OwnerRecord> history;  ///< empty: accepted here
  std::string next_hop =
      {};  ///< the destination of all that is left, as the operator said; empty: as the routes say
};
/// What its holders are to know.
MessageNote note_of(const StoredMessage& message);

/// A copy held for another hub.
struct Shadow {
  RowId row;
  MessageId id;
  Generation generation;
  std::string owner_hub;
  SpoolId owner_spool;
  Epoch owner_epoch;  ///< in which the owner offered it
  Envelope envelope;
  std::uint64_t size = 0;
  std::vector<Holder> offered;      ///< every hub the copy was offered to, in order, this one included
  std::vector<std::uint32_t> done;  ///< recipients known to be done (delivered or failed), ascending
  MessageNote note{};
};

/// What became of a note at a holder.
enum class NoteAnswer : std::uint8_t {
  noted,
  wait,  ///< the hub has something of the message that is older: it may become a holder yet
  none   ///< it holds no copy for that owner under that generation
};

/// A note of a message of ours that one holder has not confirmed.
struct OwedNote {
  RowId row;
  MessageId id;
  Generation generation;
  MessageNote note;
};

/// Who owns a message now.
struct Owner {
  Generation generation;
  std::string hub;
  SpoolId spool;
  Epoch epoch;
};

/// Discard status owed to one hub. Outlives the message; gone when the hub has confirmed it.
struct OutboxItem {
  std::uint64_t key = 0;
  std::string hub;
  SpoolId spool;
  MessageId id;
  Generation generation;
  bool all = true;          ///< done with the whole message; else only with `recipients`
  bool superseded = false;  ///< not done: a later owner has it, and this generation's copy is not needed
  std::vector<std::uint32_t> recipients;  ///< ascending
};

/// The outcome of one attempt to deliver one message to one destination.
struct AttemptRecord {
  RowId row;
  std::string destination;
  std::vector<RecipientOutcome> outcomes;  ///< delivered and failed end; pending keeps `detail` for display
  std::vector<QueueEntry> again;     ///< replaces the entry for `destination`; empty: nothing left for it
  std::string last_error;            ///< for display; empty keeps what is there
  std::optional<WallTime> alarm_at;  ///< set anew (after a delay warning)
  /// The discard status that follows from this attempt is held back until this message (a DSN made from it)
  /// is protected or finished: a DSN is a fork.
  std::optional<RowId> fork;
  bool is_expiry = false;  ///< what failed did so because of its age
};

struct AttemptEffect {
  /// Nothing left to try: message and body are gone, discards are in the outbox. Also when the message was
  /// gone before.
  bool message_finished = false;
};

/// What this spool knows about a message id.
struct Knowledge {
  enum class Kind : std::uint8_t { unknown, live, held_for_other, done, handing_over };
  Kind kind = Kind::unknown;
  RowId row;                    ///< live, held_for_other
  Generation generation;        ///< all but unknown
  std::string owner_hub;        ///< held_for_other
  SpoolId owner_spool;          ///< held_for_other
  std::vector<Holder> holders;  ///< live
};

struct DueMessage {
  RowId row;
  QueueEntry entry;
};

/// A message of ours, and whether another hub has it too.
struct CopyElsewhere {
  RowId row;
  MessageId id;
  MessageState state = MessageState::queued;
  std::vector<QueueEntry> queue;
  bool is_missing = false;
};

struct QueueCounts {
  std::uint64_t messages = 0;  ///< state queued or held
  std::uint64_t held = 0;
  std::uint64_t unprotected = 0;
  std::uint64_t shadows = 0;
  std::uint64_t outbox = 0;
  std::uint64_t kept = 0;  ///< in the safety net
  std::uint64_t kept_octets = 0;
  std::optional<WallTime> kept_oldest = {};
};

/// How much the safety net keeps. Both limits hold; one of them zero: there is none.
struct SafetyNetLimits {
  Duration keep{};
  std::uint64_t octets_max = 0;
  [[nodiscard]] bool enabled() const { return keep > Duration{} && octets_max > 0; }
};

struct KeptRecipient {
  std::uint32_t index = 0;  ///< into Envelope::recipients
  std::string
      next_hop;  ///< destination, host and address, with spaces between them; empty: another hub delivered it
  std::string reply;
  bool operator==(const KeptRecipient&) const = default;
};

/// Mail that is done and kept.
struct KeptMessage {
  RowId row;
  WallTime ended_at{};
  bool is_shadow = false;  ///< another hub delivered it; its own copy is kept there
  MessageId id;
  Generation generation;
  SpoolId owner_spool;  ///< of a shadow; 0: not known
  std::string owner_hub;
  std::uint64_t size = 0;                ///< octets of the body
  std::uint64_t octets = 0;              ///< that count against the cap
  std::vector<KeptRecipient> delivered;  ///< empty: all of them, as another hub said
  Envelope envelope;
};

/// A request to send kept mail again, and how far it has come. Its key makes it the same request when it is
/// made twice.
struct Resend {
  enum class State : std::uint8_t { running = 0, done = 1, cancelled = 2 };
  std::string request;
  std::string filter;  ///< what is to be sent again, in the words of who asked
  State state = State::running;
  WallTime begun_at{};
  WallTime changed_at{};
  WallTime reached_at{};  ///< what ended before, and up to this row at that moment, was looked at
  RowId reached_row;
  std::uint64_t looked_at = 0;
  std::uint64_t resent = 0;
  std::uint64_t resent_octets = 0;
  std::uint64_t shadows_left_out = 0;  ///< their owner lives, or may come back
  std::uint64_t failed = 0;            ///< not there any more when their turn came
  std::string why;                     ///< what it waits for, or why it ended
};

/// A message that was being delivered when the process ended without a word, and how often it was.
struct Suspect {
  MessageId id;
  std::uint32_t crashes = 0;
};

/// What is remembered of another hub, to know a restart from a rolled-back or a new spool.
struct PeerMemory {
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  Sequence sequence;
};

/// What a discard status has ended.
struct Discarded {
  std::optional<RowId> ended{};  ///< what this hub owned of it: to be taken off the scheduler
  bool copy_dropped = false;     ///< a shadow was here, and is not any more
};

/// Changes, inside one group commit. Used by closures given to Spool::write(), on the writer lane only.
/// A closure that returns an error, or throws, is rolled back alone (its savepoint); the others commit.
class Writer {
 public:
  virtual ~Writer() = default;

  // Bodies. Chunks are numbered from 0; a body is the concatenation of its chunks.
  virtual Result<void> put_chunk(RowId body, std::uint32_t number, std::string_view octets) = 0;
  /// Drops the chunks of a body that has neither message nor shadow (an acceptance that was given up); of one
  /// that has, nothing.
  virtual Result<void> drop_body(RowId body) = 0;

  // Messages (primaries).
  virtual Result<void> insert_message(const NewMessage& message) = 0;
  /// Removes a message that was not acknowledged; no discard status is owed.
  virtual Result<void> forget_message(RowId row) = 0;
  virtual Result<AttemptEffect> record_attempt(const AttemptRecord& record) = 0;
  /// Ends a message whatever is left of it (bounced by the operator, or another owner finished it). Discard
  /// status goes to all its holders (held back by `fork` as in AttemptRecord) but `except`, who told us.
  /// `how`: for the ledger.
  virtual Result<void> finish_message(RowId row, std::optional<RowId> fork, SpoolId except, Left how) = 0;
  virtual Result<void> set_holders(RowId row, const std::vector<Holder>& holders, bool is_protected) = 0;
  /// Changes the holders as they are in the spool now, whatever changed them since the caller looked.
  /// Afterwards the message is protected if as many of them `holds` as its envelope asks for. A receiver is
  /// none of them and stays as it is, here and above.
  virtual Result<void> change_holders(RowId row, const std::function<void(std::vector<Holder>&)>& change) = 0;
  virtual Result<void> set_generation(RowId row, Generation generation) = 0;
  /// queued <-> held. Leaving `queued` takes the entries out of the due queue; `queue` are those of a message
  /// that becomes queued (ignored otherwise).
  virtual Result<void> set_state(RowId row, MessageState state, const std::vector<QueueEntry>& queue) = 0;
  /// That entry becomes due at `due`; nothing when it is not there as it was (attempted, held or ended
  /// meanwhile).
  virtual Result<void> bring_forward(RowId row, const QueueEntry& as_it_was, WallTime due) = 0;
  /// Replaces all queue entries (retry now, routes that have changed).
  virtual Result<void> set_queue(RowId row, const std::vector<QueueEntry>& queue) = 0;
  /// The operator sends it another way, or (empty) as the routes say again. `queue`: the entries that follow,
  /// of a held one for later.
  virtual Result<void> set_next_hop(RowId row, const std::string& next_hop,
                                    const std::vector<QueueEntry>& queue) = 0;

  // Shadows.
  /// Idempotent per (id, generation). An older generation of the same id is replaced; a newer one, or owning
  /// the message itself, fails with errc::file_exists. Chunks are under `shadow.row`: put them after `true`;
  /// `false`: the same copy was here already, nothing was stored.
  virtual Result<bool> insert_shadow(const Shadow& shadow) = 0;
  /// The owner is done with the message (all), or with some recipients. Nothing there: fine. Ends what this
  /// hub owns of it, too (rule 8: "done" is a fact, whoever says it).
  virtual Result<Discarded> apply_discard(const OutboxItem& item, SpoolId from) = 0;
  /// Removes a shadow (and body) whose message is done, as another hub said: the safety net may keep it. Hubs
  /// that are `owed` the "done" are told. A copy of a generation later than `up_to` stays: it came after the
  /// caller looked, and its owner counts on it. True: there was one.
  virtual Result<bool> finish_shadow(MessageId id, Generation up_to) = 0;
  /// The same of one that is not needed any more though nobody has said that its message is done: it was
  /// never accepted, or is elsewhere. Hubs that are `owed` hear that theirs is superseded.
  virtual Result<bool> release_shadow(MessageId id, Generation up_to) = 0;
  /// release_shadow() of one that its owner could not accept. Fails with errc::file_exists when it is not the
  /// owner's to forget any more: this hub owns it, has finished it and still owes the "done", or holds it
  /// under a later generation.
  virtual Result<void> forget_shadow(MessageId id, Generation generation) = 0;
  /// Another hub owns the message by now: a copy of a generation up to `up_to` becomes one that this hub
  /// holds for it. Hubs that are `owed` the "done" by this one stay so. (It is not given up: the owner may
  /// have no other copy yet.)
  virtual Result<void> follow_owner(MessageId id, Generation up_to, const Owner& owner) = 0;
  /// The shadow becomes a message of ours: same row, body and id; `message` carries the new generation,
  /// holders and queue. What was noted of the shadow holds on: it stays held, its next hop, the next alarm,
  /// the attempts, the history. `applied`: what that was.
  virtual Result<void> take_over(const NewMessage& message, MessageNote* applied) = 0;
  Result<void> take_over(const NewMessage& message) { return take_over(message, nullptr); }

  // Notes: what holders know besides what is done. That a note has changed, and who has to be told, is
  // written with every change.
  /// Told by `owner`. A lower number than was told before by it changes nothing.
  virtual Result<NoteAnswer> note_shadow(MessageId id, Generation generation, SpoolId owner,
                                         const MessageNote& note) = 0;
  /// That holder has confirmed the note with this number, or an earlier one.
  virtual Result<void> note_told(RowId row, SpoolId holder, std::uint32_t number) = 0;
  /// It has to be told (again), if there is anything to tell.
  virtual Result<void> owe_note(RowId row, SpoolId holder) = 0;

  /// The reverse: another hub took this message of ours over. It becomes a shadow held for that hub, under
  /// the given generation and owner: same row, body and id; known progress is kept as `done`; it leaves the
  /// queue; nothing goes to the outbox yet, but its holders are `owed` the "done" from now on. (It may be the
  /// last copy, so it is never just dropped.)
  virtual Result<void> cede(RowId row, Generation generation, const std::string& owner_hub,
                            SpoolId owner_spool, Epoch owner_epoch) = 0;

  // Hand-over: ownership moves with the owner's consent (docs/xshadow.md).
  /// Before the offer: from now on the message is undeliverable, and `receiver` may own it under the next
  /// generation. Fails with device_or_resource_busy when it is being handed over already, or a fork still
  /// holds back its discard status.
  virtual Result<void> begin_hand_over(RowId row, const Holder& receiver) = 0;
  enum class HandOverEnd : std::uint8_t {
    moved,      ///< message and body are gone from here
    kept,       ///< it becomes a shadow held for the owner (as by cede())
    concluded,  ///< the same, but nobody has said that the owner has it: it fell silent
  };
  /// `owner` has it under `generation`. The other holders of ours are told that their copies are superseded;
  /// when that was `concluded`, they are needed still: all holders, the owner among them, are `owed` the
  /// "done" by us.
  virtual Result<void> end_hand_over(RowId row, Generation generation, const Holder& owner, Epoch owner_epoch,
                                     HandOverEnd how) = 0;
  /// Ours again. `receiver_may_have_it`: under a later generation than it was offered; the receiver is owed
  /// the "done".
  virtual Result<void> take_back(RowId row, Generation generation, bool receiver_may_have_it) = 0;
  struct HandedOver {
    RowId row;
    bool is_new = false;      ///< false: it was accepted before (a second offer)
    bool wants_body = false;  ///< its chunks go under `row`; else the body was here already
  };
  /// The receiver's side: the message is ours under message.generation, whatever copy of it was here. Fails
  /// with file_exists when a later owner, or its end, is known here.
  virtual Result<HandedOver> accept_hand_over(const NewMessage& message, bool is_held) = 0;

  // Outbox and peers.
  virtual Result<void> outbox_confirmed(std::span<const std::uint64_t> keys) = 0;
  /// The same, said by the hub with this spool: keys of what is owed to others are passed over.
  virtual Result<void> outbox_confirmed_by(SpoolId spool, std::span<const std::uint64_t> keys) = 0;
  /// Drops what is owed to a spool that is gone for good.
  virtual Result<void> outbox_forget_spool(SpoolId spool) = 0;
  virtual Result<void> remember_peer(const PeerMemory& peer) = 0;
  /// It is no member any more, and nothing is held for it or owed to it.
  virtual Result<void> forget_peer(const std::string& hub) = 0;

  // Suspects.
  /// `owner` has counted so many; the higher count holds. True when a shadow is held for it here; of any
  /// other message its word does not count.
  virtual Result<bool> suspect(MessageId id, std::uint32_t crashes, SpoolId owner) = 0;
  virtual Result<void> forget_suspect(MessageId id) = 0;
  // Safety net: what ends goes there by itself, when there is one.
  /// Removes what has ended before that moment and what is beyond the cap, at most `rows_max`. How many went.
  virtual Result<std::size_t> trim_kept(WallTime ended_before, std::size_t rows_max) = 0;
  /// The disk is short: nothing is kept any more, and the oldest goes, its pages given back to the file
  /// system.
  virtual Result<std::size_t> give_way(std::size_t rows_max) = 0;
  /// There is room again.
  virtual Result<void> keep_again() = 0;
  /// Other limits of the safety net, for what ends from now on; trim_kept() does the rest.
  virtual void set_safety_net(const SafetyNetLimits& limits) = 0;
  virtual Result<void> put_resend(const Resend& resend) = 0;
  /// A few words under a name; empty: no such note any more.
  virtual Result<void> set_note(const std::string& name, const std::string& value) = 0;
};

/// Queries. Used by closures given to Spool::read(), on the reader lane only. Every listing is paged by key.
class Reader {
 public:
  virtual ~Reader() = default;

  virtual Result<std::optional<StoredMessage>> message(RowId row) = 0;
  /// How long it was on hold until `now`, all times together.
  virtual Result<WallClock::duration> held_for(RowId row, WallTime now) = 0;
  virtual Result<std::optional<RowId>> find_message(MessageId id) = 0;
  /// One chunk of a body; empty string past the end.
  virtual Result<std::string> chunk(RowId body, std::uint32_t number) = 0;

  /// Earliest due time per destination (queued messages only).
  virtual Result<std::vector<std::pair<std::string, WallTime>>> due_by_destination() = 0;
  /// Entries of one destination with due <= until, by due time. `skip` (sorted) are under way already.
  virtual Result<std::vector<DueMessage>> due(const std::string& destination, WallTime until,
                                              std::size_t limit, std::span<const RowId> skip) = 0;
  /// The same behind one entry (a place in the queue, there or not): for walks through all of it.
  virtual Result<std::vector<DueMessage>> due_behind(const DueMessage& place, WallTime until,
                                                     std::size_t limit) = 0;
  /// How many of them there are. Reads an index only.
  virtual Result<std::uint64_t> due_count(const std::string& destination, WallTime until) = 0;
  /// Messages whose alarm_at <= until, by alarm time.
  virtual Result<std::vector<RowId>> alarms(WallTime until, std::size_t limit) = 0;
  /// Messages that are held, by row. Reads the whole table: not for every second.
  virtual Result<std::vector<RowId>> held(RowId after, std::size_t limit) = 0;
  virtual Result<std::vector<RowId>> unprotected(RowId after, std::size_t limit) = 0;
  /// The messages that ask for copies and may have none on the spools `heard`, by row; of each, whether that
  /// is so. Reads only those that are unprotected, or whose first copy is on another spool.
  virtual Result<std::vector<CopyElsewhere>> copies_missing(std::span<const SpoolId> heard, RowId after,
                                                            std::size_t limit) = 0;
  /// Those that are being handed over.
  virtual Result<std::vector<RowId>> handing_over(RowId after, std::size_t limit) = 0;
  virtual Result<std::uint64_t> handing_over_count() = 0;
  /// All messages in any state, by row; before `before` (exclusive).
  virtual Result<std::vector<RowId>> messages(RowId after, RowId before, std::size_t limit) = 0;
  /// Messages that name `spool` among their holders, by row. By an index: costs per message found.
  virtual Result<std::vector<RowId>> messages_held_by(SpoolId spool, RowId after, std::size_t limit) = 0;
  /// How many messages count a copy on `spool`: they would have one less without it. Reads an index only.
  virtual Result<std::uint64_t> copies_on(SpoolId spool) = 0;

  virtual Result<std::vector<Shadow>> shadows(RowId after, std::size_t limit) = 0;
  virtual Result<std::vector<Shadow>> shadows_of(SpoolId owner, RowId after, std::size_t limit) = 0;
  /// The spools for which shadows are held here (hub name, spool). Costs per owner, not per shadow.
  virtual Result<std::vector<std::pair<std::string, SpoolId>>> shadow_owners() = 0;
  virtual Result<std::optional<Shadow>> shadow(MessageId id) = 0;
  virtual Result<Knowledge> lookup(MessageId id) = 0;

  /// Items for one spool that are not held back by a fork, oldest first.
  virtual Result<std::vector<OutboxItem>> outbox(SpoolId to, std::uint64_t after_key, std::size_t limit) = 0;
  /// The spools to which something is owed.
  virtual Result<std::vector<std::pair<std::string, SpoolId>>> outbox_spools() = 0;
  virtual Result<std::vector<PeerMemory>> peers() = 0;
  /// Notes that the holder with this spool has not confirmed, by row.
  virtual Result<std::vector<OwedNote>> notes_owed(SpoolId to, RowId after, std::size_t limit) = 0;
  /// Of one message: the holders that have not confirmed its note.
  virtual Result<std::vector<Holder>> not_told(RowId row) = 0;
  virtual Result<std::vector<Suspect>> suspects(std::size_t limit) = 0;
  virtual Result<QueueCounts> counts() = 0;
  /// Counts entries of an index (some 60 ms for a million messages): not for every second. Fails with
  /// resource_unavailable_try_again when hundreds of commits were made meanwhile.
  virtual Result<Balance> balance() = 0;
  /// What has ended up to `until` and behind (`from`, `after`), oldest first.
  virtual Result<std::vector<KeptMessage>> kept(WallTime from, RowId after, WallTime until,
                                                std::size_t limit) = 0;
  virtual Result<std::optional<KeptMessage>> kept(RowId row) = 0;
  virtual Result<std::optional<Resend>> resend(const std::string& request) = 0;
  /// The newest first.
  virtual Result<std::vector<Resend>> resends(std::size_t limit) = 0;
  /// Empty: there is none.
  virtual Result<std::string> note(const std::string& name) = 0;
};

/// What group commit has done so far; readable from the home thread.
struct SpoolStatistics {
  std::uint64_t batches = 0;
  std::uint64_t operations = 0;
  std::uint64_t failed_batches = 0;
  std::uint64_t wal_octets = 0;
  Duration last_commit{};
  Histogram commit_seconds;          ///< each with its fsync
  std::uint64_t failed_full = 0;     ///< of the failed batches: no room
  std::uint64_t failed_io = 0;       ///< a write or sync failed for good
  std::uint64_t failed_damaged = 0;  ///< the database is damaged
  std::uint64_t kept_gone_age = 0;   ///< from the safety net, since the start
  std::uint64_t kept_gone_size = 0;
  std::uint64_t kept_gone_disk = 0;
  std::size_t waiting_operations = 0;
  std::size_t waiting_octets = 0;
};

struct SpoolOptions {
  std::string directory;  ///< must exist; the database is <directory>/spool.db
  std::string
      vfs;  ///< SQLite VFS name; empty: the default one. With another one no file-system checks are made.
  std::size_t batch_operations_max = 512;
  std::size_t batch_octets_max = 8U << 20;
  std::size_t checkpoint_octets =
      8U << 20;  ///< the WAL is moved into the database each time it has grown by this
  /// Whose spool it is: remembered in a new one, and one that is another hub's is refused. Empty: anybody's.
  std::string hub = {};
  SafetyNetLimits safety_net = {};
  std::optional<Interrupted> interrupted =
      std::nullopt;  ///< counted when it is about the run before this one
};

class Spool {
 public:
  using WriteJob = std::move_only_function<Result<void>(Writer&)>;
  using ReadJob = std::move_only_function<void(Reader&)>;
  using WriteDone = std::move_only_function<void(Result<void>)>;
  using ReadDone = std::move_only_function<void()>;

  /// Opens or creates the spool, migrates its schema, takes its lock, begins the next epoch durably. Refuses,
  /// with a reason an operator can act on: a second process on the same spool, a network file system, a newer
  /// schema, a damaged database, another hub's spool. `home` is where completions run. Blocks; call at
  /// start-up.
  static Result<std::unique_ptr<Spool>> open(const SpoolOptions& options, Random& random,
                                             Executor& writer_lane, Executor& reader_lane, Executor& home);
  /// No completion runs after this. What was not committed is not: stop() and the end of both lanes come
  /// first.
  virtual ~Spool() = default;

  [[nodiscard]] virtual SpoolId id() const = 0;
  [[nodiscard]] virtual Epoch epoch() const = 0;
  /// Of the last commit whose completion was delivered.
  [[nodiscard]] virtual Sequence sequence() const = 0;
  /// Fresh key for a message or shadow: (epoch << 40 | counter). The number of a MessageId of ours is its
  /// row's value.
  virtual RowId next_row() = 0;
  /// The first row key of the present epoch: everything below is older.
  [[nodiscard]] virtual RowId first_row_of_epoch() const = 0;
  /// A living hub that was told its epoch is over begins the next one (durable when done is called).
  virtual void begin_next_epoch(WriteDone done) = 0;

  virtual void write(WriteJob job, std::size_t octets, WriteDone done) = 0;
  virtual void read(ReadJob job, ReadDone done) = 0;

  /// Set once a sync or write has failed for good: every later write fails at once with this, restart to
  /// recover. A full disk is not that: those writes fail with errc::no_space_on_device and later ones are
  /// tried.
  [[nodiscard]] virtual std::optional<Error> unhealthy() const = 0;
  [[nodiscard]] virtual SpoolStatistics statistics() const = 0;
  /// Octets that the file system can still take; SIZE_MAX-like value under a test VFS.
  [[nodiscard]] virtual std::uint64_t free_octets() const = 0;

  /// Lets both lanes finish what was submitted (their completions are posted), then refuses everything: a
  /// write fails, a read's closure gets a Reader that fails, both with errc::operation_canceled.
  virtual void stop() = 0;
};

}  // namespace umbra::storage
