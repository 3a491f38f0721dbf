// The messages of which this hub is, or was, the primary hub: rows, their recipients' progress and their
// places in the due queue. One instance per connection: the writer changes, the reader lists.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/database.h"
#include "storage/holds.h"
#include "storage/notes.h"
#include "storage/queue.h"
#include "storage/spool.h"

namespace umbra::storage {

/// A row without its envelope: what a change needs to know.
struct MessageRow {
  RowId row;
  MessageId id;
  Generation generation;
  MessageState state = MessageState::queued;
  bool is_protected = true;
  std::uint64_t size = 0;
  WallTime alarm_at{};
  std::uint32_t recipients = 0;
  std::uint32_t done = 0;
  std::uint32_t copies = 1;  ///< that it must have elsewhere
  std::vector<Holder> holders;
  std::vector<QueueEntry> queue;
  std::vector<std::uint64_t> forks;  ///< ascending
  std::string last_error;
  std::uint32_t noted = 0;
  std::string next_hop = {};
};

/// How often each kind is there; kept in `meta`.
struct Counts {
  std::int64_t messages = 0;
  std::int64_t held = 0;
  std::int64_t unprotected = 0;
  std::int64_t shadows = 0;
  std::int64_t outbox = 0;
  std::int64_t kept = 0;
  std::int64_t kept_octets = 0;
  // Since the start; not in `meta`.
  std::int64_t kept_gone_age = 0;
  std::int64_t kept_gone_size = 0;
  std::int64_t kept_gone_disk = 0;
  Ledger ledger = {};
};

/// The holder that is in the row's index: the first with a copy, else the first. All others are in
/// further_holders.
const Holder* first_holder(const std::vector<Holder>& holders);
/// Takes the one out to whom the message is being handed.
std::optional<Holder> take_receiver(std::vector<Holder>& holders);

class Messages {
 public:
  /// `own`: the id of this spool.
  Messages(Database& database, SpoolId own) : database_(database), own_(own) {}

  // Changes. `counts` follows them.
  void insert(const NewMessage& message, Entered how, Counts& counts);
  /// Rewrites what may change of a row: everything but id, size, envelope and history; and its place in the
  /// due queue. Its holders are owed a note where what they have to know has changed.
  void update(const MessageRow& before, const MessageRow& after, Counts& counts);
  /// Removes row, progress, envelope and queue entries; not the body.
  void remove(const MessageRow& message, Left how, Counts& counts);
  /// A recipient of it was delivered, as is recorded.
  bool has_delivered(RowId row);
  /// Records outcomes; returns the recipients that were pending and have ended now, ascending.
  std::vector<std::uint32_t> record(RowId row, std::span<const RecipientOutcome> outcomes,
                                    std::uint32_t recipients);

  // Queries.
  std::optional<MessageRow> find_row(RowId row);
  std::optional<StoredMessage> load(RowId row);
  std::optional<RowId> find(MessageId id);
  std::vector<RowId> alarms(WallTime until, std::size_t limit);
  std::vector<RowId> held(RowId after, std::size_t limit);
  std::vector<RowId> unprotected(RowId after, std::size_t limit);
  std::vector<RowId> handing_over(RowId after, std::size_t limit);
  std::uint64_t handing_over_count();
  /// Counted, in indexes: without a look at the rows. What is held has none; `meta` knows how many that are.
  struct RowCounts {
    std::uint64_t queued = 0;
    std::uint64_t handing_over = 0;
    std::uint64_t handing_over_held = 0;  ///< of these
    [[nodiscard]] std::uint64_t all(std::uint64_t held) const {
      return queued + handing_over + held - std::min(held, handing_over_held);
    }
  };
  RowCounts row_counts();
  std::optional<RowId> oldest();
  std::vector<RowId> list(RowId after, RowId before, std::size_t limit);
  std::vector<RowId> held_by(SpoolId spool, RowId after, std::size_t limit);
  std::uint64_t copies_on(SpoolId spool);
  std::vector<CopyElsewhere> copies_missing(std::span<const SpoolId> heard, RowId after, std::size_t limit);
  Notes& notes() { return notes_; }
  Holds& holds() { return holds_; }
  std::vector<OwedNote> notes_owed(SpoolId to, RowId after, std::size_t limit);
  std::vector<Holder> not_told(RowId row);

  Queue& queue() { return queue_; }

 private:
  void name_further_holders(RowId row, const std::vector<Holder>& holders);
  void remove_further_holders(RowId row, const std::vector<Holder>& holders);
  void enqueue(const MessageRow& message);
  void dequeue(const MessageRow& message);
  std::optional<MessageRow> read(const Statement::Rows& rows);
  std::vector<SpoolId> first_holders();
  static std::vector<RowId> rows_of(Statement::Rows rows);

