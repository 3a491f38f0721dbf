// The Umbra-Hop field of what is sent: on top, announced in SIZE, never a reason to refuse; what is known of
// the acknowledgement survives retries.
#include "smtp/hop_field.h"

#include "hub/outbound/acknowledgement.h"
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr std::string_view body = "Received: by hub1.example\r\nSubject: test\r\n\r\nhello\r\n";

class OutboundHop : public OutboundTest {
 protected:
  OutboundHop() { config.delivery.trace_field = true; }
  static smtp::Hop hop_of(const ReceivedMail& mail) {
    EXPECT_TRUE(mail.body.starts_with("Umbra-Hop:")) << mail.body;
    const auto end = mail.body.find("Received:");
    EXPECT_NE(end, std::string::npos);
    auto hop = smtp::parse_hop_field(std::string_view(mail.body).substr(10, end - 10));
    EXPECT_TRUE(hop) << mail.body;
    EXPECT_EQ(mail.body.substr(end), body) << "what is below is as it was";
    return hop.value_or(smtp::Hop{});
  }
  /// Committed, then handed over with what is known of its acknowledgement.
  RowId accept_known(Acknowledgement known) {
    MailOptions options;
    options.body = body;
    options.hand_over = false;
    run_for(10ms);  // what was in the spool at the start has been read
    auto row = accept(options);
    ReadyMessage ready{*stored(row), std::make_shared<const std::string>(body),
                       std::make_shared<const Acknowledgement>(std::move(known))};
    outbound->deliver(std::move(ready));
    return row;
  }
  static Acknowledgement copied() {
    return {.way = smtp::RedundancyWay::copy,
            .copies = {"hub2"},
            .copied = std::chrono::milliseconds(3),
            .acknowledged = std::chrono::milliseconds(4)};
  }
};

TEST_F(OutboundHop, SaysWhatThisRunKnows) {
  FakeHost& host = smart_host();
  start();
  accept_known(copied());
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  auto hop = hop_of(host.mails[0]);
  EXPECT_EQ(hop.hub, "hub1");
  EXPECT_EQ(hop.host, "hub1.example");
  EXPECT_TRUE(hop.id);
  EXPECT_TRUE(hop.received && hop.sent && *hop.received <= *hop.sent);
  EXPECT_EQ(hop.way, smtp::RedundancyWay::copy);
  EXPECT_EQ(hop.copies, std::vector<std::string>{"hub2"});
  EXPECT_EQ(hop.copied, std::chrono::milliseconds(3));
  EXPECT_EQ(hop.attempt, 1U);
  EXPECT_TRUE(hop.owners.empty()) << "it had one owner";
}

TEST_F(OutboundHop, KnowsItStillWhenItIsTriedAgain) {
  FakeHost& host = smart_host();
  int attempts = 0;
  host.on_message = [&](const ReceivedMail&) {
    return ++attempts < 3 ? std::string("451 4.2.0 later\r\n") : std::string();
  };
  start();
  accept_known(copied());
  ASSERT_TRUE(run_until([&] { return counts().messages == 0; }, 1h));
  auto hop = hop_of(host.mails.back());
  EXPECT_EQ(hop.attempt, 3U);
  EXPECT_EQ(hop.way, smtp::RedundancyWay::copy);
  EXPECT_GT(*hop.sent - *hop.received, 1min);
}

TEST_F(OutboundHop, LeavesOutWhatIsNotKnown) {
  FakeHost& host = smart_host();
  start();
  MailOptions options;
  options.body = body;
  accept(options);  // as it is found in the spool after a restart: nobody says how it was acknowledged
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  auto hop = hop_of(host.mails[0]);
  EXPECT_EQ(hop.way, smtp::RedundancyWay::unknown);
  EXPECT_FALSE(hop.acknowledged);
  EXPECT_FALSE(hop.copied);
}

