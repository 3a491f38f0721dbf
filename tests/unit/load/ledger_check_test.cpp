// The ledger must be able to fail: every count is shown to move for its own reason and for no other.
#include "load/ledger_check.h"

#include <gtest/gtest.h>

namespace umbra::load {
namespace {

constexpr const char* token = "aaaaaaaa-00000001";

std::string attempted(const std::string& t, int recipients = 1) {
  return "attempted 1000 " + t + " 1 " + std::to_string(recipients) + " 127.0.0.1:25";
}
std::string acknowledged(const std::string& t, const std::string& refused = "-") {
  return "acknowledged 2000 " + t + " 1 127.0.0.1:25 " + refused + " 2.0.0 Ok: queued as ID";
}
std::string delivered(const std::string& t, int recipient = 0) {
  return "delivered 3000 " + t + " load-" + std::to_string(recipient) + "@sink.example 4096";
}

TEST(LedgerCheck, FindsNothingWrongWhenEveryAcknowledgedMessageWasDeliveredOnce) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  check.add_sink_line(delivered(token));
  auto report = check.report();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.counts.attempted, 1U);
  EXPECT_EQ(report.counts.acknowledged, 1U);
  EXPECT_EQ(report.counts.delivered, 1U);
  EXPECT_EQ(report.counts.duplicated, 0U);
  EXPECT_EQ(report.counts.recovered, 0U);
}

TEST(LedgerCheck, NamesTheMessageThatWasAcknowledgedAndNotDelivered) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  auto report = check.report();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.counts.lost, 1U);
  ASSERT_EQ(report.lost.size(), 1U);
  EXPECT_EQ(report.lost[0].token, token);
  EXPECT_EQ(report.lost[0].acknowledgement, "2.0.0 Ok: queued as ID");
}

TEST(LedgerCheck, CountsEachRecipientOfAMessageByItself) {
  LedgerCheck check;
  check.add_source_line(attempted(token, 3));
  check.add_source_line(acknowledged(token));
  check.add_sink_line(delivered(token, 0));
  check.add_sink_line(delivered(token, 2));
  auto report = check.report();
  EXPECT_EQ(report.counts.attempted, 3U);
  EXPECT_EQ(report.counts.delivered, 2U);
  EXPECT_EQ(report.counts.lost, 1U);
  ASSERT_EQ(report.lost.size(), 1U);
  EXPECT_EQ(report.lost[0].recipient, 1U);
}

TEST(LedgerCheck, OwesNothingToRecipientsThatWereRefusedBeforeTheAcknowledgement) {
  LedgerCheck check;
  check.add_source_line(attempted(token, 3));
  check.add_source_line(acknowledged(token, "0,2"));
  check.add_sink_line(delivered(token, 1));
  auto report = check.report();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.counts.acknowledged, 1U);
}

TEST(LedgerCheck, CallsADeliveryThatNobodyTriedUnexpected) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  check.add_sink_line(delivered(token));
  check.add_sink_line(delivered("aaaaaaaa-00000009"));
  check.add_sink_line(delivered(token, 7));
  auto report = check.report();
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.counts.lost, 0U);
  EXPECT_EQ(report.counts.unexpected, 2U);
}

TEST(LedgerCheck, TellsDuplicatesTheSourceExplainsFromThoseItDoesNot) {
  LedgerCheck check;
  for (const char* t : {"aaaaaaaa-00000001", "aaaaaaaa-00000002"}) {
    check.add_source_line(attempted(t));
    check.add_source_line(acknowledged(t));
    check.add_sink_line(delivered(t));
    check.add_sink_line(delivered(t));
  }
  check.add_source_line("undecided 1500 aaaaaaaa-00000002 1 127.0.0.1:25 closed by the peer");
  auto report = check.report();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.counts.duplicated, 2U);
  EXPECT_EQ(report.counts.duplicated_resent, 1U);
  EXPECT_EQ(report.counts.duplicated_unexplained, 1U);
  EXPECT_EQ(report.counts.duplicate_deliveries, 2U);
}

TEST(LedgerCheck, CountsDeliveredButNeverAcknowledgedAsRecovered) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line("undecided 1500 aaaaaaaa-00000001 1 127.0.0.1:25 timed out");
  check.add_sink_line(delivered(token));
  auto report = check.report();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.counts.recovered, 1U);
  EXPECT_EQ(report.counts.undecided, 1U);
  EXPECT_EQ(report.counts.acknowledged, 0U);
}

TEST(LedgerCheck, DoesNotTakeAWithheldReplyForADelivery) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  check.add_sink_line("withheld 3000 aaaaaaaa-00000001 load-0@sink.example 4096");
  EXPECT_EQ(check.report().counts.lost, 1U);
  EXPECT_EQ(check.report().counts.withheld, 1U);
}

TEST(LedgerCheck, DoesNotCallLostWhatTheSinkRefusedForGood) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  check.add_sink_line("rejected 3000 aaaaaaaa-00000001 load-0@sink.example 554");
  auto report = check.report();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.counts.rejected_by_sink, 1U);
}

TEST(LedgerCheck, StillCallsLostWhatTheSinkOnlyDeferred) {
  LedgerCheck check;
  check.add_source_line(attempted(token));
  check.add_source_line(acknowledged(token));
  check.add_sink_line("deferred 3000 aaaaaaaa-00000001 load-0@sink.example 451");
  EXPECT_EQ(check.report().counts.lost, 1U);
}

TEST(LedgerCheck, TakesLinesInAnyOrder) {
  LedgerCheck check;
  check.add_sink_line(delivered(token));
  check.add_source_line(acknowledged(token));
  check.add_source_line(attempted(token));
  EXPECT_TRUE(check.report().ok());
  EXPECT_EQ(check.report().counts.delivered, 1U);
}

TEST(LedgerCheck, HoldsToAnAcknowledgementWhoseAttemptLineIsMissing) {
  LedgerCheck check;
  check.add_source_line(acknowledged(token));
  EXPECT_EQ(check.report().counts.lost, 1U);
}

TEST(LedgerCheck, CountsLinesItCannotRead) {
  LedgerCheck check;
  check.add_source_line("attempted x y");
  check.add_source_line("whatever 1000 aaaaaaaa-00000001 1");
  check.add_source_line(std::string("attempted 1000 ") + token + " 1 0 127.0.0.1:25");
  check.add_sink_line("delivered 3000 aaaaaaaa-0000");
  check.add_sink_line("");
  EXPECT_EQ(check.report().counts.unreadable_lines, 4U);
}

TEST(LedgerCheck, CountsMailWithoutATokenApart) {
  LedgerCheck check;
  check.add_sink_line("delivered 3000 - postmaster@sink.example 900");
  EXPECT_TRUE(check.report().ok());
  EXPECT_EQ(check.report().counts.without_token, 1U);
}

TEST(RecipientIndex, IsReadFromTheLocalPart) {
  EXPECT_EQ(recipient_index("load-7@sink.example"), 7U);
  EXPECT_EQ(recipient_index("load-12.aaaaaaaa-00000001@sink.example"), 12U);
  EXPECT_EQ(recipient_index("load@sink-7.example"), no_recipient);
  EXPECT_EQ(recipient_index("load-x@sink.example"), no_recipient);
  EXPECT_EQ(recipient_index(""), no_recipient);
}

}  // namespace
}  // namespace umbra::load
