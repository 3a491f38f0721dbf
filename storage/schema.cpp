#include "storage/schema.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "storage/encoding.h"
#include "storage/messages.h"

namespace umbra::storage {
namespace {

constexpr std::int64_t application_id = 0x554d4252;  // "UMBR": file(1) and we ourselves know a spool by it

// Why the tables are as they are: an acceptance and its delivery touch as few b-trees as possible, and those
// they touch append. Bodies are apart from envelopes, so that a status change never rewrites a body; the
// first chunk of a body, which is all of a small one, is apart from the others, whose key has two parts. What
// is rare is in tables that stay empty: progress (only recipients that did not end at the first attempt),
// envelopes (only large ones), outbox_forks.
constexpr const char* version_1 = R"(
CREATE TABLE meta(                 -- one row; rewritten with every batch, which therefore also carries the counts
  id INTEGER PRIMARY KEY CHECK(id = 1),
  spool INTEGER NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
  messages INTEGER NOT NULL, held INTEGER NOT NULL, unprotected INTEGER NOT NULL,
  shadows INTEGER NOT NULL, outbox INTEGER NOT NULL);
CREATE TABLE messages(
  row INTEGER PRIMARY KEY,
  origin_spool INTEGER,            -- both NULL: accepted here, and the number is the row
  origin_number INTEGER,
  generation INTEGER NOT NULL,
  state INTEGER NOT NULL,          -- 0 queued, 1 held
  protection INTEGER NOT NULL,     -- 0 unprotected, 1 as its policy asks, 2 that, and a holder said that it holds
  size INTEGER NOT NULL,
  alarm_at INTEGER NOT NULL,       -- all times: microseconds since 1970
  recipients INTEGER NOT NULL,     -- in the envelope
  done INTEGER NOT NULL,           -- of these, ended (rows of progress that are not pending)
  holders BLOB NOT NULL,
  queue BLOB NOT NULL,             -- what is to be tried; the rows of due while state is queued
  forks BLOB,                      -- rows of the messages that hold back its discard status
  last_error TEXT NOT NULL,
  envelope BLOB);                  -- NULL: in envelopes
CREATE UNIQUE INDEX messages_origin ON messages(origin_spool, origin_number) WHERE origin_spool IS NOT NULL;
CREATE INDEX messages_alarm ON messages(alarm_at) WHERE state = 0;
CREATE INDEX messages_unprotected ON messages(row) WHERE protection = 0;
CREATE TABLE envelopes(row INTEGER PRIMARY KEY, envelope BLOB NOT NULL);
CREATE TABLE progress(
  row INTEGER NOT NULL, recipient INTEGER NOT NULL, state INTEGER NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY(row, recipient)) WITHOUT ROWID;
CREATE TABLE due(
  destination TEXT NOT NULL, due INTEGER NOT NULL, row INTEGER NOT NULL, attempts INTEGER NOT NULL,
  PRIMARY KEY(destination, due, row)) WITHOUT ROWID;

CREATE TABLE bodies(row INTEGER PRIMARY KEY, octets BLOB NOT NULL);   -- chunk 0
CREATE TABLE chunks(body INTEGER NOT NULL, number INTEGER NOT NULL, octets BLOB NOT NULL,
  PRIMARY KEY(body, number)) WITHOUT ROWID;
CREATE TABLE unfinished(body INTEGER PRIMARY KEY);  -- chunks are there, message or shadow not yet
CREATE TABLE garbage(body INTEGER PRIMARY KEY);     -- chunks to be removed piece by piece

CREATE TABLE shadows(
  row INTEGER PRIMARY KEY,
  origin_spool INTEGER NOT NULL, origin_number INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  owner_spool INTEGER NOT NULL, owner_epoch INTEGER NOT NULL, owner_hub TEXT NOT NULL,
  size INTEGER NOT NULL,
  offered BLOB NOT NULL,
  done BLOB NOT NULL,              -- recipients known to be done
  envelope BLOB);
CREATE UNIQUE INDEX shadows_origin ON shadows(origin_spool, origin_number);
CREATE INDEX shadows_owner ON shadows(owner_spool, row);

CREATE TABLE outbox_spools(slot INTEGER PRIMARY KEY, spool INTEGER NOT NULL UNIQUE, hub TEXT NOT NULL);
CREATE TABLE outbox(
  key INTEGER PRIMARY KEY,         -- slot << 48 | counter: the items of one spool lie together, oldest first
  origin_spool INTEGER NOT NULL, origin_number INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  whole INTEGER NOT NULL,          -- 1: done with all of the message
  forked INTEGER NOT NULL,         -- 1: held back while a row of outbox_forks says so
  recipients BLOB);
CREATE INDEX outbox_origin ON outbox(origin_spool, origin_number) WHERE whole = 1;
CREATE TABLE outbox_forks(key INTEGER NOT NULL, fork INTEGER NOT NULL, PRIMARY KEY(key, fork)) WITHOUT ROWID;
CREATE TABLE peers(hub TEXT PRIMARY KEY, spool INTEGER NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL)
  WITHOUT ROWID;
)";

// Of each chunk (base/checksum.h); NULL: written before there were any.
constexpr const char* version_2 = R"(
ALTER TABLE bodies ADD COLUMN checksum INTEGER;
ALTER TABLE chunks ADD COLUMN checksum INTEGER;
)";

