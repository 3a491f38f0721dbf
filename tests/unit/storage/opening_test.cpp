// What a spool refuses to open, and what an operator is told; on a real directory where locks and files are
// real.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "storage/schema.h"
#include "storage/set_aside.h"
#include "storage/spool_error.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::Test;

class OpeningTest : public Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "umbra-spool-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    box.emplace(SpoolOptions{.directory = directory, .vfs = ""});
  }
  void TearDown() override {
    box->close();
    box.reset();
    fs::permissions(directory, fs::perms::owner_all);
    fs::remove_all(directory);
  }
  void open() {
    auto opened = box->open();
    ASSERT_TRUE(opened) << opened.error().what;
  }
  Error refusal() {
    auto opened = box->open();
    EXPECT_FALSE(opened);
    return opened ? Error{} : opened.error();
  }
  void sql(const char* statement) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open((directory + "/spool.db").c_str(), &database), SQLITE_OK);
    char* message = nullptr;
    ASSERT_EQ(sqlite3_exec(database, statement, nullptr, nullptr, &message), SQLITE_OK) << message;
    sqlite3_close(database);
  }
  std::string directory;
  std::optional<SpoolBox> box;
};

TEST_F(OpeningTest, KeepsItsIdAndBeginsANewEpochWithEachStart) {
  open();
  auto id = box->spool->id();
  EXPECT_NE(id.value, 0U);
  EXPECT_EQ(box->spool->epoch(), Epoch{1});
  auto row = box->spool->next_row();
  EXPECT_GT(row, box->spool->first_row_of_epoch());
  box->close();
  open();
  EXPECT_EQ(box->spool->id(), id);
  EXPECT_EQ(box->spool->epoch(), Epoch{2});
  EXPECT_GT(box->spool->first_row_of_epoch(), row);
  EXPECT_GT(box->spool->free_octets(), 0U);
}

TEST_F(OpeningTest, LetsNobodyElseReadTheMail) {
  open();
  ASSERT_TRUE(box->write(
      [&](Writer& writer) { return accept(writer, new_message(*box->spool, {"a@example.com"})); }));
  for (const auto* name : {"spool.db", "spool.db-wal", "spool.db-shm"}) {
    auto others =
        fs::status(directory + "/" + name).permissions() & (fs::perms::group_all | fs::perms::others_all);
    EXPECT_EQ(others, fs::perms::none) << name;
  }
}

TEST_F(OpeningTest, RefusesASecondProcessAndNamesTheFirst) {
  open();
  SpoolBox second(box->options);
  auto opened = second.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, std::errc::device_or_resource_busy);
  EXPECT_THAT(opened.error().what, ::testing::HasSubstr("process " + std::to_string(getpid())));

  // A real second process too: locks of one process do not show that.
  auto child = fork();
  if (child == 0) {
    SpoolBox other(box->options);
    auto result = other.open();
    _exit(!result && result.error().code == std::errc::device_or_resource_busy ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);

  box->close();
  EXPECT_TRUE(second.open()) << "the lock goes with the process, not with the file";
  second.close();
}

TEST_F(OpeningTest, RefusesADirectoryThatIsNotThere) {
  box->options.directory = directory + "/nowhere";
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::no_such_file_or_directory);
  EXPECT_THAT(error.what, ::testing::HasSubstr("nowhere"));
}

TEST_F(OpeningTest, RefusesAFileForADirectory) {
  std::ofstream(directory + "/file") << "x";
  box->options.directory = directory + "/file";
  EXPECT_EQ(refusal().code, std::errc::not_a_directory);
}

