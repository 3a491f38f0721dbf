// How many series there are, which of them are there from the start, and what refusals are called.
#include "hub/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "smtp/body_decoder.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::Not;

Gauges of_a_cluster(int others) {
  Gauges gauges;
  gauges.configuration_hash = "sha256:0123456789abcdef";
  for (int i = 0; i < others; ++i) {
    const auto hub = "hub-" + std::to_string(i);
    gauges.peers.push_back({hub, true, 0.5});
    gauges.configuration_drift.emplace_back(hub, 0);
    gauges.peer_pressure.emplace_back(hub, 0);
  }
  for (const char* log : {"protocol receive", "protocol send", "connectivity", "tracking"})
    gauges.record_logs.push_back({log});
  for (int i = 0; i < 10; ++i) {
    gauges.content_filters.emplace_back().name = "filter-" + std::to_string(i);
    gauges.certificate_expiry.emplace_back("listener " + std::to_string(i), 1'800'000'000);
  }
  return gauges;
}

TEST(Metrics, AreBelowTheirCeilingInAClusterOfTwenty) {
  EXPECT_LT(series_count({}, of_a_cluster(19)), series_ceiling);
}

TEST(Metrics, TheSeriesOfAHubEndWithItsMembership) {
  EXPECT_THAT(render_metrics({}, of_a_cluster(2)), HasSubstr("umbra_shadow_peer_up{hub=\"hub-1\"} 1"));
  EXPECT_THAT(render_metrics({}, of_a_cluster(1)), Not(HasSubstr("hub-1")));
  EXPECT_EQ(series_count({}, of_a_cluster(2)) - series_count({}, of_a_cluster(1)), 4U);
}

TEST(Metrics, EveryClosedSeriesIsThereWithZero) {
  const auto text = render_metrics({}, {});
  for (auto stage : rejection_stages)
    for (auto reason : rejection_reasons)
      EXPECT_THAT(text, HasSubstr("umbra_smtp_rejections_total{stage=\"" + std::string(stage) +
                                  "\",reason=\"" + std::string(reason) + "\"} 0\n"));
  for (auto verb : smtp::verb_names)
    for (auto kind : smtp::reply_classes)
      EXPECT_THAT(text, HasSubstr("umbra_smtp_commands_total{verb=\"" + std::string(verb) + "\",class=\"" +
                                  std::string(kind) + "\"} 0\n"));
  for (const char* how : {"delivered", "bounced", "expired", "discarded", "deleted", "filtered", "elsewhere",
                          "handed_over", "ceded", "withdrawn"})
    EXPECT_THAT(text, HasSubstr("umbra_ledger_left_messages_total{how=\"" + std::string(how) + "\"} 0\n"));
}

TEST(Metrics, TheGaugeOfTheLedgerIsWhatNobodyHasCounted) {
  Gauges gauges;
  gauges.balance.ledger.note(storage::Entered::accepted);
  gauges.balance.queued = 1;
  EXPECT_THAT(render_metrics({}, gauges), HasSubstr("umbra_ledger_imbalance_messages 0\n"));
  gauges.balance.queued = 0;
  EXPECT_THAT(render_metrics({}, gauges), HasSubstr("umbra_ledger_imbalance_messages -1\n"));
}

/// What the receiving side says of such a body.
smtp::Reply refusal_of(std::string_view message) {
  static const std::string host = "hub.example";
  const smtp::BodyLimits limits{.message_octets_max = 200,
                                .line_octets_max = 40,
                                .header_octets_max = 100,
                                .hops_max = 2,
                                .own_hops_max = 1};
  smtp::BodyDecoder decoder(limits, host);
  decoder.begin(smtp::BodyDecoder::Framing::counted);
  for (std::string_view rest = message; !rest.empty();) (void)decoder.feed(rest);
  (void)decoder.finish();
  return decoder.refusal().value_or(smtp::Reply{});
}

TEST(Rejections, HaveTheReasonOfTheirReply) {
  using enum RejectionReason;
  EXPECT_EQ(reason_of(refusal_of("Subject: x\r\n\r\nbare\nline\r\n")), bare_line_end);
  EXPECT_EQ(reason_of(refusal_of(std::string_view("Subject: x\r\n\r\na\0b\r\n", 19))), nul);
  EXPECT_EQ(reason_of(refusal_of("Subject: x\r\n\r\n" + std::string(60, 'x') + "\r\n")), line_length);
  EXPECT_EQ(reason_of(refusal_of("Subject: x\r\n\r\n" + std::string(300, 'x') + "\r\n")), size);
  EXPECT_EQ(reason_of({451, "4.4.0", "Message could not be made redundant; try again later"}), not_redundant);
  EXPECT_EQ(reason_of({452, "4.3.1", "Insufficient system storage"}), storage);
  EXPECT_EQ(reason_of({421, "4.3.2", "Closing; try another hub"}), closing);
  EXPECT_EQ(reason_of({552, "5.3.4", "message over 10 octets"}), size);
  EXPECT_EQ(reason_of({554, "5.4.6", "routing loop: was here 3 times"}), loop);
  EXPECT_EQ(reason_of({451, "4.7.1", "Content filter av is not available; try again later"}), content_filter);
  EXPECT_EQ(reason_of({550, "", "a filter's own words"}), other);
}

}  // namespace
}  // namespace umbra::hub
