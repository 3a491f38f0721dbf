// Notifications, read field by field as a mail client would.
#include "smtp/delivery_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "smtp/address.h"

namespace umbra::smtp {
namespace {

using testing::HasSubstr;
using testing::Not;
using Action = DsnRecipient::Action;

struct Part {
  std::multimap<std::string, std::string> fields;
  std::string body;
  std::string field(const std::string& name) const {
    EXPECT_EQ(fields.count(name), 1U) << name;
    auto found = fields.find(name);
    return found == fields.end() ? "(none)" : found->second;
  }
};

std::multimap<std::string, std::string> parse_fields(std::string_view text) {
  std::multimap<std::string, std::string> fields;
  std::multimap<std::string, std::string>::iterator last = fields.end();
  while (!text.empty()) {
    auto end = text.find("\r\n");
    EXPECT_NE(end, std::string_view::npos);
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 2, text.size()));
    if (line.empty()) continue;
    EXPECT_LE(line.size(), 998U);
    if (line.front() == ' ' || line.front() == '\t') {
      EXPECT_NE(last, fields.end());
      last->second += line;
      continue;
    }
    auto colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << line;
    last = fields.emplace(line.substr(0, colon), line.substr(colon + 2));
  }
  return fields;
}

Part parse_part(std::string_view text) {
  auto end = text.find("\r\n\r\n");
  EXPECT_NE(end, std::string_view::npos);
  return {parse_fields(text.substr(0, end + 2)), std::string(text.substr(end + 4))};
}

struct Report {
  Part top;
  std::vector<Part> parts;
};

Report parse_report(const std::string& text) {
  Report report;
  report.top = parse_part(text);
  const std::string type = report.top.field("Content-Type");
  auto start = type.find("boundary=\"") + 10;
  const std::string line = "\r\n--" + type.substr(start, type.find('"', start) - start);
  std::string_view rest = report.top.body;
  rest.remove_prefix(rest.find(line) + line.size() + 2);
  while (true) {
    auto end = rest.find(line);
    EXPECT_NE(end, std::string_view::npos);
    report.parts.push_back(parse_part(rest.substr(0, end)));
    if (rest.substr(end + line.size(), 2) == "--") break;
    rest.remove_prefix(end + line.size() + 2);
  }
  return report;
}

/// The per-message group and the per-recipient groups of a delivery report.
std::vector<std::multimap<std::string, std::string>> groups_of(const Part& part) {
  std::vector<std::multimap<std::string, std::string>> groups;
  std::string_view rest = part.body;
  while (!rest.empty()) {
    auto end = rest.find("\r\n\r\n");
    groups.push_back(parse_fields(rest.substr(0, end == std::string_view::npos ? end : end + 2)));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 4);
  }
  return groups;
}

