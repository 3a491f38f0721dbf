// The client side of a dialog, without a socket: what is sent when, and what becomes of each recipient, for
// every reply that can come and for every point at which the connection can end.
#include "smtp/send_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umbra::smtp {
namespace {

using State = RecipientResult::State;
using testing::HasSubstr;

constexpr const char* all_extensions =
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
    "250 ENHANCEDSTATUSCODES\r\n";

Envelope envelope_to(std::size_t recipients) {
  Envelope envelope;
  envelope.sender = "a@example.org";
  for (std::size_t i = 0; i < recipients; ++i)
    envelope.recipients.push_back({"r" + std::to_string(i) + "@example.com", "", notify_unset});
  return envelope;
}

Transaction transaction_of(const Envelope& envelope, std::uint64_t key = 1) {
  Transaction transaction;
  transaction.key = key;
  transaction.envelope = &envelope;
  for (std::uint32_t i = 0; i < envelope.recipients.size(); ++i) transaction.recipients.push_back(i);
  transaction.size = 5;
  return transaction;
}

std::string said(SendSession& session) {
  return std::exchange(session.output(), "");
}

/// A session that has said hello.
SendSession ready_session(std::string_view hello = all_extensions) {
  SendSession session("hub.example");
  session.feed("220 mx.example ESMTP\r\n");
  EXPECT_EQ(said(session), "EHLO hub.example\r\n");
  session.feed(hello);
  EXPECT_EQ(session.phase(), SendSession::Phase::ready);
  return session;
}

TEST(SendSession, SaysHelloAndLearnsTheExtensions) {
  auto session = ready_session();
  const auto& next_hop = session.next_hop();
  EXPECT_TRUE(next_hop.esmtp && next_hop.pipelining && next_hop.eight_bit_mime && next_hop.smtputf8 &&
              next_hop.dsn);
  EXPECT_TRUE(next_hop.enhanced_codes && next_hop.size);
  EXPECT_EQ(next_hop.size_max, 100'000U);
  EXPECT_FALSE(next_hop.chunking);
}

TEST(SendSession, DoesNotTakeTheDomainForAnExtension) {
  EXPECT_FALSE(parse_extensions("PIPELINING\nDSN").pipelining);
  EXPECT_TRUE(parse_extensions("x\ndsn").dsn);
  EXPECT_EQ(parse_extensions("x\nSIZE 12 trailing").size_max, 12U);
  EXPECT_EQ(parse_extensions("x\nSIZE lots").size_max, 0U);
}

TEST(SendSession, FallsBackToHeloWhenEhloIsUnknown) {
  SendSession session("hub.example");
  session.feed("220 old\r\n");
  said(session);
  session.feed("500 what?\r\n");
  EXPECT_EQ(said(session), "HELO hub.example\r\n");
  session.feed("250 old.example\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::ready);
  EXPECT_FALSE(session.next_hop().esmtp);
}

TEST(SendSession, IsOverWhenTheGreetingRefuses) {
  for (auto greeting : {"421 4.3.2 later\r\n", "554 no mail\r\n", "450 busy\r\n", "nonsense\r\n"}) {
    SendSession session("h");
    session.feed(greeting);
    EXPECT_EQ(session.phase(), SendSession::Phase::over) << greeting;
    EXPECT_EQ(said(session), "");
  }
}

TEST(SendSession, IsOverWhenHelloIsRefused) {
  SendSession session("h");
  session.feed("220 x\r\n");
  said(session);
  session.feed("450 4.7.0 try later\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over);
  EXPECT_EQ(session.over_reason().code, 450);
}

TEST(SendSession, SendsTheWholeGroupInOneWriteWithPipelining) {
  auto session = ready_session();
  Envelope envelope = envelope_to(2);
  session.begin(transaction_of(envelope));
  EXPECT_EQ(
      said(session),
      "MAIL FROM:<a@example.org> SIZE=5\r\nRCPT TO:<r0@example.com>\r\nRCPT TO:<r1@example.com>\r\nDATA\r\n");
  EXPECT_FALSE(session.can_begin());
  session.feed("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  ASSERT_TRUE(session.wants_content());
  session.content("x\r\n.\r\n");
  session.end_content();
  EXPECT_TRUE(session.awaits_final_reply());
  EXPECT_EQ(said(session), "x\r\n..\r\n.\r\n");
  EXPECT_FALSE(session.has_result());
  session.feed("250 2.0.0 queued\r\n");
  auto result = session.next_result();
  EXPECT_EQ(result.key, 1U);
  for (const auto& recipient : result.recipients) EXPECT_EQ(recipient.state, State::delivered);
  EXPECT_EQ(result.recipients[0].reply.text, "queued");
}

TEST(SendSession, SendsTheNextGroupBehindTheFinalDot) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope, 1));
  said(session);
  session.feed("250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_FALSE(session.can_begin());
  session.content("one\r\n");
  session.end_content();
  ASSERT_TRUE(session.can_begin());
  session.begin(transaction_of(envelope, 2));
  EXPECT_EQ(said(session),
            "one\r\n.\r\nMAIL FROM:<a@example.org> SIZE=5\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
  EXPECT_FALSE(session.can_begin());
  EXPECT_FALSE(session.wants_content());
  session.feed("250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(session.next_result().key, 1U);
  ASSERT_TRUE(session.wants_content());
  EXPECT_EQ(session.content_key(), 2U);
}

TEST(SendSession, KeepsTheAnswersOfTwoMessagesApart) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope, 1));
  session.feed("250 ok\r\n250 ok\r\n354 go\r\n");
  session.content("one\r\n");
  session.end_content();
  session.begin(transaction_of(envelope, 2));
  session.feed("550 5.7.1 spam\r\n250 ok\r\n450 4.2.1 full\r\n554 5.5.1 no recipients\r\n");
  auto first = session.next_result();
  EXPECT_EQ(first.key, 1U);
  EXPECT_EQ(first.recipients[0].state, State::failed);
  auto second = session.next_result();
  EXPECT_EQ(second.key, 2U);
  EXPECT_EQ(second.recipients[0].state, State::deferred);
  EXPECT_EQ(second.recipients[0].stage, SendStage::rcpt);
  EXPECT_TRUE(session.can_begin());
}

TEST(SendSession, SpeaksStepByStepWithoutPipelining) {
  auto session = ready_session("250 mx.example\r\n");
  Envelope envelope = envelope_to(2);
  session.begin(transaction_of(envelope));
  EXPECT_EQ(said(session), "MAIL FROM:<a@example.org>\r\n");
  session.feed("250 ok\r\n");
  EXPECT_EQ(said(session), "RCPT TO:<r0@example.com>\r\n");
  session.feed("550 5.1.1 unknown\r\n");
  EXPECT_EQ(said(session), "RCPT TO:<r1@example.com>\r\n");
  session.feed("250 ok\r\n");
  EXPECT_EQ(said(session), "DATA\r\n");
  session.feed("354 go\r\n");
  session.content("x");
  session.end_content();
  EXPECT_EQ(said(session), "x\r\n.\r\n");
  EXPECT_FALSE(session.can_begin());
  session.feed("250 ok\r\n");
  auto result = session.next_result();
  EXPECT_EQ(result.recipients[0].state, State::failed);
  EXPECT_EQ(result.recipients[1].state, State::delivered);
}

TEST(SendSession, StopsAfterARefusedMailWithoutPipelining) {
  auto session = ready_session("250 mx.example\r\n");
  Envelope envelope = envelope_to(2);
  session.begin(transaction_of(envelope));
  said(session);
  session.feed("451 4.3.0 later\r\n");
  auto result = session.next_result();
  EXPECT_EQ(result.recipients[1].state, State::deferred);
  EXPECT_EQ(result.recipients[1].stage, SendStage::mail);
  EXPECT_EQ(said(session), "");
  EXPECT_TRUE(session.can_begin());
}

TEST(SendSession, ResetsBeforeTheNextMessageWhenNoRecipientWasTakenWithoutPipelining) {
  auto session = ready_session("250 mx.example\r\n");
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope));
  session.feed("250 ok\r\n550 no\r\n");
  EXPECT_EQ(session.next_result().recipients[0].state, State::failed);
  said(session);
  session.begin(transaction_of(envelope, 2));
  EXPECT_EQ(said(session), "RSET\r\nMAIL FROM:<a@example.org>\r\n");
  session.feed("250 ok\r\n250 ok\r\n");
  EXPECT_EQ(said(session), "RCPT TO:<r0@example.com>\r\n");
}

