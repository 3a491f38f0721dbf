// What delivery tells of its connections: the send log, those who watch a next hop, and the connectivity log.
#include "tests/unit/hub/memory_record_log.h"
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class OutboundRecords : public OutboundTest {
 protected:
  OutboundRecords() {
    records =
        std::make_unique<SessionRecords>(io, random, SessionRecords::Logs{nullptr, &send_log, &connectivity});
    smart_host();
    route().protocol_log = ProtocolLogging::verbose;
  }
  ~OutboundRecords() override { stop(); }
  std::string told() {
    std::string text;
    for (const auto& record : connectivity.records) text += record[3] + " " + record[4] + "\n";
    return text;
  }
  MemoryRecordLog send_log;
  MemoryRecordLog connectivity;
};

TEST_F(OutboundRecords, HoldAConnectionFromItsBeginningToItsEnd) {
  start();
  accept();
  accept();
  EXPECT_TRUE(run_until([&] { return smart_host().mails.size() == 2; }));
  run_for(10min);
  EXPECT_EQ(send_log.records.front()[0], "out");
  const auto dialog = send_log.dialog();
  EXPECT_TRUE(dialog.starts_with("* (connecting to 192.0.2.1 [192.0.2.1:25])\n+\n< 220 fake ESMTP\n> EHLO "))
      << dialog;
  EXPECT_THAT(dialog, HasSubstr("> MAIL FROM:<sender@example.org>\n> RCPT TO:<rcpt@example.com>\n> DATA\n"));
  EXPECT_THAT(dialog, HasSubstr("> . (24 octets of content)\n"));
  EXPECT_THAT(dialog, HasSubstr("> QUIT\n"));
  EXPECT_THAT(dialog, HasSubstr("- (ended by this hub)\n"));
  EXPECT_THAT(dialog, Not(HasSubstr("hello")));
  EXPECT_THAT(
      told(),
      ContainsRegex(
          "^\\+ resolved: 192.0.2.1 \\[192.0.2.1:25\\]\n\\+ connected to 192.0.2.1 \\[192.0.2.1:25\\]\n"));
  EXPECT_THAT(told(), HasSubstr("; ended by this hub\n"));
  for (const auto& record : connectivity.records) {
    EXPECT_EQ(record[1], "SMTP");
    EXPECT_EQ(record[2], "route:out");
  }
  EXPECT_EQ(connectivity.records[1][0], send_log.records[0][1]) << "one id in both logs";
}

TEST_F(OutboundRecords, SayWhichAddressFailedAndWhichIsNext) {
  route().hosts = {{{"192.0.2.1", 25}, 1}, {{"192.0.2.2", 25}, 2}};
  network.hosts["192.0.2.1:25"].refuses_connections = true;
  network.hosts["192.0.2.2:25"].greeting = "554 go away\r\n";
  start();
  accept();
  EXPECT_TRUE(run_until([&] { return connectivity.records.size() >= 3; }));
  EXPECT_THAT(told(), ContainsRegex(
                          "> 192.0.2.1 .192.0.2.1:25.: 4.4.1 .*; next 192.0.2.2 .192.0.2.2:25.\n> 192.0.2.2 "
                          ".192.0.2.2:25.: host 192.0.2.2 said: 554 go away; no other address\n"));
  EXPECT_THAT(send_log.dialog(),
              ContainsRegex("\\* .connecting to 192.0.2.1.*\n- .4.4.1 .*\n\\* .connecting to "
                            "192.0.2.2.*\n\\+\n< 554 go away\n- .host 192.0.2.2 said: 554 go away.\n"));
  EXPECT_NE(send_log.records.front()[1], send_log.records.back()[1]);
}

TEST_F(OutboundRecords, AreNotMadeWhereNobodyAsksAndBeginWhenSomebodyDoes) {
  route().protocol_log = ProtocolLogging::none;
  connectivity.enabled = false;
  start();
  accept();
  EXPECT_TRUE(run_until([&] { return smart_host().mails.size() == 1; }));
  EXPECT_TRUE(send_log.records.empty());
  EXPECT_TRUE(connectivity.records.empty());
  auto watcher = records->watch(WatchFilter{.next_hop = "192.0.2.1"});
  accept();
  EXPECT_TRUE(run_until([&] { return smart_host().mails.size() == 2; }));
  watcher->end("enough");
  std::string text;
  TaskScope scope(io);
  scope.spawn("take", [](std::shared_ptr<Watcher> from, std::string& to) -> Task<void> {
    to = co_await from->next();
  }(watcher, text));
  run_for(1s);
  EXPECT_THAT(text, HasSubstr("under way already"));
  EXPECT_THAT(text, HasSubstr("\"data\":\"RCPT TO:<rcpt@example.com>\""));
  records->unwatch(watcher);
  accept();
  EXPECT_TRUE(run_until([&] { return smart_host().mails.size() == 3; }));
  EXPECT_TRUE(send_log.records.empty());
}

TEST(SessionRecords, DoNotSayThatAnEndWasSentThatWasWithheld) {
  MemoryRecordLog log;
  SessionRecord record(1, {SessionDirection::out, "out", "mx", {}, {"192.0.2.1", 25}, true}, &log);
  record.said("DATA", {});
  record.sending();
  record.said(".", "9 octets of content");
  record.said("MAIL FROM:<next@example.org>", {});
  record.sending_but_end();
  EXPECT_EQ(log.dialog(), "> DATA\n");
  record.withheld("the message is not ours to deliver any more");
  record.sending();
  EXPECT_EQ(log.dialog(),
            "> DATA\n* (the end of the message was withheld: the message is not ours to deliver any more)\n");
  record.said("MAIL FROM:<a@example.org>", {});
  record.said(".", {});
  record.sending_but_end();
  record.sending();
  EXPECT_TRUE(log.dialog().ends_with("> MAIL FROM:<a@example.org>\n> .\n"));
}

}  // namespace
}  // namespace umbra::hub
