// The queue: what is loaded when, what stays in the spool, fairness, and never twice.
#include <boost/asio/co_spawn.hpp>

#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OutboundQueue : public OutboundTest {
 protected:
  RowId accept_without_handing_over(int count) {
    RowId row;
    for (int i = 0; i < count; ++i) {
      MailOptions options;
      options.hand_over = false;
      row = accept(options);
    }
    return row;
  }
};

TEST_F(OutboundQueue, LoadsWhatIsInTheSpoolOnlyWhenTold) {
  FakeHost& host = smart_host();
  start();
  accept_without_handing_over(200);
  stop();
  host.mails.clear();
  auto left = counts().messages;
  start(false);
  run_for(10min);
  EXPECT_THAT(host.mails, IsEmpty());
  accept();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(1)) << "what is handed over goes at once";
  outbound->set_loading(true);
  run_for(1min);
  EXPECT_EQ(host.mails.size(), left + 1);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundQueue, FindsNewEntriesWhenAskedToLookAgain) {
  FakeHost& host = smart_host();
  start();
  run_for(1s);
  accept_without_handing_over(3);
  run_for(1min);
  EXPECT_THAT(host.mails, IsEmpty());
  outbound->look_again();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(3));
}

TEST_F(OutboundQueue, LeavesMessagesAloneThatAreBeingAccepted) {
  FakeHost& host = smart_host();
  start();
  run_for(1s);
  RowId row = accept_without_handing_over(1);
  MessageId id{spool->id(), static_cast<std::uint64_t>(row.value)};
  ASSERT_TRUE(stored(row));
  guard.in_acceptance.insert(id);
  outbound->look_again();
  run_for(10s);
  EXPECT_THAT(host.mails, IsEmpty());
  guard.in_acceptance.clear();
  run_for(10s);
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(OutboundQueue, IgnoresAMessageThatIsHandedOverTwice) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  start();
  RowId row = accept();
  run_for(1s);
  outbound->deliver({*stored(row), nullptr});
  run_for(1s);
  host.let_go();
  run_for(1min);
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(OutboundQueue, KeepsLittleInMemoryAndDeliversAllOfIt) {
  FakeHost& host = smart_host();
  config.delivery.ready_octets_max = 100 << 10;
  config.routes[0].connections_max = 2;
  host.holds_final_replies = true;
  start();
  for (int i = 0; i < 500; ++i) {
    MailOptions options;
    options.body = "Subject: " + std::to_string(i) + "\r\n\r\n" + std::string(4000, 'x') + "\r\n";
    accept(options);
  }
  run_for(1s);
  host.let_go();
  run_for(1min);
  EXPECT_EQ(counts().messages, 0U);
  std::set<std::string> bodies;
  for (const auto& mail : host.mails) bodies.insert(mail.body);
  EXPECT_EQ(bodies.size(), 500U);
  EXPECT_EQ(host.mails.size(), 500U);
}

TEST_F(OutboundQueue, DeliversNothingTwiceWhileLoadingAndHandingOverAtOnce) {
  FakeHost& host = smart_host();
  config.delivery.ready_octets_max = 30 << 10;
  config.routes[0].connections_max = 3;
  int number = 0;
  host.on_message = [&](const ReceivedMail&) -> std::string {
    return ++number % 7 == 0 ? "451 4.3.0 later\r\n" : number % 11 == 0 ? "421 4.3.0 bye\r\n" : "";
  };
  start();
  CountingRandom dice;
  int sent = 0;
  for (int round = 0; round < 200; ++round) {
    for (auto n = dice.below(8); n > 0; --n) {
      MailOptions options;
      options.body =
          "Subject: " + std::to_string(++sent) + "\r\n\r\n" + std::string(dice.below(3000), 'x') + "\r\n";
      options.hand_over = dice.below(4) != 0;
      options.with_body = dice.below(2) != 0;
      accept(options);
      if (dice.below(3) == 0) io.poll_one();
    }
    if (dice.below(2) == 0) outbound->look_again();
    if (dice.below(5) == 0) reader.is_held = true;
    if (dice.below(5) == 0) writer.is_held = true;
    run_for(std::chrono::milliseconds(dice.below(30'000)));
    reader.let_go();
    writer.let_go();
    run_for(std::chrono::milliseconds(dice.below(3)));
  }
  outbound->look_again();
  run_for(3h);
  EXPECT_EQ(counts().messages, 0U);
  std::map<std::string, int> copies;
  for (const auto& mail : host.mails) ++copies[mail.body];
  EXPECT_EQ(copies.size(), static_cast<std::size_t>(sent));
  for (const auto& [body, count] : copies) EXPECT_EQ(count, 1) << body.substr(0, 20);
  EXPECT_EQ(metrics.possible_duplicates_total, 0U);
}

TEST_F(OutboundQueue, IsFairBetweenDestinationsWhenConnectionsAreShort) {
  config.delivery.connections_max = 4;
  for (int i = 1; i <= 8; ++i) {
    std::string n = std::to_string(i);
    RouteConfig route;
    route.name = "r" + n;
    route.domains = {"d" + n + ".example"};
    route.hosts = {{{"192.0.2." + n, 25}, 0}};
    config.routes.push_back(route);
  }
  start();
  auto mail_to = [&](int destination, int count) {
    for (int i = 0; i < count; ++i) {
      MailOptions options;
      options.recipients = {"x@d" + std::to_string(destination) + ".example"};
      accept(options);
    }
  };
  FakeHost& big = network.hosts["192.0.2.1:25"];
  std::size_t big_had = 0;  // when the last of the others was delivered
  for (int i = 2; i <= 8; ++i)
    network.hosts["192.0.2." + std::to_string(i) + ":25"].on_message = [&](const ReceivedMail&) {
      big_had = big.mails.size();
      return "";
    };
  big.holds_final_replies = true;
  mail_to(1, 400);
  run_for(1s);
  EXPECT_EQ(big.open, 4);
  for (int i = 2; i <= 8; ++i) mail_to(i, 10);
  std::size_t big_before = big.mails.size();
  big.let_go();
  run_for(1s);
  for (int i = 2; i <= 8; ++i)
    EXPECT_THAT(network.hosts["192.0.2." + std::to_string(i) + ":25"].mails, SizeIs(10)) << i;
  EXPECT_LT(big_had - big_before, 200U) << "the others did not wait for the last of the big one";
  run_for(10min);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(OutboundQueue, EndsIdleConnectionsWhenOthersNeedTheSlot) {
  config.delivery.connections_max = 1;
  config.delivery.idle_timeout = 10min;
  for (int i = 1; i <= 2; ++i) {
    std::string n = std::to_string(i);
    RouteConfig route;
    route.name = "r" + n;
    route.domains = {"d" + n + ".example"};
    route.hosts = {{{"192.0.2." + n, 25}, 0}};
    config.routes.push_back(route);
    network.hosts["192.0.2." + n + ":25"];
  }
  start();
  MailOptions options;
  options.recipients = {"x@d1.example"};
  accept(options);
  run_for(1s);
  EXPECT_EQ(network.hosts["192.0.2.1:25"].open, 1);
  options.recipients = {"x@d2.example"};
  accept(options);
  run_for(10s);
  EXPECT_THAT(network.hosts["192.0.2.2:25"].mails, SizeIs(1));
}

TEST_F(OutboundQueue, ReroutesMailWhoseRouteHasChanged) {
  smart_host();
  network.hosts["192.0.2.1:25"].refuses_connections = true;
  start();
  MailOptions options;
  options.recipients = {"a@one.example", "b@two.example"};
  accept(options);
  run_for(1s);
  stop();
  RouteConfig one{"one", {"one.example"}, {{{"192.0.2.2", 25}, 0}}};
  RouteConfig two{"two", {"two.example"}, {{{"192.0.2.3", 25}, 0}}};
  config.routes = {one, two};
  network.hosts["192.0.2.2:25"];
  network.hosts["192.0.2.3:25"];
  start();
  run_for(2min);
  EXPECT_THAT(network.hosts["192.0.2.2:25"].mails, SizeIs(1));
  EXPECT_THAT(network.hosts["192.0.2.3:25"].mails, SizeIs(1));
  EXPECT_EQ(counts().messages, 0U);
}

// ---- the operator

class OutboundOperator : public OutboundQueue {
 protected:
  std::optional<Error> bounce(RowId row) {
    std::optional<Result<void>> result;
    asio::co_spawn(io, outbound->bounce(row, "because"),
                   [&](const std::exception_ptr&, Result<void> r) { result = std::move(r); });
    run_until([&] { return result.has_value(); }, 1s);
    if (!result) return Error{std::make_error_code(std::errc::timed_out), "no answer"};
    if (*result) return std::nullopt;
    return result->error();
  }
};

TEST_F(OutboundOperator, BouncesAMessageThatWaits) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT TO:<rcpt") ? "451 later\r\n" : "";
  };
  start();
  RowId row = accept();
  run_for(10s);
  EXPECT_FALSE(bounce(row));
  run_for(1s);
  ASSERT_THAT(host.mails, SizeIs(1));
  EXPECT_THAT(host.mails[0].body, HasSubstr("because"));
  EXPECT_FALSE(stored(row));
  EXPECT_EQ(bounce(row)->code, std::errc::no_such_file_or_directory);
}

TEST_F(OutboundOperator, DoesNotBounceWhatIsBeingSent) {
  FakeHost& host = smart_host();
  host.holds_final_replies = true;
  start();
  RowId row = accept();
  run_for(1s);
  EXPECT_EQ(bounce(row)->code, std::errc::device_or_resource_busy);
  host.let_go();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(OutboundOperator, DeliversNothingThatIsHeld) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT TO:<rcpt") ? "451 later\r\n" : "";
  };
  start();
  RowId row = accept();
  run_for(10s);
  auto queue = stored(row)->queue;
  spool->write([row](storage::Writer& w) { return w.set_state(row, storage::MessageState::held, {}); }, 1,
               [](const Result<void>&) {});
  drain();
  outbound->forget(row);
  host.on_command = nullptr;
  run_for(10min);
  EXPECT_THAT(host.mails, IsEmpty());
  spool->write(
      [row, queue](storage::Writer& w) { return w.set_state(row, storage::MessageState::queued, queue); }, 1,
      [](const Result<void>&) {});
  drain();
  outbound->look_again();
  run_for(1s);
  EXPECT_THAT(host.mails, SizeIs(1));
}

TEST_F(OutboundQueue, TriesAgainWhatWasHeldAndReleasedDuringAnAttempt) {
  // The operator's two commands come while the attempt is under way; then it fails. Nothing else is in the
  // queue that would make anybody look.
  for (const bool was_sent : {false, true}) {
    SCOPED_TRACE(was_sent ? "the final dot was sent" : "nothing was sent");
    FakeHost& host = smart_host();
    if (was_sent)
      host.on_message = [](const ReceivedMail&) { return "SILENCE"; };
    else
      host.on_command = [](const std::string& line) { return line.starts_with("MAIL") ? "SILENCE" : ""; };
    config.delivery.command_timeout = config.delivery.data_reply_timeout = 40s;
    start();
    RowId row = accept();
    run_for(1s);
    auto set = [&](storage::MessageState state, std::vector<storage::QueueEntry> queue) {
      spool->write([row, state, queue](storage::Writer& w) { return w.set_state(row, state, queue); }, 1,
                   [](const Result<void>&) {});
      run_for(100ms);
    };
    auto entries = stored(row)->queue;
    set(storage::MessageState::held, {});
    outbound->forget(row);
    run_for(1s);
    set(storage::MessageState::queued, entries);
    outbound->look_again();
    run_for(30s);
    ASSERT_TRUE(stored(row));
    host.on_message = nullptr;
    host.on_command = nullptr;
    run_for(3min);
    EXPECT_FALSE(stored(row));
    stop();
  }
}

}  // namespace
}  // namespace umbra::hub
