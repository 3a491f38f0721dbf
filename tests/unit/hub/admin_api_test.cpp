// The admin API: what each path answers, and what the observer's port does not. This file is long because
// there are that many paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "hub/admin/api.h"
#include "hub/admin/heard.h"
#include "hub/peering/open_queries.h"
#include "smtp/shadow_queries.h"
#include "tests/unit/hub/fake_admin_backend.h"

namespace umbra::hub {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class AdminApiTest : public testing::Test {
 protected:
  ApiResponse ask(const std::string& method, const std::string& target, bool observer = false) {
    asio::io_context io;
    ApiResponse answer;
    ApiRequest request{method, target};
    auto task = observer ? api_.observations(request) : api_.commands(request);
    asio::co_spawn(io, std::move(task), [&](const std::exception_ptr& thrown, ApiResponse response) {
      EXPECT_FALSE(thrown);
      answer = std::move(response);
    });
    io.run();
    return answer;
  }
  json get(const std::string& target, unsigned status = 200) {
    auto answer = ask("GET", target);
    EXPECT_EQ(answer.status, status) << answer.body;
    return json::parse(answer.body);
  }

  FakeAdminBackend backend_;
  AdminApi api_{backend_};
};

TEST_F(AdminApiTest, TellsItsStatusWithIdentityQueueAndPeers) {
  backend_.measured.queue_messages = 7;
  backend_.measured.unprotected_messages = 2;
  backend_.known_peers = {{"hub-b", {"127.0.0.1", 2526}, "alive", SpoolId{0x99}, Epoch{4}, 500ms, true},
                          {"hub-c", {"hub-c", 2526}, "never heard", {}, {}, {}}};
  auto status = get("/v1/status");
  EXPECT_EQ(status["hub"], "hub-a");
  EXPECT_EQ(status["spool"], "0000000000001234");
  EXPECT_EQ(status["queue"]["messages"], 7);
  EXPECT_EQ(status["queue"]["unprotected"], 2);
  EXPECT_EQ(status["peers"][0]["silent_for_seconds"], 0.5);
  EXPECT_TRUE(status["peers"][0]["takes_copies"]);
  EXPECT_FALSE(status["peers"][1]["takes_copies"]);
  EXPECT_EQ(status["peers"][1]["spool"], nullptr);
  EXPECT_EQ(get("/v1/peers")["peers"].size(), 2U);
}

TEST_F(AdminApiTest, TracesMessages) {
  EXPECT_TRUE(get("/v1/trace?id=0000000000000077-5,0000000000000077-6,0000000000000077-5&scope=hub")
                  .contains("messages"));
  auto asked = backend_.fake_tracer.questions.back();
  EXPECT_EQ(asked.ids.size(), 2U);
  EXPECT_FALSE(asked.is_cluster);
  get("/v1/trace?sender=%3C%3E&recipient=b%40sink.example&message-id=%3Cm1%40x%3E&since=5&until=7&limit=3");
  asked = backend_.fake_tracer.questions.back();
  EXPECT_EQ(asked.sender, "<>");
  EXPECT_EQ(asked.recipient, "b@sink.example");
  EXPECT_EQ(asked.message_id, "<m1@x>");
  EXPECT_EQ(asked.since, WallTime(5us));
  EXPECT_EQ(asked.until, WallTime(7us));
  EXPECT_EQ(asked.limit, 3U);
  EXPECT_TRUE(asked.is_cluster);
  for (const char* query : {"", "?", "?limit=5", "?scope=hub", "?id=", "?id=x", "?sender=", "?sender=%",
                            "?since=x", "?since=5&until=4", "?since=-1", "?scope=all&id=0000000000000077-5",
                            "?limit=0&since=1", "?limit=101&since=1", "?colour=blue"})
    get(std::string("/v1/trace") + query, 400);
  EXPECT_EQ(ask("POST", "/v1/trace?since=1").status, 405U);
  get("/v1/trace?since=1&sender=" + std::string(321, 'a'), 400);
}

TEST_F(AdminApiTest, AnswersToOtherHubsWhatIsListedOnly) {
  auto pass_on = [this](std::string target, std::string by = {}) {
    asio::io_context io;
    ApiResponse answer;
    asio::co_spawn(io, api_.passed_on({.hub = "hub-b", .by = std::move(by), .target = std::move(target)}),
                   [&](const std::exception_ptr&, ApiResponse response) { answer = std::move(response); });
    io.run();
    return answer.status;
  };
  EXPECT_EQ(pass_on("/v1/trace?id=0000000000000077-5&scope=cluster"), 200U);
  EXPECT_FALSE(backend_.fake_tracer.questions.back().is_cluster) << "a question is not passed on twice";
  for (const char* target : {"/v1/peers", "/v1/cluster/status", "/v1/queue/0000000000000077-5",
                             "/v1/queue/0000000000000077-5/bounce", "/v1/undrain", "/v1/reload", "/metrics",
                             "/v1/trace/", "/v1/trace%3f", "/"})
    EXPECT_EQ(pass_on(target), 404U) << target;
  EXPECT_EQ(pass_on("/v1/drain?verb=leave"), 200U);
  EXPECT_TRUE(backend_.fake_drain.orders.empty()) << "a question orders nothing";
  EXPECT_EQ(pass_on("/v1/drain?verb=leave", "token:ops"), 200U);
  EXPECT_EQ(backend_.fake_drain.orders.size(), 1U);
  for (const char* target : {"/v1/reload", "/v1/queue/0000000000001234-1/bounce", "/v1/hubs/hub-c/drain",
                             "/v1/suspend?what=delivery&name=a", "/v1/status"})
    EXPECT_EQ(pass_on(target, "token:ops"), 404U) << target;
  EXPECT_TRUE(backend_.acted.empty());
  EXPECT_TRUE(backend_.passed_on.empty());
}

TEST(AdminRoutes, AreThoseOfTheDescription) {
  std::ifstream file("docs/openapi.json");
  const auto description = json::parse(file);
  std::set<std::string> described;
  for (const auto& [path, methods] : description["paths"].items())
    for (const auto& [method, operation] : methods.items()) {
      std::string name = method;
      for (auto& c : name) c = static_cast<char>(std::toupper(c));
      described.insert(name + " " + path + " " + operation["x-umbra-role"].get<std::string>());
    }
  std::set<std::string> known;
  for (const auto& route : AdminApi::routes())
    known.insert(std::string(route.method) + " " + std::string(route.pattern) + " " +
                 std::string(to_string(route.role)));
  EXPECT_EQ(known, described);
  for (const auto& route : AdminApi::routes())
    EXPECT_TRUE(route.method == "POST" || route.role != AdminRole::write)
        << route.pattern << ": what reads needs no more than read";
}

TEST(AdminRoutes, FitWholeSegmentsOnly) {
  EXPECT_EQ(match_path("/v1/queue/{id}/hold", "/v1/queue/1-2/hold").value_or(std::vector<std::string>{}),
            std::vector<std::string>{"1-2"});
  for (const char* path : {"/v1/queue//hold", "/v1/queue/1/hold/", "/v1/queue/1", "/v1/queue/1/holds",
                           "v1/queue/1/hold", "/v1/queue/1/2/hold", "", "/"})
    EXPECT_FALSE(match_path("/v1/queue/{id}/hold", path)) << path;
}

TEST_F(AdminApiTest, AnswersForTheClusterAndNamesWhoDoesNot) {
  backend_.add(1);
  std::string deep(100'000, '[');
  backend_.hub_answers = {{"hub-b", 200, R"({"copy":{"role":"shadow"}})", ""},
                          {"hub-c", 0, "", "there is no session with it"},
                          {"hub-d", 200, R"({"x":)" + deep, ""},
                          {"hub-e", 503, R"({"error":"no"})", ""}};
  auto copies = get("/v1/messages/0000000000001234-1");
  EXPECT_EQ(copies["copies"], 2);
  EXPECT_EQ(copies["unanswered"], 3);
  EXPECT_EQ(copies["hubs"][0]["copy"]["role"], "primary");
  EXPECT_EQ(copies["hubs"][2]["why"], "there is no session with it");
  EXPECT_EQ(copies["hubs"][3]["why"], "its answer is no JSON");
  EXPECT_EQ(copies["hubs"][4]["why"], "no (503)");
  backend_.hub_answers = {{"hub-b", 200, R"({"copy":null})", ""}};
  get("/v1/messages/0000000000001234-2", 404);
  get("/v1/messages/nonsense", 400);
  EXPECT_EQ(get("/v1/cluster/queue?hub=hub-a")["hubs"].size(), 1U);
  get("/v1/cluster/queue?hub=hub-x", 404);
  get("/v1/cluster/queue?limit=0", 400);
}

TEST_F(AdminApiTest, OrdersAnotherHubAndSaysWhenItDoesNotAnswer) {
  backend_.hub_answers = {{"hub-b", 409, R"({"error":"a leave is under way"})", ""},
                          {"hub-c", 0, "", "it did not answer in time"}};
  EXPECT_EQ(ask("POST", "/v1/hubs/hub-b/drain?rate=5").status, 409U);
  EXPECT_EQ(backend_.passed_on.back(), "hub-b socket /v1/drain?rate=5&verb=drain");
  auto silent = ask("POST", "/v1/hubs/hub-c/leave");
  EXPECT_EQ(silent.status, 504U);
  EXPECT_THAT(silent.body, HasSubstr("is not known"));
  EXPECT_EQ(ask("POST", "/v1/hubs/hub-x/undrain").status, 404U);
  EXPECT_EQ(ask("POST", "/v1/hubs/hub-b/drain?verb=leave").status, 400U);
  EXPECT_TRUE(backend_.fake_drain.orders.empty());
  EXPECT_EQ(ask("POST", "/v1/hubs/hub-a/pause").status, 200U) << "this hub itself";
  EXPECT_EQ(backend_.fake_drain.orders.at(0).verb, cluster::DrainVerb::pause);
}

TEST_F(AdminApiTest, CountsRequestsByRoute) {
  get("/v1/status");
  get("/v1/nothing", 404);
  const auto routes = AdminApi::routes();
  const auto at =
      static_cast<std::size_t>(std::ranges::find(routes, "/v1/status", &ApiRoute::pattern) - routes.begin());
  EXPECT_EQ(api_.counts().all().at(at).at(1), 1U);
  EXPECT_EQ(api_.counts().all().back().at(3), 1U);
}

TEST_F(AdminApiTest, ATraceOfManyMessagesFitsIntoAQuestionBetweenHubs) {
  TraceQuestion question;
  for (std::size_t i = 0; i < traced_messages_max; ++i)
    question.ids.push_back({SpoolId{UINT64_MAX - i}, UINT64_MAX - i});
  question.limit = 100;
  question.since = WallTime::max();
  EXPECT_LE(trace_target(question).size(), smtp::query_octets_max);
  question.ids.clear();
  question.sender = question.recipient = question.message_id = std::string(320, '\xff');
  EXPECT_LE(trace_target(question).size(), smtp::query_octets_max);
  auto again = parse_trace_question(trace_target(question).substr(std::string("/v1/trace?").size()));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->sender, question.sender);
  for (std::size_t i = 0; i < traced_messages_max; ++i)
    question.ids.push_back({SpoolId{UINT64_MAX - i}, UINT64_MAX - i});
  auto both = parse_trace_question(trace_target(question).substr(std::string("/v1/trace?").size()));
  ASSERT_FALSE(both) << "it would not fit";
  EXPECT_THAT(both.error(), HasSubstr("too long"));
}

TEST_F(AdminApiTest, ListsTheSafetyNetByPages) {
  KeptMatch match;
  match.message.id = {SpoolId{0x77}, 5};
  match.message.is_shadow = true;
  match.message.owner_hub = "hub-b";
  match.message.envelope.sender = "a@source.example";
  match.message.envelope.recipients = {{"r0@example.net", {}, 0}, {"r1@example.net", {}, 0}};
  match.message.delivered = {{1, "route:all mx.example:25", "250 ok"}};
  match.recipients = {1};
  backend_.fake_net.page.messages.push_back(match);
  backend_.fake_net.page.next.emplace(WallTime(std::chrono::microseconds(123)), RowId{9});
  auto answer = get("/v1/safety-net?sender=a%40source.example&limit=5&after=100-7");
  ASSERT_EQ(answer["messages"].size(), 1U);
  EXPECT_EQ(answer["messages"][0]["role"], "shadow");
  EXPECT_EQ(answer["messages"][0]["owner"], "hub-b");
  EXPECT_EQ(answer["messages"][0]["recipients"][0]["address"], "r1@example.net");
  EXPECT_EQ(answer["messages"][0]["recipients"][0]["next_hop"], "route:all mx.example:25");
  EXPECT_EQ(answer["next"], "123-9");
  EXPECT_THAT(backend_.fake_net.filters.back(), HasSubstr("sender=a@source.example"));
  auto [from, row, limit] = backend_.fake_net.positions.back();
  EXPECT_EQ(from, WallTime(std::chrono::microseconds(100)));
  EXPECT_EQ(row, RowId{7});
  EXPECT_EQ(limit, 5U);
  for (const auto* bad :
       {"limit=0", "limit=1001", "limit=x", "after=5", "after=-5", "after=5-x", "nonsense=1", "from=x"})
    get(std::string("/v1/safety-net?") + bad, 400);
}

TEST_F(AdminApiTest, BeginsFollowsAndCancelsARequestToSendAgain) {
  backend_.fake_net.known.resent = 12;
  backend_.fake_net.what = {3, 4, 500, 1};
  EXPECT_EQ(get("/v1/safety-net/preview?recipient=@example.net")["messages"], 3);
  EXPECT_EQ(ask("POST", "/v1/safety-net/resend?request=night&next_hop=mx").status, 200U);
  EXPECT_EQ(backend_.fake_net.known.request, "night");
  EXPECT_THAT(backend_.fake_net.filters.back(), HasSubstr("next_hop=mx"));
  EXPECT_EQ(get("/v1/safety-net/requests/night")["resent"], 12);
  EXPECT_EQ(get("/v1/safety-net/requests")["requests"].size(), 1U);
  get("/v1/safety-net/requests/other", 404);
  EXPECT_EQ(ask("POST", "/v1/safety-net/requests/night/cancel").status, 200U);
  EXPECT_EQ(ask("POST", "/v1/safety-net/requests/other/cancel").status, 409U);
  backend_.fake_net.refusal = "request night is under way";
  EXPECT_EQ(ask("POST", "/v1/safety-net/resend?request=other").status, 409U);
  for (const auto* bad : {"", "request=", "request=a%20b", "request=a/b", "request=x&from=1x"})
    EXPECT_EQ(ask("POST", std::string("/v1/safety-net/resend?") + bad).status, 400U) << bad;
  for (const auto* path : {"/v1/safety-net/resend", "/v1/safety-net/requests/night/cancel"})
    EXPECT_EQ(ask("GET", path).status, 405U) << path;
  EXPECT_EQ(ask("POST", "/v1/safety-net").status, 405U);
  EXPECT_EQ(ask("GET", "/v1/safety-net/nonsense").status, 404U);
  EXPECT_EQ(ask("GET", "/v1/safety-net", true).status, 404U);  // not for observers
}

TEST_F(AdminApiTest, OrdersADrainAsItIsAsked) {
  using enum cluster::DrainVerb;
  auto& fake = backend_.fake_drain;
  EXPECT_EQ(
      ask("POST", "/v1/drain?verb=leave&return_within=7&deadline=8&unready_wait=9&rate=10&to=hub-b,hub-c")
          .status,
      200U);
  ASSERT_EQ(fake.orders.size(), 1U);
  const auto& order = fake.orders[0];
  EXPECT_EQ(order.verb, leave);
  EXPECT_EQ(order.return_within, 7s);
  EXPECT_EQ(order.deadline, 8s);
  EXPECT_EQ(order.unready_wait, 9s);
  EXPECT_EQ(order.rate, 10U);
  EXPECT_THAT(order.to, ElementsAre("hub-b", "hub-c"));
  for (const auto* bad : {"verb=stop", "verb", "rate=0", "rate=1000001", "deadline=86401", "deadline=-1",
                          "return_within=5min", "to=", "to=,", "too=hub-b"})
    EXPECT_EQ(ask("POST", std::string("/v1/drain?") + bad).status, 400U) << bad;
  EXPECT_EQ(fake.orders.size(), 1U) << "nothing begins by a wrong word";
  EXPECT_EQ(ask("PUT", "/v1/drain").status, 405U);
  EXPECT_EQ(ask("GET", "/v1/undrain").status, 405U);
  EXPECT_EQ(ask("POST", "/v1/drain/preview?verb=leave").status, 405U);
  EXPECT_EQ(fake.undrained, 0);
  EXPECT_EQ(ask("POST", "/v1/undrain").status, 200U);
  EXPECT_EQ(fake.undrained, 1);
  EXPECT_EQ(ask("POST", "/v1/drain?verb=leave", true).status, 404U) << "not for observers";
}

TEST_F(AdminApiTest, LooksAheadAtTheSameOrder) {
  auto& fake = backend_.fake_drain;
  fake.what.targets = {"hub-c"};
  auto preview = get("/v1/drain/preview?verb=leave&to=hub-b,hub-c");
  EXPECT_EQ(preview["targets"], json({"hub-c"}));
  ASSERT_EQ(fake.previewed.size(), 1U);
  EXPECT_EQ(fake.previewed[0].verb, cluster::DrainVerb::leave);
  EXPECT_THAT(fake.previewed[0].to, ElementsAre("hub-b", "hub-c"));
  EXPECT_TRUE(fake.orders.empty());
  fake.refusal = "there is no hub hub-x in this cluster";
  EXPECT_EQ(get("/v1/drain/preview?to=hub-x", 409)["error"], fake.refusal);
}

TEST_F(AdminApiTest, SaysWhyADrainWasRefusedOrCouldNotBegin) {
  auto& fake = backend_.fake_drain;
  fake.refusal = "a leave is under way: undrain first";
  auto refused = ask("POST", "/v1/drain?verb=drain");
  EXPECT_EQ(refused.status, 409U);
  EXPECT_THAT(refused.body, HasSubstr(fake.refusal));
  fake.is_broken = true;
  for (const auto* path : {"/v1/drain?verb=leave", "/v1/undrain"}) {
    auto broken = ask("POST", path);
    EXPECT_EQ(broken.status, 503U);
    EXPECT_THAT(broken.body, HasSubstr("write the order: No space left on device")) << path;
  }
}

TEST_F(AdminApiTest, PagesTheQueueByKey) {
  for (std::int64_t i = 1; i <= 5; ++i) backend_.add(i);
  auto first = get("/v1/queue?limit=2");
  EXPECT_EQ(first["messages"][0]["id"], "0000000000001234-1");
  EXPECT_EQ(first["messages"].size(), 2U);
  EXPECT_EQ(first["next"], "2");
  auto last = get("/v1/queue?limit=2&after=4");
  EXPECT_EQ(last["messages"].size(), 1U);
  EXPECT_EQ(last["next"], nullptr);
}

TEST_F(AdminApiTest, FiltersTheQueueByState) {
  for (std::int64_t i = 1; i <= 3; ++i) backend_.add(i);
  backend_.queue[1].state = storage::MessageState::held;
  auto held = get("/v1/queue?state=held");
  ASSERT_EQ(held["messages"].size(), 1U);
  EXPECT_EQ(held["messages"][0]["id"], "0000000000001234-2");
}

TEST_F(AdminApiTest, RefusesPagesItCannotGive) {
  for (const auto* query : {"limit=0", "limit=1001", "limit=x", "after=-1", "after=99999999999999999999",
                            "state=lost", "sort=size", "limit", "&&"}) {
    EXPECT_EQ(ask("GET", std::string("/v1/queue?") + query).status, 400U) << query;
  }
  EXPECT_EQ(ask("GET", "/v1/shadows?state=held").status, 400U);
}

TEST_F(AdminApiTest, ShowsAMessageWithItsCopiesAndRecipients) {
  backend_.add(0x2a, 3);
  backend_.queue[0].progress = {{1, storage::RecipientOutcome::State::delivered, "250 ok"},
                                {2, storage::RecipientOutcome::State::pending, "451 later"}};
  auto message = get("/v1/queue/0000000000001234-2a");
  EXPECT_EQ(message["copies"], 2);
  EXPECT_EQ(message["holders"][0]["hub"], "hub-b");
  EXPECT_EQ(message["holders"][0]["state"], "holds");
  EXPECT_EQ(message["recipients_pending"], 2);
  EXPECT_EQ(message["recipients"][0]["state"], "pending");
  EXPECT_EQ(message["recipients"][1]["state"], "delivered");
  EXPECT_EQ(message["recipients"][2]["detail"], "451 later");
  EXPECT_EQ(message["queue"][0]["attempts"], 2);
  EXPECT_EQ(message["due"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(message["last_error"], "451 later");
}

TEST_F(AdminApiTest, ListsAThousandRecipientsAndCountsTheOthers) {
  backend_.add(1, 1500);
  auto message = get("/v1/queue/0000000000001234-1");
  EXPECT_EQ(message["recipients"].size(), 1000U);
  EXPECT_EQ(message["recipients_left_out"], 500);
}

TEST_F(AdminApiTest, ShowsAShadowUnderTheSameName) {
  backend_.add_shadow(5);
  auto shadow = get("/v1/queue/0000000000000077-5");
  EXPECT_EQ(shadow["state"], "shadow");
  EXPECT_EQ(shadow["owner"], "hub-b");
  EXPECT_EQ(shadow["recipients"][0]["state"], "pending");
  EXPECT_EQ(shadow["recipients"][1]["state"], "done");
  EXPECT_EQ(get("/v1/shadows")["shadows"].size(), 1U);
}

TEST_F(AdminApiTest, SaysNotFoundOfWhatIsNotThere) {
  EXPECT_THAT(get("/v1/queue/0000000000001234-1", 404)["error"].get<std::string>(),
              HasSubstr("no message 0000000000001234-1"));
  EXPECT_EQ(ask("GET", "/v1/queue/nonsense").status, 400U);
  EXPECT_EQ(ask("GET", "/v1/unknown").status, 404U);
  EXPECT_EQ(ask("GET", "/").status, 404U);
  EXPECT_EQ(ask("POST", "/v1/queue/0000000000001234-1/retry").status, 404U);
}

TEST_F(AdminApiTest, DoesWhatItIsToldAndSaysSo) {
  backend_.add(1);
  for (const auto* action : {"retry", "hold", "release", "bounce", "delete"}) {
    EXPECT_EQ(ask("POST", std::string("/v1/queue/0000000000001234-1/") + action).status, 200U);
  }
  std::vector<QueueAction> actions;
  for (const auto& [id, action] : backend_.acted) actions.push_back(action);
  EXPECT_THAT(actions, ElementsAre(QueueAction::retry, QueueAction::hold, QueueAction::release,
                                   QueueAction::bounce, QueueAction::remove));
  EXPECT_EQ(ask("POST", "/v1/queue/0000000000001234-1/drop").status, 404U);
  EXPECT_EQ(ask("GET", "/v1/queue/0000000000001234-1/bounce").status, 405U);
  EXPECT_EQ(backend_.acted.size(), 5U);
}

TEST_F(AdminApiTest, ReroutesToANextHopThatIsOne) {
  backend_.add(1);
  const std::string path = "/v1/queue/0000000000001234-1/reroute";
  EXPECT_EQ(json::parse(ask("POST", path + "?to=relay.example%3A2525").body)["done"], "reroute");
  EXPECT_EQ(ask("POST", path + "?to=config").status, 200U);
  EXPECT_THAT(backend_.rerouted_to, ElementsAre("host:relay.example:2525", ""));
  for (const auto* wrong :
       {"", "?to=", "?to=relay.example%3A0", "?to=2001:db8::1", "?to=a&to=b", "?to=%zz"}) {
    auto answer = ask("POST", path + wrong);
    EXPECT_EQ(answer.status, 400U) << wrong;
  }
  EXPECT_THAT(ask("POST", path + "?to=a%20b").body, HasSubstr("is no next hop"));
  EXPECT_EQ(ask("POST", "/v1/queue/search/reroute?sender=@example.com").status, 400U);
  EXPECT_EQ(json::parse(
                ask("POST", "/v1/queue/search/reroute?sender=@example.com&to=mx%3Aexample.org").body)["done"],
            1);
  EXPECT_EQ(backend_.rerouted_to.back(), "mx:example.org:25");
  EXPECT_EQ(backend_.rerouted_to.size(), 3U);
}

TEST_F(AdminApiTest, PassesOnWhyAnActionWasRefused) {
  backend_.add(1);
  backend_.answer = {ActionOutcome::Kind::refused, "a delivery is under way"};
  auto answer = ask("POST", "/v1/queue/0000000000001234-1/bounce");
  EXPECT_EQ(answer.status, 409U);
  EXPECT_THAT(answer.body, HasSubstr("a delivery is under way"));
}

TEST_F(AdminApiTest, SaysWhyItIsNotReady) {
  EXPECT_EQ(ask("GET", "/healthz/ready").status, 200U);
  backend_.now = {true, false, "the disk is nearly full"};
  EXPECT_EQ(ask("GET", "/healthz/live").status, 200U);
  EXPECT_EQ(ask("GET", "/healthz/startup", true).status, 200U);
  auto ready = ask("GET", "/healthz/ready", true);
  EXPECT_EQ(ready.status, 503U);
  EXPECT_EQ(ready.body, "the disk is nearly full\n");
  backend_.now = {false, false, "the spool has failed"};
  EXPECT_EQ(ask("GET", "/healthz/live", true).status, 503U);
}

TEST_F(AdminApiTest, SaysServiceUnavailableWhenTheSpoolDoesNotAnswer) {
  backend_.broken = true;
  EXPECT_EQ(ask("GET", "/v1/status").status, 503U);
  EXPECT_EQ(ask("GET", "/metrics").status, 503U);
}

TEST_F(AdminApiTest, LetsAnObserverCommandNothing) {
  backend_.add(1);
  for (const auto* path :
       {"/v1/status", "/v1/queue", "/v1/queue/0000000000001234-1", "/v1/queue/0000000000001234-1/bounce"}) {
    EXPECT_EQ(ask("GET", path, true).status, 404U) << path;
    EXPECT_EQ(ask("POST", path, true).status, 404U) << path;
  }
  EXPECT_EQ(ask("POST", "/metrics", true).status, 405U);
  EXPECT_TRUE(backend_.acted.empty());
}

TEST_F(AdminApiTest, GivesMetricsThatPrometheusReads) {
  backend_.counted.messages_accepted_total = 12;
  backend_.counted.accept_seconds.observe(3ms);
  backend_.counted.accept_seconds.observe(2min);
  backend_.measured.shadow_messages = 9;
  auto text = ask("GET", "/metrics", true).body;
  EXPECT_THAT(text, HasSubstr("# HELP umbra_messages_accepted_total Messages acknowledged with 250.\n"));
  EXPECT_THAT(text,
              HasSubstr("# TYPE umbra_messages_accepted_total counter\numbra_messages_accepted_total 12\n"));
  EXPECT_THAT(text, HasSubstr("umbra_shadow_messages 9\n"));
  EXPECT_THAT(text, HasSubstr("umbra_accept_seconds_bucket{le=\"0.0025\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("umbra_accept_seconds_bucket{le=\"60\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("umbra_accept_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("umbra_accept_seconds_count 2\n"));
  // Each series has help; none has a name without the prefix.
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool is_comment = line.starts_with("# HELP ") || line.starts_with("# TYPE ");
    const std::string_view name = std::string_view(line).substr(is_comment ? 7 : 0);
    EXPECT_TRUE(name.starts_with("umbra_") || name.starts_with("process_")) << line;
  }
}

TEST_F(AdminApiTest, ASearchGoesThroughTheQueueInBoundedLooksAndSaysWhereToGoOn) {
  for (int i = 1; i <= 50; ++i) backend_.add(i);
  backend_.queue[40].envelope.sender = "wanted@example.org";
  backend_.queue[45].envelope.sender = "wanted@example.org";
  backend_.rows_looked_at_once = 7;
  auto first = get("/v1/queue/search?sender=@example.org&limit=1&scope=hub");
  EXPECT_EQ(first["messages"][0]["id"], "0000000000001234-29");
  EXPECT_EQ(first["messages"][0]["hub"], "hub-a");
  EXPECT_EQ(first["next"], "hub-a:41");
  auto second = get("/v1/queue/search?sender=@example.org&limit=5&scope=hub&after=hub-a:41");
  EXPECT_EQ(second["messages"].size(), 1U);
  EXPECT_EQ(second["next"], nullptr);
  EXPECT_EQ(second["looked_at"], 9);
  for (const char* wrong : {"limit=0", "limit=1001", "after=5", "after=hub-a:x", "scope=all",
                            "sender=", "since=9&until=3", "x=1"})
    get(std::string("/v1/queue/search?") + wrong, 400);
}

TEST_F(AdminApiTest, ASearchAsksTheOtherHubsAndNamesThoseThatDoNotAnswer) {
  backend_.add(1);
  backend_.known_peers = {{"hub-b", {}, "alive", {}, {}, {}}, {"hub-c", {}, "silent", {}, {}, {}}};
  backend_.hub_answers = {
      {"hub-b", 200,
       R"({"messages":[{"id":"0000000000000099-7","hub":"a lie"},5],"next":"hub-b:9","looked_at":3})", ""},
      {"hub-c", 0, "", "no session"}};
  auto answer = get("/v1/queue/search?error=later");
  EXPECT_EQ(answer["messages"].size(), 2U);
  EXPECT_EQ(answer["messages"][1]["hub"], "hub-b");
  EXPECT_EQ(answer["next"], "hub-b:9");
  EXPECT_EQ(answer["hubs"][2]["answered"], false);
  EXPECT_EQ(answer["hubs"][2]["why"], "no session");
  EXPECT_THAT(backend_.passed_on, ElementsAre("/v1/queue/search?scope=hub&limit=33&error=later"));
  // Who has no more is not asked again.
  auto rest = get("/v1/queue/search?error=later&after=hub-b:9");
  EXPECT_EQ(rest["messages"].size(), 1U);
  EXPECT_EQ(rest["hubs"].size(), 1U);
  for (const char* body : {"", "[]", "{}", R"({"messages":5})", R"({"messages":[],"next":"hub-x:5"})",
                           R"({"messages":[],"next":7})"}) {
    backend_.hub_answers = {{"hub-b", 200, body, ""}};
    EXPECT_EQ(get("/v1/queue/search?error=later")["next"], nullptr) << body;
  }
}

TEST_F(AdminApiTest, AnActionOnAllThatMatchesIsPassedOnAndEachHubSaysWhatItHasDone) {
  backend_.add(1);
  backend_.hub_answers = {
      {"hub-b", 200,
       R"({"hub":"hub-b","done":2,"refused":1,"reasons":[{"hub":"x","id":"00-9","why":"sent"}],"next":"hub-b:9"})",
       ""},
      {"hub-c", 0, "", "no session"},
      {"hub-d", 404, R"({"error":"not answered to other hubs"})", ""},
      {"hub-e", 503, R"({"error":"no spool"})", ""}};
  const std::string path = "/v1/queue/search/reroute?sender=@example.com&to=relay.example";
  auto answer = json::parse(ask("POST", path + "&scope=cluster").body);
  EXPECT_THAT(
      backend_.passed_on,
      ElementsAre(
          "socket /v1/queue/search/reroute?scope=hub&limit=100&sender=@example.com&to=relay.example"));
  EXPECT_EQ(answer["done"], 3);
  EXPECT_EQ(answer["refused"], 1);
  EXPECT_EQ(answer["reasons"][0]["hub"], "hub-b") << "who said it, whatever it says";
  EXPECT_EQ(answer["next"], "hub-b:9");
  ASSERT_EQ(answer["hubs"].size(), 5U);
  EXPECT_EQ(answer["hubs"][0]["done"], 1);
  EXPECT_EQ(answer["hubs"][1]["done"], 2);
  EXPECT_THAT(answer["hubs"][2]["why"].get<std::string>(),
              HasSubstr("no session; whether it has done any of it is not known"));
  EXPECT_THAT(answer["hubs"][3]["why"].get<std::string>(), HasSubstr("an earlier release"));
  EXPECT_EQ(answer["hubs"][4]["why"], "no spool (503)");
  for (int i : {2, 3, 4}) EXPECT_FALSE(answer["hubs"][static_cast<std::size_t>(i)]["answered"].get<bool>());
  // Who has no more does nothing more, here neither.
  answer = json::parse(ask("POST", path + "&scope=cluster&after=hub-b:9").body);
  EXPECT_EQ(answer["hubs"].size(), 1U);
  EXPECT_EQ(backend_.acted.size(), 1U);
  // Without a word of the cluster, and by way of another hub, it is of this hub alone.
  EXPECT_EQ(json::parse(ask("POST", path).body)["hubs"].size(), 1U);
  for (const char* body : {"", "[]", "{}", R"({"done":-1,"refused":0})", R"({"done":"x","refused":0})"}) {
    backend_.hub_answers = {{"hub-b", 200, body, ""}};
    EXPECT_FALSE(json::parse(ask("POST", path + "&scope=cluster").body)["hubs"][1]["answered"].get<bool>())
        << body;
  }
}

TEST_F(AdminApiTest, WhatNestsDeeperThanAnyStackIsNoAnswerOfAHub) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  backend_.known_peers = {{"hub-b", {}, "alive", {}, {}, {}}};
  backend_.hub_answers = {
      {"hub-b", 200, R"({"messages":[{"id":"0000000000000099-7","state":)" + deep + "}]}", ""}};
  auto found = get("/v1/queue/search?error=later");
  EXPECT_EQ(found["messages"].size(), 0U);
  EXPECT_EQ(found["hubs"][1]["why"], "its answer cannot be read");
  backend_.hub_answers = {{"hub-b", 200, R"({"copy":{"role":)" + deep + "}}", ""}};
  EXPECT_EQ(get("/v1/messages/0000000000000099-7")["hubs"][1]["why"], "its answer is no JSON");
  // As deep as is read, and one deeper.
  auto nested = [](int levels) {
    return R"({"copy":)" + std::string(static_cast<std::size_t>(levels), '[') +
           std::string(static_cast<std::size_t>(levels), ']') + "}";
  };
  EXPECT_TRUE(parse_heard(nested(heard_depth_max - 1)));
  EXPECT_FALSE(parse_heard(nested(heard_depth_max + 1)));
}

TEST_F(AdminApiTest, AnActionOnAllThatMatchesNeedsAConditionAndSaysWhatWasRefused) {
  for (int i = 1; i <= 5; ++i) backend_.add(i);
  backend_.queue[2].envelope.sender = "other@example.org";
  EXPECT_EQ(ask("POST", "/v1/queue/search/delete").status, 400U);
  EXPECT_EQ(ask("POST", "/v1/queue/search/eat?state=queued").status, 404U);
  EXPECT_EQ(ask("GET", "/v1/queue/search/delete?state=queued").status, 405U);
  auto answer = json::parse(ask("POST", "/v1/queue/search/delete?sender=@example.com&limit=3").body);
  EXPECT_EQ(answer["done"], 3);
  EXPECT_EQ(answer["next"], "hub-a:4");
  EXPECT_EQ(backend_.acted.size(), 3U);
  EXPECT_EQ(backend_.acted[2].first.number, 4U);
  EXPECT_EQ(backend_.acted[2].second, QueueAction::remove);
  backend_.answer = {ActionOutcome::Kind::refused, "it is being sent this moment"};
  answer = json::parse(ask("POST", "/v1/queue/search/delete?sender=@example.com&after=hub-a:4").body);
  EXPECT_EQ(answer["done"], 0);
  EXPECT_EQ(answer["refused"], 1);
  EXPECT_EQ(answer["reasons"][0]["why"], "it is being sent this moment");
  EXPECT_EQ(answer["next"], nullptr);
}

TEST_F(AdminApiTest, MetricsCountItsRequestsByRouteAndClass) {
  const auto series = [](const char* route, const char* kind, int count) {
    return "umbra_admin_requests_total{route=\"" + std::string(route) + "\",class=\"" + kind + "\"} " +
           std::to_string(count) + "\n";
  };
  const auto before = ask("GET", "/metrics").body;
  for (const auto& route : AdminApi::routes())
    for (const char* kind : {"2xx", "4xx", "5xx"})
      EXPECT_THAT(
          before,
          HasSubstr(series((std::string(route.method) + " " + std::string(route.pattern)).c_str(), kind, 0)))
          << "there before the first request";
  backend_.add(1);
  get("/v1/queue/0000000000001234-1");
  get("/v1/queue/0000000000001234-2", 404);
  get("/v1/queue/nonsense", 400);
  EXPECT_EQ(ask("GET", "/no/such/path").status, 404U);
  const auto after = ask("GET", "/metrics").body;
  EXPECT_THAT(after, HasSubstr(series("GET /v1/queue/{id}", "2xx", 1)));
  EXPECT_THAT(after, HasSubstr(series("GET /v1/queue/{id}", "4xx", 2)));
  EXPECT_THAT(after, HasSubstr(series("GET /metrics", "2xx", 1)));
  EXPECT_THAT(after, HasSubstr(series("none", "4xx", 1)));
  EXPECT_THAT(after, Not(HasSubstr("no/such"))) << "nothing that a client says is a label";
}

TEST(MetricsReference, IsWhatTheDocumentsShow) {
  std::ifstream file("docs/metrics.md");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), metrics_reference()) << "run `make docs`";
}

TEST_F(AdminApiTest, AReloadSaysWhatChangedAndWhatWaitsForARestart) {
  backend_.reloaded.state.file = "/etc/umbra.yaml";
  backend_.reloaded.changed = {{"log.level", "info", "debug", TakesEffect::at_reload},
                               {"routes[new]", std::nullopt, "new", TakesEffect::at_reload}};
  backend_.reloaded.state.waiting = {{"cluster.lease", "10s", "5s", TakesEffect::at_restart}};
  backend_.loaded_certificates = {{"listeners.in", "", WallTime::max(), {}}};
  auto answer = ask("POST", "/v1/reload");
  EXPECT_EQ(answer.status, 200U);
  auto said = json::parse(answer.body);
  EXPECT_EQ(said["configuration"]["result"], "changed");
  EXPECT_EQ(said["configuration"]["changed"][0]["change"], "log.level: info -> debug");
  EXPECT_EQ(said["configuration"]["changed"][1]["from"], nullptr);
  EXPECT_EQ(said["configuration"]["needs_restart"][0],
            (json{{"key", "cluster.lease"}, {"in_force", "10s"}, {"in_file", "5s"}}));
  EXPECT_EQ(said["certificates"][0]["result"], "loaded");
  EXPECT_EQ(ask("GET", "/v1/reload").status, 405U);
  EXPECT_EQ(ask("POST", "/v1/reload", true).status, 404U) << "not over TCP";
  backend_.reloaded.changed.clear();
  EXPECT_EQ(json::parse(ask("POST", "/v1/reload").body)["configuration"]["result"], "unchanged");
}

TEST_F(AdminApiTest, RefusesToSuspendWhatIsNotThereOrIsNotSaidWell) {
  for (const char* wrong : {"", "?what=listener", "?name=in", "?what=sender&name=a", "?what=listener&name=",
                            "?what=delivery&name=%4", "?what=delivery&name=a&seconds=0",
                            "?what=delivery&name=a&seconds=99999999999", "?what=delivery&name=a&else=1"})
    EXPECT_EQ(ask("POST", std::string("/v1/suspend") + wrong).status, 400U) << wrong;
  EXPECT_EQ(ask("POST", "/v1/suspend?what=delivery&name=a&reason=" + std::string(501, 'r')).status, 400U);
  EXPECT_EQ(ask("POST", "/v1/resume?what=delivery&name=a&seconds=5").status, 400U);
  EXPECT_EQ(ask("POST", "/v1/suspend?what=listener&name=none").status, 404U);
  EXPECT_EQ(ask("GET", "/v1/suspend?what=listener&name=in").status, 405U);
  EXPECT_EQ(ask("POST", "/v1/suspensions").status, 405U);
  EXPECT_EQ(ask("GET", "/v1/suspensions", true).status, 404U) << "not over TCP";
}

TEST_F(AdminApiTest, ARefusedConfigurationIsNoSuccessAndCertificatesAreReadAllTheSame) {
  backend_.reloaded.state = {"/etc/umbra.yaml",
                             {},
                             {},
                             true,
                             {},
                             {{"/etc/umbra.yaml", 7, "delivery.expiry: \"soon\" is not valid"}},
                             {}};
  backend_.loaded_certificates = {{"listeners.in", "", WallTime::max(), {}}};
  auto answer = ask("POST", "/v1/reload");
  EXPECT_EQ(answer.status, 409U);
  auto said = json::parse(answer.body);
  EXPECT_EQ(said["configuration"]["result"], "refused");
  EXPECT_EQ(said["configuration"]["problems"][0]["line"], 7);
  EXPECT_THAT(said["error"].get<std::string>(), HasSubstr("/etc/umbra.yaml:7: delivery.expiry"));
  EXPECT_EQ(said["certificates"].size(), 1U);
  backend_.configured = backend_.reloaded.state;
  EXPECT_EQ(get("/v1/status")["configuration"]["last_reload"]["result"], "refused");
}

}  // namespace
}  // namespace umbra::hub
