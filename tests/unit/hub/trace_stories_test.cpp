// What hubs tell, put together: the verdict of each situation, hubs that did not answer, answers that are
// anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/iso_time.h"
#include "hub/trace/stories.h"
#include "hub/trace/story_view.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::Not;

const MessageId id{SpoolId{0xaa}, 1};

Json owner(const std::string& hub, const std::string& state = "queued", std::uint32_t generation = 1) {
  return {{"hub", hub},
          {"role", "owner"},
          {"state", state},
          {"sender", "a@source.example"},
          {"due", "2026-11-27T12:01:00.000000Z"},
          {"attempts", 2},
          {"last_error", "451 later"},
          {"generation", generation},
          {"holders", {{{"hub", "b"}, {"state", "holds"}}, {{"hub", "c"}, {"state", "offered"}}}},
          {"history",
           {{{"generation", 1}, {"how", "accepted"}, {"hub", "a"}, {"since", "2026-11-27T12:00:00Z"}},
            {{"generation", 2}, {"how", "taken_over"}, {"hub", hub}, {"since", nullptr}}}},
          {"queue", {{{"destination", "sink.example"}, {"due", "2026-11-27T12:01:00Z"}, {"attempts", 2}}}},
          {"recipients", {{{"address", "r@sink.example"}, {"state", "pending"}, {"detail", "451 later"}}}}};
}
Json shadow(const std::string& hub, const std::string& of) {
  return {{"hub", hub},
          {"role", "shadow"},
          {"owner", of},
          {"generation", 1},
          {"recipients", {{{"address", "r@sink.example"}, {"state", "pending"}}}}};
}
Json record(const std::string& hub, const std::string& time, const std::string& event,
            Json more = Json::object()) {
  Json json = {{"time", time},
               {"hub", hub},
               {"event", event},
               {"source", "SMTP"},
               {"recipient-address", "r@sink.example"},
               {"sender-address", "a@source.example"}};
  json.update(more);
  return json;
}
HubStory story(const std::string& hub, std::vector<Json> facts, std::vector<Json> records = {}) {
  HubStory one{.hub = hub};
  one.spool[id] = Json(std::move(facts));
  one.records[id] = std::move(records);
  return one;
}
HubStory silent(const std::string& hub) {
  return {.hub = hub, .why_not = "there is no session with it"};
}

Json tell(const std::vector<HubStory>& hubs) {
  return tell_stories({id}, hubs);
}
std::string text(const Json& answer) {
  return answer["messages"][0]["verdict"]["text"];
}
std::string state(const Json& answer) {
  return answer["messages"][0]["verdict"]["state"];
}

TEST(Stories, QueuedWithItsCopies) {
  auto answer = tell({story("a", {owner("a")}), story("b", {shadow("b", "a")}), story("c", {})});
  EXPECT_EQ(state(answer), "queued");
  EXPECT_EQ(
      text(answer),
      "queued at a: next attempt 2026-11-27T12:01:00.000000Z, tried 2 times, last: 451 later; copies at b");
  EXPECT_EQ(answer["messages"][0]["verdict"]["copies"], Json({"b"}));
  EXPECT_EQ(answer["messages"][0]["recipients"], Json({"r@sink.example"}));
}

TEST(Stories, ACopyOnAHubThatIsSilentIsThereAsFarAsItsOwnerKnows) {
  auto answer = tell({story("a", {owner("a")}), silent("b"), story("c", {})});
  EXPECT_THAT(text(answer), HasSubstr("copies at b"));
  EXPECT_EQ(answer["hubs"][1]["answered"], false);
  EXPECT_THAT(story_view(answer), HasSubstr("b did not answer: there is no session with it"));
  EXPECT_THAT(text(tell({story("a", {owner("a")}), story("b", {}), story("c", {})})),
              HasSubstr("no copy elsewhere"))
      << "b answered, and has none";
}

TEST(Stories, TheLatestOwnerCounts) {
  auto answer = tell({story("a", {owner("a", "queued", 1)}), story("b", {owner("b", "held", 2)})});
  EXPECT_EQ(state(answer), "held");
  EXPECT_EQ(answer["messages"][0]["verdict"]["at"], "b");
}

