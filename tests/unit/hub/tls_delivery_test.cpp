// Delivery to next hops whose TLS does not work: what each policy makes of it. (Where it works:
// tests/end_to_end/test_tls.py.)
#include "tests/unit/hub/outbound_fixture.h"

namespace umbra::hub {
namespace {

using ::testing::HasSubstr;

class TlsDelivery : public OutboundTest {
 protected:
  void begin(RouteTlsConfig::Policy policy) {
    auto& host = smart_host();
    host.extensions.push_back("STARTTLS");
    // It says yes and knows nothing of TLS: what follows is answered as commands are.
    host.on_command = [](const std::string& line) { return line == "STARTTLS" ? "220 2.0.0 go\r\n" : ""; };
    route().tls.policy = policy;
    tls = std::make_unique<TlsStore>(config);
    start();
  }
};

TEST_F(TlsDelivery, OpportunisticGoesOnWithoutOnANewConnection) {
  begin(RouteTlsConfig::Policy::opportunistic);
  accept();
  ASSERT_TRUE(run_until([&] { return smart_host().mails.size() == 1; }, 3min));
  run_for(5s);
  EXPECT_EQ(smart_host().connections, 2);
  EXPECT_EQ(smart_host().mails[0].connection, 2);
  EXPECT_EQ(metrics.tls_failures_out_total, 1U);
  EXPECT_EQ(metrics.tls_fallbacks_total, 1U);
  EXPECT_EQ(metrics.connect_failures_total, 0U);
  EXPECT_EQ(counts().messages, 0U);
}

TEST_F(TlsDelivery, EncryptWaitsWhereTheHandshakeFails) {
  begin(RouteTlsConfig::Policy::encrypt);
  auto row = accept();
  run_for(2min);  // the host may also wait for the end of a line in what it does not understand
  EXPECT_EQ(smart_host().mails.size(), 0U);
  EXPECT_EQ(metrics.tls_fallbacks_total, 0U);
  EXPECT_GE(metrics.tls_failures_out_total, 1U);
  ASSERT_TRUE(stored(row));
  EXPECT_THAT(stored(row)->last_error, HasSubstr("4.7.5"));
  for (const auto& command : smart_host().commands) EXPECT_FALSE(command.starts_with("MAIL")) << command;
}

TEST_F(TlsDelivery, VerifyWaitsWhereItIsNotOffered) {
  begin(RouteTlsConfig::Policy::verify);
  smart_host().extensions = {"PIPELINING"};
  auto row = accept();
  run_for(30s);
  EXPECT_EQ(smart_host().mails.size(), 0U);
  EXPECT_THAT(stored(row)->last_error, HasSubstr("4.7.4"));
}

TEST_F(TlsDelivery, NoneDoesNotEvenAsk) {
  begin(RouteTlsConfig::Policy::none);
  accept();
  ASSERT_TRUE(run_until([&] { return smart_host().mails.size() == 1; }, 1min));
  EXPECT_EQ(smart_host().connections, 1);
  EXPECT_EQ(std::ranges::count(smart_host().commands, "STARTTLS"), 0);
}

TEST_F(TlsDelivery, OctetsBehindTheReplyToStartTlsAreNotObeyed) {
  begin(RouteTlsConfig::Policy::encrypt);
  smart_host().on_command = [](const std::string& line) {
    return line == "STARTTLS" ? "220 go\r\n250-fake\r\n250 PIPELINING\r\n" : "";
  };
  auto row = accept();
  run_for(30s);
  EXPECT_EQ(smart_host().mails.size(), 0U);
  EXPECT_THAT(stored(row)->last_error, HasSubstr("not encrypted"));
}

}  // namespace
}  // namespace umbra::hub