TEST(SendSession, EndsAnUnwantedDataWithADotToNobody) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope));
  said(session);
  session.feed("250 ok\r\n550 5.1.1 unknown\r\n354 go\r\n");
  EXPECT_FALSE(session.wants_content());
  EXPECT_EQ(said(session), ".\r\n");
  EXPECT_FALSE(session.awaits_final_reply());
  session.feed("554 5.5.1 no valid recipients\r\n");
  auto result = session.next_result();
  EXPECT_EQ(result.recipients[0].state, State::failed);
  EXPECT_EQ(result.recipients[0].reply.enhanced, "5.1.1");
  EXPECT_FALSE(result.possible_duplicate);
}

// Every reply position, refused for now, refused for good, closed with 421, answered with nonsense, or cut.
struct Position {
  const char* before;  // replies that come first
  SendStage stage;
};
const Position positions[] = {{"", SendStage::mail},
                              {"250 ok\r\n", SendStage::rcpt},
                              {"250 ok\r\n250 ok\r\n", SendStage::data},
                              {"250 ok\r\n250 ok\r\n354 go\r\n", SendStage::content}};

TransactionResult run_to_failure(const Position& position, std::string_view reply, bool is_pipelining,
                                 SendSession& session, const Envelope& envelope) {
  session = ready_session(is_pipelining ? all_extensions : "250 mx\r\n");
  session.begin(transaction_of(envelope));
  session.feed(position.before);
  if (session.wants_content()) {
    session.content("x\r\n");
    session.end_content();
  }
  said(session);
  if (reply.empty())
    session.lost("cut");
  else
    session.feed(reply);
  // With PIPELINING the replies to what was sent along.
  if (is_pipelining && session.phase() == SendSession::Phase::ready) {
    if (position.stage == SendStage::mail) session.feed("503 no mail\r\n503 no mail\r\n");
    if (position.stage == SendStage::rcpt) session.feed("503 no rcpt\r\n");
  }
  EXPECT_TRUE(session.has_result()) << reply;
  return session.next_result();
}

