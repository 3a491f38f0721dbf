// The simulated disk does to SQLite what real ones do.
#include "storage/memory_disk.h"

#include <gtest/gtest.h>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

/// A plain SQLite connection on a simulated disk.
class Connection {
 public:
  explicit Connection(const MemoryDisk& disk, const char* path = "/d/a.db") {
    EXPECT_EQ(
        sqlite3_open_v2(path, &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, disk.name().c_str()),
        SQLITE_OK);
  }
  ~Connection() { sqlite3_close(handle_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  int run(const char* sql) { return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); }
  int number(const char* sql) {
    int value = -1;
    auto take = [](void* to, int, char** values, char**) {
      *static_cast<int*>(to) = std::atoi(values[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(handle_, sql, take, &value, nullptr), SQLITE_OK) << sqlite3_errmsg(handle_);
    return value;
  }

 private:
  sqlite3* handle_ = nullptr;
};

constexpr const char* wal_full = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x)";

TEST(MemoryDisk, ServesTwoConnectionsInWalMode) {
  MemoryDisk disk("md-two");
  Connection writer(disk);
  ASSERT_EQ(writer.run(wal_full), SQLITE_OK);
  Connection reader(disk);
  ASSERT_EQ(reader.run("BEGIN"), SQLITE_OK);
  EXPECT_EQ(reader.number("SELECT count(*) FROM t"), 0);
  ASSERT_EQ(writer.run("INSERT INTO t VALUES(1)"), SQLITE_OK);
  EXPECT_EQ(reader.number("SELECT count(*) FROM t"), 0) << "its snapshot stays";
  ASSERT_EQ(reader.run("COMMIT"), SQLITE_OK);
  EXPECT_EQ(reader.number("SELECT count(*) FROM t"), 1);
  ASSERT_EQ(writer.run("BEGIN IMMEDIATE"), SQLITE_OK);
  EXPECT_EQ(reader.run("BEGIN IMMEDIATE"), SQLITE_BUSY);
}

TEST(MemoryDisk, LosesWhatWasNotSyncedWhenThePowerGoes) {
  MemoryDisk disk("md-power");
  for (auto kind : {MemoryDisk::Crash::process, MemoryDisk::Crash::power}) {
    disk.restore({});
    {
      Connection first(disk);
      ASSERT_EQ(first.run(wal_full), SQLITE_OK);
      ASSERT_EQ(first.run("INSERT INTO t VALUES(1)"), SQLITE_OK);
      ASSERT_EQ(first.run("PRAGMA synchronous=NORMAL; INSERT INTO t VALUES(2)"), SQLITE_OK);
      disk.crash(kind);
      EXPECT_NE(first.run("INSERT INTO t VALUES(3)"), SQLITE_OK) << "what was open is dead";
    }
    Connection second(disk);
    EXPECT_EQ(second.number("SELECT count(*) FROM t"), kind == MemoryDisk::Crash::process ? 2 : 1);
  }
}

TEST(MemoryDisk, KeepsADatabaseWholeWhenOnlyPartOfTheWritesSurvive) {
  MemoryDisk disk("md-partly");
  CountingRandom random(7);
  {
    Connection first(disk);
    ASSERT_EQ(first.run(wal_full), SQLITE_OK);
  }
  int committed = 0;
  for (int round = 0; round < 30; ++round) {
    Connection connection(disk);
    ASSERT_EQ(connection.run("PRAGMA synchronous=FULL; INSERT INTO t VALUES(randomblob(9000))"), SQLITE_OK);
    ++committed;
    ASSERT_EQ(connection.run("PRAGMA synchronous=OFF; INSERT INTO t VALUES(randomblob(90000))"), SQLITE_OK);
    disk.crash(MemoryDisk::Crash::power_partly, &random);
    Connection again(disk);
    EXPECT_EQ(again.number("SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    EXPECT_GE(again.number("SELECT count(*) FROM t"), committed);
    committed = again.number("SELECT count(*) FROM t");
  }
}

TEST(MemoryDisk, FailsTheChosenWriteAndSync) {
  MemoryDisk disk("md-fail");
  Connection connection(disk);
  ASSERT_EQ(connection.run(wal_full), SQLITE_OK);
  disk.fail(MemoryDisk::Change::sync, 1, false);
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_IOERR);
  EXPECT_TRUE(disk.has_failed());
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_OK) << "once";
  disk.fail(MemoryDisk::Change::write, 1, true);
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_IOERR);
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_IOERR) << "for good";
  disk.heal();
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_OK);
}

TEST(MemoryDisk, FillsUp) {
  MemoryDisk disk("md-full");
  Connection connection(disk);
  ASSERT_EQ(connection.run(wal_full), SQLITE_OK);
  disk.set_capacity(disk.octets() + 10'000);
  EXPECT_EQ(disk.free_octets(), 10'000U);
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(randomblob(50000))"), SQLITE_FULL);
  EXPECT_EQ(connection.number("SELECT count(*) FROM t"), 0);
  disk.heal();
  EXPECT_EQ(connection.run("INSERT INTO t VALUES(randomblob(50000))"), SQLITE_OK);
}

TEST(MemoryDisk, CopiesItsDurableStateToAnother) {
  MemoryDisk disk("md-from");
  MemoryDisk other("md-to");
  {
    Connection connection(disk);
    ASSERT_EQ(connection.run(wal_full), SQLITE_OK);
    ASSERT_EQ(connection.run("INSERT INTO t VALUES(1)"), SQLITE_OK);
    other.restore(disk.durable());
    ASSERT_EQ(connection.run("INSERT INTO t VALUES(2)"), SQLITE_OK);
  }
  Connection copy(other);
  EXPECT_EQ(copy.number("SELECT count(*) FROM t"), 1);
}

TEST(MemoryDisk, IsFoundByItsName) {
  MemoryDisk disk("md-name");
  EXPECT_EQ(MemoryDisk::find("md-name"), &disk);
  EXPECT_EQ(MemoryDisk::find("unix"), nullptr);
  EXPECT_EQ(MemoryDisk::find("md-none"), nullptr);
}

}  // namespace
}  // namespace umbra::storage
