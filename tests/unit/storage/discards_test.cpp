// The outbox of discard status, forks that hold it back, and the memory of peers.
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

constexpr SpoolId hub2{0xFFFF'0000'0000'0022};
constexpr SpoolId hub3{33};

class DiscardsTest : public SpoolTest {
 protected:
  NewMessage accepted(std::vector<std::string> addresses = {"a@example.com"}) {
    auto message = new_message(spool(), std::move(addresses));
    message.holders = {holder("hub2", hub2.value), holder("hub3", hub3.value, Holder::State::offered)};
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  /// A DSN: a message of ours that nobody holds yet.
  NewMessage notification() {
    auto message = new_message(spool(), {"sender@example.org"}, "example.org");
    message.is_protected = false;
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  void record(AttemptRecord attempt) {
    must([&](Writer& writer) { return outcome_of(writer.record_attempt(attempt)); });
  }
  std::vector<OutboxItem> outbox(SpoolId to, std::uint64_t after = 0, std::size_t limit = 100) {
    return ask([&](Reader& reader) { return reader.outbox(to, after, limit); });
  }
  std::vector<std::pair<std::string, SpoolId>> owed() {
    return ask([](Reader& reader) { return reader.outbox_spools(); });
  }
  Knowledge::Kind kind(MessageId id) {
    return ask([&](Reader& reader) { return reader.lookup(id); }).kind;
  }
};

TEST_F(DiscardsTest, OwesTheEndToEveryHubThatMayHoldACopy) {
  auto message = accepted();
  EXPECT_TRUE(owed().empty());
  record(attempt(message.row, {delivered(0)}));
  lose_power();
  for (auto to : {hub2, hub3}) {
    auto items = outbox(to);
    ASSERT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0].id, message.id);
    EXPECT_EQ(items[0].generation, message.generation);
    EXPECT_EQ(items[0].spool, to);
    EXPECT_EQ(items[0].hub, to == hub2 ? "hub2" : "hub3");
    EXPECT_TRUE(items[0].all);
    EXPECT_TRUE(items[0].recipients.empty());
  }
  EXPECT_EQ(owed().size(), 2U);
  EXPECT_EQ(kind(message.id), Knowledge::Kind::done);
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).outbox, 2U);
}

TEST_F(DiscardsTest, ForgetsWhatWasConfirmed) {
  auto message = accepted();
  record(attempt(message.row, {delivered(0)}));
  auto key = outbox(hub2).at(0).key;
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{key}); });
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{key}); });
  EXPECT_TRUE(outbox(hub2).empty());
  EXPECT_EQ(outbox(hub3).size(), 1U);
  EXPECT_EQ(owed(), (std::vector<std::pair<std::string, SpoolId>>{{"hub3", hub3}}));
  EXPECT_EQ(kind(message.id), Knowledge::Kind::done) << "the other hub does not know yet";
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{outbox(hub3).at(0).key}); });
  EXPECT_EQ(kind(message.id), Knowledge::Kind::unknown);
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).outbox, 0U);
}

TEST_F(DiscardsTest, LetsAHubConfirmOnlyWhatItIsOwed) {
  auto message = accepted();
  record(attempt(message.row, {delivered(0)}));
  std::vector keys{outbox(hub2).at(0).key, outbox(hub3).at(0).key, std::uint64_t{0}, ~std::uint64_t{0}};
  must([&](Writer& writer) { return writer.outbox_confirmed_by(SpoolId{0x77}, keys); });
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).outbox, 2U) << "a hub that is owed nothing";
  must([&](Writer& writer) { return writer.outbox_confirmed_by(hub2, keys); });
  EXPECT_TRUE(outbox(hub2).empty());
  EXPECT_EQ(outbox(hub3).size(), 1U);
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).outbox, 1U);
}

TEST_F(DiscardsTest, NeverUsesAKeyTwiceInOneProcess) {
  auto first = accepted();
  record(attempt(first.row, {delivered(0)}));
  auto key = outbox(hub2).at(0).key;
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{key}); });
  auto second = accepted();
  record(attempt(second.row, {delivered(0)}));
  EXPECT_GT(outbox(hub2).at(0).key, key);
}

TEST_F(DiscardsTest, GivesItemsOldestFirstByPages) {
  std::vector<MessageId> ids;
  for (int i = 0; i < 5; ++i) {
    auto message = accepted();
    ids.push_back(message.id);
    record(attempt(message.row, {delivered(0)}));
  }
  auto page = outbox(hub2, 0, 3);
  ASSERT_EQ(page.size(), 3U);
  EXPECT_EQ(page[0].id, ids[0]);
  EXPECT_EQ(page[2].id, ids[2]);
  auto rest = outbox(hub2, page[2].key, 3);
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].id, ids[3]);
  EXPECT_EQ(rest[1].id, ids[4]);
}

