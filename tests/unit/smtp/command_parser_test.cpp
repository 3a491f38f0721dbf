#include "smtp/command_parser.h"

#include <gtest/gtest.h>

namespace umbra::smtp {
namespace {

constexpr CommandContext context{.message_octets_max = 1000, .smtputf8 = false};
constexpr CommandContext utf8_context{.message_octets_max = 1000, .smtputf8 = true};

template <class T>
T parsed(std::string_view line, const CommandContext& c = context) {
  auto command = parse_command(line, c);
  EXPECT_TRUE(command) << line << " -> " << to_line(command.error().reply);
  if (!command || !std::holds_alternative<T>(*command)) {
    ADD_FAILURE() << "another command: " << line;
    return T{};
  }
  return std::get<T>(*command);
}

std::string refused(std::string_view line, const CommandContext& c = context) {
  auto command = parse_command(line, c);
  return command ? "taken"
                 : std::to_string(command.error().reply.code) + " " + command.error().reply.enhanced;
}

TEST(CommandParser, ReadsMailWithAllItsParameters) {
  auto mail =
      parsed<MailFrom>("mail FROM:<a@b.example> SIZE=1000 body=8BitMime SMTPUTF8 RET=HDRS ENVID=QQ+2B1");
  EXPECT_EQ(mail.sender, "a@b.example");
  EXPECT_EQ(mail.announced_octets, 1000U);
  EXPECT_TRUE(mail.body_8bit);
  EXPECT_TRUE(mail.smtputf8);
  EXPECT_EQ(mail.dsn_return, DsnReturn::headers);
  EXPECT_EQ(mail.envelope_id, "QQ+2B1");
  EXPECT_TRUE(mail.has_parameters);

  mail = parsed<MailFrom>("MAIL FROM:<>");
  EXPECT_EQ(mail.sender, "");
  EXPECT_FALSE(mail.has_parameters);
  EXPECT_EQ(parsed<MailFrom>("MAIL FROM:<a@b> RET=full BODY=7BIT").dsn_return, DsnReturn::full);
}

TEST(CommandParser, ReadsRcptWithAllItsParameters) {
  auto rcpt = parsed<RcptTo>("RCPT TO:<a@b.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;a+2Bx@b.example");
  EXPECT_EQ(rcpt.recipient.address, "a@b.example");
  EXPECT_EQ(rcpt.recipient.notify, notify_success | notify_delay);
  EXPECT_EQ(rcpt.recipient.original_recipient, "rfc822;a+2Bx@b.example");
  EXPECT_EQ(parsed<RcptTo>("RCPT TO:<a@b> NOTIFY=NEVER").recipient.notify, notify_never);
  EXPECT_EQ(parsed<RcptTo>("RCPT TO:<a@b> NOTIFY=FAILURE").recipient.notify, notify_failure);
  EXPECT_EQ(parsed<RcptTo>("RCPT TO:<@relay.example:a@b>").recipient.address, "a@b");
  EXPECT_EQ(parsed<RcptTo>("RCPT TO:<Postmaster>").recipient.address, "Postmaster");
}

TEST(CommandParser, ReadsTheOthers) {
  EXPECT_TRUE(parsed<Hello>("EHLO client.example").is_extended);
  EXPECT_FALSE(parsed<Hello>("helo [192.0.2.1] ").is_extended);
  EXPECT_EQ(parsed<Bdat>("BDAT 12345678901").octets, 12345678901U);
  EXPECT_TRUE(parsed<Bdat>("bdat 0 last").is_last);
  EXPECT_FALSE(parsed<Bdat>("BDAT 7 ").is_last);
  parsed<Data>("DATA  ");
  parsed<Rset>("rset");
  parsed<Noop>("NOOP whatever this is");
  parsed<Vrfy>("VRFY \xc3\xbc SMTPUTF8");
  parsed<Help>("HELP MAIL");
  parsed<Quit>("QUIT");
}

struct Case {
  const char* line;
  const char* reply;
};

TEST(CommandParser, GivesEachMistakeItsOwnCode) {
  for (const auto& [line, reply] : {
           Case{"", "500 5.5.2"},
           {" NOOP", "500 5.5.2"},
           {"MAILFROM:<a@b>", "500 5.5.2"},
           {"DATAX", "500 5.5.2"},
           {"NOOP \x01", "500 5.5.2"},
           {"NOOP \xff", "500 5.5.2"},
           {"EHLO", "501 5.5.4"},
           {"EHLO a b", "501 5.5.4"},
           {"HELO ", "501 5.5.4"},
           {"MAIL", "501 5.5.2"},
           {"MAIL TO:<a@b>", "501 5.5.2"},
           {"MAIL FROM <a@b>", "501 5.5.2"},
           {"MAIL FROM: <a@b>", "501 5.5.2"},
           {"MAIL FROM :<a@b>", "501 5.5.2"},
           {"MAIL FROM:a@b", "501 5.1.7"},
           {"MAIL FROM:", "501 5.1.7"},
           {"MAIL FROM:<a@b", "501 5.1.7"},
           {"MAIL FROM:<postmaster>", "501 5.1.7"},
           {"MAIL FROM:<a@b>SIZE=1", "501 5.5.2"},
           {"MAIL FROM:<a@b> =1", "501 5.5.4"},
           {"MAIL FROM:<a@b> -X=1", "501 5.5.4"},
           {"MAIL FROM:<a@b> S_ZE=1", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=-1", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=1k", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=1=1", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=99999999999999999999", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=000000000000000000001", "501 5.5.4"},
           {"MAIL FROM:<a@b> SIZE=1001", "552 5.3.4"},
           {"MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"},
           {"MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"},
           {"MAIL FROM:<a@b> BODY", "501 5.5.4"},
           {"MAIL FROM:<a@b> BODY=7BIT BODY=7BIT", "501 5.5.4"},
           {"MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4"},
           {"MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", "501 5.5.4"},
           {"MAIL FROM:<a@b> RET=SOME", "501 5.5.4"},
           {"MAIL FROM:<a@b> RET=FULL RET=FULL", "501 5.5.4"},
           {"MAIL FROM:<a@b> ENVID=", "501 5.5.4"},
           {"MAIL FROM:<a@b> ENVID=a+2b", "501 5.5.4"},
           {"MAIL FROM:<a@b> ENVID=a+0A", "501 5.5.4"},
           {"MAIL FROM:<a@b> ENVID=a ENVID=a", "501 5.5.4"},
           {"MAIL FROM:<a@b> AUTH=<>", "555 5.5.4"},
           {"MAIL FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"},
           {"MAIL FROM:<a@b> X-UNKNOWN", "555 5.5.4"},
           {"MAIL FROM:<\xc3\xbc@b>", "553 5.6.7"},
           {"MAIL FROM:<\xc3@b> SMTPUTF8", "501 5.1.7"},
           {"RCPT", "501 5.5.2"},
           {"RCPT FROM:<a@b>", "501 5.5.2"},
           {"RCPT TO: <a@b>", "501 5.5.2"},
           {"RCPT TO:<>", "501 5.1.3"},
           {"RCPT TO:<bob>", "501 5.1.3"},
           {"RCPT TO:a@b", "501 5.1.3"},
           {"RCPT TO:<a@b>,<c@d>", "501 5.5.2"},
           {"RCPT TO:<a@b> NOTIFY", "501 5.5.4"},
           {"RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"},
           {"RCPT TO:<a@b> NOTIFY=DELAY,", "501 5.5.4"},
           {"RCPT TO:<a@b> NOTIFY=SOMETIMES", "501 5.5.4"},
           {"RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=a@b", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=;a@b", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=rfc822;", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=rfc822;a=b", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=rfc822;a+0D+0Ab", "501 5.5.4"},
           {"RCPT TO:<a@b> ORCPT=rfc822;a@b ORCPT=rfc822;a@b", "501 5.5.4"},
           {"RCPT TO:<a@b> SIZE=1", "555 5.5.4"},
           {"RCPT TO:<\xc3\xbc@b>", "553 5.6.7"},
           {"DATA now", "501 5.5.4"},
           {"RSET now", "501 5.5.4"},
           {"QUIT now", "501 5.5.4"},
           {"VRFY", "501 5.5.4"},
           {"BDAT", "501 5.5.4"},
           {"BDAT x", "501 5.5.4"},
           {"BDAT -1", "501 5.5.4"},
           {"BDAT 5 FIRST", "501 5.5.4"},
           {"BDAT 5 LAST LAST", "501 5.5.4"},
           {"STARTTLS now", "501 5.5.4"},
           {"auth", "501 5.5.4"},
           {"AUTH  x", "501 5.5.4"},
           {"AUTH PL@IN", "501 5.5.4"},
           {"AUTH AAAAAAAAAAAAAAAAAAAAA", "501 5.5.4"},
           {"AUTH PLAIN AGEA YQ", "501 5.5.2"},
           {"AUTH PLAIN ==", "501 5.5.2"},
           {"EXPN x", "502 5.5.1"},
           {"SOML FROM:<a@b>", "502 5.5.1"},
           {"XCLIENT ADDR=1", "502 5.5.1"},
           {"GET / HTTP/1.1", "421 4.7.0"},
       })
    EXPECT_EQ(refused(line), reply) << line;
}

TEST(CommandParser, SaysHowManyOctetsFollowABadChunk) {
  auto bad = parse_command("BDAT 17 FIRST", context);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().chunk_octets, 17U);
  EXPECT_FALSE(bad.error().must_close);
  for (auto line :
       {std::string_view("BDAT"), std::string_view("BDAT 1x LAST"), std::string_view("BDAT 1\0", 7)}) {
    bad = parse_command(line, context);
    ASSERT_FALSE(bad);
    EXPECT_TRUE(bad.error().must_close) << line;
  }
}

TEST(CommandParser, TakesUtf8WhereTheTransactionSaidSo) {
  EXPECT_EQ(parsed<RcptTo>("RCPT TO:<\xc3\xbc@b> ORCPT=utf-8;\xc3\xbc@b", utf8_context).recipient.address,
            "\xc3\xbc@b");
  EXPECT_EQ(refused("RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc@b"), "501 5.5.4");
  EXPECT_EQ(refused("RCPT TO:<a@b> ORCPT=rfc822;\xc3\xbc@b", utf8_context), "501 5.5.4");
  EXPECT_EQ(parsed<MailFrom>("MAIL FROM:<\xc3\xbc@b> SMTPUTF8").sender, "\xc3\xbc@b");
}

}  // namespace
}  // namespace umbra::smtp
