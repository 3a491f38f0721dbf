#include "storage/salvage.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "base/checksum.h"
#include "storage/encoding.h"
#include "storage/kept.h"
#include "storage/spool_files.h"

namespace umbra::storage {
namespace {

constexpr std::size_t probes_max = 400'000;  // of damaged places, per table: each costs some microseconds
constexpr std::size_t probes_per_gap_max = 40'000;  // at the firsts of epochs: some hundreds for each
constexpr std::size_t keys_max = 50'000'000;
constexpr int epoch_bits = 40;  // a key is its epoch, and behind that so many bits of a counter
constexpr std::uint64_t chunk_octets_usual = 64U << 10;
constexpr std::uint64_t chunks_max = 10'000'000;

constexpr const char* held_columns = "origin_spool, origin_number, generation, owner_spool, owner_hub, size";

void sort_unique(std::vector<std::int64_t>& keys) {
  std::ranges::sort(keys);
  auto rest = std::ranges::unique(keys);
  keys.erase(rest.begin(), rest.end());
}

std::vector<RowId> as_rows(const std::vector<std::int64_t>& keys) {
  std::vector<RowId> rows;
  rows.reserve(keys.size());
  for (auto key : keys) rows.push_back(RowId{key});
  return rows;
}

}  // namespace

/// Keys between two that are known; `is_blocked` ends are next to damage.
struct Salvage::Gap {
  std::int64_t low;
  std::int64_t high;
  bool low_is_blocked;
  bool high_is_blocked;
};

Salvage::Salvage(std::unique_ptr<Database> database) : database_(std::move(database)) {}

Result<std::unique_ptr<Salvage>> Salvage::open(const std::string& directory, const std::string& vfs) {
  Database::prepare_library();
  auto path = directory + "/spool.db";
  auto present = has_content(vfs, path);
  if (!present) return std::unexpected(present.error());
  if (!*present) return failure(std::errc::no_such_file_or_directory, "there is no " + path);
  auto database = Database::open(path, vfs, Database::Mode::reader, 0);
  if (!database) return std::unexpected(database.error());
  std::unique_ptr<Salvage> salvage(new Salvage(std::move(*database)));
  auto& d = *salvage->database_;
  salvage->id_.value = static_cast<std::uint64_t>(d.number("SELECT spool FROM meta"));
  salvage->epoch_.value = static_cast<std::uint64_t>(d.number("SELECT epoch FROM meta"));
  if (!d.ok() || salvage->id_.value == 0) {
    d.clear();
    if (auto mark = EpochMark(vfs, directory + "/spool.epoch").read(); mark && *mark) {
      salvage->id_ = (*mark)->spool;
      salvage->epoch_ = (*mark)->epoch;
    }
  }
  if (d.number("SELECT count(*) FROM sqlite_schema WHERE name IN ('messages', 'shadows', 'bodies')") != 3) {
    if (auto result = d.outcome(); !result) return std::unexpected(result.error());
    return failure(std::errc::not_supported, path + " is not a spool of Umbra");
  }
  return salvage;
}

std::string Salvage::problem() {
  auto what = database_->ok() ? std::string() : database_->error()->what;
  database_->clear();
  return what;
}

// ---- rows

/// Steps from `key` (exclusive) towards `until` (exclusive) as far as the keys make sense.
std::vector<std::int64_t> Salvage::probe(const std::string& sql, std::int64_t key, std::int64_t until,
                                         bool up, bool& is_blocked) {
  std::vector<std::int64_t> keys;
  database_->clear();
  {
    Statement statement(*database_, sql.c_str());
    auto rows = statement.rows(key);
    auto last = key;
    while (keys.size() < keys_max && rows.next()) {
      auto next = rows.number(0);
      if (up ? next >= until : next <= until) break;
      if (up ? next <= last : next >= last) {  // a page whose keys are not in order is damaged
        database_->fail(SQLITE_CORRUPT, "keys are not in order");
        break;
      }
      keys.push_back(last = next);
    }
  }
  is_blocked = !database_->ok();
  database_->clear();
  return keys;
}

// Damage at both ends: is there anything in between? Keys lie close together behind an epoch's first, and far
// from those of the next, so what is near to one of these, or to an end, is looked at closely, and what is
// far in growing steps. Some neighbours, ascending.
std::vector<std::int64_t> Salvage::find_between(const std::string& up, const std::string& down,
                                                const Gap& gap, std::size_t& probes) {
  const auto span = gap.high - gap.low;
  auto next = [](std::int64_t offset, std::int64_t end) {
    auto step = std::max<std::int64_t>(4, offset / 16);
    return step < end - offset ? offset + step : end;
  };
  bool is_blocked = false;
  for (std::int64_t offset = 1; offset < span && probes < probes_max; offset = next(offset, span)) {
    ++probes;
    auto found = probe(up, gap.low + offset - 1, gap.high, true, is_blocked);
    if (!found.empty() || !is_blocked) return found;  // nothing there up to the other end
    ++probes;
    found = probe(down, gap.high - offset + 1, gap.low, false, is_blocked);
    std::ranges::reverse(found);
    if (!found.empty()) return found;
  }
  // The other gaps are to have their turn too.
  const auto enough = std::min(probes_max, probes + probes_per_gap_max);
  const auto last_epoch = std::min(gap.high >> epoch_bits, static_cast<std::int64_t>(epoch_.value));
  for (auto epoch = (gap.low >> epoch_bits) + 1; epoch <= last_epoch; ++epoch) {
    const auto first = epoch << epoch_bits;
    auto end = std::min(gap.high - first, std::int64_t{1} << epoch_bits);
    for (std::int64_t offset = 1; offset < end; offset = next(offset, end)) {
      if (++probes >= enough) return {};
      auto found = probe(up, first + offset - 1, gap.high, true, is_blocked);
      if (!found.empty() || !is_blocked) return found;
    }
  }
  return {};
}

std::vector<std::int64_t> Salvage::walk(const char* table) {
  auto up = fmt::format("SELECT row FROM {} NOT INDEXED WHERE row > ? ORDER BY row", table);
  auto down = fmt::format("SELECT row FROM {} NOT INDEXED WHERE row < ? ORDER BY row DESC", table);
  std::vector<std::int64_t> keys;
  std::vector<Gap> gaps = {{0, std::numeric_limits<std::int64_t>::max(), false, false}};
  std::size_t probes = 0;
  while (!gaps.empty() && probes < probes_max) {
    auto gap = gaps.back();
    gaps.pop_back();
    if (gap.high - gap.low <= 1) continue;
    if (!gap.low_is_blocked) {
      ++probes;
      auto found = probe(up, gap.low, gap.high, true, gap.low_is_blocked);
      keys.insert(keys.end(), found.begin(), found.end());
      if (!gap.low_is_blocked) continue;  // all of it was read
      if (!found.empty()) gap.low = found.back();
    }
    if (!gap.high_is_blocked) {
      ++probes;
      auto found = probe(down, gap.high, gap.low, false, gap.high_is_blocked);
      keys.insert(keys.end(), found.begin(), found.end());
      if (!gap.high_is_blocked) continue;
      if (!found.empty()) gap.high = found.back();
    }
    if (gap.high - gap.low <= 1) continue;
    auto found = find_between(up, down, gap, probes);
    if (found.empty()) continue;
    keys.insert(keys.end(), found.begin(), found.end());
    gaps.push_back({gap.low, found.front(), true, false});
    gaps.push_back({found.back(), gap.high, false, true});
  }
  sort_unique(keys);
  return keys;
}

void Salvage::add_keys(std::vector<std::int64_t>& keys, const char* sql) {
  database_->clear();
  {
    Statement statement(*database_, sql);
    auto rows = statement.rows();
    while (keys.size() < keys_max && rows.next()) keys.push_back(rows.number(0));
  }
  database_->clear();
}

bool Salvage::has_safety_net() {
  database_->clear();
  bool has = database_->number("SELECT count(*) FROM sqlite_schema WHERE name = 'kept'") == 1;
  database_->clear();
  return has;
}

std::vector<RowId> Salvage::rows(Kind kind) {
  bool is_message = kind == Kind::message;
  if (kind == Kind::kept) {
    std::vector<std::int64_t> keys;
    if (!has_safety_net()) return {};
    keys = walk("kept");
    for (const auto* sql : {"SELECT row FROM kept INDEXED BY kept_ended_at ORDER BY ended_at, row",
                            "SELECT row FROM kept INDEXED BY kept_ended_at ORDER BY ended_at DESC, row DESC"})
      add_keys(keys, sql);
    sort_unique(keys);
    return as_rows(keys);
  }
  auto keys = walk(is_message ? "messages" : "shadows");
  // Of a whole file these say nothing new.
  if (is_message) {
    for (const auto* sql :
         {"SELECT row FROM messages INDEXED BY messages_alarm WHERE state = 0 ORDER BY alarm_at, row",
          "SELECT row FROM messages INDEXED BY messages_alarm WHERE state = 0 ORDER BY alarm_at DESC, row "
          "DESC",
          "SELECT row FROM due ORDER BY destination, due, row",
          "SELECT row FROM due ORDER BY destination DESC, due DESC, row DESC"})
      add_keys(keys, sql);
  } else {
    for (const auto* sql :
         {"SELECT row FROM shadows INDEXED BY shadows_owner ORDER BY owner_spool, row",
          "SELECT row FROM shadows INDEXED BY shadows_owner ORDER BY owner_spool DESC, row DESC"})
      add_keys(keys, sql);
  }
  sort_unique(keys);
  return as_rows(keys);
}

std::vector<RowId> Salvage::orphan_bodies(const std::vector<RowId>& messages,
                                          const std::vector<RowId>& shadows, const std::vector<RowId>& kept) {
  auto keys = walk("bodies");
  // An acceptance that was never answered, and what is being removed.
  auto leave_out_unfinished = [this, &keys] {
    std::vector<std::int64_t> others;
    add_keys(others, "SELECT body FROM unfinished");
    add_keys(others, "SELECT body FROM garbage");
    std::ranges::sort(others);
    std::erase_if(keys, [&](std::int64_t key) { return std::ranges::binary_search(others, key); });
  };
  leave_out_unfinished();
  std::erase_if(keys, [&](std::int64_t key) {
    return std::ranges::binary_search(messages, RowId{key}) ||
           std::ranges::binary_search(shadows, RowId{key}) || std::ranges::binary_search(kept, RowId{key});
  });
  // A hub at work has accepted mail since, and ended some.
  std::erase_if(keys, [this](std::int64_t key) {
    return std::ranges::any_of(std::array{Kind::message, Kind::shadow, Kind::kept}, [&](Kind kind) {
      auto found = load(kind, RowId{key});
      return found && *found;
    });
  });
  leave_out_unfinished();
  std::erase_if(keys, [this](std::int64_t key) { return is_body_gone(RowId{key}); });
  return as_rows(keys);
}

bool Salvage::is_body_gone(RowId row) {
  database_->clear();
  bool is_there = false;
  {
    Statement statement(*database_, "SELECT row FROM bodies WHERE row = ?");
    is_there = statement.rows(row.value).next();
  }
  bool is_read = database_->ok();
  database_->clear();
  return is_read && !is_there;
}

// ---- one copy

void Salvage::read_envelope(SalvagedCopy& copy, std::string_view octets, bool& is_read) {
  auto envelope = decode_sealed(octets);
  is_read = envelope.has_value();
  if (envelope) copy.message.envelope = std::move(*envelope);
}

// What shadows and kept mail have in common: `held_columns`, in front.
void Salvage::read_held(SalvagedCopy& copy, RowId row, const Statement::Rows& rows) {
  copy.message.row = row;
  copy.message.id = {SpoolId{rows.unsigned_number(0)}, rows.unsigned_number(1)};
  copy.message.generation.value = static_cast<std::uint32_t>(rows.number(2));
  copy.owner_spool.value = rows.unsigned_number(3);
  copy.owner_hub = rows.octets(4);
  copy.message.size = rows.unsigned_number(5);
}

void Salvage::read_progress(SalvagedCopy& copy) {
  {
    Statement statement(*database_,
                        "SELECT recipient, state, detail FROM progress WHERE row = ? ORDER BY recipient");
    auto rows = statement.rows(copy.message.row.value);
    while (rows.next()) {
      auto index = rows.number(0);
      auto state = rows.number(1);
      if (index < 0 || index >= static_cast<std::int64_t>(copy.message.envelope.recipients.size()) ||
          state < 0 || state > 3)
        continue;
      copy.message.progress.push_back({static_cast<std::uint32_t>(index),
                                       static_cast<RecipientOutcome::State>(state),
                                       std::string(rows.octets(2))});
    }
  }
  if (auto why = problem(); !why.empty()) copy.problems.push_back("which recipients are done: " + why);
}

Result<std::optional<SalvagedCopy>> Salvage::load(Kind kind, RowId row) {
  SalvagedCopy copy;
  copy.kind = kind;
  auto& message = copy.message;
  bool is_envelope_read = false;
  bool is_there = false;
  database_->clear();
  if (kind == Kind::message) {
    Statement statement(
        *database_,
        "SELECT origin_spool, origin_number, generation, state, protection, size, alarm_at, holders, queue, "
        "last_error, coalesce(envelope, (SELECT envelope FROM envelopes e WHERE e.row = messages.row)) "
        "FROM messages NOT INDEXED WHERE row = ?");
    auto rows = statement.rows(row.value);
    if (rows.next()) {
      is_there = true;
      message.row = row;
      message.id = rows.is_null(0) ? MessageId{id_, static_cast<std::uint64_t>(row.value)}
                                   : MessageId{SpoolId{rows.unsigned_number(0)}, rows.unsigned_number(1)};
      message.generation.value = static_cast<std::uint32_t>(rows.number(2));
      auto state = rows.number(3);
      bool is_state_known = state >= 0 && state <= static_cast<std::int64_t>(MessageState::handing_over_held);
      message.state = is_state_known ? static_cast<MessageState>(state) : MessageState::held;
      if (!is_state_known) copy.problems.emplace_back("its state");
      copy.is_held_elsewhere = rows.number(4) == 2;
      message.is_protected = rows.number(4) != 0;
      message.size = rows.unsigned_number(5);
      message.alarm_at = time_from_column(rows.number(6));
      if (auto holders = decode_holders(rows.octets(7)))
        message.holders = std::move(*holders);
      else
        copy.problems.emplace_back("the hubs that hold it");
      if (auto queue = decode_queue(rows.octets(8)))
        message.queue = std::move(*queue);
      else
        copy.problems.emplace_back("when it is due");
      message.last_error = rows.octets(9);
      read_envelope(copy, rows.octets(10), is_envelope_read);
    }
  } else if (kind == Kind::kept) {
    auto sql =
        fmt::format("SELECT {}, delivered, envelope FROM kept NOT INDEXED WHERE row = ?", held_columns);
    Statement statement(*database_, sql.c_str());
    auto rows = statement.rows(row.value);
    if (rows.next()) {
      is_there = true;
      read_held(copy, row, rows);
      read_envelope(copy, rows.octets(7), is_envelope_read);
      auto delivered = decode_kept_recipients(rows.octets(6));
      if (!delivered)
        copy.problems.emplace_back("to whom it was delivered");
      else
        for (auto& recipient : *delivered)
          if (recipient.index < message.envelope.recipients.size())
            message.progress.push_back(
                {recipient.index, RecipientOutcome::State::delivered, std::move(recipient.reply)});
    }
  } else {
    auto sql = fmt::format("SELECT {}, offered, done, envelope FROM shadows NOT INDEXED WHERE row = ?",
                           held_columns);
    Statement statement(*database_, sql.c_str());
    auto rows = statement.rows(row.value);
    if (rows.next()) {
      is_there = true;
      read_held(copy, row, rows);
      if (auto offered = decode_holders(rows.octets(6)))
        message.holders = std::move(*offered);
      else
        copy.problems.emplace_back("the hubs that were offered it");
      read_envelope(copy, rows.octets(8), is_envelope_read);
      if (auto done = decode_indexes(rows.octets(7))) {
        for (auto index : *done)
          if (index < message.envelope.recipients.size())
            message.progress.push_back({index, RecipientOutcome::State::delivered, "told by its owner"});
      } else {
        copy.problems.emplace_back("which recipients are done");
      }
    }
  }
  if (!database_->ok()) {
    auto error = *database_->error();
    database_->clear();
    return std::unexpected(error);
  }
  if (!is_there) return std::nullopt;
  if (!is_envelope_read)
    return failure(std::errc::io_error, fmt::format("row {:x}: its envelope is damaged", row.value));
  if (kind == Kind::message) read_progress(copy);
  return copy;
}

Result<SalvagedBody> Salvage::body(RowId row, std::uint64_t size,
                                   const std::function<Result<void>(std::string_view)>& sink) {
  SalvagedBody body;
  std::string why;
  // `*`: an older spool has no column for the checksum.
  Statement first(*database_, "SELECT * FROM bodies WHERE row = ?");
  Statement other(*database_, "SELECT * FROM chunks WHERE body = ? AND number = ?");
  const bool is_size_known = size != UINT64_MAX;
  auto chunks = is_size_known ? size / chunk_octets_usual + 1 : chunks_max;
  for (std::uint64_t number = 0; number < std::min(chunks + 1, chunks_max) && body.octets < size; ++number) {
    std::string octets;
    bool is_there = false;
    {
      database_->clear();
      auto rows = number == 0 ? first.rows(row.value) : other.rows(row.value, number);
      int column = number == 0 ? 1 : 2;
      if (rows.next()) {
        is_there = true;
        octets = rows.octets(column);
        if (!rows.is_null(column + 1) && rows.unsigned_number(column + 1) != checksum(octets) && why.empty())
          why = fmt::format("piece {} is damaged", number);
      }
      // SQLite gives what lies behind the last column as NULL.
    }
    if (auto failed = problem(); !failed.empty() && why.empty())
      why = fmt::format("piece {}: {}", number, failed);
    if (!is_there && !is_size_known) break;
    if (!is_there) {
      if (why.empty()) why = fmt::format("piece {} is missing", number);
      continue;
    }
    if (number == 0 && !octets.empty() && is_size_known) chunks = size / octets.size() + 1;
    body.octets += octets.size();
    if (auto taken = sink(octets); !taken) return std::unexpected(taken.error());
  }
  if (why.empty() && is_size_known && body.octets != size)
    why = fmt::format("{} octets instead of {}", body.octets, size);
  body.problem = std::move(why);
  return body;
}

// ---- as a whole

Result<std::vector<MessageId>> Salvage::unprotected() {
  std::vector<MessageId> ids;
  database_->clear();
  {
    Statement statement(
        *database_,
        "SELECT row, origin_spool, origin_number FROM messages WHERE protection = 0 ORDER BY row");
    auto rows = statement.rows();
    while (ids.size() < keys_max && rows.next())
      ids.push_back(rows.is_null(1) ? MessageId{id_, rows.unsigned_number(0)}
                                    : MessageId{SpoolId{rows.unsigned_number(1)}, rows.unsigned_number(2)});
  }
  auto result = database_->outcome();
  database_->clear();
  if (!result) return std::unexpected(result.error());
  return ids;
}

std::vector<std::string> Salvage::structure(std::size_t limit) {
  std::vector<std::string> lines;
  database_->clear();
  auto sql = fmt::format("PRAGMA integrity_check({})", limit);
  {
    Statement statement(*database_, sql.c_str());
    auto rows = statement.rows();
    while (lines.size() < limit && rows.next())
      if (rows.octets(0) != "ok") lines.emplace_back(rows.octets(0));
  }
  if (auto failed = problem(); !failed.empty()) lines.push_back(failed);
  return lines;
}

std::optional<QueueCounts> Salvage::counts() {
  std::optional<QueueCounts> counts;
  database_->clear();
  {
    Statement statement(*database_, "SELECT messages, held, unprotected, shadows, outbox FROM meta");
    auto rows = statement.rows();
    if (rows.next())
      counts = QueueCounts{rows.unsigned_number(0), rows.unsigned_number(1), rows.unsigned_number(2),
                           rows.unsigned_number(3), rows.unsigned_number(4)};
  }
  database_->clear();
  return counts;
}

}  // namespace umbra::storage
