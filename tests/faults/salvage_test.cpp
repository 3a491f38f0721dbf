// A spool whose files are damaged: it is set aside whole, whatever moment the move is cut at; and what is
// exported from it is what was accepted, octet for octet, and as much of it as the damage left.
#include <fmt/format.h>

#include <map>

#include "storage/database.h"
#include "storage/salvage.h"
#include "storage/set_aside.h"
#include "storage/spool_error.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

using Kind = SalvagedCopy::Kind;

struct Original {
  Envelope envelope;
  std::string body;
};
using Originals = std::map<MessageId, Original>;

std::string body_of(std::size_t octets, std::uint64_t seed) {
  CountingRandom random(seed);
  std::string body = fmt::format("Subject: {}\r\n\r\n", seed);
  while (body.size() < octets) body += fmt::format("{:016x}\r\n", random.next());
  return body;
}

Result<void> put_body(Writer& writer, RowId row, const std::string& body) {
  constexpr std::size_t piece = 64U << 10;
  for (std::uint32_t number = 0; number * piece < body.size(); ++number)
    if (auto put = writer.put_chunk(row, number, std::string_view(body).substr(number * piece, piece)); !put)
      return put;
  return {};
}

/// Messages and shadows of all sizes, everything in the database file.
Originals fill(SpoolBox& box, MemoryDisk& disk, int count) {
  Originals originals;
  EXPECT_TRUE(box.open());
  for (int i = 0; i < count; ++i) {
    std::size_t octets = i % 17 == 0 ? 150'000 : i % 5 == 0 ? 9'000 : 900;
    auto body = body_of(octets, static_cast<std::uint64_t>(i));
    std::vector<std::string> recipients = {fmt::format("r{}@example.com", i)};
    for (int r = 0; i % 11 == 0 && r < 100; ++r) recipients.push_back(fmt::format("more{}@example.com", r));
    auto message = new_message(*box.spool, recipients);
    message.size = body.size();
    if (i % 3 == 0) {
      Shadow shadow{.row = message.row,
                    .id = {SpoolId{77}, static_cast<std::uint64_t>(i)},
                    .generation = Generation{1},
                    .owner_hub = "other",
                    .owner_spool = SpoolId{77},
                    .owner_epoch = Epoch{1},
                    .envelope = message.envelope,
                    .size = body.size(),
                    .offered = {holder("here", 1)},
                    .done = {}};
      EXPECT_TRUE(box.write([&](Writer& writer) -> Result<void> {
        auto inserted = writer.insert_shadow(shadow);
        if (!inserted) return std::unexpected(inserted.error());
        return put_body(writer, shadow.row, body);
      }));
      originals[shadow.id] = {message.envelope, body};
    } else {
      message.is_protected = i % 2 == 0;
      EXPECT_TRUE(box.write([&](Writer& writer) -> Result<void> {
        if (auto put = put_body(writer, message.row, body); !put) return put;
        return writer.insert_message(message);
      }));
      originals[message.id] = {message.envelope, body};
    }
  }
  box.close();
  auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
  EXPECT_TRUE(database);
  EXPECT_TRUE((*database)->checkpoint(SQLITE_CHECKPOINT_TRUNCATE).complete);
  return originals;
}

/// How many were found whole. Fails when one of them is not what it was.
std::size_t export_all(Salvage& salvage, const Originals& originals) {
  std::size_t whole = 0;
  for (auto kind : {Kind::message, Kind::shadow}) {
    for (auto row : salvage.rows(kind)) {
      auto copy = salvage.load(kind, row);
      if (!copy || !*copy) continue;
      std::string octets;
      auto body = salvage.body(row, (*copy)->message.size, [&](std::string_view piece) -> Result<void> {
        octets += piece;
        return {};
      });
      if (!body || !body->problem.empty()) continue;
      auto original = originals.find((*copy)->message.id);
      if (original == originals.end()) continue;  // the id itself was hit, which nothing guards
      if (octets.size() != original->second.body.size()) continue;  // its size was
      EXPECT_EQ((*copy)->message.envelope, original->second.envelope);
      EXPECT_TRUE(octets == original->second.body)
          << "row " << row.value << " was given out as whole, and is not";
      ++whole;
    }
  }
  return whole;
}

struct Page {
  std::string type;
  std::int64_t cells = 0;
  std::string table;
};

