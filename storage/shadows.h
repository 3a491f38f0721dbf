// The shadow messages: copies held for other hubs, at most one per message id.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/database.h"
#include "storage/messages.h"
#include "storage/spool.h"

namespace umbra::storage {

class Shadows {
 public:
  explicit Shadows(Database& database) : database_(database) {}

  void insert(const Shadow& shadow, Counts& counts);
  /// The owner offered the same copy again: from when, and to whom.
  void offered_again(RowId row, const Shadow& shadow);
  void set_done(RowId row, const std::vector<std::uint32_t>& done);
  void set_note(RowId row, const MessageNote& note);
  /// Not the body.
  void remove(RowId row, Counts& counts);

  /// Without its envelope.
  std::optional<Shadow> find_row(MessageId id);
  std::optional<Shadow> load(MessageId id);
  std::vector<Shadow> list(RowId after, std::size_t limit);
  /// Costs one look per owner.
  std::vector<std::pair<std::string, SpoolId>> owners();
  std::vector<Shadow> list_of(SpoolId owner, RowId after, std::size_t limit);

 private:
  std::optional<Shadow> read(const Statement::Rows& rows, bool with_envelope);
  std::vector<Shadow> read_all(Statement::Rows rows);

  Database& database_;
  Statement insert_{database_, "INSERT INTO shadows VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"};
  Statement offered_{database_,
                     "UPDATE shadows SET owner_epoch = ?2, owner_hub = ?3, offered = ?4 WHERE row = ?1"};
  Statement done_{database_, "UPDATE shadows SET done = ?2 WHERE row = ?1"};
  Statement note_{database_, "UPDATE shadows SET note = ?2 WHERE row = ?1"};
  Statement remove_{database_, "DELETE FROM shadows WHERE row = ?"};
  Statement row_{database_,
                 "SELECT row, origin_spool, origin_number, generation, owner_spool, owner_epoch, owner_hub, "
                 "size, offered, "
                 "done, note FROM shadows WHERE origin_spool = ? AND origin_number = ?"};
  Statement one_{database_,
                 "SELECT row, origin_spool, origin_number, generation, owner_spool, owner_epoch, owner_hub, "
                 "size, offered, "
                 "done, note, envelope FROM shadows WHERE origin_spool = ? AND origin_number = ?"};
  Statement list_{database_,
                  "SELECT row, origin_spool, origin_number, generation, owner_spool, owner_epoch, owner_hub, "
                  "size, offered, "
                  "done, note, envelope FROM shadows WHERE row > ? ORDER BY row LIMIT ?"};
  Statement first_owner_{database_,
                         "SELECT owner_spool, owner_hub FROM shadows ORDER BY owner_spool, row LIMIT 1"};
  Statement next_owner_{
      database_,
      "SELECT owner_spool, owner_hub FROM shadows WHERE owner_spool > ? ORDER BY owner_spool, row LIMIT 1"};
  Statement list_of_{
      database_,
      "SELECT row, origin_spool, origin_number, generation, owner_spool, owner_epoch, owner_hub, size, "
      "offered, done, note, envelope FROM shadows WHERE owner_spool = ? AND row > ? ORDER BY row LIMIT ?"};
};

}  // namespace umbra::storage