  Database& database_;
  SpoolId own_;
  Queue queue_{database_};
  Notes notes_{database_};
  Holds holds_{database_};

  Statement insert_{
      database_,
      "INSERT INTO messages VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?)"};
  Statement insert_envelope_{database_, "INSERT INTO envelopes VALUES(?, ?)"};
  Statement update_{
      database_,
      "UPDATE messages SET generation = ?2, state = ?3, protection = ?4, alarm_at = ?5, done = ?6, "
      "holders = ?7, queue = ?8, forks = ?9, last_error = ?10, held_by = ?11, noted = ?12, next_hop = ?13 "
      "WHERE row = ?1"};
  Statement remove_{database_, "DELETE FROM messages WHERE row = ?"};
  Statement remove_envelope_{database_, "DELETE FROM envelopes WHERE row = ?"};
  Statement remove_progress_{database_, "DELETE FROM progress WHERE row = ?"};
  Statement row_{database_,
                 "SELECT row, origin_spool, origin_number, generation, state, protection, size, alarm_at, "
                 "recipients, done, "
                 "holders, queue, forks, last_error, copies, noted, next_hop FROM messages WHERE row = ?"};
  Statement row_and_envelope_{
      database_,
      "SELECT row, origin_spool, origin_number, generation, state, protection, size, "
      "alarm_at, recipients, done, holders, "
      "queue, forks, last_error, copies, noted, next_hop, coalesce(envelope, (SELECT envelope FROM envelopes "
      "e WHERE e.row = messages.row)), history "
      "FROM messages WHERE row = ?"};
  Statement recipient_state_{database_, "SELECT state FROM progress WHERE row = ? AND recipient = ?"};
  Statement set_progress_{database_, "INSERT OR REPLACE INTO progress VALUES(?, ?, ?, ?, ?)"};
  Statement progress_{
      database_, "SELECT recipient, state, detail, next_hop FROM progress WHERE row = ? ORDER BY recipient"};
  Statement by_origin_{database_, "SELECT row FROM messages WHERE origin_spool = ? AND origin_number = ?"};
  Statement is_own_{database_, "SELECT row FROM messages WHERE row = ? AND origin_spool IS NULL"};
  Statement held_{database_, "SELECT row FROM messages WHERE state = 1 AND row > ? ORDER BY row LIMIT ?"};
  Statement alarms_{
      database_, "SELECT row FROM messages WHERE alarm_at <= ? AND state = 0 ORDER BY alarm_at, row LIMIT ?"};
  Statement unprotected_{database_,
                         "SELECT row FROM messages WHERE row > ? AND protection = 0 ORDER BY row LIMIT ?"};
  Statement queued_count_{database_, "SELECT count(*) FROM messages WHERE state = 0"};
  Statement handing_over_states_{
      database_, "SELECT count(*), coalesce(sum(state = 3), 0) FROM messages WHERE state >= 2"};
  Statement oldest_{database_, "SELECT row FROM messages ORDER BY row LIMIT 1"};
  Statement delivered_{database_, "SELECT 1 FROM progress WHERE row = ? AND state = 1 LIMIT 1"};
  Statement handing_over_count_{database_, "SELECT count(*) FROM messages WHERE state >= 2"};
  Statement handing_over_{database_,
                          "SELECT row FROM messages WHERE row > ? AND state >= 2 ORDER BY row LIMIT ?"};
  Statement list_{database_, "SELECT row FROM messages WHERE row > ? AND row < ? ORDER BY row LIMIT ?"};
  Statement held_by_{
      database_,
      "SELECT row FROM messages WHERE held_by = ? AND protection = ? AND row > ? ORDER BY row LIMIT ?"};
  Statement next_first_holder_{database_,
                               "SELECT held_by FROM messages WHERE held_by > ? ORDER BY held_by LIMIT 1"};
  Statement further_held_by_{
      database_, "SELECT row FROM further_holders WHERE spool = ? AND row > ? ORDER BY row LIMIT ?"};
  Statement copies_on_{database_, "SELECT count(*) FROM messages WHERE held_by = ? AND protection = 2"};
  Statement further_copies_on_{database_,
                               "SELECT count(*) FROM further_holders WHERE spool = ? AND is_copy = 1"};
  Statement add_further_holder_{database_, "INSERT OR REPLACE INTO further_holders VALUES(?, ?, ?)"};
  Statement remove_further_holder_{database_, "DELETE FROM further_holders WHERE spool = ? AND row = ?"};
};

}  // namespace umbra::storage
