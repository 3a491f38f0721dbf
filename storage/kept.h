// The safety net: mail that is done and kept for a while, so that it can be sent again when its next hop has
// lost it. A row that ends moves here from messages or shadows; its body stays under the same key and is not
// rewritten. Bounded by octets (never passed, at the moment of every commit) and by age; the oldest goes
// first, a bounded number at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/bodies.h"
#include "storage/database.h"
#include "storage/messages.h"
#include "storage/spool.h"

namespace umbra::storage {

std::string encode_kept_recipients(const std::vector<KeptRecipient>& recipients);
std::optional<std::vector<KeptRecipient>> decode_kept_recipients(std::string_view octets);

class Kept {
 public:
  explicit Kept(Database& database) : database_(database) {}

  void set_limits(const SafetyNetLimits& limits) { limits_ = limits; }
  /// Set while the disk is short: what ends is not kept.
  void set_giving_way(bool is_on) { gives_way_ = is_on; }
  [[nodiscard]] bool is_on() const { return limits_.enabled(); }

  /// Takes over the body of a row that was just removed. False: it does not fit, or the disk is short, and
  /// the body is the caller's to remove.
  bool keep(const KeptMessage& message, Counts& counts, Bodies& bodies);
  /// Removes what has ended before that moment, and what is more than the cap allows; at most `rows_max`. How
  /// many went.
  std::size_t trim(WallTime ended_before, std::size_t rows_max, Counts& counts, Bodies& bodies);
  /// Removes the oldest whatever its age, because the disk is short.
  std::size_t give_way(std::size_t rows_max, Counts& counts, Bodies& bodies);

  std::vector<KeptMessage> list(WallTime from, RowId after, WallTime until, std::size_t limit);
  std::optional<KeptMessage> load(RowId row);
  std::optional<WallTime> oldest();

  void put(const Resend& resend);
  std::optional<Resend> resend(const std::string& request);
  /// The newest first.
  std::vector<Resend> resends(std::size_t limit);

 private:
  struct Oldest {
    RowId row;
    WallTime ended_at{};
    std::uint64_t size = 0;
    std::uint64_t octets = 0;
  };
  std::optional<Oldest> find_oldest();
  void remove(const Oldest& oldest, std::int64_t& reason, Counts& counts, Bodies& bodies);
  std::optional<KeptMessage> read(const Statement::Rows& rows);
  std::vector<Resend> read_resends(Statement::Rows rows);

  Database& database_;
  SafetyNetLimits limits_;
  bool gives_way_ = false;
  Statement insert_{database_, "INSERT INTO kept VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"};
  Statement remove_{database_, "DELETE FROM kept WHERE row = ?"};
  Statement first_{
      database_,
      "SELECT row, ended_at, size, octets FROM kept INDEXED BY kept_ended_at ORDER BY ended_at, row LIMIT 1"};
  Statement one_{database_,
                 "SELECT row, ended_at, is_shadow, origin_spool, origin_number, generation, owner_spool, "
                 "owner_hub, size, octets, "
                 "delivered, envelope FROM kept WHERE row = ?"};
  Statement list_{database_,
                  "SELECT row, ended_at, is_shadow, origin_spool, origin_number, generation, owner_spool, "
                  "owner_hub, size, octets, "
                  "delivered, envelope FROM kept WHERE (ended_at, row) > (?, ?) AND ended_at <= ? ORDER BY "
                  "ended_at, row LIMIT ?"};
  Statement put_{database_, "INSERT OR REPLACE INTO resends VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"};
  Statement forget_old_{database_,
                        "DELETE FROM resends WHERE state <> 0 AND request NOT IN "
                        "(SELECT request FROM resends ORDER BY begun_at DESC, request LIMIT 100)"};
  Statement resend_{database_, "SELECT * FROM resends WHERE request = ?"};
  Statement resends_{database_, "SELECT * FROM resends ORDER BY begun_at DESC, request LIMIT ?"};
};

}  // namespace umbra::storage