TEST(SendSession, GivesEveryRefusalToTheRecipientAtEveryPosition) {
  Envelope envelope = envelope_to(1);
  for (bool is_pipelining : {true, false}) {
    for (const auto& position : positions) {
      SendSession session("x");
      auto deferred = run_to_failure(position, "451 4.0.0 later\r\n", is_pipelining, session, envelope);
      EXPECT_EQ(deferred.recipients[0].state, State::deferred);
      EXPECT_EQ(deferred.recipients[0].stage, position.stage);
      EXPECT_EQ(deferred.recipients[0].reply.code, 451);
      EXPECT_FALSE(deferred.possible_duplicate);
      EXPECT_TRUE(session.can_begin());
      auto failed = run_to_failure(position, "550 5.0.0 never\r\n", is_pipelining, session, envelope);
      EXPECT_EQ(failed.recipients[0].state, State::failed);
      EXPECT_EQ(failed.recipients[0].stage, position.stage);
      auto closed = run_to_failure(position, "421 4.3.2 closing\r\n", is_pipelining, session, envelope);
      EXPECT_EQ(closed.recipients[0].state, State::deferred);
      EXPECT_EQ(closed.recipients[0].reply.code, 421);
      EXPECT_EQ(session.phase(), SendSession::Phase::over);
      EXPECT_FALSE(closed.possible_duplicate);
    }
  }
}

TEST(SendSession, NeverTakesNonsenseOrACutForADelivery) {
  Envelope envelope = envelope_to(1);
  for (bool is_pipelining : {true, false}) {
    for (const auto& position : positions) {
      for (auto reply : {"", "nonsense\r\n", "299-a\r\n250 b\r\n", "399 what\r\n"}) {
        if (std::string_view(reply) == "399 what\r\n" && position.stage == SendStage::data)
          continue;  // as good as 354
        SendSession session("x");
        auto result = run_to_failure(position, reply, is_pipelining, session, envelope);
        EXPECT_EQ(result.recipients[0].state, State::deferred) << reply;
        EXPECT_EQ(session.phase(), SendSession::Phase::over) << reply;
        EXPECT_EQ(result.possible_duplicate, position.stage == SendStage::content) << reply;
        EXPECT_EQ(result.was_attempted, position.stage != SendStage::mail || *reply != '\0') << reply;
      }
    }
  }
}