// Messages that were being delivered when the process ended without a word (storage/suspects.h).
constexpr const char* version_3 = R"(
CREATE TABLE suspects(
  origin_spool INTEGER NOT NULL, origin_number INTEGER NOT NULL, crashes INTEGER NOT NULL,
  PRIMARY KEY(origin_spool, origin_number)) WITHOUT ROWID;
)";

// Who holds copies of what, without a look at every row. In messages is the holder that counts most, which is
// the only one of most mail; the rest is rare.
constexpr const char* version_4 = R"(
ALTER TABLE messages ADD COLUMN copies INTEGER NOT NULL DEFAULT 1;  -- that its policy asks for on other hubs
ALTER TABLE messages ADD COLUMN held_by INTEGER;                    -- spool of its first holder that has a copy, or of the first
UPDATE messages SET copies = 0 WHERE protection = 1;
CREATE INDEX messages_held_by ON messages(held_by, protection) WHERE held_by IS NOT NULL;
CREATE TABLE further_holders(spool INTEGER NOT NULL, row INTEGER NOT NULL, is_copy INTEGER NOT NULL,
  PRIMARY KEY(spool, row)) WITHOUT ROWID;
)";

// What is being handed over is looked for at every start, and while it goes on.
constexpr const char* version_5 = R"(
CREATE INDEX messages_handing_over ON messages(row) WHERE state >= 2;
)";

// Few words that outlive a run: that this hub is leaving, what another one said of itself.
constexpr const char* version_6 = R"(
CREATE TABLE notes(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
)";

// The safety net (storage/kept.h) and the requests to send from it again.
constexpr const char* version_7 = R"(
CREATE TABLE kept(
  row INTEGER PRIMARY KEY,         -- of the message or shadow that it was: its body is under it
  ended_at INTEGER NOT NULL,
  is_shadow INTEGER NOT NULL,
  origin_spool INTEGER NOT NULL, origin_number INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  owner_spool INTEGER NOT NULL, owner_hub TEXT NOT NULL,  -- of a shadow; spool 0: not known
  size INTEGER NOT NULL,           -- of the body
  octets INTEGER NOT NULL,         -- that count against the cap
  delivered BLOB NOT NULL,         -- which recipients, and to which next hop; none listed: all, as told by another hub
  envelope BLOB NOT NULL);
CREATE INDEX kept_ended_at ON kept(ended_at);
ALTER TABLE meta ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN kept_octets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN next_hop TEXT;  -- where it was delivered, when that is kept
CREATE TABLE resends(
  request TEXT PRIMARY KEY, filter TEXT NOT NULL,
  state INTEGER NOT NULL,          -- 0 running, 1 done, 2 cancelled
  begun_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
  reached_at INTEGER NOT NULL, reached_row INTEGER NOT NULL,  -- what has ended up to here was looked at
  looked_at INTEGER NOT NULL, resent INTEGER NOT NULL, resent_octets INTEGER NOT NULL, shadows_left_out INTEGER NOT NULL,
  failed INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
)";

// What holders know of a message besides what is done, and who has yet to be told (storage/notes.h).
constexpr const char* version_8 = R"(
ALTER TABLE messages ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;  -- how often its note has changed; 0: nobody need be told
ALTER TABLE messages ADD COLUMN history BLOB;                      -- its owners; NULL: accepted here
ALTER TABLE shadows ADD COLUMN note BLOB;                          -- as its owner told; NULL: nothing
CREATE TABLE untold(spool INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(spool, row)) WITHOUT ROWID;
)";