TEST_F(DiscardsTest, TellsOfRecipientsAsTheyEnd) {
  auto message = accepted({"a@example.com", "b@example.com", "c@example.com"});
  record(attempt(message.row, {delivered(2), deferred(1), failed(0)}, {{"example.com", at(60), 1}}));
  auto items = outbox(hub2);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_FALSE(items[0].all);
  EXPECT_EQ(items[0].recipients, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(kind(message.id), Knowledge::Kind::live);
  record(attempt(message.row, {deferred(1)}, {{"example.com", at(90), 2}}));
  EXPECT_EQ(outbox(hub2).size(), 1U) << "nothing new to tell";
  record(attempt(message.row, {delivered(1)}));
  items = outbox(hub2);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_TRUE(items[1].all);
}

TEST_F(DiscardsTest, HoldsBackWhatDependsOnAForkUntilItIsProtected) {
  auto message = accepted();
  auto dsn = notification();
  auto record_failed = attempt(message.row, {failed(0)});
  record_failed.fork = dsn.row;
  record(record_failed);
  EXPECT_TRUE(outbox(hub2).empty());
  EXPECT_TRUE(owed().empty());
  EXPECT_EQ(kind(message.id), Knowledge::Kind::handing_over)
      << "told that it is done, a holder would drop its copy";

  must([&](Writer& writer) {
    return writer.set_holders(dsn.row, {holder("hub3", 33, Holder::State::offered)}, true);
  });
  EXPECT_TRUE(outbox(hub2).empty()) << "offered is not held";
  must([&](Writer& writer) { return writer.set_holders(dsn.row, {holder("hub3", 33)}, true); });
  EXPECT_EQ(outbox(hub2).size(), 1U);
  EXPECT_EQ(owed().size(), 2U);
}

TEST_F(DiscardsTest, LetsGoWhenTheForkIsFinished) {
  auto message = accepted();
  auto dsn = notification();
  must([&](Writer& writer) {
    return writer.finish_message(message.row, dsn.row, SpoolId{}, Left::elsewhere);
  });
  EXPECT_TRUE(outbox(hub2).empty());
  record(attempt(dsn.row, {delivered(0)}, {}, "example.org"));
  EXPECT_EQ(outbox(hub2).size(), 1U);
  must([&](Writer& writer) { return writer.outbox_confirmed(std::vector{outbox(hub2).at(0).key}); });
  EXPECT_TRUE(outbox(hub2).empty());
}

TEST_F(DiscardsTest, HoldsBackTheEndForTheForkOfAnEarlierAttempt) {
  auto message = accepted({"a@example.com", "b@example.com"});
  auto dsn = notification();
  auto first = attempt(message.row, {failed(0)}, {{"example.com", at(60), 1}});
  first.fork = dsn.row;
  record(first);
  record(attempt(message.row, {delivered(1)}));
  EXPECT_TRUE(outbox(hub2).empty()) << "the DSN about the first recipient has no second copy yet";
  lose_power();
  EXPECT_TRUE(outbox(hub2).empty());
  must([&](Writer& writer) { return writer.set_holders(dsn.row, {holder("hub3", 33)}, true); });
  EXPECT_EQ(outbox(hub2).size(), 2U);
}

TEST_F(DiscardsTest, FinishesWithoutTellingWhoToldUs) {
  auto message = accepted();
  must([&](Writer& writer) {
    return writer.finish_message(message.row, std::nullopt, hub2, Left::elsewhere);
  });
  EXPECT_TRUE(outbox(hub2).empty());
  EXPECT_EQ(outbox(hub3).size(), 1U);
  EXPECT_FALSE(ask([&](Reader& reader) { return reader.message(message.row); }));
  EXPECT_EQ(ask([&](Reader& reader) { return reader.chunk(message.row, 0); }), "");
  must([&](Writer& writer) {
    return writer.finish_message(message.row, std::nullopt, hub2, Left::elsewhere);
  });
}

TEST_F(DiscardsTest, ForgetsASpoolThatIsGone) {
  auto message = accepted();
  auto dsn = notification();
  must([&](Writer& writer) {
    return writer.finish_message(message.row, dsn.row, SpoolId{}, Left::elsewhere);
  });
  auto other = accepted();
  record(attempt(other.row, {delivered(0)}));
  must([&](Writer& writer) { return writer.outbox_forget_spool(hub2); });
  must([&](Writer& writer) { return writer.outbox_forget_spool(hub2); });
  EXPECT_TRUE(outbox(hub2).empty());
  EXPECT_EQ(outbox(hub3).size(), 1U);
  EXPECT_EQ(ask([](Reader& reader) { return reader.counts(); }).outbox, 2U);
}

TEST_F(DiscardsTest, OwesNothingToAHubWhoseSpoolWasNeverSeen) {
  auto message = new_message(spool(), {"a@example.com"});
  message.holders = {holder("hub9", 0, Holder::State::offered)};
  must([&](Writer& writer) { return accept(writer, message); });
  record(attempt(message.row, {delivered(0)}));
  EXPECT_TRUE(owed().empty());
}

TEST_F(DiscardsTest, RemembersTheLatestOfEachPeer) {
  auto remember = [&](PeerMemory peer) { must([&](Writer& writer) { return writer.remember_peer(peer); }); };
  remember({"hub3", hub3, Epoch{1}, Sequence{10}});
  remember({"hub2", hub2, Epoch{1}, Sequence{10}});
  remember({"hub2", SpoolId{99}, Epoch{2}, Sequence{3}});
  lose_power();
  auto peers = ask([](Reader& reader) { return reader.peers(); });
  ASSERT_EQ(peers.size(), 2U);
  EXPECT_EQ(peers[0].hub, "hub2");
  EXPECT_EQ(peers[0].spool, SpoolId{99});
  EXPECT_EQ(peers[0].epoch, Epoch{2});
  EXPECT_EQ(peers[0].sequence, Sequence{3});
  EXPECT_EQ(peers[1].hub, "hub3");
}

}  // namespace
}  // namespace umbra::storage