/// Of every page that holds something; empty when this SQLite has no dbstat.
std::map<std::int64_t, Page> pages_of(MemoryDisk& disk) {
  std::map<std::int64_t, Page> pages;
  auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::reader, 4096);
  EXPECT_TRUE(database);
  {
    Statement statement(**database, "SELECT pageno, pagetype, ncell, name FROM dbstat");
    auto rows = statement.rows();
    while (rows.next())
      pages[rows.number(0)] = {std::string(rows.octets(1)), rows.number(2), std::string(rows.octets(3))};
  }
  (*database)->clear();
  return pages;
}

TEST(Salvage, FindsEverythingInAWholeSpool) {
  MemoryDisk disk("salvage-whole");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  auto originals = fill(box, disk, 200);
  auto salvage = Salvage::open("/spool", disk.name());
  ASSERT_TRUE(salvage) << salvage.error().what;
  EXPECT_EQ(export_all(**salvage, originals), originals.size());
  EXPECT_THAT((*salvage)->structure(10), ::testing::IsEmpty());
  auto messages = (*salvage)->rows(Kind::message);
  auto shadows = (*salvage)->rows(Kind::shadow);
  EXPECT_THAT((*salvage)->orphan_bodies(messages, shadows, (*salvage)->rows(Kind::kept)),
              ::testing::IsEmpty());
  auto unprotected = (*salvage)->unprotected();
  ASSERT_TRUE(unprotected);
  auto counts = (*salvage)->counts();
  ASSERT_TRUE(counts);
  EXPECT_EQ(unprotected->size(), counts->unprotected);
  EXPECT_EQ(messages.size(), counts->messages);
}

// A hub at work: what was accepted and what was ended between two looks is no damage.
TEST(Salvage, TakesNothingForLeftOverThatCameOrWentMeanwhile) {
  MemoryDisk disk("salvage-at-work");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  fill(box, disk, 20);
  ASSERT_TRUE(box.open());
  auto salvage = Salvage::open("/spool", disk.name());
  ASSERT_TRUE(salvage) << salvage.error().what;
  auto messages = (*salvage)->rows(Kind::message);
  auto shadows = (*salvage)->rows(Kind::shadow);
  auto kept = (*salvage)->rows(Kind::kept);
  auto body = body_of(9'000, 1);
  auto late = new_message(*box.spool, {"late@example.com"});
  late.size = body.size();
  ASSERT_TRUE(box.write([&](Writer& writer) -> Result<void> {
    if (auto put = put_body(writer, late.row, body); !put) return put;
    return writer.insert_message(late);
  }));
  EXPECT_THAT((*salvage)->orphan_bodies(messages, shadows, kept), ::testing::IsEmpty())
      << "accepted meanwhile";
  box.close();
  {
    auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
    ASSERT_TRUE(database);
    Statement forget(**database, "DELETE FROM messages WHERE row = ?");
    ASSERT_TRUE(forget.run(late.row.value));
  }
  EXPECT_THAT((*salvage)->orphan_bodies(messages, shadows, kept), ::testing::ElementsAre(late.row))
      << "and what belongs to nothing is found";
}

TEST(Salvage, SaysOfAMessageThatItIsBeingHandedOver) {
  MemoryDisk disk("salvage-handing-over");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  ASSERT_TRUE(box.open());
  for (auto state : {MessageState::queued, MessageState::held, MessageState::handing_over,
                     MessageState::handing_over_held}) {
    auto message = new_message(*box.spool, {"to@example.com"});
    ASSERT_TRUE(box.write([&](Writer& writer) -> Result<void> {
      if (auto inserted = writer.insert_message(message); !inserted) return inserted;
      if (state == MessageState::held || state == MessageState::handing_over_held)
        if (auto held = writer.set_state(message.row, MessageState::held, message.queue); !held) return held;
      if (!is_handing_over(state)) return {};
      auto begun = writer.begin_hand_over(message.row, holder("other", 2));
      return begun ? Result<void>() : std::unexpected(begun.error());
    }));
    auto salvage = Salvage::open("/spool", disk.name());
    ASSERT_TRUE(salvage);
    auto copy = (*salvage)->load(Kind::message, message.row);
    ASSERT_TRUE(copy && *copy);
    EXPECT_EQ((*copy)->message.state, state) << static_cast<int>(state);
  }
  box.close();
}

// Property: however a leaf or an overflow page is damaged, everything that has no octet on it is exported.
TEST(Salvage, ExportsAllThatDoesNotLieOnADamagedPage) {
  MemoryDisk disk("salvage-pages");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  auto originals = fill(box, disk, 400);
  auto whole_image = disk.current();
  auto pages = pages_of(disk);
  if (pages.empty()) GTEST_SKIP() << "this SQLite has no dbstat";
  CountingRandom random(20);
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    disk.restore(whole_image);
    std::size_t may_be_lost = 0;
    std::string what;
    auto hits = 1 + random.below(6);
    for (std::uint64_t hit = 0; hit < hits; ++hit) {
      auto at = std::next(pages.begin(), static_cast<std::ptrdiff_t>(random.below(pages.size())));
      // An inner page hides what is below it; and to find a later piece of a large body SQLite reads others
      // on its way.
      if (at->first == 1 || at->second.type == "internal" || at->second.table == "chunks") continue;
      may_be_lost += static_cast<std::size_t>(std::max<std::int64_t>(at->second.cells, 1));
      what += fmt::format("page {} ({} of {}, {} cells) ", at->first, at->second.type, at->second.table,
                          at->second.cells);
      auto from = static_cast<std::uint64_t>(at->first - 1) * 4096;
      auto octets = random.below(2) == 0 ? 4096 : 1 + random.below(200);
      disk.decay("/spool/spool.db", from + (octets == 4096 ? 0 : random.below(4096 - octets)), octets,
                 random);
    }
    auto salvage = Salvage::open("/spool", disk.name());
    if (!salvage) continue;  // the page of `meta` or of the schema
    EXPECT_GE(export_all(**salvage, originals) + may_be_lost, originals.size()) << what;
    if (::testing::Test::HasFailure()) return;
  }
}