TEST_F(OpeningTest, RefusesADirectoryItCannotWriteTo) {
  fs::permissions(directory, fs::perms::owner_read | fs::perms::owner_exec);
  if (geteuid() != 0) {
    EXPECT_EQ(refusal().code, std::errc::permission_denied);
    return;
  }
  auto child = fork();  // root may write anywhere, "nobody" may not
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    auto opened = box->open();
    _exit(!opened && opened.error().code == std::errc::permission_denied ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(OpeningTest, RefusesWhatIsNotADatabase) {
  std::ofstream(directory + "/spool.db") << std::string(8192, 'x');
  EXPECT_EQ(refusal().code, std::errc::io_error);
}

TEST_F(OpeningTest, RefusesADatabaseOfSomebodyElse) {
  sql("PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; CREATE TABLE songs(title)");
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::not_supported);
  EXPECT_THAT(error.what, ::testing::HasSubstr("not a spool"));
}

TEST_F(OpeningTest, RefusesANewerSchemaAndLeavesItAsItIs) {
  open();
  box->close();
  sql("PRAGMA user_version=999");
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::not_supported);
  EXPECT_THAT(error.what, ::testing::HasSubstr("version 999"));
  EXPECT_THAT(error.what, ::testing::HasSubstr("newer Umbra"));
  sql(("PRAGMA user_version=" + std::to_string(schema_version)).c_str());
  open();
  EXPECT_EQ(box->spool->epoch(), Epoch{2}) << "the refused start did not count";
}

TEST_F(OpeningTest, BringsAnOlderSpoolUpToDateWithItsHoldersIndexed) {
  open();
  auto message = new_message(*box->spool, {"a@example.com"});
  message.holders = {holder("hub2", 22, Holder::State::offered), holder("hub3", 33)};
  ASSERT_TRUE(box->write([&](Writer& writer) { return accept(writer, message); }));
  box->close();
  sql("DROP TABLE holds; DROP INDEX outbox_superseded; DROP TABLE untold; ALTER TABLE messages DROP COLUMN "
      "noted; ALTER TABLE messages DROP COLUMN history; ALTER TABLE messages DROP COLUMN next_hop; ALTER "
      "TABLE shadows DROP COLUMN note;"
      "DROP TABLE kept; DROP TABLE resends; ALTER TABLE meta DROP COLUMN kept; ALTER TABLE meta DROP COLUMN "
      "kept_octets;"
      "ALTER TABLE progress DROP COLUMN next_hop;"
      "DROP TABLE notes; DROP INDEX messages_handing_over; DROP INDEX messages_held_by; DROP TABLE "
      "further_holders; ALTER TABLE messages DROP COLUMN held_by;"
      "ALTER TABLE messages DROP COLUMN copies; PRAGMA user_version=3");
  open();
  for (std::uint64_t hub : {22U, 33U})
    EXPECT_EQ(box->read([&](Reader& r) { return r.messages_held_by(SpoolId{hub}, RowId{0}, 9); }).value(),
              std::vector<RowId>{message.row});
  EXPECT_EQ(box->read([](Reader& r) { return r.copies_on(SpoolId{33}); }).value(), 1U);
  EXPECT_EQ(box->read([](Reader& r) { return r.copies_on(SpoolId{22}); }).value(), 0U);
  EXPECT_TRUE(box->read([](Reader& r) { return r.notes_owed(SpoolId{33}, RowId{0}, 9); }).value().empty());
  ASSERT_TRUE(
      box->write([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); }));
  EXPECT_EQ(box->read([](Reader& r) { return r.notes_owed(SpoolId{33}, RowId{0}, 9); }).value().size(), 1U);
}

TEST_F(OpeningTest, BringsASpoolOfBeforeTheNextHopsUpToDate) {
  open();
  auto message = new_message(*box->spool, {"a@example.com"});
  message.holders = {holder("hub2", 22)};
  ASSERT_TRUE(box->write([&](Writer& writer) { return accept(writer, message); }));
  ASSERT_TRUE(
      box->write([&](Writer& writer) { return writer.set_state(message.row, MessageState::held, {}); }));
  box->close();
  sql("ALTER TABLE messages DROP COLUMN next_hop; PRAGMA user_version=10");
  open();
  auto read = [&] { return box->read([&](Reader& r) { return r.message(message.row); }).value(); };
  ASSERT_TRUE(read());
  EXPECT_EQ(read()->state, MessageState::held);
  EXPECT_EQ(read()->next_hop, "");
  EXPECT_EQ(read()->noted, 1U);
  ASSERT_TRUE(box->write(
      [&](Writer& writer) { return writer.set_next_hop(message.row, "host:relay.example:25", {}); }));
  box->close();
  open();
  EXPECT_EQ(read()->next_hop, "host:relay.example:25");
}