TEST(SendSession, TellsAMessageThatWasNeverAnsweredFromOneThatWas) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope, 1));
  session.feed("250 ok\r\n250 ok\r\n354 go\r\n");
  session.content("x");
  session.end_content();
  session.begin(transaction_of(envelope, 2));
  session.feed("421 4.3.2 enough for today\r\n");
  auto first = session.next_result();
  EXPECT_EQ(first.recipients[0].reply.code, 421);
  EXPECT_FALSE(first.possible_duplicate);
  auto second = session.next_result();
  EXPECT_FALSE(second.was_attempted);
  EXPECT_FALSE(session.has_result());
}

TEST(SendSession, EndsAtAReplyToNothing) {
  auto session = ready_session();
  session.feed("250 hello again\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over);
  auto closing = ready_session();
  closing.feed("421 idle too long\r\n");
  EXPECT_EQ(closing.phase(), SendSession::Phase::over);
  EXPECT_EQ(closing.over_reason().code, 421);
}

TEST(SendSession, GivesTheSameResultsForEverySplitOfTheReplies) {
  const std::string replies =
      "250 ok\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 such user\r\n354 go\r\n250 2.0.0 queued as X\r\n";
  Envelope envelope = envelope_to(2);
  auto run = [&](std::size_t i, std::size_t j) {
    auto session = ready_session();
    session.begin(transaction_of(envelope));
    std::string sent;
    for (auto part : {replies.substr(0, i), replies.substr(i, j - i), replies.substr(j)}) {
      session.feed(part);
      if (session.wants_content()) {
        session.content("x\r\n");
        session.end_content();
      }
      sent += said(session);
    }
    std::string text = sent;
    while (session.has_result())
      for (const auto& r : session.next_result().recipients)
        text += std::to_string(static_cast<int>(r.state)) + to_line(r.reply) + ";";
    return text;
  };
  // The content cannot come before the 354: up to there in one piece is the reference.
  const std::string whole = run(replies.find("250 2.0.0"), replies.size());
  EXPECT_THAT(whole, HasSubstr("1250 2.0.0 queued as X;3550 5.1.1"));
  for (std::size_t i = 0; i <= replies.size(); ++i)
    for (std::size_t j = i; j <= replies.size(); ++j)
      if (i == replies.find("250 2.0.0") || j == replies.find("250 2.0.0"))
        ASSERT_EQ(run(i, j), whole) << i << ' ' << j;
}

TEST(SendSession, SendsAWholeMessageInOneWriteWithChunking) {
  auto session = ready_session("250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  Envelope envelope = envelope_to(1);
  ASSERT_TRUE(session.can_send_at_once());
  session.begin(transaction_of(envelope), ".x\r\n");
  EXPECT_EQ(said(session), "MAIL FROM:<a@example.org>\r\nRCPT TO:<r0@example.com>\r\nBDAT 4 LAST\r\n.x\r\n");
  EXPECT_TRUE(session.awaits_final_reply());
  EXPECT_FALSE(session.can_begin());
  session.feed("250 ok\r\n250 ok\r\n250 4 octets\r\n");
  EXPECT_EQ(session.next_result().recipients[0].state, State::delivered);
  EXPECT_TRUE(session.can_send_at_once());
}

TEST(SendSession, ResetsAfterAFailedBdat) {
  auto session = ready_session("250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  Envelope envelope = envelope_to(1);
  session.begin(transaction_of(envelope), "x\r\n");
  session.feed("250 ok\r\n550 5.1.1 unknown\r\n554 5.5.1 no valid recipients\r\n");
  auto result = session.next_result();
  EXPECT_EQ(result.recipients[0].state, State::failed);
  EXPECT_EQ(result.recipients[0].reply.enhanced, "5.1.1");
  said(session);
  session.begin(transaction_of(envelope, 2), "x\r\n");
  EXPECT_THAT(said(session), testing::StartsWith("RSET\r\nMAIL FROM"));
  session.feed("250 reset\r\n250 ok\r\n250 ok\r\n250 done\r\n");
  EXPECT_EQ(session.next_result().recipients[0].state, State::delivered);
}

TEST(SendSession, CountsALostBdatAsPossibleDuplicateOnlyWhileARecipientIsOpen) {
  Envelope envelope = envelope_to(1);
  auto open = ready_session("250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  open.begin(transaction_of(envelope), "x\r\n");
  open.lost("cut");
  EXPECT_TRUE(open.next_result().possible_duplicate);
  auto refused = ready_session("250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  refused.begin(transaction_of(envelope), "x\r\n");
  refused.feed("250 ok\r\n550 no\r\n");
  refused.lost("cut");
  EXPECT_FALSE(refused.next_result().possible_duplicate);
}

TEST(SendSession, PassesParametersOnlyToNextHopsThatKnowThem) {
  Envelope envelope = envelope_to(1);
  envelope.body_8bit = true;
  envelope.envelope_id = "id+2B1";
  envelope.dsn_return = DsnReturn::headers;
  envelope.recipients[0].notify = notify_success | notify_delay;
  envelope.recipients[0].original_recipient = "rfc822;o@example.com";
  auto transaction = transaction_of(envelope);
  transaction.is_8bit = true;
  auto session = ready_session();
  session.begin(transaction);
  EXPECT_EQ(said(session),
            "MAIL FROM:<a@example.org> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=id+2B1\r\n"
            "RCPT TO:<r0@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@example.com\r\nDATA\r\n");
  auto plain = ready_session("250-mx\r\n250 PIPELINING\r\n");
  plain.begin(transaction);
  EXPECT_EQ(said(plain), "MAIL FROM:<a@example.org>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
}

TEST(SendSession, PassesNeverAndSaysSmtputf8) {
  Envelope envelope = envelope_to(1);
  envelope.smtputf8 = true;
  envelope.recipients[0].notify = notify_never;
  auto session = ready_session();
  session.begin(transaction_of(envelope));
  EXPECT_THAT(said(session), testing::AllOf(HasSubstr(" SMTPUTF8\r\n"), HasSubstr("NOTIFY=NEVER\r\n")));
}

TEST(SendSession, KnowsWhatANextHopCannotTake) {
  NextHopExtensions next_hop;
  Envelope envelope = envelope_to(1);
  EXPECT_FALSE(refuses(next_hop, envelope, 1'000'000));
  envelope.smtputf8 = true;
  EXPECT_EQ(refuses(next_hop, envelope, 1)->enhanced, "5.6.7");
  next_hop.smtputf8 = true;
  next_hop.size_max = 100;
  EXPECT_FALSE(refuses(next_hop, envelope, 100));
  EXPECT_EQ(refuses(next_hop, envelope, 101)->enhanced, "5.3.4");
}

TEST(SendSession, KeepsABoundedNumberOfCommandsUnanswered) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1000);
  session.begin(transaction_of(envelope));
  auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  std::string first = said(session);
  EXPECT_LE(lines(first), 256);
  auto sent = lines(first);
  int answered = 0;
  while (!session.wants_content() && answered < 2000) {
    session.feed(answered == 1001 ? "354 go\r\n" : "250 ok\r\n");
    ++answered;
    sent += lines(said(session));
    EXPECT_LE(sent - answered, 256);
  }
  EXPECT_EQ(sent, 1002);
  EXPECT_TRUE(session.wants_content());
}

TEST(SendSession, StopsAskingWhenMailIsRefusedForManyRecipients) {
  auto session = ready_session();
  Envelope envelope = envelope_to(1000);
  session.begin(transaction_of(envelope));
  auto sent = std::ranges::count(said(session), '\n');
  session.feed("550 5.7.1 not you\r\n");
  for (int i = 1; i < sent; ++i) session.feed("503 5.5.1 no mail\r\n");
  EXPECT_EQ(said(session), "");
  auto result = session.next_result();
  EXPECT_EQ(result.recipients.size(), 1000U);
  for (const auto& r : result.recipients) ASSERT_EQ(r.reply.code, 550);
  EXPECT_TRUE(session.can_begin());
}

TEST(SendSession, QuitsPolitely) {
  auto session = ready_session();
  session.quit();
  EXPECT_EQ(said(session), "QUIT\r\n");
  EXPECT_FALSE(session.can_begin());
  session.feed("221 bye\r\n");
  EXPECT_EQ(session.phase(), SendSession::Phase::over);
}

}  // namespace
}  // namespace umbra::smtp
