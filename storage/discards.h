// The outbox: discard status owed to other hubs, and what is remembered of them. An item outlives its message
// and ends when the hub it is owed to has confirmed it. Items that a fork holds back are not listed until the
// fork is protected or gone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/database.h"
#include "storage/messages.h"
#include "storage/spool.h"

namespace umbra::storage {

class Discards {
 public:
  explicit Discards(Database& database) : database_(database) {}

  /// `recipients` empty: done with the whole message. `forks`: messages that hold it back. Nothing is owed to
  /// a spool without an id: no copy can have reached it.
  void owe(const Holder& holder, MessageId id, Generation generation,
           const std::vector<std::uint32_t>& recipients, const std::vector<std::uint64_t>& forks,
           Counts& counts);
  /// Not done: a later owner has the message, this generation's copy is not needed any more.
  void owe_superseded(const Holder& holder, MessageId id, Generation generation, Counts& counts);
  void confirmed(std::uint64_t key, Counts& counts);
  /// The same of many, said by the hub with this spool: keys of what others are owed are passed over.
  void confirmed_by(SpoolId spool, std::span<const std::uint64_t> keys, Counts& counts);
  void forget_spool(SpoolId spool, Counts& counts);
  void forget(const std::string& hub);
  void remember(const PeerMemory& peer);
  void set_note(const std::string& name, const std::string& value);
  std::string note(const std::string& name);

  /// The generation with which all of this message was done, if an item still says so (held back or not).
  std::optional<Generation> done(MessageId id);
  /// That a later owner has this message is still owed to somebody: the latest generation that is over.
  std::optional<Generation> superseded(MessageId id);
  /// The later owner is done: that is the word now to whom "superseded" was owed.
  void superseded_is_done(MessageId id);
  /// It is done, and a notification that was made of it holds that back.
  bool is_held_back(MessageId id);
  std::vector<OutboxItem> list(SpoolId to, std::uint64_t after_key, std::size_t limit);
  std::vector<std::pair<std::string, SpoolId>> spools();
  std::vector<PeerMemory> peers();

 private:
  /// The column `whole`.
  enum class Word : std::uint8_t { some = 0, all = 1, superseded = 2 };
  void add(const Holder& holder, MessageId id, Generation generation, Word word,
           const std::vector<std::uint32_t>& recipients, const std::vector<std::uint64_t>& forks,
           Counts& counts);
  std::int64_t slot_of(const Holder& holder);

  Database& database_;
  std::uint64_t counter_ = 0;  ///< of the last key given; 0: not known yet

  Statement slot_{database_, "SELECT slot, hub FROM outbox_spools WHERE spool = ?"};
  Statement add_slot_{
      database_, "INSERT INTO outbox_spools SELECT coalesce(max(slot), 0) + 1, ?1, ?2 FROM outbox_spools"};
  Statement rename_slot_{database_, "UPDATE outbox_spools SET hub = ?2 WHERE slot = ?1"};
  Statement remove_slot_{database_, "DELETE FROM outbox_spools WHERE slot = ?"};
  // One look per spool, however many items there are.
  Statement newest_{
      database_,
      "SELECT coalesce(max((SELECT key & 281474976710655 FROM outbox WHERE key BETWEEN slot << 48 AND "
      "(slot << 48) + 281474976710655 ORDER BY key DESC LIMIT 1)), 0) FROM outbox_spools"};
  Statement insert_{database_, "INSERT INTO outbox VALUES(?, ?, ?, ?, ?, ?, ?)"};
  Statement insert_fork_{database_, "INSERT OR IGNORE INTO outbox_forks VALUES(?, ?)"};
  Statement remove_{database_, "DELETE FROM outbox WHERE key = ? RETURNING forked"};
  Statement remove_forks_{database_, "DELETE FROM outbox_forks WHERE key = ?"};
  Statement remove_range_{database_, "DELETE FROM outbox WHERE key BETWEEN ? AND ?"};
  Statement remove_fork_range_{database_, "DELETE FROM outbox_forks WHERE key BETWEEN ? AND ?"};
  Statement forget_peer_{database_, "DELETE FROM peers WHERE hub = ?"};
  Statement remember_{database_, "INSERT OR REPLACE INTO peers VALUES(?, ?, ?, ?)"};
  Statement done_{database_,
                  "SELECT generation FROM outbox WHERE origin_spool = ? AND origin_number = ? AND whole = 1"};
  Statement superseded_{database_,
                        "SELECT generation FROM outbox WHERE origin_spool = ? AND origin_number = ? AND "
                        "whole = 2 ORDER BY generation DESC"};
  Statement superseded_is_done_{
      database_, "UPDATE outbox SET whole = 1 WHERE origin_spool = ? AND origin_number = ? AND whole = 2"};
  Statement held_back_{
      database_,
      "SELECT 1 FROM outbox JOIN outbox_forks f USING(key) JOIN messages m ON m.row = f.fork "
      "WHERE outbox.origin_spool = ? AND outbox.origin_number = ? AND whole = 1 AND m.protection <> 2 LIMIT "
      "1"};
  // A fork holds back until it is protected where somebody holds it (2), or gone.
  Statement list_{database_,
                  "SELECT key, origin_spool, origin_number, generation, whole, recipients FROM outbox "
                  "WHERE key > ? AND key <= ? AND (forked = 0 OR NOT EXISTS (SELECT 1 FROM outbox_forks f "
                  "JOIN messages m ON m.row = f.fork WHERE f.key = outbox.key AND m.protection <> 2)) ORDER "
                  "BY key LIMIT ?"};
  Statement slots_{database_, "SELECT slot, spool, hub FROM outbox_spools ORDER BY slot"};
  Statement set_note_{database_, "INSERT OR REPLACE INTO notes VALUES(?, ?)"};
  Statement remove_note_{database_, "DELETE FROM notes WHERE name = ?"};
  Statement note_{database_, "SELECT value FROM notes WHERE name = ?"};
  Statement peers_{database_, "SELECT hub, spool, epoch, sequence FROM peers ORDER BY hub"};
};

}  // namespace umbra::storage