TEST_F(OpeningTest, RefusesARestoredBackup) {
  open();
  box->close();
  auto backup = directory + "/backup";
  fs::create_directory(backup);
  for (const auto* name : {"spool.db", "spool.db-wal"}) fs::copy(directory + "/" + name, backup + "/" + name);
  open();
  box->close();
  fs::remove(directory + "/spool.db-shm");
  for (const auto* name : {"spool.db", "spool.db-wal"}) {
    fs::copy(backup + "/" + name, directory + "/" + name, fs::copy_options::overwrite_existing);
  }
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::not_supported);
  EXPECT_THAT(error.what, ::testing::HasSubstr("restored from a backup"));
  EXPECT_THAT(error.what, ::testing::HasSubstr("umbra spool set-aside")) << "it says what to do";
  // What it says works: the hub starts empty, as a new spool.
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.is_regular_file()) fs::remove(entry);
  }
  open();
  EXPECT_EQ(box->spool->epoch(), Epoch{1});
}

TEST_F(OpeningTest, RefusesTheSpoolOfAnotherHub) {
  open();  // of an older release, or without a cluster: nobody's yet
  box->close();
  box->options.hub = "hub-a";
  open();
  box->close();
  open();
  box->close();
  box->options.hub = "hub-b";
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::not_supported);
  EXPECT_THAT(error.what, ::testing::HasSubstr("the spool of hub hub-a, and this hub is hub-b"));
  EXPECT_THAT(error.what, ::testing::HasSubstr("umbra spool set-aside")) << "it says what to do";
  box->options.hub = "hub-a";
  open();
  EXPECT_EQ(box->spool->epoch(), Epoch{4}) << "the refused start did not count";
}

TEST_F(OpeningTest, RefusesTheDatabaseOfAnotherSpool) {
  open();
  box->close();
  auto other = directory + "/other";
  fs::create_directory(other);
  SpoolBox foreign({.directory = other, .vfs = ""}, 99);
  ASSERT_TRUE(foreign.open());
  foreign.close();
  for (const auto* name : {"spool.db", "spool.db-wal"}) {
    fs::copy(other + "/" + name, directory + "/" + name, fs::copy_options::overwrite_existing);
  }
  fs::remove(directory + "/spool.db-shm");
  auto error = refusal();
  EXPECT_EQ(error.code, std::errc::not_supported);
  EXPECT_THAT(error.what, ::testing::HasSubstr("spool.epoch"));
}

TEST_F(OpeningTest, StartsEmptyWhenTheDatabaseWasRemoved) {
  open();
  auto id = box->spool->id();
  box->close();
  for (const auto* name : {"spool.db", "spool.db-wal", "spool.db-shm"}) fs::remove(directory + "/" + name);
  open();
  EXPECT_NE(box->spool->id(), id) << "the others see by its id that it is empty";
  EXPECT_EQ(box->spool->epoch(), Epoch{1});
}

TEST_F(OpeningTest, BelievesTheOlderSlotWhenTheNewerIsTorn) {
  open();
  box->close();
  open();  // epoch 2, in slot 0
  box->close();
  std::fstream mark(directory + "/spool.epoch", std::ios::in | std::ios::out | std::ios::binary);
  mark.seekp(20);
  mark << "torn";
  mark.close();
  open();
  EXPECT_EQ(box->spool->epoch(), Epoch{3});
}

TEST_F(OpeningTest, RefusesADatabaseThatLostItsIncrementalVacuum) {
  sql("CREATE TABLE t(x); DROP TABLE t");
  EXPECT_EQ(refusal().code, std::errc::not_supported);
}

}  // namespace
}  // namespace umbra::storage
