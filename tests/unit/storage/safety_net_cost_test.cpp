// What the safety net costs where it is off: nothing. Counts every statement that SQLite runs in the life of
// a message, and every sync.
#include <sqlite3.h>

#include <cstdio>
#include <map>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

/// Of all connections that are opened while it lives.
class Tracing {
 public:
  Tracing() {
    statements().clear();
    sqlite3_auto_extension(entry());
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
  ~Tracing() { sqlite3_cancel_auto_extension(entry()); }
  static std::map<std::string, std::uint64_t>& statements() {
    static std::map<std::string, std::uint64_t> counts;
    return counts;
  }

 private:
  using Entry = void (*)();
  static Entry entry() { return reinterpret_cast<Entry>(&begin); }
  static int begin(sqlite3* database, char**, const void*) {
    return sqlite3_trace_v2(database, SQLITE_TRACE_STMT, &count, nullptr);
  }
  static int count(unsigned, void*, void* statement, void*) {
    const char* sql = sqlite3_sql(static_cast<sqlite3_stmt*>(statement));
    ++statements()[sql == nullptr ? "" : sql];
    return 0;
  }
};

struct Cost {
  double statements = 0;
  double syncs = 0;
  double octets = 0;  ///< written into the WAL
  std::map<std::string, std::uint64_t> by_text;
};

class SafetyNetCost : public SpoolTest {
 protected:
  static constexpr std::uint64_t messages = 100;
  static constexpr SpoolId hub2{0x22};
  void SetUp() override {}

  /// Of one message that is accepted, copied, delivered and told; and of one that is held for another hub
  /// until that one is done.
  Cost lives_with(SafetyNetLimits limits) {
    Tracing tracing;
    box.options.safety_net = limits;
    box.options.checkpoint_octets = 1U << 30;
    open();
    Tracing::statements().clear();
    auto syncs = disk.syncs_of("/spool/spool.db-wal");
    auto octets = spool().statistics().wal_octets;
    for (std::uint64_t i = 1; i <= messages; ++i) {
      auto message = new_message(spool(), {"a@example.com"});
      message.holders = {holder("hub2", hub2.value)};
      must([&](Writer& w) { return accept(w, message); });
      RecipientOutcome outcome{0, RecipientOutcome::State::delivered, "250 ok", {}};
      if (limits.enabled()) outcome.next_hop = "example.com mx.example.com 192.0.2.1";
      must([&](Writer& w) { return outcome_of(w.record_attempt(attempt(message.row, {outcome}))); });
      Shadow shadow{.row = spool().next_row(),
                    .id = {hub2, i},
                    .generation = Generation{1},
                    .owner_hub = "hub2",
                    .owner_spool = hub2,
                    .owner_epoch = Epoch{1},
                    .envelope = envelope_for({"b@example.com"}),
                    .size = 6,
                    .offered = {},
                    .done = {}};
      must([&](Writer& w) -> Result<void> {
        if (auto stored = w.insert_shadow(shadow); !stored) return std::unexpected(stored.error());
        return w.put_chunk(shadow.row, 0, "shadow");
      });
      OutboxItem item;
      item.id = shadow.id;
      item.generation = Generation{1};
      must([&](Writer& w) { return outcome_of(w.apply_discard(item, hub2)); });
    }
    Cost cost;
    cost.by_text = Tracing::statements();
    for (const auto& [text, count] : cost.by_text) cost.statements += static_cast<double>(count) / messages;
    cost.syncs = static_cast<double>(disk.syncs_of("/spool/spool.db-wal") - syncs) / messages;
    cost.octets = static_cast<double>(spool().statistics().wal_octets - octets) / messages;
    return cost;
  }
  static std::uint64_t touching(const Cost& cost, const std::string& table) {
    std::uint64_t sum = 0;
    for (const auto& [text, count] : cost.by_text)
      for (const char* word : {"FROM ", "INTO ", "UPDATE "})
        if ((text + " ").find(word + table + (text.ends_with(table) ? "" : " ")) != std::string::npos)
          sum += count;
    return sum;
  }
};

TEST_F(SafetyNetCost, SwitchedOffItsTablesAreNeverTouched) {
  auto off = lives_with({});
  std::printf("off: %.2f statements, %.2f syncs, %.0f octets of WAL\n", off.statements, off.syncs,
              off.octets);
  EXPECT_EQ(touching(off, "kept"), 0U);
  EXPECT_EQ(touching(off, "resends"), 0U);
  EXPECT_EQ(touching(off, "progress"), messages)
      << "where it was delivered is not remembered: one removal of nothing, as ever";
  EXPECT_EQ(off.syncs, 4.0) << "one for each commit of this test";
}

TEST_F(SafetyNetCost, SwitchedOnItCostsNoSync) {
  auto on = lives_with({std::chrono::hours(1), 1U << 30});
  std::printf("on:  %.2f statements, %.2f syncs, %.0f octets of WAL\n", on.statements, on.syncs, on.octets);
  EXPECT_GE(touching(on, "kept"), 2 * messages) << "the test sees what it looks for";
  EXPECT_EQ(on.syncs, 4.0);
}

}  // namespace
}  // namespace umbra::storage