void name_holders(Database& database) {
  Statement page(database, "SELECT row, holders FROM messages WHERE row > ? ORDER BY row LIMIT 1000");
  Statement name(database, "UPDATE messages SET held_by = ? WHERE row = ?");
  Statement further(database, "INSERT OR REPLACE INTO further_holders VALUES(?, ?, ?)");
  std::int64_t after = 0;
  for (;;) {
    std::vector<std::pair<std::int64_t, std::vector<Holder>>> found;
    {
      auto rows = page.rows(after);
      while (rows.next()) {
        after = rows.number(0);
        auto holders = decode_holders(rows.octets(1));
        if (!holders) return database.fail(SQLITE_CORRUPT, "holders");
        found.emplace_back(after, std::move(*holders));
      }
    }
    if (found.empty() || !database.ok()) return;
    for (const auto& [row, holders] : found) {
      const auto* first = first_holder(holders);
      if (first == nullptr) continue;
      name.run(first->spool.value, row);
      for (const auto& holder : holders)
        if (holder.spool != first->spool)
          further.run(holder.spool.value, row, holder.state == Holder::State::holds);
    }
  }
}

struct Step {
  const char* statements;
  void (*then)(Database&) = nullptr;
};
// Whether a later owner's word is still owed to somebody.
constexpr const char* version_9 = R"(
CREATE INDEX outbox_superseded ON outbox(origin_spool, origin_number) WHERE whole = 2;
)";

// storage/holds.h
constexpr const char* version_10 = R"(
CREATE TABLE holds(
  row INTEGER PRIMARY KEY,
  since INTEGER,                   -- NULL: it is not on hold now
  before INTEGER NOT NULL);        -- how long it was on hold before that, in microseconds
)";

// Where the operator sends a message in place of its routes; the form of a note (shadows) has a word more for
// it.
constexpr const char* version_11 = R"(
ALTER TABLE messages ADD COLUMN next_hop TEXT;  -- a destination; NULL: as the routes say
)";

constexpr Step later_versions[] = {{version_2, nullptr}, {version_3, nullptr}, {version_4, name_holders},
                                   {version_5, nullptr}, {version_6, nullptr}, {version_7, nullptr},
                                   {version_8, nullptr}, {version_9, nullptr}, {version_10, nullptr},
                                   {version_11, nullptr}};
static_assert(schema_version == 1 + std::size(later_versions));

void create(Database& database, Random& random) {
  database.execute(version_1);
  std::uint64_t spool = 0;
  while (spool == 0) spool = random.next();
  Statement insert(database, "INSERT INTO meta VALUES(1, ?, 0, 0, 0, 0, 0, 0, 0)");
  insert.run(spool);
  database.execute(fmt::format("PRAGMA application_id={}", application_id).c_str());
}

}  // namespace

Result<void> migrate(Database& database, Random& random) {
  database.execute("BEGIN IMMEDIATE");
  auto version = database.number("PRAGMA user_version");
  auto application = database.number("PRAGMA application_id");
  auto tables = database.number("SELECT count(*) FROM sqlite_schema");
  if (!database.ok()) return database.outcome();

  Result<void> refusal;
  if (version > schema_version) {
    refusal = failure(
        std::errc::not_supported,
        fmt::format(
            "the spool has schema version {}, this program knows versions up to {}: it was written by a "
            "newer Umbra; run that one, or drain the hub with it before going back",
            version, schema_version));
  } else if ((version > 0 || tables > 0) && application != application_id) {
    refusal =
        failure(std::errc::not_supported, "the database is not a spool of Umbra: name another directory");
  }
  if (!refusal) {
    database.execute("ROLLBACK");
    return refusal;
  }
  if (version == schema_version) {
    database.execute("ROLLBACK");
    return database.outcome();
  }
  if (version == 0) create(database, random);
  for (auto at = std::max<std::int64_t>(version, 1); at < schema_version; ++at) {
    const auto& step = later_versions[at - 1];
    database.execute(step.statements);
    if (step.then != nullptr) step.then(database);
  }
  database.execute(fmt::format("PRAGMA user_version={}", schema_version).c_str());
  database.execute("COMMIT");
  auto result = database.outcome();
  if (!result && database.in_transaction())
    sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  return result;
}

}  // namespace umbra::storage