/// Held messages (no index of those that are due knows them) over many short runs: keys lie close together in
/// a run, and far apart between two.
Originals fill_runs(SpoolBox& box, MemoryDisk& disk, int runs, int per_run) {
  Originals originals;
  for (int run = 0; run < runs; ++run) {
    EXPECT_TRUE(box.open());
    EXPECT_TRUE(box.write([&](Writer& writer) -> Result<void> {
      for (int i = 0; i < per_run; ++i) {
        auto body = body_of(300, static_cast<std::uint64_t>(run * 1000 + i));
        auto message = new_message(*box.spool, {fmt::format("r{}.{}@example.com", run, i)});
        message.size = body.size();
        if (auto put = put_body(writer, message.row, body); !put) return put;
        if (auto inserted = writer.insert_message(message); !inserted) return inserted;
        if (auto held = writer.set_state(message.row, MessageState::held, {}); !held) return held;
        originals[message.id] = {message.envelope, body};
      }
      return {};
    }));
    box.close();
  }
  auto database = Database::open("/spool/spool.db", disk.name(), Database::Mode::writer, 4096);
  EXPECT_TRUE(database);
  EXPECT_TRUE((*database)->checkpoint(SQLITE_CHECKPOINT_TRUNCATE).complete);
  return originals;
}

// Property: what lies between two damaged pages of a big spool is found, however its keys lie.
TEST(Salvage, FindsTheRowsBetweenTwoDamagedPages) {
  for (auto [runs, per_run] : {std::pair(2, 800), std::pair(130, 12), std::pair(40, 40)}) {
    MemoryDisk disk("salvage-between");
    SpoolBox box({.directory = "/spool", .vfs = disk.name()});
    auto originals = fill_runs(box, disk, runs, per_run);
    auto whole_image = disk.current();
    auto pages = pages_of(disk);
    if (pages.empty()) GTEST_SKIP() << "this SQLite has no dbstat";
    std::vector<std::pair<std::int64_t, std::int64_t>> leaves;  // page, cells
    for (const auto& [number, page] : pages)
      if (page.table == "messages" && page.type == "leaf") leaves.emplace_back(number, page.cells);
    ASSERT_GT(leaves.size(), 60U);
    CountingRandom random(23);
    for (std::size_t distance : {2U, 3U, 4U, 5U, 40U}) {
      for (int round = 0; round < 4; ++round) {
        disk.restore(whole_image);
        auto first = random.below(leaves.size() - distance);
        std::size_t on_them = 0;
        for (auto at : {first, first + distance}) {
          on_them += static_cast<std::size_t>(leaves[at].second);
          disk.decay("/spool/spool.db", static_cast<std::uint64_t>(leaves[at].first - 1) * 4096, 4096,
                     random);
        }
        auto salvage = Salvage::open("/spool", disk.name());
        ASSERT_TRUE(salvage) << salvage.error().what;
        EXPECT_EQ(export_all(**salvage, originals) + on_them, originals.size())
            << runs << " runs, leaves " << first << " and " << distance << " behind it";
      }
    }
  }
}

