// Goal: a drain hands over what is due and nothing else, as fast as the other hubs take it.
// Method: one hub's Drainer and Peering on virtual time; the other hubs are played by the test, and nothing
// is delivered here.
#include "hub/drain/drainer.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using smtp::Reply;
using smtp::ShadowCommand;
using smtp::ShadowVerb;

class DrainerTests : public PeeringTest {
 protected:
  DrainerTests() {
    member("10.0.0.3").keywords = "\nXSHADOW 1";  // it holds copies, and takes no mail over
    hub2().answers = [](const ShadowCommand& c) -> std::optional<Reply> {
      if (c.verb == ShadowVerb::hand) return Reply{250, "2.6.0", "owned and protected"};
      return std::nullopt;
    };
  }
  FakeMember& hub2() { return member("10.0.0.2"); }

  void start_all() {
    start();
    Drainer::Clients clients{[](bool) {}, [] { return std::size_t{0}; },
                             [this](const std::string& d) { return !unreachable.contains(d); }};
    drainer = std::make_unique<Drainer>(Runtime{io, random, network, resolver, nullptr}, config, *spool,
                                        *peering, clients, log, metrics);
    drainer->start();
    pass(1s);
  }
  void TearDown() override {
    if (!drainer) return;
    scope.spawn("stop the drainer", drainer->stop());
    pass(10s);
  }
  /// Messages that are due now, each held by hub3 as well.
  void queue(int count, const std::string& destination, Duration due_in = 0s,
             const Holder& holder = {"hub3", spool3, Holder::State::holds}) {
    std::vector<storage::NewMessage> messages;
    for (int i = 0; i < count; ++i) {
      messages.push_back(own_message({holder}));
      messages.back().queue = {
          {destination, WallClock::now() + std::chrono::duration_cast<WallClock::duration>(due_in), 0}};
    }
    must([&](storage::Writer& w) -> Result<void> {
      for (const auto& message : messages) {
        if (auto body = w.put_chunk(message.row, 0, "body\n"); !body) return body;
        if (auto inserted = w.insert_message(message); !inserted) return inserted;
      }
      return {};
    });
  }
  /// Copies held for hub2.
  void hold(std::uint64_t count) {
    std::vector<storage::Shadow> copies(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      auto& copy = copies[i];
      copy.row = spool->next_row();
      copy.id = {spool2, i + 1};
      copy.generation = Generation{1};
      copy.owner_hub = "hub2";
      copy.owner_spool = spool2;
      copy.owner_epoch = Epoch{1};
      copy.envelope = own_message({}).envelope;
      copy.size = 5;
      copy.offered = {{"hub1", spool->id(), Holder::State::offered}};
    }
    must([&](storage::Writer& w) -> Result<void> {
      for (const auto& copy : copies) {
        if (auto inserted = w.insert_shadow(copy); !inserted) return std::unexpected(inserted.error());
        if (auto body = w.put_chunk(copy.row, 0, "body\n"); !body) return body;
      }
      return {};
    });
  }
  void order(cluster::DrainVerb verb, std::uint64_t rate = 1'000'000) {
    struct Ordering {
      static Task<void> run(Drainer& drainer, cluster::DrainOrder order) {
        auto begun = co_await drainer.begin(order);
        EXPECT_TRUE(begun && begun->empty());
      }
    };
    cluster::DrainOrder order;
    order.verb = verb;
    order.unready_wait = 0s;
    order.rate = rate;
    scope.spawn("order", Ordering::run(*drainer, order));
    settle();
  }
  std::size_t offered() { return hub2().of(ShadowVerb::hand).size(); }

  std::set<std::string> unreachable;
  std::unique_ptr<Drainer> drainer;
};

TEST_F(DrainerTests, HandsTheNextOverAsSoonAsOneIsDone) {
  start_all();
  queue(2000, "example.com");
  order(cluster::DrainVerb::leave);
  pass(500ms);  // ten looks at what is left, and far more than ten times what is under way at once
  EXPECT_EQ(offered(), 2000U);
}

TEST_F(DrainerTests, KeepsToTheRate) {
  start_all();
  queue(2000, "example.com");
  order(cluster::DrainVerb::leave, 100);
  pass(5s);
  EXPECT_LE(offered(), 500U);
  EXPECT_GE(offered(), 400U);
}

TEST_F(DrainerTests, ADeadNextHopDoesNotKeepADrainWaiting) {
  start_all();
  queue(300, "dead.example");
  queue(5, "example.com");
  queue(300, "later.example", 1h);
  unreachable = {"dead.example"};
  order(cluster::DrainVerb::drain);
  pass(2s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained) << drainer->drain().why();
  EXPECT_EQ(offered(), 5U);
}