TEST_F(OutboundHop, IsPartOfTheAnnouncedSize) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING", "8BITMIME", "SIZE 100000"};
  start();
  MailOptions options;
  options.body = body;
  accept(options);
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  EXPECT_THAT(host.mails[0].sender, HasSubstr(" SIZE=" + std::to_string(host.mails[0].body.size())));
}

TEST_F(OutboundHop, IsLeftOutWhereTheMessageWouldBeTooLargeWithIt) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING", "8BITMIME", "SIZE " + std::to_string(body.size())};
  start();
  MailOptions options;
  options.body = body;
  accept(options);
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  EXPECT_EQ(host.mails[0].body, body);
  EXPECT_THAT(host.mails[0].sender, HasSubstr(" SIZE=" + std::to_string(body.size())));
}

TEST_F(OutboundHop, GoesWithWholeMessagesPiecesAndConvertedOnes) {
  FakeHost& host = smart_host();
  start();
  for (const bool is_chunking : {false, true}) {
    host.extensions = {"PIPELINING", "8BITMIME"};
    if (is_chunking) host.extensions.emplace_back("CHUNKING");
    for (const bool with_body : {false, true}) {
      MailOptions options;
      options.body = body;
      options.with_body = with_body;
      const auto before = host.mails.size();
      accept(options);
      ASSERT_TRUE(run_until([&] { return host.mails.size() == before + 1; }, 1min));
      (void)hop_of(host.mails.back());
    }
    run_for(2min);  // the next one has a connection of its own
  }
}

TEST_F(OutboundHop, IsAboveAConvertedBody) {
  FakeHost& host = smart_host();
  host.extensions = {"PIPELINING", "SIZE 100000"};
  route().eight_bit = RouteConfig::EightBit::convert;
  start();
  MailOptions options;
  options.body = "Received: by hub1.example\r\nSubject: test\r\n\r\ngr\xc3\xbc\xc3\x9f\x65\r\n";
  options.adjust = [](Envelope& envelope) { envelope.body_8bit = true; };
  accept(options);
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  EXPECT_TRUE(host.mails[0].body.starts_with("Umbra-Hop:"));
  EXPECT_THAT(host.mails[0].body, HasSubstr("Content-Transfer-Encoding:"));
  EXPECT_TRUE(
      std::ranges::all_of(host.mails[0].body, [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
  EXPECT_THAT(host.mails[0].sender, HasSubstr(" SIZE=" + std::to_string(host.mails[0].body.size())));
}

TEST_F(OutboundHop, ANotificationReturnsTheOriginalWithoutIt) {
  FakeHost& host = smart_host();
  host.on_command = [](const std::string& line) {
    return line.starts_with("RCPT TO:<rcpt@") ? std::string("550 5.1.1 nobody\r\n") : std::string();
  };
  start();
  MailOptions options;
  options.body = body;
  accept(options);
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1min));
  const auto& dsn = host.mails[0].body;
  EXPECT_TRUE(dsn.starts_with("Umbra-Hop:"));
  EXPECT_EQ(dsn.find("Umbra-Hop:", 5), std::string::npos);
  EXPECT_THAT(dsn, HasSubstr("Received: by hub1.example"));
}

TEST_F(OutboundHop, IsNotThereWhenItIsSwitchedOff) {
  config.delivery.trace_field = false;
  FakeHost& host = smart_host();
  start();
  accept_known(copied());
  ASSERT_TRUE(run_until([&] { return host.mails.size() == 1; }, 1s));
  EXPECT_EQ(host.mails[0].body, body);
}

TEST(RecentAcknowledgements, AreBounded) {
  RecentAcknowledgements recent;
  for (std::int64_t row = 1; row <= 20'001; ++row)
    recent.keep(RowId{row}, std::make_shared<const Acknowledgement>());
  EXPECT_EQ(recent.find(RowId{1}), nullptr);
  EXPECT_NE(recent.find(RowId{2}), nullptr);
  EXPECT_NE(recent.find(RowId{20'001}), nullptr);
}

}  // namespace
}  // namespace umbra::hub