TEST(Stories, OnlyACopyIsLeftThatAnswers) {
  auto answer = tell({silent("a"), story("b", {shadow("b", "a")})});
  EXPECT_EQ(state(answer), "copies_only");
  EXPECT_EQ(text(answer), "queued at a, as far as is known: it did not answer; copies at b");
  EXPECT_THAT(text(tell({story("a", {}), story("b", {shadow("b", "a")})})),
              HasSubstr("no hub that answered owns it; copies at b, held for a"));
}

TEST(Stories, DeliveredAfterATakeOver) {
  auto answer =
      tell({story("b", {},
                  {record("b", "2026-11-27T12:00:00.003Z", "HARECEIVE"),
                   record("b", "2026-11-27T12:00:20.000Z", "RESUBMIT",
                          {{"source", "REDUNDANCY"}, {"custom-data", "hub=a;generation=2"}}),
                   record("b", "2026-11-27T12:00:21.000Z", "SEND",
                          {{"custom-data", "next-hop=mx.sink.example;next-hop-address=192.0.2.9:25;tls="},
                           {"recipient-status", "250 ok"}})}),
            story("c", {}, {record("c", "2026-11-27T11:59:59.999Z", "HARECEIVE")}), silent("a")});
  EXPECT_EQ(state(answer), "delivered");
  EXPECT_EQ(text(answer), "delivered by b to mx.sink.example (192.0.2.9:25); no copy is left");
  std::string order;
  for (const auto& one : answer["messages"][0]["records"]) order += one["hub"].get<std::string>();
  EXPECT_EQ(order, "cbbb") << "by time";
  auto view = story_view(answer);
  EXPECT_THAT(view, HasSubstr("2026-11-27T12:00:20.000Z  b  taken over from a for r@sink.example"));
  EXPECT_THAT(view, HasSubstr("delivered to mx.sink.example (192.0.2.9:25) for r@sink.example; 250 ok"));
}

TEST(Stories, BouncedPartlyDeliveredAndUnknown) {
  EXPECT_EQ(state(tell({story("a", {},
                              {record("a", "2026-11-27T12:00:00.000Z", "RECEIVE"),
                               record("a", "2026-11-27T12:00:01.000Z", "FAIL")})})),
            "bounced");
  auto answer = tell(
      {story("a", {},
             {record("a", "2026-11-27T12:00:00.000Z", "RECEIVE",
                     {{"recipient-address", "r@sink.example;s@sink.example;t@sink.example"}}),
              record("a", "2026-11-27T12:00:01.000Z", "SEND"),
              record("a", "2026-11-27T12:00:01.000Z", "FAIL", {{"recipient-address", "s@sink.example"}})})});
  EXPECT_EQ(state(answer), "partly_delivered");
  EXPECT_THAT(text(answer), HasSubstr("1 recipients delivered by a, 1 failed, 1 not known"));
  answer = tell({story("a", {}), silent("b")});
  EXPECT_EQ(state(answer), "unknown");
  EXPECT_THAT(text(answer), HasSubstr("no answer: b"));
  EXPECT_EQ(state(tell({story("a", {}, {record("a", "2026-11-27T12:00:00.000Z", "RECEIVE")})})), "unknown")
      << "nobody says how it ended";
}

TEST(Stories, DeletedIsNotBounced) {
  const auto received = record("a", "2026-11-27T12:00:00.000Z", "RECEIVE",
                               {{"recipient-address", "r@sink.example;s@sink.example"}});
  auto deleted = [](const std::string& recipient) {
    return record("a", "2026-11-27T12:00:02.000Z", "DROP",
                  {{"source", "ADMIN"}, {"recipient-address", recipient}});
  };
  auto answer = tell({story("a", {}, {received, deleted("r@sink.example"), deleted("s@sink.example")})});
  EXPECT_EQ(state(answer), "deleted");
  EXPECT_EQ(answer["messages"][0]["verdict"]["at"], "a");
  EXPECT_EQ(text(answer), "deleted by the operator at a; no copy is left");
  EXPECT_THAT(story_view(answer), HasSubstr("deleted by the operator for r@sink.example"));
  answer = tell({story(
      "a", {}, {received, record("a", "2026-11-27T12:00:01.000Z", "SEND"), deleted("s@sink.example")})});
  EXPECT_EQ(state(answer), "partly_delivered");
  EXPECT_THAT(
      text(answer),
      HasSubstr("1 recipients delivered by a, 0 failed, 0 not known, 1 deleted by the operator at a"));
  answer = tell({story(
      "a", {}, {received, record("a", "2026-11-27T12:00:01.000Z", "FAIL"), deleted("s@sink.example")})});
  EXPECT_EQ(state(answer), "deleted");
  EXPECT_THAT(text(answer), HasSubstr("1 failed"));
}

