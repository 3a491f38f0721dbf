// Goal: an operator's question reaches every other hub and comes back whole; who does not answer is named
// with the reason. Method: this hub asks two that the test plays, and is asked by one.
#include "hub/peering/questions.h"

#include "smtp/shadow_queries.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PeeringQuestions : public PeeringTest {
 protected:
  void SetUp() override { make(); }
  static constexpr const char* hub2 = "10.0.0.2";
  static constexpr const char* hub3 = "10.0.0.3";

  std::vector<HubAnswer> ask_all(Duration span = 30s) {
    struct Asking {
      static Task<void> run(Questions& questions, std::optional<std::vector<HubAnswer>>& into) {
        into = co_await questions.ask_all("/v1/trace?id=1", 10s);
      }
    };
    std::optional<std::vector<HubAnswer>> answers;
    scope.spawn("ask", Asking::run(peering->questions(), answers));
    for (auto waited = Duration{0}; !answers && waited < span; waited += 100ms) pass(100ms);
    EXPECT_TRUE(answers);
    return answers.value_or(std::vector<HubAnswer>{});
  }
  /// Answers with that, in pieces, after it was asked a few times in vain.
  void let_answer(const char* address, std::string body, int in_vain = 2) {
    member(address).keywords += "\nXQUERY";
    member(address).answers = [body = std::move(body), in_vain](
                                  const smtp::ShadowCommand& command) mutable -> std::optional<smtp::Reply> {
      if (command.verb == smtp::ShadowVerb::query) return smtp::Reply{250, "2.0.0", smtp::format_asked(7)};
      if (command.verb != smtp::ShadowVerb::answer) return std::nullopt;
      if (command.number != 7) return smtp::Reply{550, "5.5.0", "No such question"};
      if (in_vain-- > 0) return smtp::Reply{450, "4.0.0", "Not yet"};
      return smtp::Reply{250, "2.0.0", smtp::format_piece(200, body, command.offset)};
    };
  }
};

TEST_F(PeeringQuestions, AreAskedOfEveryHubAndAnsweredWhole) {
  std::string body = "2.0.0 {";
  for (int i = 0; body.size() < 200'000; ++i)
    body += " \"" + std::to_string(i) + "\": \"gr\xc3\xbc\xc3\x9f\x65\",";
  let_answer(hub2, body);
  let_answer(hub3, "{}");
  start();
  pass(3s);
  auto answers = ask_all();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].hub, "hub2");
  EXPECT_EQ(answers[0].status, 200U) << answers[0].why;
  EXPECT_EQ(answers[0].body, body);
  EXPECT_EQ(answers[1].body, "{}");
  EXPECT_EQ(member(hub2).of(smtp::ShadowVerb::query).at(0).target, "/v1/trace?id=1");
}

TEST_F(PeeringQuestions, WhoDoesNotAnswerIsNamed) {
  member(hub3).is_up = false;
  start();
  pass(3s);
  auto answers = ask_all();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].status, 0U);
  EXPECT_THAT(answers[0].why, HasSubstr("a release before this one"));
  EXPECT_THAT(answers[1].why, HasSubstr("no session"));
}

TEST_F(PeeringQuestions, EndInTimeWhateverAHubSays) {
  let_answer(hub2, "{}", 1'000'000);
  let_answer(hub3, "{}");
  auto usual = member(hub3).answers;
  member(hub3).answers = [usual](const smtp::ShadowCommand& command) -> std::optional<smtp::Reply> {
    if (command.verb == smtp::ShadowVerb::answer) return smtp::Reply{250, "2.0.0", "200 99\n=short\nno mark"};
    return usual(command);
  };
  start();
  pass(3s);
  auto answers = ask_all();
  EXPECT_THAT(answers.at(0).why, HasSubstr("in time"));
  EXPECT_THAT(answers.at(1).why, HasSubstr("malformed"));
  EXPECT_TRUE(answers.at(1).body.empty());
}