DsnText failure_text() {
  DsnText dsn;
  dsn.reporting_mta = "hub1.example";
  dsn.message_id = "0123-45";
  dsn.original_id = "abcd-1";
  dsn.boundary = "umbraboundary";
  dsn.now = WallTime{std::chrono::seconds(1'700'000'000)};
  dsn.arrival = WallTime{std::chrono::seconds(1'699'990'000)};
  dsn.to = "a@example.org";
  dsn.envelope_id = "QQ+2B314";
  dsn.recipients.push_back({{"b@example.com", "rfc822;B+2BC@example.com", notify_unset},
                            Action::failed,
                            "5.1.1",
                            "mx.example.com",
                            "550 5.1.1 no such user",
                            true});
  dsn.returned = "From: a@example.org\r\nSubject: hello\r\n";
  return dsn;
}

TEST(DeliveryStatus, WritesAReportOfThreeParts) {
  auto dsn = make_dsn(failure_text());
  EXPECT_FALSE(dsn.is_8bit);
  EXPECT_FALSE(dsn.smtputf8);
  auto report = parse_report(dsn.text);
  EXPECT_THAT(report.top.field("Content-Type"), HasSubstr("multipart/report; report-type=delivery-status;"));
  EXPECT_EQ(report.top.field("To"), "<a@example.org>");
  EXPECT_THAT(report.top.field("From"), HasSubstr("<MAILER-DAEMON@hub1.example>"));
  EXPECT_EQ(report.top.field("Message-ID"), "<0123-45@hub1.example>");
  EXPECT_EQ(report.top.field("Auto-Submitted"), "auto-replied");
  EXPECT_EQ(report.top.field("Date"), "Tue, 14 Nov 2023 22:13:20 +0000");
  EXPECT_EQ(report.top.field("MIME-Version"), "1.0");
  ASSERT_EQ(report.parts.size(), 3U);
  EXPECT_THAT(report.parts[0].field("Content-Type"), HasSubstr("text/plain"));
  EXPECT_THAT(report.parts[0].body, HasSubstr("b@example.com"));
  EXPECT_THAT(report.parts[0].body, HasSubstr("550 5.1.1 no such user"));
  EXPECT_EQ(report.parts[1].field("Content-Type"), "message/delivery-status");
  EXPECT_EQ(report.parts[2].field("Content-Type"), "text/rfc822-headers");
  EXPECT_EQ(report.parts[2].body, "From: a@example.org\r\nSubject: hello\r\n");
}

TEST(DeliveryStatus, WritesTextAloneAndReturnsNothingWhereSaid) {
  auto text = failure_text();
  text.is_plain = true;
  auto plain = parse_part(make_dsn(text).text);
  EXPECT_EQ(plain.field("Content-Type"), "text/plain; charset=us-ascii");
  EXPECT_EQ(plain.field("Auto-Submitted"), "auto-replied");
  EXPECT_THAT(plain.body, HasSubstr("<b@example.com>: host mx.example.com said: 550 5.1.1 no such user"));
  EXPECT_THAT(plain.body, HasSubstr("\r\n\r\nFrom: a@example.org\r\nSubject: hello\r\n"));
  text.returned.clear();
  EXPECT_THAT(make_dsn(text).text, testing::Not(HasSubstr("Subject: hello")));
  text.is_plain = false;
  EXPECT_EQ(parse_report(make_dsn(text).text).parts.size(), 2U);
}

TEST(DeliveryStatus, SaysWhatHappenedToEachRecipient) {
  auto text = failure_text();
  text.recipients.push_back(
      {{"c@example.net", "", notify_unset}, Action::relayed, "2.1.5", "mx.example.net", "250 ok", true});
  auto report = parse_report(make_dsn(text).text);
  auto groups = groups_of(report.parts[1]);
  ASSERT_EQ(groups.size(), 3U);
  auto field = [](const auto& group, const std::string& name) {
    auto found = group.find(name);
    return found == group.end() ? std::string("(none)") : found->second;
  };
  EXPECT_EQ(field(groups[0], "Reporting-MTA"), "dns; hub1.example");
  EXPECT_EQ(field(groups[0], "Original-Envelope-Id"), "QQ+314");
  EXPECT_EQ(field(groups[0], "Arrival-Date"), "Tue, 14 Nov 2023 19:26:40 +0000");
  EXPECT_EQ(field(groups[1], "Original-Recipient"), "rfc822;B+C@example.com");
  EXPECT_EQ(field(groups[1], "Final-Recipient"), "rfc822;b@example.com");
  EXPECT_EQ(field(groups[1], "Action"), "failed");
  EXPECT_EQ(field(groups[1], "Status"), "5.1.1");
  EXPECT_EQ(field(groups[1], "Remote-MTA"), "dns; mx.example.com");
  EXPECT_EQ(field(groups[1], "Diagnostic-Code"), "smtp; 550 5.1.1 no such user");
  EXPECT_EQ(field(groups[2], "Action"), "relayed");
  EXPECT_EQ(field(groups[2], "Original-Recipient"), "(none)");
}

TEST(DeliveryStatus, SaysUntilWhenADelayedMessageIsTried) {
  auto text = failure_text();
  text.recipients[0].action = Action::delayed;
  text.recipients[0].is_smtp_reply = false;
  text.recipients[0].remote_mta = "";
  text.recipients[0].diagnostic = "connection refused";
  text.will_retry_until = WallTime{std::chrono::seconds(1'700'100'000)};
  auto report = parse_report(make_dsn(text).text);
  auto groups = groups_of(report.parts[1]);
  EXPECT_EQ(groups[1].find("Action")->second, "delayed");
  EXPECT_EQ(groups[1].find("Will-Retry-Until")->second, "Thu, 16 Nov 2023 02:00:00 +0000");
  EXPECT_EQ(groups[1].find("Diagnostic-Code")->second, "x-umbra; connection refused");
  EXPECT_EQ(groups[1].count("Remote-MTA"), 0U);
  EXPECT_THAT(report.top.field("Subject"), HasSubstr("Delayed"));
}

TEST(DeliveryStatus, ReturnsTheWholeMessageWhenAsked) {
  auto text = failure_text();
  text.is_full = true;
  text.returned = "Subject: caf\xc3\xa9\r\n\r\nbody\r\n";
  auto dsn = make_dsn(text);
  EXPECT_TRUE(dsn.is_8bit);
  auto report = parse_report(dsn.text);
  EXPECT_EQ(report.parts[2].field("Content-Type"), "message/rfc822");
  EXPECT_EQ(report.parts[2].field("Content-Transfer-Encoding"), "8bit");
  EXPECT_EQ(report.parts[2].body, text.returned);
}

TEST(DeliveryStatus, KeepsReturnedHeadersSevenBit) {
  auto text = failure_text();
  text.returned = "Subject: caf\xc3\xa9\r\n";
  auto dsn = make_dsn(text);
  EXPECT_FALSE(dsn.is_8bit);
  EXPECT_TRUE(is_ascii(dsn.text));
}

TEST(DeliveryStatus, UsesTheGlobalFormsForUtf8Addresses) {
  auto text = failure_text();
  text.recipients[0].recipient.address = "j\xc3\xbcrgen@example.com";
  auto dsn = make_dsn(text);
  EXPECT_TRUE(dsn.smtputf8 && dsn.is_8bit);
  auto report = parse_report(dsn.text);
  EXPECT_EQ(report.parts[1].field("Content-Type"), "message/global-delivery-status");
  EXPECT_EQ(groups_of(report.parts[1])[1].find("Final-Recipient")->second, "utf-8;j\xc3\xbcrgen@example.com");
  EXPECT_EQ(report.parts[2].field("Content-Type"), "message/global-headers");
}

TEST(DeliveryStatus, LetsNoReplyBreakOutOfItsField) {
  auto text = failure_text();
  text.recipients[0].diagnostic =
      "550 x\r\nAction: delivered\r\n\r\n--umbraboundary\r\n" + std::string(3000, 'y');
  auto report = parse_report(make_dsn(text).text);
  ASSERT_EQ(report.parts.size(), 3U);
  auto groups = groups_of(report.parts[1]);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[1].count("Action"), 1U);
  EXPECT_EQ(groups[1].find("Action")->second, "failed");
}

TEST(DeliveryStatus, FindsTheHeaderOfAMessage) {
  EXPECT_EQ(header_of("A: b\r\nC: d\r\n\r\nbody"), "A: b\r\nC: d\r\n");
  EXPECT_EQ(header_of("\r\nbody"), "");
  EXPECT_EQ(header_of("A: b\r\n"), "A: b\r\n");
}

}  // namespace
}  // namespace umbra::smtp