TEST(Stories, RefusedIsNotAccepted) {
  auto answer = tell({story("a", {},
                            {Json{{"time", "2026-11-27T12:00:00.000Z"},
                                  {"hub", "a"},
                                  {"event", "DROP"},
                                  {"source", "SMTP"},
                                  {"source-context", "451 4.4.0 not redundant"}}})});
  EXPECT_EQ(state(answer), "refused");
  EXPECT_THAT(text(answer), HasSubstr("by a: 451 4.4.0 not redundant"));
}

TEST(Stories, KeptOrFinishedWithoutALog) {
  EXPECT_EQ(
      state(tell({story("a", {Json{{"hub", "a"}, {"role", "kept"}, {"ended_at", "2026-11-27T12:00:00Z"}}})})),
      "delivered");
  EXPECT_EQ(state(tell({story("a", {Json{{"hub", "a"}, {"role", "done"}, {"generation", 1}}})})), "ended");
}

TEST(Stories, AnAnswerIsToldInTheNameOfWhoGaveIt) {
  auto said = tell({story("b", {owner("b")}, {record("b", "2026-11-27T12:00:00.000Z", "RECEIVE")})});
  auto heard = parse_story("c", said.dump(), 10);
  EXPECT_EQ(heard.why_not, "");
  EXPECT_EQ(heard.spool[id][0]["hub"], "c");
  EXPECT_EQ(heard.records[id][0]["hub"], "c");
}

TEST(Stories, AreMadeOfWhateverAHubAnswers) {
  for (const char* body : {"", "[]", "{", "null", "{\"messages\": 1}", "\xff"})
    EXPECT_NE(parse_story("b", body, 10).why_not, "") << body;
  const std::string strange =
      R"({"messages":[1,null,{"id":5},{"id":"00000000000000aa-1","spool":[1,{"role":[],"holders":5,"recipients":[[],1],"generation":"x","queue":{},"history":7}],
    "records":[{"time":"never"},{"time":"2026-11-27T12:00:00Z","event":{},"recipient-address":[],"hub":1,"recipient-status":"\u001b[2J"}]}],"remarks":[5,{"remark":"r"}]})";
  auto heard = parse_story("b", strange, 10);
  EXPECT_EQ(heard.why_not, "");
  EXPECT_EQ(heard.records[id].size(), 1U);
  EXPECT_EQ(heard.remarks, std::vector<std::string>{"r"});
  auto answer = tell({heard});
  EXPECT_THAT(story_view(answer), Not(HasSubstr("\x1b")));
  // Any change of a good answer.
  const auto good =
      tell({story("a", {owner("a"), shadow("a", "b")}, {record("a", "2026-11-27T12:00:00.000Z", "SEND")}),
            silent("b")})
          .dump();
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    std::mt19937_64 random(seed);
    auto text = good;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      constexpr std::string_view octets = "{}[]\",:0truefalsnl\\x";
      text[random() % text.size()] = octets[random() % octets.size()];
    }
    auto one = parse_story("b", text, 10);
    (void)story_view(tell_stories({id}, {one, silent("c")}));
  }
  // What nests deeper than any stack.
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_NE(
      parse_story("b", R"({"messages":[{"id":"00000000000000aa-1","spool":[{"role":)" + deep + "}]}]}", 10)
          .why_not,
      "");
  auto many = Json{{"messages", Json::array()}};
  for (int i = 1; i < 50; ++i)
    many["messages"].push_back({{"id", to_string(MessageId{SpoolId{0xaa}, static_cast<std::uint64_t>(i)})}});
  EXPECT_EQ(parse_story("b", many.dump(), 10).spool.size(), 10U);
}

}  // namespace
}  // namespace umbra::hub
