// The records of whole sessions, and those who watch: what is written where nobody asks (nothing), by
// listener, by address from a session's beginning, with a bound on what is kept for whom; no secrets.
#include <gmock/gmock.h>

#include "hub/logs/session_record.h"
#include "smtp/base64.h"
#include "tests/unit/hub/inbound_fixture.h"

namespace umbra::hub {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class SessionRecordTest : public Inbound {
 protected:
  SessionRecordTest() {
    records =
        std::make_unique<SessionRecords>(io, random, SessionRecords::Logs{&receive_log, nullptr, nullptr});
    config.protocol_log = ProtocolLogging::verbose;
  }
  ~SessionRecordTest() override { stop(); }

  /// What has come to this watcher.
  std::string taken(const std::shared_ptr<Watcher>& watcher) {
    std::string text;
    TaskScope scope(io);
    scope.spawn("take", take(watcher, text));
    time.settle(io);
    if (scope.running() != 0) {  // there was nothing
      watcher->push("{}\n");
      time.settle(io);
      text.clear();
    }
    return text;
  }
  static Task<void> take(std::shared_ptr<Watcher> watcher, std::string& text) {
    text = co_await watcher->next();
  }

  void mail(const std::shared_ptr<testing::MemoryPeer>& peer, const std::string& from,
            const std::string& to) {
    say(peer,
        "EHLO c.example\r\nMAIL FROM:<" + from + ">\r\nRCPT TO:<" + to + ">\r\nDATA\r\nhunter2\r\n.\r\n");
  }
};

TEST_F(SessionRecordTest, AreWrittenOfAWholeSession) {
  start();
  auto peer = connect();
  mail(peer, "a@c.example", "b@d.example");
  say(peer, "QUIT\r\n");
  EXPECT_EQ(receive_log.dialog(),
            "+\n> 220 hub.example ESMTP Umbra\n< EHLO c.example\n< MAIL FROM:<a@c.example>\n< RCPT "
            "TO:<b@d.example>\n< DATA\n< . (9 octets of content)\n"
            "> 250-hub.example greets c.example\n> 250-PIPELINING\n> 250-SIZE 52428800\n> 250-8BITMIME\n> "
            "250-SMTPUTF8\n> 250-CHUNKING\n> 250-ENHANCEDSTATUSCODES\n"
            "> 250-DSN\n> 250 HELP\n> 250 2.1.0 sender ok\n> 250 2.1.5 recipient ok\n> 354 end data with "
            "<CR><LF>.<CR><LF>\n> 250 2.0.0 queued\n"
            "< QUIT\n> 221 2.0.0 hub.example closes the connection\n- (closed, as the last reply says)\n");
  for (std::size_t i = 0; i < receive_log.records.size(); ++i) {
    const auto& record = receive_log.records[i];
    ASSERT_EQ(record.size(), 8U);
    EXPECT_EQ(record[0], "default");
    EXPECT_EQ(record[1].size(), 16U);
    EXPECT_EQ(record[1], receive_log.records[0][1]);
    EXPECT_EQ(record[2], std::to_string(i));
    EXPECT_EQ(record[3], "192.0.2.1:25");
    EXPECT_EQ(record[4], "192.0.2.7:40000");
  }
}

TEST_F(SessionRecordTest, AreNotMadeWhereNobodyAsks) {
  config.protocol_log = ProtocolLogging::none;
  start();
  auto peer = connect();
  mail(peer, "a@c.example", "b@d.example");
  peer->leave();
  time.settle(io);
  EXPECT_TRUE(receive_log.records.empty());
  config.protocol_log = ProtocolLogging::verbose;
  receive_log.enabled = false;
  reload();
  connect()->leave();
  EXPECT_TRUE(receive_log.records.empty());
  receive_log.enabled = true;
  auto other = connect();
  other->leave();
  time.settle(io);
  EXPECT_THAT(receive_log.dialog(), HasSubstr("- (the client closed the connection)\n"));
}

TEST_F(SessionRecordTest, SayWhyASessionEnded) {
  config.limits.command_timeout = 60s;
  start();
  auto slow = connect();
  time.pass(io, 2min);
  EXPECT_THAT(receive_log.dialog(), HasSubstr("> 421 4.4.2 timeout, closing\n- (timeout)\n"));
  receive_log.records.clear();
  auto bad = connect();
  say(bad, "NOOP\n");
  EXPECT_THAT(receive_log.dialog(), HasSubstr("< NOOP (ends with a bare LF)\n"));
  receive_log.records.clear();
  auto deaf = connect();
  deaf->capacity = 1;
  say(deaf, "EHLO c.example\r\nNOOP\r\n");
  time.pass(io, 5min);
  EXPECT_THAT(receive_log.dialog(),
              HasSubstr("* (timeout: the client does not take what it is sent)\n- (a deadline passed)\n"));
}

TEST_F(SessionRecordTest, SayWhatDelaysAReply) {
  config.tarpit = 5s;
  start();
  auto peer = connect();
  say(peer, "EHLO c.example\r\n");
  receive_log.records.clear();
  say(peer, "NONSENSE\r\n");
  time.pass(io, 6s);
  EXPECT_EQ(receive_log.dialog(),
            "< NONSENSE\n* (tarpit: the next reply waits for 5.0 s)\n> 500 5.5.2 command not recognised\n");
}

TEST_F(SessionRecordTest, CallBackPressureByItsName) {
  pressure_config.history_depth = 12;
  start();
  Reading reading;
  reading[Resource::inodes] = 93;
  pressure.take(reading);
  auto peer = connect();
  say(peer, "EHLO c.example\r\n");
  receive_log.records.clear();
  say(peer, "MAIL FROM:<a@c.example>\r\n");
  EXPECT_EQ(receive_log.dialog(),
            "< MAIL FROM:<a@c.example>\n* (back pressure: the next reply waits for 10.0 s)\n");
  time.pass(io, 10s);
  EXPECT_TRUE(receive_log.dialog().ends_with("> 250 2.1.0 sender ok\n"));
}

TEST_F(SessionRecordTest, HoldClientsThatAreTurnedAway) {
  config.clients = {*AddressRange::parse("192.0.2.0/24")};
  config.limits.connections_max = 1;
  start();
  auto first = connect();
  receive_log.records.clear();
  auto second = connect();
  time.settle(io);
  EXPECT_EQ(receive_log.dialog(),
            "+\n> 421 4.3.2 hub.example has too many connections, try again later\n- (turned away)\n");
  EXPECT_EQ(receive_log.records[0][0], "default");
  receive_log.records.clear();
  auto stranger = connect("198.51.100.9");
  say(stranger, "AUTH PLAIN hunter2\r\nQUIT\r\n");
  EXPECT_EQ(receive_log.dialog(),
            "+\n> 554 5.7.1 hub.example has no service for 198.51.100.9\n< * (a command)\n> 503 5.5.1 no "
            "service for you here, QUIT is what is left\n"
            "< QUIT\n> 221 2.0.0 closing\n- (turned away)\n");
  EXPECT_EQ(receive_log.records[0][0], "192.0.2.1:25");
}

TEST_F(SessionRecordTest, GoToThoseWhoWatchASessionThatIsUnderWay) {
  config.protocol_log = ProtocolLogging::none;
  start();
  auto peer = connect();
  auto other = connect("192.0.2.8");
  auto watcher = records->watch(WatchFilter{.client = AddressRange::parse("192.0.2.7")});
  ASSERT_NE(watcher, nullptr);
  mail(peer, "a@c.example", "b@d.example");
  mail(other, "x@c.example", "y@d.example");
  auto text = taken(watcher);
  EXPECT_THAT(text, HasSubstr("under way already"));
  EXPECT_THAT(text, HasSubstr("\"event\":\"<\",\"data\":\"MAIL FROM:<a@c.example>\""));
  EXPECT_THAT(text, Not(HasSubstr("x@c.example")));
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
  EXPECT_TRUE(receive_log.records.empty());
  records->unwatch(watcher);
  say(peer, "NOOP\r\n");
  EXPECT_EQ(records->watchers(), 0U);
}

TEST_F(SessionRecordTest, ShowTheBeginningOfASessionThatNamesTheAddressLater) {
  config.protocol_log = ProtocolLogging::none;
  start();
  auto watcher = records->watch(WatchFilter{.address = "B@d.example"});
  auto peer = connect();
  auto other = connect("192.0.2.8");
  mail(other, "x@c.example", "y@d.example");
  say(peer, "EHLO c.example\r\n");
  EXPECT_EQ(taken(watcher), "");
  say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@D.example>\r\n");
  auto text = taken(watcher);
  EXPECT_THAT(text, ContainsRegex("\"event\":\"\\+\".*\n.*220 hub.example.*\n.*EHLO c.example.*\n"));
  EXPECT_THAT(text, HasSubstr("RCPT TO:<b@D.example>"));
  EXPECT_THAT(text, Not(HasSubstr("x@c.example")));
  say(peer, "RSET\r\n");
  EXPECT_THAT(taken(watcher), HasSubstr("RSET"));
}

TEST_F(SessionRecordTest, KeepNoMoreOfABeginningThanTheyMay) {
  config.protocol_log = ProtocolLogging::none;
  start();
  auto watcher = records->watch(WatchFilter{.address = "@d.example"});
  auto peer = connect();
  say(peer, "EHLO c.example\r\n");
  for (int i = 0; i < 500; ++i) say(peer, "NOOP\r\n");
  say(peer, "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\n");
  auto text = taken(watcher);
  EXPECT_THAT(text, StartsWith("{\"session\":\""));
  EXPECT_THAT(text, HasSubstr("\"not_kept\":"));
  EXPECT_LT(text.size(), 20U << 10);
}

TEST_F(SessionRecordTest, DropAndTellWhatAReaderDoesNotTake) {
  config.protocol_log = ProtocolLogging::none;
  config.limits.recipients_max = 100'000;  // so many commands are nothing strange then
  start();
  auto watcher = records->watch({});
  auto peer = connect();
  say(peer, "EHLO c.example\r\n");
  std::string noops;
  for (int i = 0; i < 100; ++i) noops += "NOOP\r\n";
  for (int i = 0; i < 100; ++i) say(peer, noops);
  auto text = taken(watcher);
  EXPECT_LE(text.size(), Watcher::queue_octets_max + 100);
  EXPECT_THAT(text.substr(text.size() - 40), ContainsRegex("\\{\"dropped\":[0-9]+\\}\n$"));
  say(peer, "RSET\r\n");
  EXPECT_THAT(taken(watcher), HasSubstr("RSET"));
}

TEST_F(SessionRecordTest, LetAFewWatchAndTellThemTheEnd) {
  start();
  std::vector<std::shared_ptr<Watcher>> all;
  for (std::size_t i = 0; i < SessionRecords::watchers_max; ++i) all.push_back(records->watch({}));
  EXPECT_EQ(records->watch({}), nullptr);
  records->unwatch(all.back());
  auto timed = records->watch({});
  ASSERT_NE(timed, nullptr);
  timed->end_after(60s);
  time.pass(io, 61s);
  EXPECT_EQ(taken(timed), "{\"end\":\"the time is over\"}\n");
  TaskScope scope(io);
  scope.spawn("stop", records->stop());
  time.pass(io, 2s);
  EXPECT_EQ(scope.running(), 0U);
  EXPECT_EQ(taken(all.front()), "{\"end\":\"the hub is stopping\"}\n");
  EXPECT_EQ(records->watch({}), nullptr);
  for (const auto& watcher : all) records->unwatch(watcher);
}

TEST(WatchFilters, ChooseSessions) {
  const SessionFacts in{SessionDirection::in, "apps", "", {"192.0.2.1", 25}, {"192.0.2.7", 4711}, false};
  const SessionFacts out{SessionDirection::out, "backend", "mx.example", {"192.0.2.1", 4712},
                         {"198.51.100.3", 25},  false};
  EXPECT_TRUE(WatchFilter{}.wants(in) && WatchFilter{}.wants(out));
  const auto network = AddressRange::parse("192.0.2.0/24");
  EXPECT_TRUE((WatchFilter{.client = network}.wants(in)));
  EXPECT_FALSE((WatchFilter{.client = network}.wants(out)));
  EXPECT_FALSE((WatchFilter{.client = AddressRange::parse("192.0.2.8")}.wants(in)));
  EXPECT_TRUE((WatchFilter{.listener = "apps"}.wants(in)));
  EXPECT_FALSE((WatchFilter{.client = network, .listener = "other"}.wants(in)));
  for (const char* hop : {"MX.example", "198.51.100.3", "198.51.100.3:25", "backend"}) {
    EXPECT_TRUE((WatchFilter{.next_hop = hop}.wants(out))) << hop;
    EXPECT_FALSE((WatchFilter{.next_hop = hop}.wants(in))) << hop;
  }
  EXPECT_TRUE((WatchFilter{.client = network, .next_hop = "backend"}.wants(in)));
  EXPECT_TRUE((WatchFilter{.client = network, .next_hop = "backend"}.wants(out)));
  EXPECT_FALSE((WatchFilter{.direction = SessionDirection::out}.wants(in)));
  EXPECT_FALSE((WatchFilter{.client = network, .direction = SessionDirection::out}.wants(in)));
  EXPECT_TRUE((WatchFilter{.address = "<>"}.names("")));
  EXPECT_FALSE((WatchFilter{.address = "@d.example"}.names("@d.example")));
}

}  // namespace
}  // namespace umbra::hub