// What a page of pointers hid cannot be found by its keys any more; the bodies are in a table of their own.
TEST(Salvage, WhatADamagedInnerPageHidesIsExportedWithoutEnvelopes) {
  MemoryDisk disk("salvage-inner");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  auto originals = fill_runs(box, disk, 2, 200);
  CountingRandom random(24);
  bool is_hit = false;
  for (const auto& [number, page] : pages_of(disk)) {
    if (page.table != "messages" || page.type != "internal") continue;
    disk.decay("/spool/spool.db", static_cast<std::uint64_t>(number - 1) * 4096, 4096, random);
    is_hit = true;
  }
  if (!is_hit) GTEST_SKIP() << "this SQLite has no dbstat";
  auto salvage = Salvage::open("/spool", disk.name());
  ASSERT_TRUE(salvage) << salvage.error().what;
  EXPECT_EQ(export_all(**salvage, originals), 0U);
  EXPECT_EQ((*salvage)->orphan_bodies((*salvage)->rows(Kind::message), {}, {}).size(), originals.size());
}

// Property: no damage at all, anywhere in database or WAL, makes it crash, hang or give out wrong octets.
TEST(Salvage, NeverGivesOutAsWholeWhatIsNot) {
  MemoryDisk disk("salvage-anywhere");
  SpoolBox box({.directory = "/spool", .vfs = disk.name()});
  auto originals = fill(box, disk, 150);
  auto whole_image = disk.current();
  CountingRandom random(21);
  std::size_t opened = 0;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    disk.restore(whole_image);
    auto size = whole_image.at("/spool/spool.db").size();
    auto hits = 1 + random.below(30);
    for (std::uint64_t hit = 0; hit < hits; ++hit)
      disk.decay("/spool/spool.db", random.below(size), 1 + random.below(random.below(4) == 0 ? 5000 : 8),
                 random);
    auto salvage = Salvage::open("/spool", disk.name());
    if (!salvage) continue;
    ++opened;
    (void)(*salvage)->structure(20);
    (void)(*salvage)->unprotected();
    (void)export_all(**salvage, originals);
    (void)(*salvage)->orphan_bodies((*salvage)->rows(Kind::message), (*salvage)->rows(Kind::shadow),
                                    (*salvage)->rows(Kind::kept));
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(opened, 10U);
}

// The move is cut at every change of the disk; the next start finishes it, or finds the spool as it was.
TEST(SetAside, IsFinishedByTheNextStartWhereverItIsCut) {
  for (auto crash : {MemoryDisk::Crash::process, MemoryDisk::Crash::power}) {
    for (std::uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(fmt::format("cut at change {}", nth));
      MemoryDisk disk("set-aside");
      SpoolBox box({.directory = "/spool", .vfs = disk.name()});
      auto originals = fill(box, disk, 20);
      ASSERT_TRUE(box.open());
      auto old_id = box.spool->id();
      box.close();
      disk.fail(MemoryDisk::Change::write, nth, true);
      auto first = set_aside("/spool", disk.name(), "a test", 3);
      bool was_cut = disk.has_failed();
      disk.crash(crash);
      disk.heal();
      auto opened = box.open();
      std::string folder;
      if (first) {
        folder = *first;
        ASSERT_TRUE(opened);
      } else if (!opened) {
        ASSERT_TRUE(is_damage(opened.error())) << opened.error().what;
        auto second = set_aside("/spool", disk.name(), "again", 3);
        ASSERT_TRUE(second) << second.error().what;
        folder = *second;
        ASSERT_TRUE(box.open());
      }
      if (folder.empty()) {
        EXPECT_EQ(box.spool->id(), old_id) << "the mark was not durable: nothing was moved";
      } else {
        EXPECT_NE(box.spool->id(), old_id);
        auto salvage = Salvage::open(folder, disk.name());
        ASSERT_TRUE(salvage) << salvage.error().what;
        EXPECT_EQ((*salvage)->id(), old_id);
        EXPECT_EQ(export_all(**salvage, originals), originals.size());
      }
      box.close();
      if (::testing::Test::HasFailure()) return;
      if (!was_cut) break;
    }
  }
}

}  // namespace
}  // namespace umbra::storage