TEST_F(DrainerTests, HandsOverEverythingThatIsDueInPages) {
  start_all();
  queue(500, "a.example");
  queue(300, "b.example", 1h);
  queue(500, "c.example");
  order(cluster::DrainVerb::drain);
  pass(3s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained) << drainer->drain().why();
  EXPECT_EQ(offered(), 1000U);
}

// One message with very many entries stands for very many messages: entries are what is counted.
TEST_F(DrainerTests, CountsAllThatIsDueHoweverMuchItIs) {
  start_all();
  auto message = own_message({{"hub3", spool3, Holder::State::holds}});
  message.queue.clear();
  for (int i = 0; i < 100'001; ++i)
    message.queue.push_back({"example.com", WallClock::now() - std::chrono::seconds(i), 0});
  put(message);
  std::optional<Result<DrainPreview>> preview;
  struct Asking {
    static Task<void> run(Drainer& drainer, std::optional<Result<DrainPreview>>& into) {
      into = co_await drainer.preview(cluster::DrainOrder{});
    }
  };
  scope.spawn("preview", Asking::run(*drainer, preview));
  settle();
  ASSERT_TRUE(preview && *preview);
  EXPECT_EQ((*preview)->due, 100'001U);
}

TEST_F(DrainerTests, WhatIsRefusedCostsNoMemory) {
  std::map<MessageId, int> offers;
  std::size_t most = 0;
  hub2().answers = [&](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb != ShadowVerb::hand) return std::nullopt;
    ++offers[c.copy.id];
    most = std::max(most, drainer->in_memory());
    return Reply{451, "4.3.0", "Not now"};
  };
  start_all();
  queue(500, "a.example");
  queue(500, "b.example");
  order(cluster::DrainVerb::drain);
  pass(1s);
  EXPECT_EQ(offers.size(), 1000U) << "every one of them has had its turn";
  EXPECT_LE(most, 400U + 200U + 64U) << "a page and a half, and what is under way";
  int turns = 0;
  for (const auto& [id, count] : offers) turns = std::max(turns, count);
  EXPECT_LE(turns, 5) << "a pause between two walks";
  hub2().answers = [](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb == ShadowVerb::hand) return Reply{250, "2.6.0", "owned and protected"};
    return std::nullopt;
  };
  pass(3s);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained) << drainer->drain().why();
}

TEST_F(DrainerTests, ALeaveHandsOverWhatADeadNextHopKeepsWaiting) {
  start_all();
  queue(300, "dead.example");
  queue(300, "later.example", 1h);
  unreachable = {"dead.example"};
  order(cluster::DrainVerb::leave);
  pass(2s);
  EXPECT_EQ(offered(), 600U);
}

TEST_F(DrainerTests, OtherMailDoesNotWaitForASilentHolder) {
  member("10.0.0.3").is_up = false;
  start_all();
  queue(500, "example.com");
  queue(500, "example.com", 0s, {"hub2", spool2, Holder::State::holds});
  order(cluster::DrainVerb::drain);
  pass(1s);
  EXPECT_EQ(offered(), 500U) << "those that hub2 holds, and the receiver";
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
  pass(config.cluster.ask_again + 500ms);
  EXPECT_EQ(drainer->drain().state(), cluster::DrainState::drained) << drainer->drain().why();
  EXPECT_EQ(offered(), 1000U);
  EXPECT_EQ(metrics.possible_duplicates_total, 500U);
}

TEST_F(DrainerTests, AsksForNoMoreOtherCopiesThanAnOwnerMakesAtOnce) {
  hub2().keywords += "\nXDRAIN";
  hub2().knows = [](MessageId) {
    smtp::AskAnswer answer;
    answer.kind = smtp::AskKind::live;
    return answer;
  };
  std::set<MessageId> asked;
  std::size_t questions = 0;
  hub2().answers = [&](const ShadowCommand& c) -> std::optional<Reply> {
    if (c.verb != ShadowVerb::rehome) return std::nullopt;
    std::string text;
    for (auto id : c.ids) {
      asked.insert(id);
      text += smtp::format_rehomed(id, smtp::RehomeState::wait) + '\n';
    }
    questions += c.ids.size();
    return Reply{250, "2.0.0", text + std::to_string(c.ids.size())};
  };
  start_all();
  hold(6000);
  order(cluster::DrainVerb::leave);
  pass(2s);
  EXPECT_GE(asked.size(), 4096U);
  EXPECT_LT(asked.size(), 5000U);
  EXPECT_LT(questions, 10 * asked.size());  // a walk every 250 ms
}

}  // namespace
}  // namespace umbra::hub::peering_test