TEST_F(PeeringQuestions, OfAnotherHubAreAnsweredInPiecesUnderTheirNumber) {
  std::vector<std::string> asked;
  Event may_answer(io);
  struct Answering {
    static Task<QueryAnswer> run(Event& may, std::vector<std::string>& into, std::string target) {
      into.push_back(target);
      co_await may.wait();
      co_return QueryAnswer{200, std::string(100'000, 'x') + "\r\n\x01"};
    }
  };
  peering->on_query(
      [&](PassedQuery query) { return Answering::run(may_answer, asked, std::move(query.target)); });
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  EXPECT_THAT(say(*caller, smtp::format_query("/v1/trace?id=1")), StartsWith("250 2.0.0 asked 1\r\n"));
  EXPECT_EQ(asked, std::vector<std::string>{"/v1/trace?id=1"});
  EXPECT_THAT(say(*caller, smtp::format_fetch(1, 0)), StartsWith("450 "));
  EXPECT_THAT(say(*caller, smtp::format_beat(Epoch{1}, Sequence{1})), StartsWith("250 "))
      << "no heartbeat waits for it";
  may_answer.set();
  settle();
  std::string body;
  while (body.size() < 100'003) {
    auto reply = say(*caller, smtp::format_fetch(1, body.size()));
    ASSERT_THAT(reply, StartsWith("250-2.0.0 200 100003\r\n250-2.0.0 ="));
    // As the other side reads it: a line of the reply without its code.
    std::string text;
    for (std::size_t at = 0; at < reply.size();) {
      auto end = reply.find("\r\n", at);
      text += (text.empty() ? "" : "\n") + reply.substr(at + 10, end - at - 10);
      at = end + 2;
    }
    auto piece = smtp::parse_piece(text);
    ASSERT_TRUE(piece);
    ASSERT_FALSE(piece->text.empty());
    body += piece->text;
  }
  EXPECT_EQ(body, std::string(100'000, 'x') + "   ");
  EXPECT_THAT(say(*caller, smtp::format_fetch(1, 0)), StartsWith("550 ")) << "what was fetched is gone";
}

TEST_F(PeeringQuestions, AnOrderGoesToOneHubAndSaysWhoGaveIt) {
  struct Ordering {
    static Task<void> run(Questions& questions, std::string hub, std::optional<HubAnswer>& into) {
      into = co_await questions.order(std::move(hub), "token:ops", "/v1/drain?verb=drain", 10s);
    }
  };
  auto order = [&](const char* hub) {
    std::optional<HubAnswer> answer;
    scope.spawn("order", Ordering::run(peering->questions(), hub, answer));
    for (auto waited = Duration{0}; !answer && waited < 30s; waited += 100ms) pass(100ms);
    return answer.value_or(HubAnswer{});
  };
  member(hub2).keywords += "\nXORDER";
  member(hub2).answers = [](const smtp::ShadowCommand& command) -> std::optional<smtp::Reply> {
    if (command.verb == smtp::ShadowVerb::order) return smtp::Reply{250, "2.0.0", smtp::format_asked(1)};
    if (command.verb == smtp::ShadowVerb::answer)
      return smtp::Reply{250, "2.0.0", smtp::format_piece(409, "{}", command.offset)};
    return std::nullopt;
  };
  start();
  pass(3s);
  EXPECT_EQ(order("hub2").status, 409U);
  ASSERT_EQ(member(hub2).of(smtp::ShadowVerb::order).size(), 1U);
  EXPECT_EQ(member(hub2).of(smtp::ShadowVerb::order)[0].by, "token:ops");
  EXPECT_EQ(member(hub2).of(smtp::ShadowVerb::order)[0].target, "/v1/drain?verb=drain");
  EXPECT_TRUE(member(hub3).of(smtp::ShadowVerb::order).empty());
  EXPECT_THAT(order("hub3").why, HasSubstr("takes no orders"));
  EXPECT_EQ(order("nobody").status, 404U);
}

TEST_F(PeeringQuestions, OfAnotherHubAreFewAtATime) {
  std::deque<Event> waiting;
  struct Answering {
    static Task<QueryAnswer> run(Event& may) {
      co_await may.wait();
      co_return QueryAnswer{200, "{}"};
    }
  };
  peering->on_query([&](const PassedQuery&) { return Answering::run(waiting.emplace_back(io)); });
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  for (std::size_t i = 0; i < smtp::open_queries_max; ++i)
    EXPECT_THAT(say(*caller, smtp::format_query("/v1/trace")), StartsWith("250 "));
  EXPECT_THAT(say(*caller, smtp::format_query("/v1/trace")), StartsWith("452 4.5.3 "));
  for (auto& event : waiting) event.set();
  settle();
}

TEST_F(PeeringQuestions, AnAnswerThatIsTooLongIsNone) {
  struct Answering {
    static Task<QueryAnswer> run() {
      co_return QueryAnswer{200, std::string(smtp::answer_octets_max + 1, 'x')};
    }
  };
  peering->on_query([](const PassedQuery&) { return Answering::run(); });
  start();
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{1}, Sequence{1}), StartsWith("235 "));
  ASSERT_THAT(say(*caller, smtp::format_query("/v1/trace")), StartsWith("250 "));
  EXPECT_THAT(say(*caller, smtp::format_fetch(1, 0)), StartsWith("250-2.0.0 413 "));
}

}  // namespace
}  // namespace umbra::hub::peering_test
